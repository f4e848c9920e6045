"""Every operator that ExecuTorch ever had has an entry and golden cases."""

from pathlib import Path

import golden
from pteron.ops import REGISTRY

HERE = Path(__file__).parent
LISTED = {
    line.split(",")[0]
    for line in (HERE / "executorch_operators.csv").read_text().splitlines()
    if line and not line.startswith("#")
}
# Random by definition: checked by distribution (test_random.py), not by recorded values.
RANDOM = {"aten::rand.out", "aten::randn.out"}


def test_every_operator_has_an_entry() -> None:
    registered = {operator.name for operator in REGISTRY}
    assert sorted(LISTED - registered) == []
    assert len(LISTED) > 270


def test_every_operator_has_golden_cases() -> None:
    recorded = {case.op for family in golden.families() for case in golden.cases(family)}
    assert sorted(LISTED - recorded - RANDOM) == []
