"""``pteron diff``: what changed between two files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pteron.cli import exit_codes
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.errors import FormatError, PteronError

if TYPE_CHECKING:
    from pteron.compat.diff import FileDiff
    from pteron.format.program import Program

_GIT_ARGUMENTS = 7
"""Path, then file, hash and mode of the old side, then of the new one (gitattributes(5), external diff driver)."""
_NOTHING = "/dev/null"


def diff(
    paths: Annotated[list[str], typer.Argument(help="Two .pte or .bpte files.", metavar="OLD NEW")],
    runtime: Annotated[
        list[str] | None, typer.Option("--runtime", "-r", help="Judge for this runtime only; may be repeated.")
    ] = None,
    before_data: Annotated[
        list[str] | None, typer.Option("--old-data", help="A .ptd of the old file; may be repeated.")
    ] = None,
    after_data: Annotated[
        list[str] | None, typer.Option("--new-data", help="A .ptd of the new file; may be repeated.")
    ] = None,
    git: Annotated[bool, typer.Option("--git", help="Take the arguments that git gives a diff driver.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """What changed between two files: methods, requirements, operators, weights, memory, verdicts per release.

    Exit codes: 0 the same (layout apart), 4 compatible changes, 1 breaking changes: callers or runtimes that the old
    file suits would not do for the new one. With --git it is always 0.

    \b
    Examples:
      pteron diff old.pte new.pte
      pteron diff old.pte new.pte --runtime '>=1.2' --format json
      git config diff.pte.command 'pteron diff --git'      # with "*.pte diff=pte" in .gitattributes
    """
    from pteron.compat.diff import Change
    from pteron.report.difference import diff_document, print_diff

    if git:
        _for_git(paths, runtime, form)
        return
    if len(paths) != 2:
        raise typer.BadParameter(f"two files are compared, here are {len(paths)}", param_hint="OLD NEW")
    found = _compared(paths, paths, runtime, before_data, after_data)
    answer(diff_document(found), form, print_diff)
    codes = {Change.SAME: exit_codes.FINE, Change.COMPATIBLE: exit_codes.COMPATIBLE, Change.BREAKING: exit_codes.NO}
    if found.change is not Change.SAME:
        raise typer.Exit(codes[found.change])


def _for_git(arguments: list[str], runtime: list[str] | None, form: Format) -> None:
    """What git's external diff driver is to print; git leaves off at the first file for which it fails."""
    from pteron.report.difference import diff_document, print_diff
    from pteron.report.words import escape

    name = arguments[0]
    if len(arguments) == 1:
        typer.echo(f"{escape(name)}: not merged")
        return
    if len(arguments) < _GIT_ARGUMENTS:  # renames come with two more
        raise typer.BadParameter(f"git gives {_GIT_ARGUMENTS} arguments, here are {len(arguments)}", param_hint="--git")
    files = [arguments[1], arguments[4]]
    if _NOTHING in files:
        typer.echo(f"{escape(name)}: {'added' if files[0] == _NOTHING else 'deleted'}")
        return
    renamed = arguments[_GIT_ARGUMENTS] if len(arguments) > _GIT_ARGUMENTS else name
    try:
        found = _compared(files, [f"a/{name}", f"b/{renamed}"], runtime, None, None)
    except PteronError as error:
        typer.echo(f"{escape(name)}: cannot be compared: {escape(str(error))}")
        return
    answer(diff_document(found), form, print_diff)


def _compared(
    files: list[str],
    names: list[str],
    runtime: list[str] | None,
    before_data: list[str] | None,
    after_data: list[str] | None,
) -> FileDiff:
    from pteron.compat.diff import diff as compare
    from pteron.format.flat_tensor import read_tensor_data

    with Waiting("comparing"):
        return compare(
            *(_read(file, name) for file, name in zip(files, names, strict=True)),
            before_data=[read_tensor_data(item) for item in before_data or ()],
            after_data=[read_tensor_data(item) for item in after_data or ()],
            runtime=runtime,
        )


def _read(path: str, name: str) -> Program:
    import dataclasses

    from pteron.runtime.opening import open_program

    try:
        return dataclasses.replace(open_program(path, verify=False), file=name)
    except FormatError as error:
        raise type(error)(error.problem, file=name, offset=error.offset, path=error.path) from None
