"""The ``pteron.date/1`` document: which releases can have made a file, and what shows it."""

from __future__ import annotations

from pteron.compat.dating import ProducedBy
from pteron.report.document import Document, document
from pteron.report.printer import Printer

SCHEMA = "pteron.date/1"

_HOW = {"given": "as told", "provenance": "says its own record", "evidence": "from the evidence in its bytes"}


def to_document(file: str, made: ProducedBy) -> Document:
    """The document for one file."""
    return document(SCHEMA, file=file, produced_by={**made.to_dict(), "text": str(made)})


def print_dating(dated: Document, out: Printer) -> None:
    """The range, what is likely inside of it, and the evidence."""
    made = dated["produced_by"]
    out.heading(f"{dated['file']}: made by {made['text']}, {_HOW[made['source']]}")
    if made["likely"] != made["releases"]:
        out.line(f"by default, {' or '.join(made['likely'])} make such files", 2)
    if made["contradictory"]:
        out.line("the evidence fits no release: another tool may have written the file again", 2)
    rows = []
    for item in made["evidence"]:
        releases = item["releases"]
        span = releases[0] if len(releases) == 1 else f"{releases[0]} to {releases[-1]}"
        rows.append((span, "" if item["hard"] else "by default", item["sentence"], item["place"]))
    out.table(rows)
