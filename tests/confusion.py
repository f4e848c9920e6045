"""Judges every file of the corpus on every official wheel and compares with what the real runtimes did.

Twice: with the producer dated from the bytes, as for a file found somewhere, and with the producer told.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import lzma
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

import corpus_files
from pteron.compat.case import Case, examine
from pteron.compat.judge import judge
from pteron.compat.profile import profile_for
from pteron.compat.verdict import Status, Verdict
from pteron.format.bundled_program import read_bundled_program
from pteron.format.flat_tensor import read_tensor_data
from pteron.format.program import read_program

OBSERVED = Path(__file__).parent / "observed" / "matrix.json.xz"

DISTURBED = {
    ("0.2.1/ops/cos.1.pte", "0.7.0"): (
        "The process ran ops/copy.2.pte two files before, whose kernel writes beyond its result on 0.7.0 "
        "(fault copy.other_dtype); it ended with `munmap_chunk(): invalid pointer`. The same program of every other "
        "release runs on 0.7.0, and this one on every other runtime up to 1.2.0."
    ),
}
"""Observations that say nothing about their file, with the cause."""


@dataclass(frozen=True)
class Pair:
    """One file on one runtime: what was judged and what happened. ``own`` is the cell of the producer's own runtime."""

    file: str
    runtime: str
    verdict: Verdict
    cell: str
    own: str

    @property
    def happened(self) -> str:
        """``ran``, ``failed``, ``failed the same way on its own release``, or ``disturbed``."""
        if self.cell == "o":
            return "ran"
        if (self.file, self.runtime) in DISTURBED:
            return "disturbed"
        return "failed the same way on its own release" if self.cell == self.own else "failed"


CAUSES = {
    (
        "dynamic_shape_ops.pte",
        "e",
    ): "The exporter of 0.2.1 wrote the result of arange with a computed end as static.",
    ("lstm.pte", "w"): "Exporters up to 1.3 give h and c a dimension more than eager PyTorch; the file says so itself.",
    ("xnnpack_lstm.pte", "w"): "As lstm.pte.",
    ("xnnpack_lstm.pte", "c"): "The payload that the exporter of 0.3.0 wrote ends every runtime.",
    ("mutable_buffer_shared_state.pte", "w"): "The Python binding loads each method with buffers of its own.",
    ("ops/remainder_scalar.1.pte", "w"): "Every runtime differs from eager PyTorch (remark PT-OP-015).",
    ("ops/remainder_scalar.2.pte", "w"): "Every runtime differs from eager PyTorch (remark PT-OP-015).",
    ("ops/sign.1.pte", "w"): "Every runtime differs from eager PyTorch (remark PT-OP-015).",
}
"""Why files that are said to run fail the same way on their own release: name without release, kind of failure."""

HAPPENED = ("ran", "failed", "failed the same way on its own release", "disturbed")


@functools.cache
def observed() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(lzma.decompress(OBSERVED.read_bytes()))
    return loaded


def cause(cell: str) -> str:
    """What failed, in the runtime's words."""
    words = {"w": "wrong numbers", "m": "load", "e": "run", "c": "crash", "l": "open", "t": "timeout"}
    number = int(cell.partition(":")[2] or 0)
    return f"{words[cell[0]]}: {observed()['texts'][number]}"


@functools.cache
def pairs() -> dict[str, tuple[Pair, ...]]:
    """``dated`` and ``told`` → every pair that was run."""
    runtimes = observed()["runtimes"]
    profiles = [profile_for(runtime) for runtime in runtimes]
    found: dict[str, list[Pair]] = {"dated": [], "told": []}
    for file, row in observed()["files"].items():
        cells = row.split()
        release = file.partition("/")[0]
        own = cells[runtimes.index(release)]
        dated = case_of(file)
        told = dataclasses.replace(dated, producers=(Version(release),))
        for name, case in (("dated", dated), ("told", told)):
            for runtime, profile, cell in zip(runtimes, profiles, cells, strict=True):
                if cell[0] != "n":
                    found[name].append(Pair(file, runtime, judge(case, profile), cell, own))
    return {name: tuple(items) for name, items in found.items()}


