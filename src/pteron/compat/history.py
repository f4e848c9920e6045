"""Release history: when each minor release came, and when the next ones are due."""

from __future__ import annotations

import tomllib
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from itertools import pairwise
from statistics import median
from types import MappingProxyType

from packaging.version import Version

from pteron.compat.facts import minor_of, release_facts, releases

STATED_CADENCE_MONTHS = 3
"""Months between minor releases, as the compatibility policy states it."""
_RECENT = 6


@dataclass(frozen=True, slots=True)
class History:
    """Minor releases in order; ``dates`` has the day of the first release of each, where it is known."""

    minors: tuple[Version, ...]
    dates: Mapping[Version, date]

    def released(self, release: Version) -> date | None:
        """When the minor release that a release belongs to came out, or None where that is not known."""
        return self.dates.get(minor_of(release))

    def steps(self, first: Version, second: Version) -> int:
        """How many non-patch releases lie between two releases: 0 in one minor, 1 to the next, negative backwards.

        A minor that the history does not list counts as one of its own.
        """
        minors = list(self.minors)
        for minor in {minor_of(first), minor_of(second)} - set(minors):
            insort(minors, minor)
        return minors.index(minor_of(second)) - minors.index(minor_of(first))

    def following(self, release: Version, count: int) -> tuple[Version, ...]:
        """Up to ``count`` minors after that of ``release``; fewer where they have not come out."""
        later = [minor for minor in self.minors if minor > minor_of(release)]
        return tuple(later[:count])

    def expected(self, count: int) -> tuple[date, ...]:
        """When the next ``count`` minor releases are due, by the median pace of the last ones."""
        known = [self.dates[minor] for minor in self.minors if minor in self.dates]
        gaps = [(b - a).days for a, b in pairwise(known)][-_RECENT:]
        if not known or not gaps:
            return ()
        return tuple(known[-1] + timedelta(days=round(median(gaps) * (n + 1))) for n in range(count))


def make_history(dates: Mapping[str, date] | Iterable[str]) -> History:
    """A history of given minor releases, with or without dates; for what-if questions."""
    known = {minor_of(Version(name)): day for name, day in dates.items()} if isinstance(dates, Mapping) else {}
    return History(tuple(sorted({minor_of(Version(name)) for name in dates})), MappingProxyType(known))


@cache
def known_history() -> History:
    """The history of ExecuTorch's releases: of the minor releases on record, and of every release with facts."""
    table = tomllib.loads(files("pteron.compat").joinpath("promises", "releases.toml").read_text(encoding="utf-8"))
    dates = {release: release_facts(release).released for release in releases()}
    named = {minor_of(release): day for release, day in dates.items()}
    named.update((Version(name), day) for name, day in table["released"].items())
    return History(tuple(sorted(named)), MappingProxyType(dict(sorted(named.items()))))


def add_months(day: date, months: int) -> date:
    """The same day some months later, or the month's last day where that is earlier."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")
