"""Writes docs/promise-measured.md from the evidence that prove_corpus.py collected."""

from __future__ import annotations

import json
import lzma
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus_files
from confusion import CAUSES
from pteron.compat.check import check
from pteron.compat.evidence import Evidence, Outcome, read_evidence
from pteron.compat.verdict import Reason, Status, Verdict

ROOT = Path(__file__).parents[1]
_PLACE = re.compile(r"^(?:[\w-]+, (?:in|out)put \d+|\w+::[\w.]+(?: \(.*?\))?|\S+\.ptd): ")
_BUILD = re.compile(r"ExecuTorch [\d.]+, official Python wheel")
_RELEASE = re.compile(r"\b(in|of) \d+\.\d+\.\d+\b")


LETTERS = {
    Outcome.OK: "o",
    Outcome.WRONG: "w",
    Outcome.LOAD_ERROR: "l",
    Outcome.METHOD_LOAD_ERROR: "m",
    Outcome.EXEC_ERROR: "e",
    Outcome.CRASH: "c",
    Outcome.TIMEOUT: "t",
    Outcome.NOT_RUN: "n",
}
"""Outcomes as the record of the corpus writes them."""


@dataclass(frozen=True)
class Cell:
    """One file on one runtime, and what check says of it."""

    record: Evidence
    verdict: Verdict

    @property
    def producer(self) -> str:
        return self.record.file.partition("/")[0]

    @property
    def name(self) -> str:
        return self.record.file.partition("/")[2]

    @property
    def runtime(self) -> str:
        return self.record.runtime.release

    @property
    def cause(self) -> str:
        """The rule and sentence of the worst reason, without the place; what the runtime said where check has none."""
        reasons = [r for r in self.verdict.reasons if r.status not in (None, Status.GUARANTEED, Status.EXPECTED)]
        stops = [r for r in reasons if r.status is not Status.CONDITIONAL] or reasons
        if not stops:
            return CAUSES.get((self.name, LETTERS[self.record.outcome]), "")
        return f"`{stops[0].rule}` {_sentence(stops[0])}"


def _sentence(reason: Reason) -> str:
    text = _RELEASE.sub(r"\1 that release", _BUILD.sub("the official wheel", _PLACE.sub("", reason.sentence)))
    return text if "::" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def write_page(page: Path, work: Path) -> None:
    """Write the page; the evidence of each release is ``work/<release>.jsonl``."""
    releases = [release for release in corpus_files.releases() if (work / f"{release}.jsonl").exists()]
    records = [record for release in releases for record in read_evidence(work / f"{release}.jsonl")]
    cells = judged(records, work / "files")
    sections = [
        head(records, releases),
        table(cells, releases),
        promise(cells, releases),
        older(cells, releases),
        never(cells, releases),
        numbers(records, releases),
        agreement(records),
        runtimes(records, releases, work),
    ]
    page.write_text("\n".join(sections), encoding="utf-8")


def judged(records: Sequence[Evidence], files: Path) -> list[Cell]:
    """The cells with the verdict of ``check`` on each."""
    wanted = list(dict.fromkeys(record.runtime.release for record in records))
    verdicts = {}
    for release in corpus_files.releases():
        for case in corpus_files.models(release):
            data = [files / release / name for name in case.data]
            verdicts[str(case)] = check(files / str(case), runtime=wanted, data=data, produced_by=release).verdicts
    return [Cell(record, verdicts[record.file][record.runtime.release]) for record in records]


def head(records: Sequence[Evidence], releases: Sequence[str]) -> str:
    platform = records[0].platform
    days = sorted({record.made[:10] for record in records})
    ran = [record for record in records if record.outcome is not Outcome.NOT_RUN]
    good = sum(record.outcome is Outcome.OK for record in ran)
    files = len({record.file for record in records})
    return f"""# The promise, measured

Every model file of the corpus ({files:,} files that {len(corpus_files.releases())} releases exported) on every real
release, as `pteron prove` runs them: {len(releases)} official wheels, {len(records):,} cells, of which {good:,} ran and
gave what eager PyTorch gives. ExecuTorch's policy promises the way to the right of the diagonal below, for files made
with stable interfaces from 0.4 on, for at least the next release; everything else is a fact worth knowing. Causes
are what `pteron check` says of the file; how well it predicts them is in [confusion.md](confusion.md).

Measured on {" and ".join(days)}, {platform.get("system")} {platform.get("machine")} ({platform.get("libc")}),
{platform.get("cpu")}, {platform.get("cores")} cores. This page is written by one command, which installs each release,
runs the corpus there, and removes it again (about 30 GB to download in all, up to 6 GB on disk at a time):

    python tools/prove_corpus.py --work FOLDER
"""


