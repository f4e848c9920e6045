"""Many files on many runtimes: a list of cells, worked on by threads that each drive a worker process."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pteron.compat.evidence import Evidence, Outcome, RuntimeUsed
from pteron.errors import PteronError
from pteron.prove.environments import Environment, running
from pteron.prove.exchange import Reply, Work
from pteron.prove.journal import Journal, key_of
from pteron.prove.runtimes import CommandRuntime, Runtime, WorkerRuntime, reference_runtime, wheel_runtime
from pteron.prove.scratch import sweep
from pteron.prove.subject import Options, Source, Subject, make_subject, sha256_of
from pteron.prove.verdict import options_record, prove_cell

R = TypeVar("R", bound=Runtime)


@dataclass(frozen=True)
class Target:
    """A runtime that is asked for: an environment, a command of the user's own, or the reason why there is none."""

    name: str
    environment: Environment | None = None
    command: tuple[str, ...] = ()
    problem: str = ""
    release: str = ""

    def open(self) -> Runtime:
        """The runtime, ready to run cases."""
        if self.command:
            used = RuntimeUsed(self.name, self.release, kind="command", command=self.command)
            return CommandRuntime(self.command, used)
        used_here = self.environment.used() if self.environment else None
        if self.environment is None or used_here is None:
            problem = self.problem or f"executorch {self.name} is not installed; `pteron runtimes install {self.name}`"
            return _Missing(RuntimeUsed(self.name, self.release or self.name), problem)
        return wheel_runtime(self.environment.python, used_here)


class _Missing:
    """A runtime that is not there."""

    def __init__(self, used: RuntimeUsed, problem: str) -> None:
        self.used = used
        self._problem = problem

    def run(self, work: Work) -> Reply:
        return Reply("not_installable", self._problem)

    def interrupt(self) -> None:
        """Nothing to interrupt."""

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class Cell:
    """One file on one runtime."""

    source: Source
    target: Target
    options: Options

    @property
    def key(self) -> str:
        """What tells it from other cells, before anything has run."""
        options = options_record(self.options, self.source.cases)
        return key_of(self.source.title, sha256_of(self.source.path), self.target.name, options)


def key_of_record(record: Evidence) -> str:
    """The key of the cell that a record is of."""
    return key_of(record.file, record.sha256, record.runtime.name, dict(record.options))


def cells_of(sources: Sequence[Source], targets: Sequence[Target], options: Options) -> list[Cell]:
    """All cells, runtime by runtime: starting a runtime takes longer than running most files."""
    return [Cell(source, target, options) for target in targets for source in sources]


@dataclass
class _Shared:
    """What the threads of a job share."""

    cells: queue.SimpleQueue[Cell]
    done: queue.SimpleQueue[tuple[Cell, Evidence | BaseException]] = field(default_factory=queue.SimpleQueue)
    subjects: dict[int, Subject] = field(default_factory=dict)
    locks: dict[int, threading.Lock] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    open: list[Runtime] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def run_job(
    cells: Sequence[Cell],
    *,
    jobs: int = 1,
    journal: Journal | None = None,
    subjects: dict[int, Subject] | None = None,
    report: Callable[[Evidence], None] = lambda evidence: None,
) -> list[Evidence]:
    """Work on the cells and give their evidence, in their order; what ``journal`` has already is not run again.

    ``report`` is called for each new record; ``subjects`` keeps files that were made ready, for the next job. Raises
    what reading a file raises (``FileAccessError``, ``FormatError``, ``InputError`` …); nothing that a runtime does is
    raised. Whatever ends it, the processes that it started are gone.
    """
    sweep()
    known = {key_of_record(record): record for record in journal.records} if journal else {}
    keys = {id(cell): cell.key for cell in cells}
    found = {key: known[key] for key in keys.values() if key in known and _settled(known[key])}
    waiting = [cell for cell in cells if keys[id(cell)] not in found]
    shared = _Shared(queue.SimpleQueue(), subjects={} if subjects is None else subjects)
    for cell in waiting:
        shared.cells.put(cell)
    threads = [threading.Thread(target=_work, args=(shared,), daemon=True) for _ in range(min(jobs, len(waiting)))]
    try:
        for thread in threads:
            thread.start()
        for _ in waiting:
            cell, result = _next(shared)
            if isinstance(result, BaseException):
                raise result
            found[keys[id(cell)]] = result
            if journal is not None:
                journal.append(result)
            report(result)
    finally:
        shared.stop.set()
        with shared.lock:
            for runtime in shared.open:
                runtime.interrupt()
        for thread in threads:
            thread.join(timeout=10)
    return [found[keys[id(cell)]] for cell in cells]


def _settled(record: Evidence) -> bool:
    """Whether there is nothing to gain from running it again."""
    return record.outcome not in (Outcome.NOT_INSTALLABLE, Outcome.NO_ANSWER)


def _next(shared: _Shared) -> tuple[Cell, Evidence | BaseException]:
    while True:  # waiting without a limit would hold off Ctrl-C
        with contextlib.suppress(queue.Empty):
            return shared.done.get(timeout=0.5)


def _work(shared: _Shared) -> None:
    with contextlib.ExitStack() as stack:
        reference: WorkerRuntime | None = None
        current: tuple[Target, Runtime] | None = None
        held = stack.enter_context(contextlib.ExitStack())
        while not shared.stop.is_set():
            try:
                cell = shared.cells.get_nowait()
            except queue.Empty:
                return
            try:
                if reference is None:
                    reference = stack.enter_context(_opened(shared, reference_runtime()))
                if current is None or current[0] != cell.target:
                    held.close()
                    current = (cell.target, _enter(shared, held, cell.target))
                subject = _subject(shared, cell, reference)
                shared.done.put((cell, prove_cell(subject, current[1])))
            except BaseException as error:
                shared.done.put((cell, error))
                if not isinstance(error, PteronError):
                    return


def _enter(shared: _Shared, held: contextlib.ExitStack, target: Target) -> Runtime:
    if target.environment is not None and target.environment.state == "installed":
        held.enter_context(running(target.environment))
    return held.enter_context(_opened(shared, target.open()))


@contextlib.contextmanager
def _opened(shared: _Shared, runtime: R) -> Iterator[R]:
    with shared.lock:
        shared.open.append(runtime)
    try:
        yield runtime
    finally:
        with shared.lock:
            shared.open.remove(runtime)
        runtime.close()


def _subject(shared: _Shared, cell: Cell, reference: Runtime) -> Subject:
    key = id(cell.source)
    with shared.lock:
        lock = shared.locks.setdefault(key, threading.Lock())
    with lock:
        if key not in shared.subjects:
            shared.subjects[key] = make_subject(cell.source, cell.options, reference)
        return shared.subjects[key]
