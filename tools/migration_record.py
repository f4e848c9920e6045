"""What migration made of each pair (file of the corpus, real release) that failed, and what the release then did.

`tests/observed/migrated.json.xz` is one JSON document, compressed with xz: ``runtimes`` (columns), ``outcomes`` (what
came of a pair, each once, with the fields of ``KEPT``) and ``files`` (name → one cell per runtime: the number of an
outcome, or ``-`` where the pair did not fail for a reason that migration is for).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import lzma
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pteron.compat.case import examine
from pteron.compat.judge import fact_reasons
from pteron.compat.profile import profile_for
from pteron.compat.verdict import Status
from pteron.format.flat_tensor import read_tensor_data
from pteron.runtime.opening import open_program

OBSERVED = Path(__file__).parents[1] / "tests" / "observed"
RECORD = OBSERVED / "migrated.json.xz"
CAUSES: Mapping[str, tuple[str, ...]] = {
    "layout": ("PT-FM-001", "PT-FM-002", "PT-FM-003", "PT-FM-004", "PT-FM-013"),
    "PTD layout": ("PT-FM-007", "PT-FM-009"),
    "argument list": ("PT-OP-005", "PT-OP-006"),
    "operator": ("PT-OP-001", "PT-OP-004", "PT-OP-013"),
    "delegate": ("PT-BE-003", "PT-BE-004", "PT-BE-005", "PT-BE-006", "PT-BE-007", "PT-BE-008"),
}
"""In the order in which a pair of several causes is counted."""
_LEFT_OUT = "/other_backends/"
_TIME = re.compile(r"[EIF] \d\d:\d\d:\d\d\.\d+ executorch:")


@dataclass(frozen=True)
class Pair:
    """One pair: ``planned`` is ``migrated``, ``refused`` or ``failed`` (an error of Pteron), with the ``reason``.

    Of a migrated file: ``compared`` says on which inputs (``made``, ``given``, or none), ``conditions`` are the rules
    that still make its running depend on something, ``ran`` is the outcome on the real release and ``said`` its
    sentence. An empty ``cause`` says that migration is not for what went wrong.
    """

    file: str
    runtime: str
    cause: str
    planned: str = ""
    reason: str = ""
    compared: str = ""
    conditions: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    sha256: str = ""
    ran: str = ""
    said: str = ""

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Pair:
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})

    def to_row(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def with_run(self, ran: str, said: str) -> Pair:
        return dataclasses.replace(self, ran=ran, said=said)

    def without_run(self) -> Pair:
        return dataclasses.replace(self, ran="", said="")


@functools.cache
def _matrix() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = json.loads(lzma.decompress((OBSERVED / "matrix.json.xz").read_bytes()))
    return loaded


def at_home(file: str) -> str:
    """What a file's own release did with it: ``o`` as eager PyTorch, ``w`` otherwise, any other letter: it failed."""
    column = _matrix()["runtimes"].index(file.partition("/")[0])
    letter: str = _matrix()["files"][file].split()[column][0]
    return letter


def wrong_at_home(release: str) -> Sequence[str]:
    """The release's own files that it runs, and not as eager PyTorch does."""
    return [file for file in _matrix()["files"] if file.startswith(f"{release}/") and at_home(file) == "w"]


@functools.cache
def failed_pairs() -> Mapping[str, Sequence[str]]:
    """The files that each release failed on when the corpus was made, in order."""
    matrix = _matrix()
    failed: dict[str, list[str]] = defaultdict(list)
    for file, row in sorted(matrix["files"].items()):
        for runtime, cell in zip(matrix["runtimes"], row.split(), strict=True):
            if cell[0] not in "on" and _LEFT_OUT not in file:
                failed[runtime].append(file)
    return failed


def cause_of(image: bytes, data: Sequence[bytes], runtime: str) -> str:
    """Which of ``CAUSES`` speaks against a file on a release; empty for none."""
    examined = examine(open_program(image, verify=False), [read_tensor_data(part) for part in data])
    reasons = fact_reasons(examined, profile_for(runtime))
    blocking = {reason.rule for reason in reasons if reason.status is Status.INCOMPATIBLE}
    return next((cause for cause, rules in CAUSES.items() if blocking & set(rules)), "")


KEPT = ("cause", "planned", "reason", "compared", "conditions", "steps", "ran", "said")
"""What the record keeps of a pair, besides its file and its runtime."""


def save(pairs: Sequence[Pair]) -> None:
    """Write the record."""
    runtimes = list(_matrix()["runtimes"])
    numbers: dict[str, int] = {}
    outcomes: list[dict[str, Any]] = []
    files: dict[str, list[str]] = {}
    for pair in pairs:
        if not pair.cause:
            continue
        row = pair.to_row()
        # Addresses and times in what runtimes say differ from run to run.
        outcome = {key: row[key] for key in KEPT} | {"said": _TIME.sub("", pair.said)}
        number = numbers.setdefault(json.dumps(outcome), len(numbers))
        if number == len(outcomes):
            outcomes.append(outcome)
        files.setdefault(pair.file, ["-"] * len(runtimes))[runtimes.index(pair.runtime)] = str(number)
    document = {
        "runtimes": runtimes,
        "outcomes": outcomes,
        "files": {name: " ".join(cells) for name, cells in sorted(files.items())},
    }
    RECORD.write_bytes(lzma.compress(json.dumps(document, indent=0).encode(), preset=9 | lzma.PRESET_EXTREME))


def read() -> list[Pair]:
    """The pairs of the record, runtime by runtime."""
    document = json.loads(lzma.decompress(RECORD.read_bytes()))
    pairs = []
    for column, runtime in enumerate(document["runtimes"]):
        for file, row in document["files"].items():
            cell = row.split()[column]
            if cell != "-":
                pairs.append(Pair.from_row({"file": file, "runtime": runtime, **document["outcomes"][int(cell)]}))
    return pairs