def table(cells: Sequence[Cell], releases: Sequence[str]) -> str:
    lines = ["## Producer × runtime", "", "Files that ran with the right outputs, of those that could be run.", ""]
    lines += ["| made by \\ run on | " + " | ".join(releases) + " |", "|---|" + "---:|" * len(releases)]
    by: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    for cell in cells:
        if cell.record.outcome is not Outcome.NOT_RUN:
            by[cell.producer, cell.runtime][cell.record.outcome is Outcome.OK] += 1
    for producer in corpus_files.releases():
        row = [by[producer, release] for release in releases]
        texts = [f"{c[True]}/{c.total()}" for c in row]
        marked = [f"**{t}**" if r == producer else t for t, r in zip(texts, releases, strict=True)]
        lines.append(f"| {producer} | " + " | ".join(marked) + " |")
    return "\n".join(lines) + "\n"


def _own(cells: Sequence[Cell]) -> dict[str, Outcome]:
    return {cell.record.file: cell.record.outcome for cell in cells if cell.producer == cell.runtime}


def _groups(cells: Iterable[Cell]) -> list[tuple[str, list[Cell]]]:
    found: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        found[cell.cause or f"(no rule) {_short(cell.record)}"].append(cell)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))


def _short(record: Evidence) -> str:
    text = re.sub(r"\d+ of [\d,]+ values differ, by up to \S+", "values differ", record.sentence)
    return re.sub(r"call \d+ out\d+", "an output", text)[:160]


def _files(cells: Sequence[Cell], most: int = 6) -> str:
    names = sorted({cell.name.rsplit(".", 1)[0] for cell in cells})
    return ", ".join(f"`{name}`" for name in names[:most]) + (f" and {len(names) - most} more" * (len(names) > most))


def _listed(groups: Sequence[tuple[str, list[Cell]]], releases: Sequence[str]) -> list[str]:
    lines = ["| cause | outcome | cells | made by | run on | files |", "|---|---|---:|---|---|---|"]
    for cause, group in groups:
        outcomes = ", ".join(f"{outcome} {n}" for outcome, n in Counter(c.record.outcome for c in group).most_common())
        made, ran = ({key(c) for c in group} for key in (lambda c: c.producer, lambda c: c.runtime))
        text = cause.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {text} | {outcomes} | {len(group)} | {_span(made)} | {_span(ran)} | {_files(group)} |")
    return lines


def _span(releases: set[str]) -> str:
    ordered = sorted(releases, key=lambda r: tuple(map(int, r.split("."))))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} … {ordered[-1]} ({len(ordered)})"


def _bad(cell: Cell) -> bool:
    return cell.record.outcome not in (Outcome.OK, Outcome.NOT_RUN)


def promise(cells: Sequence[Cell], releases: Sequence[str]) -> str:
    own = _own(cells)
    order = list(corpus_files.releases())
    later = [
        c for c in cells if order.index(c.runtime) > order.index(c.producer) and own.get(c.record.file) is Outcome.OK
    ]
    bad = [cell for cell in later if _bad(cell)]
    step = [c for c in bad if order.index(c.runtime) == order.index(c.producer) + 1]
    covered = [cell for cell in bad if cell.verdict.promised]
    lines = [
        "## The promise: older file, newer runtime",
        "",
        f"{len(later):,} cells of files that run on their own release; {len(later) - len(bad):,} still run, "
        f"{len(bad)} do not. {len(step)} of these fail on the very next release, and {len(covered)} where the policy's "
        "promise covers the file. Each cause:",
        "",
        *_listed(_groups(bad), releases),
    ]
    if covered:
        names = sorted({f"`{c.record.file}` on {c.runtime}" for c in covered})
        lines += ["", "Where the promise covers the file: " + ", ".join(names) + "."]
    return "\n".join(lines) + "\n"


