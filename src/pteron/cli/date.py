"""``pteron date``: which releases can have made a file."""

from __future__ import annotations

from typing import Annotated

import typer

from pteron.cli.options import Format, FormatOption, answer


def date(
    file: Annotated[str, typer.Argument(help="A .pte or .bpte file.", metavar="FILE")],
    form: FormatOption = Format.TEXT,
) -> None:
    """Which releases can have made a file, from evidence in its bytes or from its own record (docs/dating.md).

    \b
    Examples:
      pteron date model.pte
      pteron date model.pte --format json
    """
    from pteron.compat.opening import date as produced
    from pteron.report.dating import print_dating, to_document

    answer(to_document(file, produced(file)), form, print_dating)
