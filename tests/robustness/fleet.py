"""Runs many cases in worker processes that may crash or hang without taking the run with them."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from robustness import mutants
from robustness.exercise import REFERENCE, Verdict, examine, warm_up

WALL_SECONDS = 60.0
"""Seconds without a finished case after which a worker counts as hanging and is killed."""
START_SECONDS = 300.0
"""Seconds that a worker may take to load everything."""
_CHUNK = 200
_TRACED_EVERY = 16


class Job(Protocol):
    """Examines case number n; goes to the workers by pickling."""

    def __call__(self, number: int) -> Verdict: ...


@dataclass(frozen=True)
class RandomMutants:
    """Mutant number n of a seed; memory of every sixteenth is measured by tracemalloc, of the others by the system."""

    seed: int
    engine: str = REFERENCE

    def __call__(self, number: int) -> Verdict:
        mutant = mutants.mutant(self.seed, number)
        return examine(mutant.suffix, mutant.data, traced=number % _TRACED_EVERY == 0, engine=self.engine)


@dataclass(frozen=True)
class DamagedSeed:
    """Of a file of n bytes: case k < n is the file cut to k bytes, case n + b is the file with bit b turned over."""

    suffix: str
    data: bytes

    @property
    def cases(self) -> range:
        return range(9 * len(self.data))

    def __call__(self, number: int) -> Verdict:
        size = len(self.data)
        damaged = self.data[:number] if number < size else mutants.flipped(self.data, number - size)
        return examine(self.suffix, damaged, traced=number % _TRACED_EVERY == 0)


@dataclass
class Tally:
    """What came of a run: how often each outcome, the faults by case number, the worst time and memory."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    cases: int = 0
    seconds: float = 0.0
    nbytes: int = 0

    def add(self, number: int, verdict: Verdict) -> None:
        self.outcomes[verdict.outcome] += 1
        self.cases += 1
        self.seconds = max(self.seconds, verdict.seconds)
        self.nbytes = max(self.nbytes, verdict.nbytes)
        if verdict.fault:
            self.faults[number] = verdict.fault


class _Worker:
    """One process that works through chunks of case numbers and says which one it is at."""

    def __init__(self, context: Any, job: Job) -> None:
        self.at = context.Value("q", -1, lock=False)
        self.results: Any = context.SimpleQueue()
        self.orders: Any = context.SimpleQueue()
        self.process = context.Process(target=_work, args=(job, self.orders, self.results, self.at), daemon=True)
        self.process.start()
        self.chunk: Sequence[int] = ()
        self.since = time.monotonic()
        self.seen = -1

    def order(self, chunk: Sequence[int]) -> None:
        self.chunk = chunk
        self.since = time.monotonic()
        self.orders.put(chunk)

    def lost(self) -> str:
        """Why the worker will not finish; empty while it is fine."""
        if self.process.exitcode is not None:
            return f"the process died with exit code {self.process.exitcode}"
        if self.at.value != self.seen:
            self.seen, self.since = self.at.value, time.monotonic()
        allowed = WALL_SECONDS if self.at.value in self.chunk else START_SECONDS
        if time.monotonic() - self.since > allowed:
            return f"no answer in {allowed:.0f} s"
        return ""

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def run(
    numbers: Sequence[int],
    job: Job,
    *,
    workers: int,
    until: float = float("inf"),
    progress: Callable[[Tally], None] | None = None,
) -> Tally:
    """Examine every number in worker processes; ``until`` is the ``time.monotonic()`` at which no more are begun.

    A worker that dies or hangs costs one case, which is counted as a fault; the rest of its chunk goes to a new one.
    """
    todo = [numbers[i : i + _CHUNK] for i in range(0, len(numbers), _CHUNK)][::-1]
    tally = Tally()
    with _fleet(min(workers, len(todo)), job) as (fleet, replace):
        while todo or any(worker.chunk for worker in fleet):
            if time.monotonic() > until:
                todo.clear()
            for place, worker in enumerate(fleet):
                if not _collect(worker, tally, todo):
                    worker.stop()
                    replace(place)
                if not fleet[place].chunk and todo:
                    fleet[place].order(todo.pop())
            if progress:
                progress(tally)
            time.sleep(0.01)
    return tally


@contextmanager
def _fleet(workers: int, job: Job) -> Iterator[tuple[list[_Worker], Callable[[int], None]]]:
    """Started workers, and a function that puts a new one in a place of the list."""
    context = multiprocessing.get_context("spawn")
    threads = {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    os.environ.update(dict.fromkeys(threads, "1"))
    fleet: list[_Worker] = []

    def replace(place: int) -> None:
        fleet[place] = _Worker(context, job)

    try:
        fleet += [_Worker(context, job) for _ in range(workers)]
        yield fleet, replace
    finally:
        for worker in fleet:
            worker.stop()
        for name, value in threads.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _collect(worker: _Worker, tally: Tally, todo: list[Sequence[int]]) -> bool:
    """Take in what the worker has finished; False where it is of no more use."""
    if not worker.chunk:
        return True
    if not worker.results.empty():
        for number, verdict in worker.results.get():
            tally.add(number, verdict)
        worker.chunk = ()
        return True
    reason = worker.lost()
    if not reason:
        return True
    number = worker.at.value
    if number not in worker.chunk:
        raise RuntimeError(f"a worker cannot start: {reason}")
    tally.add(number, Verdict("process lost", reason))
    done = worker.chunk.index(number)
    # The verdicts of the cases before the lost one went with the process: they are examined again.
    todo.extend(part for part in (worker.chunk[:done], worker.chunk[done + 1 :]) if part)
    return False


def _work(job: Job, orders: Any, results: Any, at: Any) -> None:
    faulthandler.enable()
    warm_up(mutants.SEEDS)
    while True:
        found = []
        for number in orders.get():
            at.value = number
            found.append((number, job(number)))
        results.put(found)
