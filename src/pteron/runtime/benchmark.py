"""measure: how long a method takes to load and to run, and how much memory that needs."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pteron.errors import ExecutionError
from pteron.format.source import FileSource
from pteron.runtime.engines import EngineName, RunnableMethod, check_engine
from pteron.runtime.module import Module, load
from pteron.runtime.onnx_engine.plan import MethodPlan
from pteron.runtime.profiling import MethodProfile
from pteron.runtime.resident import Peak, resident_bytes

# Calls before those that count: for so many seconds, the first call included.
_WARM_UP_SECONDS = 0.3

# Without a number of calls: at least so many, and no more.
_FEWEST = 3
_MOST = 100_000

# The profile takes about as long as this, and no more calls.
_PROFILE_SECONDS = 1.0
_PROFILE_CALLS = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """What :func:`measure` found; times in seconds, memory in bytes (None where the system does not tell).

    ``libraries_seconds`` and ``libraries_bytes``: importing the engine's libraries, which a process does once; 0 where
    they were there. ``load_seconds``: from the file to a method that can be called. ``first_call_seconds``: the first
    call, in which sessions are opened. ``call_seconds``: the calls after some warming up, one by one. ``peak_bytes``:
    the most that was resident beyond what was before the file was opened, inputs, outputs and the pages of mapped
    weights that were touched included. ``resets``: how often state had to be put back as a call failed for it.
    """

    module: Module
    method: str
    inputs: Sequence[Any]
    engine: str
    plan: MethodPlan
    libraries_seconds: float
    libraries_bytes: int | None
    load_seconds: float
    first_call_seconds: float
    call_seconds: tuple[float, ...]
    resets: int
    peak_bytes: int | None

    @property
    def median_seconds(self) -> float:
        return statistics.median(self.call_seconds)

    @property
    def p90_seconds(self) -> float:
        """The time that nine of ten calls do not exceed."""
        ordered = sorted(self.call_seconds)
        return ordered[math.ceil(0.9 * len(ordered)) - 1]

    def profile(self) -> MethodProfile:
        """Where the time goes by operator, measured in calls of its own."""
        typical = max(self.median_seconds, 1e-6)
        runs = min(max(1, int(_PROFILE_SECONDS / typical)), _PROFILE_CALLS)
        return self.module.profile(self.method, self.inputs, runs=runs, warm_up=1 if runs < 5 else 3)


def measure(
    source: FileSource,
    choose: Callable[[Module], str],
    make: Callable[[Module, str], Sequence[Any]],
    *,
    data: FileSource | Iterable[FileSource] = (),
    engine: EngineName = "auto",
    threads: int | None = None,
    seed: int = 0,
    repeat: int | None = None,
    seconds: float = 2.0,
) -> Measured:
    """Load a program and call a method, again and again with the same inputs.

    ``choose`` names the method, ``make`` gives its inputs. ``repeat``: how many calls are timed, else as many as fit
    into ``seconds``. State goes on from call to call, as in use; where it cannot (a counter ran out of its range), it
    is put back and the call repeated. Garbage collection waits meanwhile. Raises what loading and calling raise.
    """
    resident = resident_bytes()
    start = time.perf_counter()
    if check_engine(engine) == "onnxruntime":
        import pteron.runtime.onnx_engine.method
        import pteron.runtime.onnx_engine.recalled  # noqa: F401
    libraries_seconds = time.perf_counter() - start
    after = resident_bytes()

    peak = Peak()
    start = time.perf_counter()
    module = load(source, data=data, engine=engine, threads=threads, seed=seed)
    name = choose(module)
    loaded = module[name]
    load_seconds = time.perf_counter() - start
    inputs = make(module, name)

    calls = _Calls(loaded, inputs)
    enabled = gc.isenabled()
    gc.disable()
    try:
        first = calls.time()
        spent = first
        while spent < _WARM_UP_SECONDS:
            spent += max(calls.time(), 1e-6)
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < (repeat or _FEWEST) or (repeat is None and time.perf_counter() < end and len(times) < _MOST):
            times.append(calls.time())
    finally:
        if enabled:
            gc.enable()
    return Measured(
        module,
        name,
        inputs,
        loaded.engine,
        module.plan()[name],
        libraries_seconds,
        None if resident is None or after is None else max(0, after - resident),
        load_seconds,
        first,
        tuple(times),
        calls.resets,
        peak.growth(),
    )


class _Calls:
    """Calls of a method, one by one."""

    def __init__(self, loaded: RunnableMethod, inputs: Sequence[Any]) -> None:
        self._loaded = loaded
        self._inputs = inputs
        self._made = 0
        self.resets = 0

    def time(self) -> float:
        """Seconds of one more call."""
        call, inputs = self._loaded, self._inputs
        try:
            start = time.perf_counter()
            call(*inputs)
            spent = time.perf_counter() - start
        except ExecutionError:
            if not self._made:
                raise
            self.resets += 1
            self._made = 0
            call.reset()
            return self.time()
        self._made += 1
        return spent
