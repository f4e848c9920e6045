"""The ``pteron.evidence/1`` document as a matrix for people: text, JSON, Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pteron.compat.evidence import SCHEMA, Evidence, Outcome
from pteron.prove.replay import Repeated
from pteron.report.document import Document, document
from pteron.report.printer import Cell, Printer, Styled
from pteron.report.words import count

REPLAY_SCHEMA = "pteron.replay/1"

WORDS = {
    Outcome.OK: "ok",
    Outcome.RAN: "ran",
    Outcome.WRONG: "WRONG",
    Outcome.LOAD_ERROR: "refused",
    Outcome.METHOD_LOAD_ERROR: "refused",
    Outcome.EXEC_ERROR: "failed",
    Outcome.CRASH: "CRASH",
    Outcome.TIMEOUT: "HANG",
    Outcome.OUT_OF_MEMORY: "MEMORY",
    Outcome.NOT_RUN: "not run",
    Outcome.NOT_INSTALLABLE: "no runtime",
    Outcome.NO_ANSWER: "no answer",
}
"""Outcomes as a matrix shows them."""

MEANINGS = {
    "ok": "ran, and every output is as expected",
    "ran": "ran, with nothing to compare its outputs with",
    "WRONG": "ran, but an output is not as expected",
    "refused": "refused when the program or the method was loaded",
    "failed": "refused the inputs, or a step failed",
    "CRASH": "the process died",
    "HANG": "no answer in time",
    "MEMORY": "needed more memory than it was given",
    "not run": "the runtime's binding has no way to pass what the file needs",
    "no runtime": "the runtime could not be installed or started",
    "no answer": "what drives the runtime broke off",
}


def evidence_document(records: Sequence[Evidence]) -> Document:
    """All records as one document, which is also what ``--output`` writes."""
    return document(SCHEMA, records=[record.to_document() for record in records])


def matrix(records: Sequence[Evidence]) -> tuple[list[str], list[str], dict[tuple[str, str], Evidence]]:
    """Files, runtimes (both in the order in which they come) and the record of each pair."""
    files = list(dict.fromkeys(record.file for record in records))
    runtimes = list(dict.fromkeys(record.runtime.name for record in records))
    return files, runtimes, {(record.file, record.runtime.name): record for record in records}


def print_evidence(records: Sequence[Evidence], out: Printer, *, written: str = "") -> None:
    """One line per file and runtime where there are few, a matrix and what is not fine where there are many."""
    files, runtimes, cells = matrix(records)
    if len(files) > 1 and len(runtimes) > 1:
        rows = [[file, *(_cell(cells.get((file, runtime))) for runtime in runtimes)] for file in files]
        out.table(rows, headers=["file", *runtimes], indent=0)
        out.line()
        shown = {WORDS[record.outcome] for record in records}
        out.table([(word, meaning) for word, meaning in MEANINGS.items() if word in shown])
        records = [record for record in records if not record.outcome.runs]
        if records:
            out.line()
    for record in records:
        _print_record(record, out)
    if written:
        out.line()
        out.line(f"evidence written to {written}")


def _cell(record: Evidence | None) -> Cell:
    if record is None:
        return ""
    return Styled(WORDS[record.outcome], _style(record.outcome))


def _style(outcome: Outcome) -> str:
    return "green" if outcome.runs else "red" if outcome.conclusive else "yellow"


def _print_record(record: Evidence, out: Printer) -> None:
    runtime = record.runtime.name if record.runtime.kind == "command" else f"executorch {record.runtime.name}"
    out.line(f"{record.file} on {runtime}: {WORDS[record.outcome]}", style=_style(record.outcome))
    out.lines(record.sentence, 2)
    several = [case for case in record.cases if len(record.cases) > 1]
    out.table([(case.name, WORDS[case.outcome], _numbers(case.differences)) for case in several], indent=4)
    for case in record.cases:
        if not case.outcome.runs and case.log:
            out.line("the last words of its log:", 2)
            for line in case.log[-4:]:
                out.line(line, 4)
            break
    others = _others(record)
    if others:
        out.line(others, 2)


def _numbers(differences: Sequence[Any]) -> str:
    compared = [d for d in differences if d.against in ("expected", "reference")]
    if not compared:
        return ""
    if all(d.exact for d in compared):
        return "exact"
    largest = max((d.max_abs or 0.0 for d in compared), default=0.0)
    relative = max((d.max_rel or 0.0 for d in compared), default=0.0)
    steps = [d.steps for d in compared if d.steps is not None]
    other_nan = sum(d.other_nan for d in compared)
    parts = [f"max abs {largest:.2g}", f"max rel {relative:.2g}"]
    parts += [f"{max(steps):.2g} quantisation steps"] if steps else []
    parts += [f"{count(other_nan, 'value')} NaN or infinite on one side only"] if other_nan else []
    return ", ".join(parts)


def _others(record: Evidence) -> str:
    """How the outputs compare with those of the runtimes before."""
    found: dict[str, list[Any]] = {}
    for case in record.cases:
        for difference in case.differences:
            if difference.against not in ("expected", "reference"):
                found.setdefault(difference.against, []).append(difference)
    equal = [name for name, differences in found.items() if all(d.exact for d in differences)]
    near = [f"{name} ({_largest(d)})" for name, d in found.items() if name not in equal]
    parts = [f"bit for bit as on {', '.join(equal)}"] if equal else []
    parts += [f"not the same bits as on {', '.join(near)}"] if near else []
    return "; ".join(parts)


def _largest(differences: Sequence[Any]) -> str:
    return f"max abs {max((d.max_abs or 0.0 for d in differences), default=0.0):.2g}"


def to_markdown(records: Sequence[Evidence]) -> str:
    """The matrix as a Markdown table, and what is not fine as a list."""
    files, runtimes, cells = matrix(records)
    lines = ["| file | " + " | ".join(runtimes) + " |", "|---|" + "---|" * len(runtimes)]
    for file in files:
        row = [WORDS[c.outcome] if (c := cells.get((file, runtime))) else "" for runtime in runtimes]
        lines.append(f"| {_plain(file)} | " + " | ".join(row) + " |")
    bad = [record for record in records if not record.outcome.runs]
    if bad:
        lines.append("")
        lines += [f"- `{_plain(r.file)}` on {r.runtime.name}: {_plain(r.sentence)}" for r in bad]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Text on one line that no table or list takes for its own."""
    return " ".join(text.split()).replace("|", "\\|").replace("`", "'")


def replay_document(repeated: Sequence[Repeated]) -> Document:
    """What came of repeating evidence."""
    rows = [
        {
            "file": item.before.file,
            "runtime": item.before.runtime.name,
            "same": item.same,
            "before": str(item.before.outcome),
            "after": str(item.after.outcome),
            "changes": list(item.changes),
        }
        for item in repeated
    ]
    return document(REPLAY_SCHEMA, same=all(item.same for item in repeated), repeated=rows)


def print_replay(replayed: Document, out: Printer) -> None:
    """One line per record, and what is not as it was."""
    for row in replayed["repeated"]:
        word = Styled("as before", "green") if row["same"] else Styled("NOT AS BEFORE", "red")
        out.line(f"{row['file']} on {row['runtime']}: {row['after']}, {word.text}", style=word.style)
        for change in row["changes"]:
            out.line(change, 2)
