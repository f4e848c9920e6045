"""Facts about ExecuTorch releases, read from the data files in ``facts/``; each fact carries its evidence.

``facts/releases/<release>.json`` (one per release, written by ``tools/add_release.py``) has dates, the pinned torch,
operator libraries with argument counts, backends and what the XNNPACK runtime implements. The shared tables state what
holds for a range of releases: ``support.json`` (format features and limits), ``distribution.json`` (limits of the
official Python binding), ``faults.json`` (kernels that are wrong or fail in some releases) and ``libraries.json`` (how
operator libraries and backends are linked). A patch release has the facts of its minor release.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from packaging.version import InvalidVersion, Version

from pteron.errors import UnsupportedError
from pteron.format.scalar_type import ScalarType

LINKED, LOADABLE, ABSENT = "linked", "loadable", "absent"


@dataclass(frozen=True, slots=True)
class Range:
    """Minor releases from ``since`` to ``until``, both included; an empty end is open."""

    since: str
    until: str

    def __contains__(self, release: object) -> bool:
        minor = minor_of(release) if isinstance(release, Version) else None
        if minor is None:
            return False
        return (not self.since or minor >= _minor_named(self.since)) and (
            not self.until or minor <= _minor_named(self.until)
        )

    def __str__(self) -> str:
        if self.since and self.until:
            return self.since if self.since == self.until else f"{self.since} to {self.until}"
        return f"{self.since} and later" if self.since else f"up to {self.until}" if self.until else "every release"


@dataclass(frozen=True, slots=True)
class Library:
    """An operator library of one release: ``wheel`` says whether the official wheel links it (``linked``), ships it as
    a separate library (``loadable``) or lacks it (``absent``); ``operators`` gives the entries of a call, the one for
    the return included, or None where that is not known."""

    name: str
    wheel: str
    operators: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class LibraryLink:
    """How a build gets an operator library or backend: CMake targets and options, and the Python module to import."""

    name: str
    title: str
    cmake_targets: tuple[str, ...]
    cmake_options: tuple[str, ...]
    python_module: str


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """One release.

    ``commit`` is the upstream commit that the facts were read from, ``wheel_commit`` the one that the wheel says it was
    built from. ``backends`` maps the ids that the wheel registers to whether they can run there. ``xnnpack`` has
    ``payloads``, ``node_types`` and ``datatypes``, or is None where nobody has read the sources. ``refused_dtypes``
    maps a library and an operator to float types that its kernel is known not to take; other kernels say nothing.
    ``evidence`` maps a part of the facts to where it comes from.
    """

    release: Version
    released: date
    commit: str
    torch: str
    wheel: str
    wheel_commit: str
    libraries: Mapping[str, Library]
    backends: Mapping[str, bool]
    xnnpack: Mapping[str, frozenset[str]] | None
    refused_dtypes: Mapping[str, Mapping[str, frozenset[ScalarType]]]
    evidence: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Support:
    """How the releases of a range treat a format feature.

    ``outcome`` is ``accepted``, ``refused`` (a clean error, whose code is ``error``), ``ignored`` (the file runs as if
    the feature were not there), ``misread`` (wrong results or memory faults) or ``crash``. ``build`` limits the row to
    one build system, or is empty.
    """

    feature: str
    releases: Range
    outcome: str
    build: str
    error: int | None
    sentence: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """The largest accepted value of something in a range of releases; 0 means that nothing is checked."""

    id: str
    releases: Range
    value: int
    error: int | None
    sentence: str
    evidence: tuple[str, ...]


@lru_cache(maxsize=1024)
def minor_of(release: Version) -> Version:
    """The minor release that a release belongs to: 1.3 for 1.3.1."""
    return Version(f"{release.major}.{release.minor}")


@lru_cache(maxsize=1024)
def _minor_named(text: str) -> Version:
    return minor_of(Version(text))


def parse_release(text: str) -> Version:
    """The release that a text such as ``1.3``, ``1.3.1`` or ``v1.3.1`` names; raises ``UnsupportedError``."""
    try:
        return Version(text)
    except InvalidVersion:
        raise UnsupportedError(f"{text!r} is not a release; write it like 1.3.1") from None


@cache
def releases() -> tuple[Version, ...]:
    """The releases with facts, oldest first."""
    names = (path.name for path in _folder().joinpath("releases").iterdir())
    return tuple(sorted(Version(name.removesuffix(".json")) for name in names if name.endswith(".json")))


def resolve(release: Version | str) -> Version:
    """The release whose facts hold for a release of the same minor; raises ``UnsupportedError`` where none has."""
    wanted = parse_release(release) if isinstance(release, str) else release
    for known in releases():
        if minor_of(known) == minor_of(wanted):
            return known
    known_text = ", ".join(map(str, releases()))
    raise UnsupportedError(
        f"there are no facts about ExecuTorch {wanted}; known are {known_text} (a newer Pteron may know more, and "
        f"tools/add_release.py {wanted} adds a release)"
    )


def release_facts(release: Version | str) -> ReleaseFacts:
    """The facts of a release, or of its minor release; raises ``UnsupportedError`` for one without facts."""
    return _release_facts(resolve(release))


@cache
def _release_facts(release: Version) -> ReleaseFacts:
    raw = load_table(f"releases/{release}.json")
    return ReleaseFacts(
        release=release,
        released=date.fromisoformat(raw["released"]),
        commit=raw["commit"],
        torch=raw["torch"],
        wheel=raw["wheel"],
        wheel_commit=raw["wheel_commit"],
        libraries=MappingProxyType(
            {
                name: Library(name, library["wheel"], MappingProxyType(library["operators"]))
                for name, library in raw["libraries"].items()
            }
        ),
        backends=MappingProxyType(raw["backends"]),
        xnnpack=_sets(raw["xnnpack"]) if raw["xnnpack"] is not None else None,
        refused_dtypes=MappingProxyType(
            {
                library: MappingProxyType({o: frozenset(ScalarType[t] for t in types) for o, types in table.items()})
                for library, table in raw["refused_dtypes"].items()
            }
        ),
        evidence=MappingProxyType(raw["evidence"]),
    )


@cache
def supports() -> Mapping[str, tuple[Support, ...]]:
    """Format feature → how ranges of releases treat it. A feature without a row in a release is accepted by every
    release that knows it."""
    found: dict[str, list[Support]] = {}
    for row in load_table("support.json")["features"]:
        for feature in row["features"]:
            support = Support(
                feature,
                Range(row["since"], row["until"]),
                row["outcome"],
                row.get("build", ""),
                _error(row),
                row["sentence"],
                tuple(row["evidence"]),
            )
            found.setdefault(feature, []).append(support)
    return MappingProxyType({feature: tuple(rows) for feature, rows in found.items()})


@cache
def limits() -> tuple[Limit, ...]:
    """Named limits of the runtime, by range of releases."""
    return tuple(
        Limit(
            row["id"],
            Range(row["since"], row["until"]),
            row["value"],
            _error(row),
            row["sentence"],
            tuple(row["evidence"]),
        )
        for row in load_table("support.json")["limits"]
    )


@cache
def library_links() -> Mapping[str, LibraryLink]:
    """Operator library or backend id → how a build gets it."""
    return MappingProxyType(
        {
            row["name"]: LibraryLink(
                row["name"],
                row["title"],
                tuple(row["cmake_targets"]),
                tuple(row["cmake_options"]),
                row["python_module"],
            )
            for row in load_table("libraries.json")["libraries"]
        }
    )


def _sets(table: Mapping[str, list[str]]) -> Mapping[str, frozenset[str]]:
    return MappingProxyType({name: frozenset(values) for name, values in table.items()})


def _error(row: Mapping[str, Any]) -> int | None:
    return int(row["error"], 16) if row.get("error") else None


def _folder() -> Any:
    return files("pteron.compat").joinpath("facts")


def load_table(name: str) -> dict[str, Any]:
    """A data file of ``facts/`` as it is."""
    data: dict[str, Any] = json.loads(_folder().joinpath(name).read_text(encoding="utf-8"))
    return data
