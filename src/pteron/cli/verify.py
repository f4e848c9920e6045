"""``pteron verify``: does a file follow the rules of the format."""

from __future__ import annotations

from typing import Annotated

import typer

from pteron.cli import exit_codes
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.errors import FileAccessError

_SUFFIXES = (".pte", ".ptd", ".bpte")


def verify(
    paths: Annotated[list[str], typer.Argument(help="Files, or folders to search for them.", metavar="PATH...")],
    strict: Annotated[bool, typer.Option("--strict", help="Count warnings as errors.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Check files against the rules of the format: indices, sizes, the memory plan, segments, arguments.

    Each finding has a rule id (`pteron explain` tells more), the place in the file and its byte offset. Folders are
    searched for .pte, .ptd and .bpte files. Nothing is run.

    Exit code 1 where a file has errors or is damaged, 2 where one is not there or of another kind.

    \b
    Examples:
      pteron verify model.pte
      pteron verify models/ --strict
      pteron verify model.pte --format json
    """
    from pteron.compat.check import find_programs
    from pteron.report.findings import check_file, print_summary, summary, wrong_question

    try:
        files = find_programs(paths, _SUFFIXES)
    except FileAccessError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from None
    checked = []
    with Waiting("verifying", total=len(files)) as waiting:
        for file in files:
            checked.append(check_file(file))
            waiting.advance()
    result = summary(checked, strict=strict)
    answer(result, form, print_summary)
    if any(map(wrong_question, checked)):
        raise typer.Exit(exit_codes.WRONG_QUESTION)
    if not result["sound"]:
        raise typer.Exit(exit_codes.NO)
