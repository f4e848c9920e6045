"""Promises as data: who guarantees what to whom until when (docs/promises.md).

Built in are ExecuTorch's policy, the Core ATen policy and what is known of backends (``promises/*.toml``). Anyone can
add promises about their own operators and backends: an entry point of the group ``pteron.promises`` names a TOML file
in a package, ``acme = "acme_ops:promises.toml"``. A promise of somebody else comes before the built-in ones. What an
operator registered with Pteron says of its promise counts where it is a range of releases, such as ``>=1.0,<3``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from pteron.compat.facts import minor_of
from pteron.compat.history import History, add_months, known_history
from pteron.errors import FormatError
from pteron.ops import REGISTRY

GROUP = "pteron.promises"
SUBJECTS = ("program", "operator", "backend", "data")
_KEYS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "owner": str,
    "title": str,
    "subject": str,
    "names": list,
    "name_list": str,
    "since": str,
    "next_releases": int,
    "months": int,
    "days": int,
    "runtimes": str,
    "nothing": bool,
    "stable_api_only": bool,
    "sentence": str,
    "evidence": list,
}


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise.

    ``subject`` is ``program``, ``operator``, ``backend`` or ``data`` (a .ptd file); ``names`` are patterns of operator
    names or backend ids. It covers what was made by releases from ``since`` on, on runtimes of their own release and of
    ``next_releases`` following non-patch releases (the count rule), and on runtimes that came out within ``months`` or
    ``days`` (the time rule); or instead on every runtime in ``runtimes``. ``nothing`` states that there is no promise.
    ``stable_api_only``: experimental and deprecated interfaces are left out. A runtime older than the file is never
    covered.
    """

    id: str
    owner: str
    title: str
    subject: str
    names: frozenset[str]
    since: Version | None
    next_releases: int
    months: int
    days: int
    runtimes: SpecifierSet | None
    nothing: bool
    stable_api_only: bool
    sentence: str
    evidence: tuple[str, ...]

    def about(self, name: str) -> bool:
        """Whether the promise speaks of an operator or backend of that name."""
        return name in self.names or any("*" in pattern and fnmatchcase(name, pattern) for pattern in self.names)

    def until(self, produced: Version, history: History) -> date | None:
        """The last day of the time rule, or None where there is none or the release's day is not known."""
        day = history.released(produced)
        if day is None or not (self.months or self.days):
            return None
        return add_months(day, self.months) if self.months else day + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether a promise covers a pair of releases, by the count rule and by the time rule (None: it cannot be told).

    ``why`` is, where the count rule does not cover it: ``nothing``, ``forward``, ``before`` (made before the promise
    began) or ``beyond``.
    """

    by_count: bool
    by_time: bool | None
    until: date | None
    why: str = ""


def coverage(promise: Promise, produced: Version, runtime: Version, history: History | None = None) -> Coverage:
    """Whether what ``produced`` made is promised to run on ``runtime``; patch releases belong to their minor."""
    history = history or known_history()
    if promise.nothing:
        return Coverage(False, False, None, "nothing")
    if runtime < produced:
        return Coverage(False, False, None, "forward")
    if promise.since is not None and minor_of(produced) < minor_of(promise.since):
        return Coverage(False, False, None, "before")
    if promise.runtimes is not None:
        held = promise.runtimes.contains(runtime, prereleases=True)
        return Coverage(held, None, None, "" if held else "beyond")
    until = promise.until(produced, history)
    day = history.released(runtime)
    by_time = None if until is None or day is None else day <= until
    by_count = history.steps(produced, runtime) <= promise.next_releases
    return Coverage(by_count, by_time, until, "" if by_count else "beyond")


@dataclass(frozen=True)
class Promises:
    """Every known promise, those of others before the built-in ones; ``faults`` says which could not be read."""

    promises: tuple[Promise, ...]
    faults: tuple[str, ...] = ()
    _known: dict[tuple[str, str], Promise | None] = field(default_factory=dict, repr=False, compare=False)

    def about(self, subject: str, name: str = "") -> Promise | None:
        """The promise about a program, an operator, a backend or a .ptd file, or None where nobody gives one."""
        if (subject, name) not in self._known:
            self._known[subject, name] = self._find(subject, name)
        return self._known[subject, name]

    def _find(self, subject: str, name: str) -> Promise | None:
        registered = _registered(name) if subject == "operator" else None
        if registered is not None:
            return registered
        return next((p for p in self.promises if p.subject == subject and (not p.names or p.about(name))), None)


@cache
def known_promises() -> Promises:
    """The built-in promises and those of installed packages."""
    found: list[Promise] = []
    faults = []
    for entry in entry_points(group=GROUP):
        try:
            found += read_promises(files(entry.module).joinpath(entry.attr))
        except Exception as error:  # a package of somebody else may fail in any way
            faults.append(f"{entry.value}: {error}")
    folder = files("pteron.compat").joinpath("promises")
    for name in ("core_aten.toml", "experimental_backends.toml", "executorch.toml"):
        found += read_promises(folder.joinpath(name))
    return Promises(tuple(found), tuple(faults))


def read_promises(source: Traversable) -> tuple[Promise, ...]:
    """The promises of one TOML file; raises ``FormatError`` for a file that is not one."""
    file = str(source)
    try:
        raw = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"not a TOML file of promises: {error}", file=file) from None
    tables = raw.get("promise")
    if not isinstance(tables, list) or set(raw) != {"promise"}:
        raise FormatError("a file of promises consists of [[promise]] tables", file=file)
    return tuple(_promise(table, source, f"promise[{index}]") for index, table in enumerate(tables))


def _promise(table: Any, source: Traversable, path: str) -> Promise:
    def fault(problem: str) -> FormatError:
        return FormatError(f"{problem}; see docs/promises.md", file=str(source), path=path)

    if not isinstance(table, dict):
        raise fault("a promise must be a table")
    for key, value in table.items():
        if key not in _KEYS:
            raise fault(f"unknown key {key!r}")
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and _KEYS[key] is int):
            raise fault(f"{key} must not be a {type(value).__name__}")
    missing = {"id", "owner", "subject", "sentence"} - set(table)
    if missing:
        raise fault(f"{min(missing)} is missing")
    if table["subject"] not in SUBJECTS:
        raise fault(f"subject is {table['subject']!r}; it can be {', '.join(SUBJECTS)}")
    if table["subject"] in ("operator", "backend") and not ("names" in table or "name_list" in table):
        raise fault("names is missing")
    if not any(key in table for key in ("next_releases", "months", "days", "runtimes", "nothing")):
        raise fault("it says nothing: next_releases, months, days, runtimes and nothing are all missing")
    try:
        since = Version(table["since"]) if "since" in table else None
        runtimes = SpecifierSet(table["runtimes"]) if "runtimes" in table else None
    except (InvalidVersion, InvalidSpecifier) as error:
        raise fault(str(error)) from None
    return Promise(
        table["id"],
        table["owner"],
        table.get("title", ""),
        table["subject"],
        _names(table, source),
        since,
        table.get("next_releases", 0),
        table.get("months", 0),
        table.get("days", 0),
        runtimes,
        table.get("nothing", False),
        table.get("stable_api_only", False),
        table["sentence"],
        tuple(map(str, table.get("evidence", ()))),
    )


def _names(table: Mapping[str, Any], source: Traversable) -> frozenset[str]:
    """The patterns listed, and the names in the JSON file beside the TOML file that ``name_list`` names."""
    names = set(map(str, table.get("names", ())))
    if "name_list" in table:
        beside = files("pteron.compat").joinpath("promises", table["name_list"])
        names |= set(json.loads(beside.read_text(encoding="utf-8"))["operators"])
    return frozenset(names)


def _registered(name: str) -> Promise | None:
    """What an operator registered with Pteron says of its own promise, where that is a range of releases."""
    operator = REGISTRY.get(name)
    if operator is None or not operator.promise:
        return None
    try:
        runtimes = SpecifierSet(operator.promise)
    except InvalidSpecifier:
        return None
    sentence = f"{operator.owner or 'The owner'} promises {name} on runtimes {operator.promise}."
    return Promise(
        f"operator.{name}",
        operator.owner,
        f"{name} {operator.version}".strip(),
        "operator",
        frozenset({name}),
        None,
        0,
        0,
        0,
        runtimes,
        False,
        False,
        sentence,
        (),
    )
