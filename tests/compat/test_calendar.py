"""The calendar: what is promised until when."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from packaging.version import Version

from pteron.compat.calendar import calendar
from pteron.compat.history import History, known_history, make_history
from pteron.compat.promises import Promises
from pteron.errors import UnsupportedError

EVEN = make_history(
    {"1.0": date(2026, 1, 1), "1.1": date(2026, 4, 1), "1.2": date(2026, 7, 1), "1.3": date(2026, 10, 1)}
)


def versions(*names: str) -> list[Version]:
    return [Version(name) for name in names]


def test_a_file_whose_promise_has_ended() -> None:
    found = calendar(versions("1.0.1"), versions("1.0.1", "1.1.0", "1.2.0"), history=EVEN)
    assert str(found.last) == "1.1"
    assert found.by_count is not None
    assert (found.by_count.day, found.by_count.expected) == (date(2026, 7, 1), False)
    assert found.by_time == date(2026, 7, 1)
    assert found.operators == date(2026, 1, 1) + timedelta(days=180)
    assert [(entry.by_count, entry.by_time) for entry in found.fleet] == [(True, True), (True, True), (False, True)]


def test_a_file_of_the_newest_release() -> None:
    found = calendar(versions("1.3"), history=EVEN)
    assert found.last is None  # the release that is promised has not come
    assert found.by_count is not None
    assert found.by_count.expected
    # Two releases from now at a pace of 91 or 92 days.
    assert found.by_count.day == date(2026, 10, 1) + timedelta(days=2 * 91)
    assert found.upcoming[0] == (date(2026, 10, 1) + timedelta(days=91), date(2027, 1, 1))
    assert str(found.by_count) == f"{found.by_count.day} (expected)"


def test_the_release_before_the_newest() -> None:
    found = calendar(versions("1.2"), history=EVEN)
    assert str(found.last) == "1.3"
    assert found.by_count is not None
    assert found.by_count.expected


def test_the_oldest_possible_producer_counts() -> None:
    assert calendar(versions("1.0", "1.1", "1.2"), history=EVEN).producer == Version("1.0")


def test_before_the_policy_there_is_nothing() -> None:
    found = calendar(versions("0.3.0"), versions("0.4.0"))
    assert (found.last, found.by_count, found.by_time, found.operators) == (None, None, None, None)
    assert [entry.by_count for entry in found.fleet] == [False]


def test_days_from_deployment() -> None:
    found = calendar(versions("1.2"), deployed=date(2026, 8, 1), history=EVEN)
    assert found.operators == date(2026, 8, 1) + timedelta(days=180)


def test_the_real_history() -> None:
    history = known_history()
    assert [str(minor) for minor in history.minors[:4]] == ["0.1", "0.2", "0.3", "0.4"]
    assert history.dates[Version("1.0")] == date(2025, 10, 17)  # 1.0.0, not the patch with facts
    assert list(history.dates.values()) == sorted(history.dates.values())
    found = calendar(versions("1.1.0"), versions("1.2.0", "1.3.1"))
    assert (str(found.last), str(found.by_count), found.by_time) == ("1.2", "2026-05-26", date(2026, 7, 27))
    assert [(entry.by_count, entry.by_time) for entry in found.fleet] == [(True, True), (False, True)]


def test_as_json() -> None:
    document = calendar(versions("1.0"), versions("1.1"), history=EVEN).to_dict()
    assert document["by_count"] == {"day": "2026-07-01", "expected": False}
    assert document["fleet"] == [{"runtime": "1.1", "by_count": True, "by_time": True}]
    assert len(document["upcoming"]) == 2


def test_nothing_is_known() -> None:
    empty = History((), {})
    found = calendar(versions("1.0"), history=empty)
    assert (found.by_count, found.by_time, found.upcoming) == (None, None, ())
    with pytest.raises(UnsupportedError, match="no promise"):
        calendar(versions("1.0"), promises=Promises(()))
