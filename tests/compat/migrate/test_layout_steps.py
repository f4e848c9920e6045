"""Steps that move bytes: held to the reference engine and to what the judge says of the result."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.compat.migrate import STEPS, plan_migration
from pteron.format.program import read_program
from pteron.migration import plan

OLD_FILES = [
    ("0.2.1", "add.pte"),
    ("0.2.1", "bundled_mlp.bpte"),
    ("0.3.0", "xnnpack_lenet.pte"),
    ("0.3.0", "mlp_cfg_constant_segment_off.pte"),
    ("0.2.1", "ops/abs.0.pte"),
]


@pytest.mark.parametrize(("release", "name"), OLD_FILES)
def test_inline_constants_go_to_a_segment(release: str, name: str) -> None:
    original = corpus_files.read(release, name)
    assert "PT-FM-001" in pteron_rules(original, "1.5.1")
    migrated = plan(original, "1.5.1")
    assert [applied.step for applied in migrated.plan.applied] == ["constants-to-segment"]
    assert migrated.checked().exact
    assert migrated.plan.possible
    assert not pteron_rules(migrated.image, "1.5.1") & {"PT-FM-001"}


def pteron_rules(data: bytes, release: str) -> set[str]:
    return set(plan_migration(pteron.open(data), release).before.rules)


def test_outputs_stay_what_eager_pytorch_gave() -> None:
    case = next(c for c in corpus_files.cases("0.3.0") if c.name == "mlp_cfg_constant_segment_off.pte")
    module = pteron.load(pteron.migrate(case.read(), "1.5.1"))
    for call in case.calls():
        for found, expected in zip(module[call.method](*call.inputs), call.outputs, strict=True):
            np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("steps", [("constants-inline",), ("delegates-inline", "constants-inline"), ("header-24",)])
def test_down_and_up_again_is_bit_equal(steps: tuple[str, ...]) -> None:
    original = corpus_files.read("1.2.0", "xnnpack_mlp_legacy_flow.pte")
    down = plan(original, "1.2.0", steps=steps)
    assert {applied.step for applied in down.plan.applied} == set(steps)
    assert down.checked().exact
    up = plan(down.image, "1.5.1", steps=("delegates-to-segments", "header-32"))
    assert up.plan.possible
    assert up.checked().exact
    inputs = [np.ones(info.shape, info.scalar_type.dtype) for info in pteron.open(original).methods["forward"].inputs]
    before = pteron.load(original, engine="reference").forward(*inputs)
    after = pteron.load(up.image, engine="reference").forward(*inputs)
    assert [x.tobytes() for x in before] == [x.tobytes() for x in after]


@pytest.mark.parametrize("length", [24, 32])
def test_header_has_the_length_asked_for(length: int) -> None:
    migrated = plan(corpus_files.read("1.1.0", "lenet.pte"), "1.2.0", steps=("header-24",))
    if length == 32:
        migrated = plan(migrated.image, "1.2.0", steps=("header-32",))
    image = migrated.image
    assert image[8:12] == b"eh00"
    assert int.from_bytes(image[12:16], "little") == length
    header = read_program(image).header
    assert header is not None
    assert header.length == length


def test_a_file_that_runs_already_comes_back_as_it_is() -> None:
    original = corpus_files.read("1.1.0", "mlp.pte")
    for release in ("1.1.0", "1.5.1"):
        migrated = plan(original, release)
        assert migrated.plan.unchanged
        assert migrated.plan.possible
        assert migrated.image == original
        assert pteron.migrate(original, release) == original


def test_what_no_step_solves_is_refused_with_the_reason() -> None:
    with pytest.raises(pteron.MigrationError, match=r"0\.6\.0 run it: PT-OP-001: aten::rand\.out") as caught:
        pteron.migrate(corpus_files.read("1.5.1", "ops/rand.0.pte"), "0.6.0")
    assert len(caught.value.reasons) == 1


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(pteron.UnsupportedError, match=r"'nonsense' is no step; there are .*constants-to-segment"):
        pteron.migrate(corpus_files.read("1.5.1", "add.pte"), "1.5.1", steps=("nonsense",))


def test_several_targets_are_refused() -> None:
    with pytest.raises(pteron.UnsupportedError, match="one runtime"):
        pteron.migrate(corpus_files.read("1.5.1", "add.pte"), ">=1.2")


def test_every_step_says_what_it_does() -> None:
    for step in STEPS.values():
        assert step.summary.endswith("."), step.name