def case_of(file: str) -> Case:
    """A file of the corpus, examined with its .ptd files."""
    release, _, name = file.partition("/")
    data = corpus_files.read(release, name)
    program = read_bundled_program(data, file=file).program if name.endswith(".bpte") else read_program(data, file=file)
    stem = name.rpartition(".")[0]
    beside = [other for other in corpus_files.names(release, ".ptd") if other.startswith(f"{stem}.")]
    return examine(program, [read_tensor_data(corpus_files.read(release, other), file=other) for other in beside])


def table(kind: str) -> Counter[tuple[Status, str]]:
    """(status, what happened) → number of pairs."""
    return Counter((pair.verdict.status, pair.happened) for pair in pairs()[kind])


def disagreements(kind: str) -> Iterator[tuple[Pair, str]]:
    """Pairs whose verdict and run disagree, with the cause: disturbed ones and those that failed the same way."""
    for pair in pairs()[kind]:
        if pair.happened == "ran" and pair.verdict.status.rank == Status.INCOMPATIBLE.rank:
            yield pair, str(pair.verdict.reasons[0])
        elif pair.happened != "ran" and pair.verdict.runs:
            known = CAUSES.get((pair.file.partition("/")[2], pair.cell[0]), "")
            yield pair, DISTURBED.get((pair.file, pair.runtime)) or f"{known} ({cause(pair.cell)})"


def page() -> str:
    """docs/confusion.md."""
    lines = [_HEAD]
    for kind, title in (("told", "Producer told"), ("dated", "Producer dated from the bytes")):
        counts = table(kind)
        lines += [f"## {title}", "", f"| verdict | {' | '.join(HAPPENED)} |", f"|---|{'---:|' * len(HAPPENED)}"]
        for status in Status:
            cells = " | ".join(f"{counts[status, happened]:,}" for happened in HAPPENED)
            lines.append(f"| {status.value} | {cells} |")
        lines.append("")
    lines += [
        "## Every disagreement",
        "",
        _DISAGREEMENTS,
        "",
        "| file | of | runtimes | verdict | cause |",
        "|---|---|---|---|---|",
    ]
    lines += _grouped()
    lines += ["", "## What stopped the pairs that failed", "", _STOPPED, "", "| rule | pairs |", "|---|---:|"]
    rules = Counter(_telling(pair) for pair in pairs()["told"] if pair.happened != "ran" and not pair.verdict.runs)
    lines += [f"| {rule} | {number:,} |" for rule, number in sorted(rules.items())]
    return "\n".join(lines) + "\n"


def _grouped() -> Iterator[str]:
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for pair, why in disagreements("told"):
        release, _, name = pair.file.partition("/")
        groups.setdefault((name, pair.verdict.status.value, why), []).append((release, pair.runtime))
    for (name, status, why), where in sorted(groups.items()):
        producers = ", ".join(sorted({a for a, _ in where}, key=Version))
        runtimes = ", ".join(sorted({b for _, b in where}, key=Version))
        yield f"| `{name}` | {producers} | {runtimes} | {status} | {why.replace('|', '/')} |"


def _telling(pair: Pair) -> str:
    """The rule that comes first among those that stop the file or hold it to a condition."""
    return next(reason.rule for reason in pair.verdict.reasons if reason.status is pair.verdict.status or reason.status)


_HEAD = """# Verdicts against reality

Every program of the test corpus (twelve releases' exporters, with operator sweeps) was judged on the official wheels of
twelve releases, and was run on the real wheels with inputs and expected outputs. This page is made by
`python tools/make_confusion_page.py`; a test holds it up to date and holds the judge to it: no `guaranteed` or
`expected` file failed, and at most 2 % of the runs that worked were called `incompatible` or `broken`.

*ran*: loaded, ran, outputs as eager PyTorch gives them. *failed the same way on its own release*: the runtime of the
release that made the file fails as well, with the same message; then it is a fault of an upstream kernel, exporter or
binding, or the runtime and eager PyTorch differ, and not a matter of compatibility. *disturbed*: an earlier file in the
same process had damaged its memory.

Verdicts are worked out from facts about operators, arguments, dtypes, dim orders, payloads and format features; no fact
names a file. Where the producer is told, promises can be checked and `guaranteed` and `broken` appear; where it is
dated from the bytes, the promise must hold for every release that can have made the file.
"""
_DISAGREEMENTS = """With the producer told; the runtime's own message, or how the outputs differ, in brackets."""
_STOPPED = """With the producer told: the first rule of each verdict."""
