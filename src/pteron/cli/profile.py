"""``pteron profile``: describe a build of a runtime in a file."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pteron.errors import PteronError


def profile(
    runtime: Annotated[
        str, typer.Argument(help="A release (1.5.1), or a .toml or selected_operators.yaml.", metavar="RUNTIME")
    ],
    libraries: Annotated[
        bool, typer.Option("--libraries/--no-libraries", help="With the wheel's own operator libraries loaded.")
    ] = True,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Write it here.", metavar="FILE.toml")] = None,
) -> None:
    """Describe a build as TOML, to be changed and given to `pteron check --runtime` (docs/profiles.md).

    \b
    Examples:
      pteron profile 1.5.1 -o build.toml
      pteron profile selected_operators.yaml -o build.toml
    """
    from pteron.compat.profile import profile_for
    from pteron.compat.profile_file import dump_profile
    from pteron.compat.targets import targets
    from pteron.format.save import save_parts

    try:
        wanted = targets(runtime)
    except PteronError as error:
        raise typer.BadParameter(str(error), param_hint="RUNTIME") from None
    if len(wanted) != 1:
        names = ", ".join(target.name for target in wanted)
        raise typer.BadParameter(f"{runtime} is several releases ({names}); give one", param_hint="RUNTIME")
    chosen = wanted[0].profile
    if not libraries and chosen.release is not None:
        chosen = profile_for(chosen.release, libraries=False)
    text = dump_profile(chosen)
    if output is None:
        sys.stdout.write(text)
    else:
        save_parts(output, [text.encode()])