def older(cells: Sequence[Cell], releases: Sequence[str]) -> str:
    own = _own(cells)
    order = list(corpus_files.releases())
    older = [
        c for c in cells if order.index(c.runtime) < order.index(c.producer) and own.get(c.record.file) is Outcome.OK
    ]
    bad = [cell for cell in older if _bad(cell)]
    wrong = sum(cell.record.outcome is Outcome.WRONG for cell in bad)
    died = sum(cell.record.outcome in (Outcome.CRASH, Outcome.OUT_OF_MEMORY, Outcome.TIMEOUT) for cell in bad)
    return "\n".join(
        [
            "## Newer file, older runtime",
            "",
            f"Never promised. {len(older):,} cells of files that run on their own release; {len(bad):,} do not run: "
            f"{wrong} give wrong numbers without an error, {died} end the process, the rest are refused.",
            "",
            *_listed(_groups(bad), releases),
            "",
        ]
    )


def never(cells: Sequence[Cell], releases: Sequence[str]) -> str:
    own = _own(cells)
    bad = [cell for cell in cells if _bad(cell) and own.get(cell.record.file) is not Outcome.OK]
    return "\n".join(
        [
            "## Files that do not run on their own release either",
            "",
            "Backends that no wheel links, limits of the Python binding, kernels that differ from eager PyTorch, and "
            "exporters' mistakes.",
            "",
            *_listed(_groups(bad), releases),
            "",
        ]
    )


def numbers(records: Sequence[Evidence], releases: Sequence[str]) -> str:
    lines = [
        "## Numbers",
        "",
        "Outputs of the real runtimes compared with Pteron's reference engine, which follows the same file, for every "
        "cell in which both run.",
        "",
        "| run on | cells | bit for bit | within tolerance | further apart |",
        "|---|---:|---:|---:|---:|",
    ]
    far: Counter[str] = Counter()
    for release in releases:
        counts: Counter[str] = Counter()
        for record in (r for r in records if r.runtime.release == release):
            compared = [d for case in record.cases for d in case.differences if d.against == "reference"]
            if compared:
                word = (
                    "exact"
                    if all(d.exact for d in compared)
                    else "within"
                    if all(d.within for d in compared)
                    else "far"
                )
                counts[word] += 1
                far[record.file.partition("/")[2].rsplit(".", 1)[0]] += word == "far"
        total = counts.total()
        lines.append(f"| {release} | {total} | {counts['exact']} | {counts['within']} | {counts['far']} |")
    if far.total():
        named = ", ".join(f"`{name}` ({n})" for name, n in far.most_common() if n)
        lines += ["", f"Further apart, on some release: {named}."]
    return "\n".join(lines) + "\n"


def agreement(records: Sequence[Evidence]) -> str:
    packed = json.loads(lzma.decompress((ROOT / "tests" / "observed" / "matrix.json.xz").read_bytes()))
    outcomes = {letter: outcome for outcome, letter in LETTERS.items()}
    observed: dict[tuple[str, str], Outcome] = {}
    for name, row in packed["files"].items():
        for runtime, cell in zip(packed["runtimes"], row.split(), strict=True):
            observed[name, runtime] = outcomes[cell[0]]
    compared = [(r, observed[r.file, r.runtime.release]) for r in records if (r.file, r.runtime.release) in observed]
    other = [(record, before) for record, before in compared if record.outcome != before]
    lines = [
        "## Compared with the record of the corpus",
        "",
        "When the corpus was made, each release ran it in an environment with everything that pip installs "
        f"(`tests/observed/`); here it ran in the lightest one. {len(compared) - len(other):,} of {len(compared):,} "
        "outcomes are the same.",
    ]
    lines += [f"- `{r.file}` on {r.runtime.release}: {r.outcome}, {before} then" for r, before in other]
    return "\n".join(lines) + "\n"


def runtimes(records: Sequence[Evidence], releases: Sequence[str], work: Path) -> str:
    lines = [
        "## The runtimes",
        "",
        "| release | wheel | SHA-256 | torch | Python | download | on disk | installed in |",
        "|---|---|---|---|---|---:|---:|---:|",
    ]
    for release in releases:
        used = next(r.runtime for r in records if r.runtime.release == release)
        wheel = next(p for p in used.packages if p.name == "executorch")
        stats: dict[str, Any] = json.loads((work / f"{release}.install.json").read_text(encoding="utf-8"))
        lines.append(
            f"| {release} | `{wheel.wheel}` | `{wheel.sha256[:12]}…` | {used.torch} | {used.python} | "
            f"{stats['download'] / 1e6:,.0f} MB | {stats['disk'] / 1e6:,.0f} MB | {stats['seconds']:.0f} s |"
        )
    return "\n".join(lines) + "\n"
