"""What the public function and the command share: from names of runtimes to targets, from files to sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from packaging.version import Version

from pteron.compat.evidence import Evidence
from pteron.compat.targets import targets
from pteron.errors import PteronError, UnsupportedError
from pteron.format.program import Program
from pteron.prove.environments import environment, recipe
from pteron.prove.install import install as install_releases
from pteron.prove.job import Target, cells_of, run_job
from pteron.prove.runtimes import command_of
from pteron.prove.subject import Options, Source, given_case
from pteron.runtime.opening import open_program

Install = Callable[[Sequence[Version]], object]
"""Installs releases; raises ``UnsupportedError`` where one cannot be."""


def prove(
    file: str | os.PathLike[str],
    runtimes: Sequence[str],
    *,
    inputs: Sequence[Any] | None,
    data: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    options: Options,
    jobs: int,
    install: bool,
) -> dict[str, Evidence]:
    """See ``pteron.prove``."""
    path = Path(file)
    listed = (Path(data),) if isinstance(data, str | os.PathLike) else tuple(map(Path, data))
    cases = () if inputs is None else (given_case(program_of(path), options.method, inputs, options.tolerance),)
    chosen = resolve_targets(runtimes, install_releases if install else None)
    records = run_job(cells_of([Source(path, listed, cases)], chosen, options), jobs=jobs)
    return {record.runtime.name: record for record in records}


def program_of(path: Path) -> Program:
    """The program of a file, read but not verified."""
    return open_program(path, verify=False)


def resolve_targets(runtimes: Sequence[str], install: Install | None) -> list[Target]:
    """The runtimes that are asked for; missing releases are installed by ``install``.

    A release that cannot be installed is a target that says so, and the rest go on. Raises ``UnsupportedError`` and
    ``ProfileError`` where what is asked for is no runtime.
    """
    found: list[Target] = []
    for wanted in targets(runtimes):
        release = wanted.release
        if wanted.name.lower().endswith((".toml", ".yaml", ".yml")):
            command = command_of(Path(wanted.name)) if wanted.name.lower().endswith(".toml") else ()
            if not command:
                raise UnsupportedError(
                    f"{wanted.name} does not say how to run files there; give its [prove] table a command"
                )
            found.append(Target(wanted.name, command=command, release=str(release or "")))
        elif release is not None:
            found.append(_installed(release, install))
    return found


def _installed(release: Version, install: Install | None) -> Target:
    name = str(release)
    try:
        place = environment(recipe(release).release)
        if place.state != "installed" and install is not None:
            install([release])
    except PteronError as error:
        return Target(name, problem=str(error), release=name)
    return Target(name, place, release=name)
