"""The calendar: for a file and a fleet of runtimes, what is promised until when, and when to export again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from packaging.version import Version

from pteron.compat.facts import minor_of
from pteron.compat.history import STATED_CADENCE_MONTHS, History, add_months, known_history
from pteron.compat.promises import Promise, Promises, coverage, known_promises
from pteron.errors import UnsupportedError


@dataclass(frozen=True, slots=True)
class Day:
    """A date that is on record, or one that is expected from the pace of releases."""

    day: date
    expected: bool

    def __str__(self) -> str:
        return f"{self.day.isoformat()}{' (expected)' if self.expected else ''}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One runtime of the fleet: whether the file is promised there, by the count of releases and by the months."""

    runtime: Version
    by_count: bool
    by_time: bool | None


@dataclass(frozen=True)
class Calendar:
    """What is promised about a file that ``producer`` made.

    ``last`` is the newest minor release that is covered, or None while the next one has not come; ``by_count`` is when
    the release after it comes and the promise by releases ends; ``by_time`` ends the months that the policy speaks of,
    ``operators`` the days of the Core ATen policy, counted from the producer's release or from ``deployed``.
    ``upcoming`` are the days on which the next releases are due: by the actual pace, and by the stated three months.
    """

    producer: Version
    last: Version | None
    by_count: Day | None
    by_time: date | None
    operators: date | None
    fleet: tuple[Entry, ...]
    upcoming: tuple[tuple[date, date], ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every field by name, dates as ISO text."""
        return {
            "producer": str(self.producer),
            "last": str(self.last) if self.last is not None else None,
            "by_count": {"day": self.by_count.day.isoformat(), "expected": self.by_count.expected}
            if self.by_count is not None
            else None,
            "by_time": self.by_time.isoformat() if self.by_time is not None else None,
            "operators": self.operators.isoformat() if self.operators is not None else None,
            "fleet": [
                {"runtime": str(entry.runtime), "by_count": entry.by_count, "by_time": entry.by_time}
                for entry in self.fleet
            ],
            "upcoming": [{"by_pace": a.isoformat(), "by_policy": b.isoformat()} for a, b in self.upcoming],
        }


def calendar(
    producers: Sequence[Version],
    fleet: Iterable[Version] = (),
    *,
    deployed: date | None = None,
    promises: Promises | None = None,
    history: History | None = None,
) -> Calendar:
    """The calendar of a file. Of several possible ``producers`` the oldest counts, so nothing is promised in vain.

    ``fleet``: releases of the runtimes in use. ``deployed``: when the file is shipped, for the Core ATen policy. Raises
    ``UnsupportedError`` where nobody promises anything about programs.
    """
    promises, history = promises or known_promises(), history or known_history()
    promise = promises.about("program")
    if promise is None:
        raise UnsupportedError("no promise about programs is known, so there is no calendar")
    producer = min(producers)
    covered = promise.since is None or minor_of(producer) >= minor_of(promise.since)
    following = history.following(producer, promise.next_releases)
    last = following[-1] if len(following) == promise.next_releases and following else None
    return Calendar(
        producer,
        last if covered else None,
        _end(producer, promise, history) if covered else None,
        promise.until(producer, history) if covered else None,
        _operators(producer, deployed, promises, history),
        tuple(_entry(promise, producer, runtime, history) for runtime in fleet),
        _upcoming(history),
    )


def _entry(promise: Promise, producer: Version, runtime: Version, history: History) -> Entry:
    found = coverage(promise, producer, runtime, history)
    return Entry(runtime, found.by_count, found.by_time)


def _end(producer: Version, promise: Promise, history: History) -> Day | None:
    """When the first release that the promise does not cover came, or is expected."""
    beyond = promise.next_releases + 1
    following = history.following(producer, beyond)
    if len(following) == beyond:
        day = history.released(following[-1])
        return Day(day, False) if day is not None else None
    expected = history.expected(beyond - len(following))
    return Day(expected[-1], True) if expected else None


def _operators(producer: Version, deployed: date | None, promises: Promises, history: History) -> date | None:
    core = next((promise for promise in promises.promises if promise.subject == "operator" and promise.days), None)
    start = deployed or history.released(producer)
    if core is None or start is None or (core.since is not None and minor_of(producer) < minor_of(core.since)):
        return None
    return date.fromordinal(start.toordinal() + core.days)


def _upcoming(history: History) -> tuple[tuple[date, date], ...]:
    pace = history.expected(2)
    newest = max((day for day in history.dates.values()), default=None)
    if newest is None:
        return ()
    return tuple((day, add_months(newest, STATED_CADENCE_MONTHS * (n + 1))) for n, day in enumerate(pace))
