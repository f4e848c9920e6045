"""What is done with each damaged file, and how it is watched: time, memory, and which exceptions may come out."""

from __future__ import annotations

import signal
import time
import traceback
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pteron
from pteron.format.bundled_program import read_bundled_program
from pteron.format.flat_tensor import read_tensor_data
from pteron.format.limits import Limits
from pteron.format.program import read_program
from pteron.format.verify import Severity
from pteron.runtime.opening import verify

SECONDS = 1.0
"""CPU seconds that one file may take."""
MEMORY = 64 << 20
"""Bytes beyond twice the file's size that one file may take."""
LIMITS = Limits(max_memory=16 << 20, max_tensor_bytes=16 << 20, max_instructions=1000)
_LARGEST_INPUT = 4 << 20
REFERENCE = "reference"
FAST = "auto"
"""ONNX Runtime for what lifts to a graph, the reference engine for the rest."""


@dataclass(frozen=True)
class Verdict:
    """What came of one file. ``fault`` says which promise was broken; empty where none was."""

    outcome: str
    fault: str = ""
    seconds: float = 0.0
    nbytes: int = 0


class TooSlowError(BaseException):
    """Raised by the timer; no BaseException of Pteron's own can swallow it."""


def read_and_run_program(data: bytes, engine: str = REFERENCE) -> str:
    """Read, verify, load and run a PTE file."""
    program = read_program(data, limits=LIMITS)
    findings = verify(program, limits=LIMITS)
    for finding in findings[:5]:
        str(finding)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    outcome = _run(data, engine, verified=not errors)
    return f"refused: {errors[0].rule.name}" if errors else outcome


def _run(data: bytes, engine: str, *, verified: bool) -> str:
    """Load and run every method once; a file that verification refuses is loaded without it, as callers may."""
    try:
        module = pteron.load(data, limits=LIMITS, verify=verified, seed=0, engine=engine, cache=False)
    except pteron.PteronError as error:
        return f"cannot load: {type(error).__name__}"
    worst = "runs"
    for name in module.program.methods:
        try:
            method = module[name]
            method.execute([method_input(info) for info in method.method.inputs])
        except pteron.PteronError as error:
            worst = f"cannot run: {type(error).__name__}"
    return worst


def method_input(info: pteron.ValueInfo) -> Any:
    if info.scalar_type is None:
        return info.value
    if info.nbytes > _LARGEST_INPUT:
        raise pteron.InputError("larger than the suite gives")
    dtype = info.scalar_type.dtype
    return np.zeros(info.shape, dtype) if dtype.names else np.ones(info.shape, dtype)


def read_tensors(data: bytes, engine: str = REFERENCE) -> str:
    """Read a PTD file and look at every tensor."""
    for entry in read_tensor_data(data, limits=LIMITS).entries.values():
        if entry.scalar_type is not None:
            entry.array()
    return "reads"


def read_and_run_bundle(data: bytes, engine: str = REFERENCE) -> str:
    """Read a bundled program, its test cases, and run the program inside."""
    bundled = read_bundled_program(data, limits=LIMITS)
    for suite in bundled.test_suites.values():
        for case in suite:
            repr(case)
    return read_and_run_program(bytes(bundled.program_bytes), engine)


ENTRY_POINTS: dict[str, Callable[[bytes, str], str]] = {
    ".pte": read_and_run_program,
    ".ptd": read_tensors,
    ".bpte": read_and_run_bundle,
}


def examine(suffix: str, data: bytes, *, traced: bool = False, engine: str = REFERENCE) -> Verdict:
    """Run one file through its entry point. ``traced`` measures memory with tracemalloc instead of by resident size.

    Only ``PteronError`` may come out, within ``SECONDS`` and ``MEMORY``. Must run in the main thread.
    """
    allowed = MEMORY + 2 * len(data)
    fault = ""
    if traced:
        tracemalloc.start()
    else:
        _reset_peak()
    before = 0 if traced else _status("VmRSS")
    signal.signal(signal.SIGPROF, _too_slow)
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = ENTRY_POINTS[suffix](data, engine)
    except pteron.PteronError as error:
        outcome = f"unreadable: {type(error).__name__}"
    except TooSlowError:
        outcome = "too slow"
        fault = f"more than {SECONDS} s: {_where()}"
    except Exception as error:
        outcome = f"untyped: {type(error).__name__}"
        fault = f"{type(error).__name__}: {error}: {_where()}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        seconds = time.process_time() - start
        peak = tracemalloc.get_traced_memory()[1] if traced else _status("VmHWM")
        if traced:
            tracemalloc.stop()
    nbytes = peak - before
    if nbytes > allowed and not fault:
        fault = f"{nbytes:,} bytes, {allowed:,} allowed ({outcome})"
    return Verdict(outcome, fault, seconds, nbytes)


def warm_up(seeds: Path, engine: str = REFERENCE) -> None:
    """Load everything that is loaded late, so that the first file measured pays for nothing but itself."""
    for path in sorted(seeds.iterdir()):
        if path.suffix in ENTRY_POINTS:
            ENTRY_POINTS[path.suffix](path.read_bytes(), engine)


def _where() -> str:
    """The innermost places of the exception being handled."""
    lines = traceback.format_exc(limit=-3).strip().splitlines()
    return " | ".join(line.strip() for line in lines[1:])


def _too_slow(signum: int, frame: object) -> None:
    raise TooSlowError


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))
