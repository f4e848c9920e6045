"""What several commands share: the output format, and printing a document in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from pteron.report.document import Document, to_json
from pteron.report.printer import Printer


class Format(StrEnum):
    """How a command prints its answer."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[
    Format, typer.Option("--format", help="Text for people, or a JSON document (see docs/cli.md).")
]


def answer(document: Document, form: Format, as_text: Callable[[Document, Printer], None]) -> None:
    """Print the document to stdout."""
    if form is Format.JSON:
        sys.stdout.write(to_json(document) + "\n")
    else:
        as_text(document, Printer(sys.stdout))
