"""``pteron show``: what is inside a file."""

from __future__ import annotations

from typing import Annotated

import typer

from pteron.cli.options import Format, FormatOption, answer


def show(
    file: Annotated[str, typer.Argument(help="A .pte, .ptd or .bpte file.", metavar="FILE")],
    form: FormatOption = Format.TEXT,
) -> None:
    """What is inside a file: signature, operators, delegates, memory, and where every byte goes.

    Nothing is run and no weights are read, so it costs the same for a file of any size. ETDump and ETRecord files are
    told by name.

    \b
    Examples:
      pteron show model.pte
      pteron show model.pte --format json
      pteron show weights.ptd
    """
    from pteron.report.program import describe_file
    from pteron.report.program_text import print_file

    answer(describe_file(file), form, print_file)
