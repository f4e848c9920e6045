"""``pteron explain``: what a code, rule or error means."""

from __future__ import annotations

from typing import Annotated

import typer

from pteron.cli.options import Format, FormatOption, answer
from pteron.errors import PteronError


def explain(
    code: Annotated[
        str | None,
        typer.Argument(help="An ExecuTorch error code or its name, a rule id, or an error of Pteron.", metavar="CODE"),
    ] = None,
    everything: Annotated[bool, typer.Option("--list", help="List all that can be explained.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """What an ExecuTorch error code or a rule of Pteron means, its usual causes, and what to do.

    A number without 0x is decimal, as mobile apps print it.

    \b
    Examples:
      pteron explain 0x12
      pteron explain 18
      pteron explain InvalidArgument
      pteron explain PT-VF-065
      pteron explain --list
    """
    from pteron.report import explanation

    if everything:
        answer(explanation.everything(), form, explanation.print_everything)
        return
    if code is None:
        raise typer.BadParameter("give a code, or --list", param_hint="CODE")
    explained = explanation.explanation(code)
    if explained is None:
        near = explanation.near_matches(code)
        hint = f"did you mean {' or '.join(near)}?" if near else "`pteron explain --list` lists all"
        raise PteronError(f"nothing is known of {code!r}; {hint}")
    answer(explained, form, explanation.print_explanation)
