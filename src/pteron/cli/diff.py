"""``pteron diff``: what changed between two files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pteron.cli import exit_codes
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting

if TYPE_CHECKING:
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
    from pteron.compat.diff import diff as compare
    from pteron.format.flat_tensor import read_tensor_data
    from pteron.report.difference import diff_document, print_diff

    if git:
        # Renames come with two more arguments.
        if len(paths) < _GIT_ARGUMENTS:
            raise typer.BadParameter(f"git gives {_GIT_ARGUMENTS} arguments, here are {len(paths)}", param_hint="--git")
        name, old, new = paths[0], paths[1], paths[4]
        if _NOTHING in (old, new):
            typer.echo(f"{name}: {'added' if old == _NOTHING else 'deleted'}")
            return
    elif len(paths) == 2:
        name, (old, new) = "", paths
    else:
        raise typer.BadParameter(f"two files are compared, here are {len(paths)}", param_hint="OLD NEW")
    with Waiting("comparing"):
        found = compare(
            _read(old, f"a/{name}" if git else old),
            _read(new, f"b/{name}" if git else new),
            before_data=[read_tensor_data(item) for item in before_data or ()],
            after_data=[read_tensor_data(item) for item in after_data or ()],
            runtime=runtime,
        )
    answer(diff_document(found), form, print_diff)
    codes = {Change.SAME: exit_codes.FINE, Change.COMPATIBLE: exit_codes.COMPATIBLE, Change.BREAKING: exit_codes.NO}
    if not git and found.change is not Change.SAME:
        raise typer.Exit(codes[found.change])


def _read(path: str, name: str) -> Program:
    import dataclasses

    from pteron.runtime.opening import open_program

    return dataclasses.replace(open_program(path, verify=False), file=name)
