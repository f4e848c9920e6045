"""The watch over damaged files notices every kind of broken promise."""

import ctypes
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pteron
from robustness import exercise, fleet, mutants
from robustness.exercise import MEMORY, SECONDS, Verdict, examine


def watched(monkeypatch: pytest.MonkeyPatch, behaviour: Any, *, traced: bool = False) -> Verdict:
    monkeypatch.setitem(exercise.ENTRY_POINTS, ".pte", behaviour)
    return examine(".pte", b"data", traced=traced)


def test_a_typed_error_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(data: bytes, engine: str) -> str:
        raise pteron.TruncatedError("short")

    verdict = watched(monkeypatch, refuse)
    assert (verdict.outcome, verdict.fault) == ("unreadable: TruncatedError", "")


@pytest.mark.parametrize("error", [IndexError, MemoryError, RecursionError, AssertionError, KeyError])
def test_any_other_exception_is(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(data: bytes, engine: str) -> str:
        raise error("deep inside")

    verdict = watched(monkeypatch, fail)
    assert verdict.outcome == f"untyped: {error.__name__}"
    assert "deep inside" in verdict.fault


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(data: bytes, engine: str) -> str:
        try:
            while True:
                pass
        except Exception:
            return "swallowed"

    verdict = watched(monkeypatch, loop)
    assert verdict.outcome == "too slow"
    # The profiling timer counts sampled ticks and may fire early on a busy machine; late it must not be.
    assert SECONDS / 2 < verdict.seconds < SECONDS + 1


@pytest.mark.parametrize("traced", [False, True])
def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch, traced: bool) -> None:
    def take(nbytes: int) -> Any:
        return lambda data, engine: str(np.ones(nbytes, np.uint8).nbytes)

    assert watched(monkeypatch, take(MEMORY // 2), traced=traced).fault == ""
    assert "bytes, 67,108,872 allowed" in watched(monkeypatch, take(MEMORY + (8 << 20)), traced=traced).fault


@dataclass(frozen=True)
class Misbehaves:
    """Cases 3 and 5 end their process, every other is fine."""

    def __call__(self, number: int) -> Verdict:
        if number == 3:
            os._exit(7)
        if number == 5:
            ctypes.string_at(0)
        return Verdict("fine", seconds=number / 1000)


def test_a_process_that_dies_costs_one_case() -> None:
    tally = fleet.run(range(300), Misbehaves(), workers=2)
    assert tally.cases == 300
    assert tally.outcomes == {"fine": 298, "process lost": 2}
    assert tally.faults == {3: "the process died with exit code 7", 5: "the process died with exit code -11"}
    assert tally.seconds == pytest.approx(0.299)


@dataclass(frozen=True)
class Hangs:
    def __call__(self, number: int) -> Verdict:
        if number == 1:
            time.sleep(1000)
        return Verdict("fine")


def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "WALL_SECONDS", 2.0)
    tally = fleet.run(range(4), Hangs(), workers=1)
    assert tally.outcomes == {"fine": 3, "process lost": 1}
    assert tally.faults == {1: "no answer in 2 s"}


def test_a_run_ends_when_its_time_is_over() -> None:
    assert fleet.run(range(10_000), Misbehaves(), workers=1, until=time.monotonic() - 1).cases == 0


def test_mutants_are_the_same_every_time() -> None:
    for number in range(50):
        assert mutants.mutant(1, number) == mutants.mutant(1, number)
    made = [mutants.mutant(1, number) for number in range(500)]
    assert len({mutant.data for mutant in made}) > 480
    assert {mutant.suffix for mutant in made} == {".pte", ".ptd", ".bpte"}
    originals = {data for _, data in mutants.pool()}
    assert sum(mutant.data in originals for mutant in made) < 25


def test_flips_change_one_bit() -> None:
    assert mutants.flipped(b"\0\0", 0) == b"\1\0"
    assert mutants.flipped(b"\0\xff", 15) == b"\0\x7f"
