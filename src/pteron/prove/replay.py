"""Repeating evidence: the same file, runtime and inputs again, and whether the same came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pteron.compat.evidence import Evidence
from pteron.errors import FileAccessError, InputError, UnsupportedError
from pteron.prove.cases import Case
from pteron.prove.job import Cell, Target
from pteron.prove.subject import Options, Source, sha256_of


@dataclass(frozen=True)
class Repeated:
    """A record and what came of repeating it; ``changes`` says in words what is not as it was."""

    before: Evidence
    after: Evidence
    changes: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether the outcome of every case is as it was; bits of outputs may differ between machines."""
        return not self.changes


def cell_of(
    record: Evidence, target: Target, files: Mapping[str, Path], data: Mapping[str, Path], cases: tuple[Case, ...]
) -> Cell:
    """The cell that a record is of; files are found by the SHA-256 of their bytes in ``files`` and ``data``.

    Raises ``FileAccessError`` where a file is missing, ``InputError`` where inputs that were given are not given again.
    """
    path = files.get(record.sha256)
    if path is None:
        raise FileAccessError(f"{record.file} with the SHA-256 {record.sha256[:16]}… is not here; name where it is")
    missing = [item.name for item in record.data if item.sha256 not in data]
    if missing:
        raise FileAccessError(f"{record.file} ran with {', '.join(missing)}; give the same with --data")
    given = "inputs_sha256" in record.options
    if given and not cases:
        raise InputError(f"{record.file} ran on given inputs; give the same with --input")
    weights = tuple(data[item.sha256] for item in record.data)
    return Cell(Source(path, weights, cases if given else (), record.file), target, options_of(record.options))


def options_of(record: Mapping[str, Any]) -> Options:
    """The options that evidence records; raises ``UnsupportedError`` for ones that are none."""
    known = {item.name for item in fields(Options)}
    try:
        return Options(**{key: value for key, value in record.items() if key in known})
    except TypeError as error:
        raise UnsupportedError(f"the options of the evidence cannot be used: {error}") from None


def find_files(records: Sequence[Evidence], folder: Path, given: Sequence[Path]) -> dict[str, Path]:
    """Files by SHA-256: those given, and those that records name, seen from the working folder or the evidence's."""
    places = [*given, *(base / record.file for record in records for base in (Path(), folder))]
    return {sha256_of(path): path for path in places if path.is_file()}


def repeated(before: Evidence, after: Evidence) -> Repeated:
    """Compare what came out with what came out before."""
    changes = []
    if before.runtime.packages != after.runtime.packages and before.runtime.kind == "wheel":
        changes += _other_packages(before, after)
    if len(before.cases) != len(after.cases):
        changes.append(f"{len(after.cases)} cases, {len(before.cases)} before")
    for old, new in zip(before.cases, after.cases, strict=False):
        if old.inputs_sha256 != new.inputs_sha256:
            changes.append(f"{new.name}: other inputs")
        if old.outcome is not new.outcome:
            changes.append(f"{new.name}: {new.outcome}, {old.outcome} before ({new.text or after.sentence})")
    return Repeated(before, after, tuple(changes))


def _other_packages(before: Evidence, after: Evidence) -> list[str]:
    """Only what makes the numbers: the runtime's own wheel."""
    old, new = ({p.name: p for p in e.runtime.packages} for e in (before, after))
    mine, theirs = old.get("executorch"), new.get("executorch")
    if mine and theirs and mine != theirs:
        return [f"the wheel is {theirs.wheel or theirs.version}, {mine.wheel or mine.version} before"]
    return []
