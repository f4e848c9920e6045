"""Where the time of a method goes, operator by operator, on either engine.

On the reference engine every instruction is timed. On ONNX Runtime its own profile of each session says how long its
nodes took, in whole microseconds, and the nodes are led back to the operators that they do the work of, several where
it fused them; operators without a lowering are timed where their kernels are called.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pteron.errors import FileAccessError
from pteron.runtime.onnx_engine.profiler import NodeTime, Profiler

if TYPE_CHECKING:
    from pteron.runtime.module import Module


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """The time of one operator, or of several that ran as one, in a call of the method.

    ``operators`` are functional names (``aten::linear``), those of the file's instructions on the reference engine.
    ``engine`` is ``onnxruntime`` or ``reference``, ``kernels`` what ONNX Runtime calls the kernels that ran. ``calls``
    and ``seconds`` are per call of the method; each node's time is the median over the calls.
    """

    operators: tuple[str, ...]
    engine: str
    kernels: tuple[str, ...]
    calls: float
    seconds: float


@dataclass(frozen=True, slots=True)
class MethodProfile:
    """``operators`` by time, longest first; ``seconds`` is the median of a call while it was measured.

    ``between_seconds`` is the rest of it: calling sessions, handing values over, the interpreter's own work. ``runs``
    is how many calls were measured.
    """

    method: str
    engine: str
    runs: int
    seconds: float
    operators: tuple[OperatorTime, ...]
    between_seconds: float


def profile_method(module: Module, name: str, inputs: Sequence[Any], *, runs: int, warm_up: int) -> MethodProfile:
    """See :meth:`pteron.runtime.module.Module.profile`."""
    if runs < 1 or warm_up < 0:
        raise ValueError("runs must be at least 1, warm_up at least 0")
    try:
        folder = tempfile.TemporaryDirectory(prefix="pteron-profile-", ignore_cleanup_errors=True)
    except OSError as error:
        raise FileAccessError(f"no temporary folder can be made for a profile ({error.strerror})") from error
    with folder:
        profiler = Profiler(Path(folder.name))
        fresh = module.again(profiler)
        loaded = fresh[name]
        traced: list[list[tuple[str, float]]] = []
        whole: list[float] = []
        for _ in range(warm_up + runs):
            steps = _Steps()
            start = time.perf_counter()
            loaded.execute(inputs, steps)
            whole.append(time.perf_counter() - start)
            traced.append([step for step in steps.taken if not step[0].startswith("onnxruntime (")])
        share = runs / (runs + warm_up)
        sessions = [[_kept(node, share) for node in times] for times in profiler.times()]
    seconds = statistics.median(whole[warm_up:])
    times = _of_sessions(sessions, runs)
    times += _of_steps(traced[warm_up:])
    times.sort(key=lambda each: -each.seconds)
    between = max(0.0, seconds - math.fsum(each.seconds for each in times))
    return MethodProfile(name, loaded.engine, runs, seconds, tuple(times), between)


class _Steps:
    """The trace of one call."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float]] = []

    def __call__(self, name: str, seconds: float) -> None:
        self.taken.append((name, seconds))


def _kept(node: NodeTime, share: float) -> NodeTime:
    """The node's time without the warm-up, which came first."""
    count = round(len(node.seconds) * share)
    return NodeTime(node.operators, node.labels, node.kernel, node.seconds[len(node.seconds) - count :])


def _of_sessions(sessions: Sequence[Sequence[NodeTime]], runs: int) -> list[OperatorTime]:
    """Times by operators; several ONNX nodes of one graph node are one call."""
    seconds: dict[tuple[str, ...], float] = {}
    kernels: dict[tuple[str, ...], dict[str, None]] = {}
    calls: dict[tuple[str, ...], dict[tuple[str, ...], int]] = {}
    for times in sessions:
        for node in times:
            seconds[node.operators] = seconds.get(node.operators, 0.0) + _typical(node.seconds, runs)
            kernels.setdefault(node.operators, {})[node.kernel] = None
            counted = calls.setdefault(node.operators, {})
            counted[node.labels] = max(counted.get(node.labels, 0), len(node.seconds))
    return [
        OperatorTime(operators, "onnxruntime", tuple(kernels[operators]), sum(calls[operators].values()) / runs, spent)
        for operators, spent in seconds.items()
    ]


def _typical(seconds: Sequence[float], runs: int) -> float:
    """What a node takes in a call, of its times in ``runs`` calls: medians, so that one interruption counts for little.

    A node may run several times in a call, and where branches differ not equally often.
    """
    each, rest = divmod(len(seconds), runs)
    if rest or not each:
        return math.fsum(seconds) / runs
    return math.fsum(statistics.median(seconds[place::each]) for place in range(each))


def _of_steps(traced: Sequence[Sequence[tuple[str, float]]]) -> list[OperatorTime]:
    """Times of instructions, or of kernels between sessions, by name; one list per call."""
    runs = len(traced)
    names = [[name for name, _ in steps] for steps in traced]
    if all(each == names[0] for each in names):
        # The same steps in every call: each one's median.
        steps = zip(*traced, strict=True)
        flat = [(same[0][0], statistics.median(spent for _, spent in same), 1.0) for same in steps]
    else:
        flat = [(name, spent / runs, 1 / runs) for steps in traced for name, spent in steps]
    seconds: dict[str, float] = {}
    calls: dict[str, float] = {}
    for name, spent, count in flat:
        seconds[name] = seconds.get(name, 0.0) + spent
        calls[name] = calls.get(name, 0.0) + count
    return [OperatorTime((name,), "reference", (), calls[name], spent) for name, spent in seconds.items()]
