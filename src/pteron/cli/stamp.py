"""``pteron stamp``: write into a file who made it."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from pteron.errors import PteronError


class Stability(StrEnum):
    """Of the exporter's interface that was used."""

    STABLE = "stable"
    EXPERIMENTAL = "experimental"
    DEPRECATED = "deprecated"
    UNKNOWN = "unknown"


class Place(StrEnum):
    """Where the record goes."""

    AUTO = "auto"
    INSIDE = "inside"
    BESIDE = "beside"


def stamp(
    file: Annotated[str, typer.Argument(help="A .pte file.", metavar="FILE")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="The stamped copy; without it the record goes beside the file.")
    ] = None,
    producer: Annotated[str, typer.Option("--producer", help="The release that exported it.", metavar="X.Y.Z")] = "",
    interface: Annotated[str, typer.Option("--api", help="The exporter's calls, in words.")] = "",
    stability: Annotated[Stability, typer.Option("--stability", help="Of these calls.")] = Stability.UNKNOWN,
    model: Annotated[
        str | None, typer.Option("--model", help="The file that was exported; its hash is kept.", metavar="FILE")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="A runtime release that must take it.", metavar="X.Y.Z")
    ] = None,
    place: Annotated[Place, typer.Option("--place", help="Inside of the file, or a file beside it.")] = Place.AUTO,
) -> None:
    """Write who made a program into a copy of it, or beside it, so that promises can be told (docs/provenance.md).

    \b
    Examples:
      pteron stamp model.pte -o stamped.pte --producer 1.2.0 --stability stable
      pteron stamp model.pte --producer 1.2.0
    """
    from pteron.compat.dating import minor
    from pteron.compat.provenance import Provenance
    from pteron.compat.stamp import stamp as write
    from pteron.report.words import escape

    for name, releases in (("--producer", [producer] if producer else []), ("--target", target or [])):
        try:
            for release in releases:
                minor(release)
        except PteronError as error:
            raise typer.BadParameter(str(error), param_hint=name) from None
    if output is None and place is Place.INSIDE:
        raise typer.BadParameter("give --output as well: the file itself is never changed", param_hint="--place")
    record = Provenance(producer, interface, stability.value)
    done = write(file, output, record=record, model=model, targets=target or (), place=place.value)
    where = "inside of the file" if done.inside else "beside the file"
    sys.stdout.write(f"{escape(str(done.path))}: the record is {where}\n")
