"""``pteron requires``: what files need of a runtime."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pteron.cli.check import DataOption
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.errors import PteronError


def requires(
    paths: Annotated[list[str], typer.Argument(help="Files, or folders to search for them.", metavar="PATH...")],
    data: DataOption = None,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print a selected_operators.yaml for a build that runs all of them.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """What files need: operators with dtypes, backends with what is in their payloads, data, format features.

    With --yaml the answer is ExecuTorch's selective-build file for all of them together, complete in dtypes.

    \b
    Examples:
      pteron requires model.pte
      pteron requires models/ --yaml > selected_operators.yaml
    """
    from pteron.compat.check import find_programs
    from pteron.compat.opening import requirements
    from pteron.compat.selective_build import to_selective_build_yaml
    from pteron.report.requirements import print_requirements, to_document

    try:
        files = find_programs(paths)
    except PteronError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from None
    found = []
    with Waiting("reading", total=len(files)) as waiting:
        for file in files:
            found.append(requirements(file, data=data or ()))
            waiting.advance()
    if yaml:
        sys.stdout.write(to_selective_build_yaml(found))
    else:
        answer(to_document(found), form, print_requirements)
