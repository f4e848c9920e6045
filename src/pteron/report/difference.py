"""The ``pteron.diff/1`` document: what changed between two files."""

from __future__ import annotations

from collections import Counter

from pteron.compat.diff import Change, FileDiff
from pteron.report.document import Document, document
from pteron.report.printer import Printer

SCHEMA = "pteron.diff/1"
SECTIONS = ("methods", "requirements", "operators", "weights", "memory", "verdicts")
_SHOWN = 40


def diff_document(found: FileDiff) -> Document:
    """The document; ``change`` is the answer."""
    return document(
        SCHEMA,
        before=found.before,
        after=found.after,
        change=found.change.value,
        same_bytes=found.same_bytes,
        counts=dict(Counter(item.change.value for item in found.items)),
        differences=[
            {
                "section": item.section,
                "what": item.what,
                "before": item.before or None,
                "after": item.after or None,
                "change": item.change.value,
                "why": item.why or None,
                "text": str(item),
            }
            for item in found.items
        ],
    )


def print_diff(found: Document, out: Printer) -> None:
    """The document for people."""
    answers = {
        Change.SAME: "the same" if found["same_bytes"] else "the same, but for the layout of the bytes",
        Change.COMPATIBLE: "compatible changes",
        Change.BREAKING: "breaking changes",
    }
    out.heading(f"{found['before']} → {found['after']}: {answers[Change(found['change'])]}")
    for section in SECTIONS:
        items = [item for item in found["differences"] if item["section"] == section]
        if items:
            out.line(f"{section}:", 1)
        for item in items[:_SHOWN]:
            breaking = item["change"] == Change.BREAKING
            out.line(f"{item['text']}{'  (breaking)' if breaking else ''}", 2, "red" if breaking else "")
        if len(items) > _SHOWN:
            out.line(f"… and {len(items) - _SHOWN} more", 2)
