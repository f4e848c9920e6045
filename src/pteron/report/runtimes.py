"""The ``pteron.runtimes/1`` document: releases that can be installed, and what is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pteron.prove.environments import Environment, recipe
from pteron.report.document import Document, document
from pteron.report.printer import Printer

SCHEMA = "pteron.runtimes/1"


def runtimes_document(folder: Path, environments: Sequence[Environment]) -> Document:
    """Each release with its state, the torch in it or that it would get, and its bytes on disk."""
    rows = []
    for place in environments:
        used = place.used()
        rows.append(
            {
                "release": str(place.release),
                "state": place.state,
                "torch": place.torch or recipe(place.release).torch,
                "python": used.python if used else "",
                "bytes": place.nbytes() if place.state != "absent" else 0,
                "expected_bytes": min(size[1] for size in recipe(place.release).sizes.values()),
            }
        )
    return document(SCHEMA, folder=str(folder), runtimes=rows)


def print_runtimes(listed: Document, out: Printer) -> None:
    """A table of releases."""
    out.heading(f"real releases in {listed['folder']}")
    rows = [(row["release"], row["state"], row["torch"], row["python"], _megabytes(row)) for row in listed["runtimes"]]
    out.table(rows, headers=("release", "state", "torch", "python", "on disk"), right=(4,))


def _megabytes(row: Document) -> str:
    if row["state"] == "absent":
        return f"about {row['expected_bytes'] / 1e6:,.0f} MB"
    return f"{row['bytes'] / 1e6:,.0f} MB"
