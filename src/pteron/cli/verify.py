"""``pteron verify``: does a file follow the rules of the format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from pteron.cli import exit_codes
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting

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
    from pteron.report.findings import check_file, print_summary, summary, wrong_question

    files = _expand(paths)
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


def _expand(paths: list[str]) -> list[str]:
    """The files named, and those found in the folders named, each once."""
    files: dict[str, None] = {}
    for path in paths:
        if not Path(path).is_dir():
            files[path] = None
            continue
        found = sorted(
            str(Path(folder, name))
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(_SUFFIXES)
        )
        if not found:
            raise typer.BadParameter(f"the folder {path} holds no .pte, .ptd or .bpte file", param_hint="PATH")
        files.update(dict.fromkeys(found))
    return list(files)
