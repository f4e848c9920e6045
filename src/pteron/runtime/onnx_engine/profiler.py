"""Profiler: opens sessions that time their nodes, and says what the times were spent on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pteron.runtime.onnx_engine.model import SegmentModel
from pteron.runtime.onnx_engine.optimised import ReadNode, origins, read_nodes
from pteron.runtime.onnx_engine.session import Unsupported, open_profiled

_KERNEL = "_kernel_time"
LAYOUT = "memory layout"
"""What nodes do that ONNX Runtime adds to have memory in another order."""


@dataclass(frozen=True, slots=True)
class NodeTime:
    """The time of one node of an optimised model: ``operators`` are the graph's that it does the work of, ``labels``
    tell their nodes apart, ``kernel`` is ONNX Runtime's name of what ran, ``seconds`` has one number per run."""

    operators: tuple[str, ...]
    labels: tuple[str, ...]
    kernel: str
    seconds: tuple[float, ...]


class Profiler:
    """Opens the sessions of one method; :meth:`times` ends them. Everything is written below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: list[tuple[SegmentModel, Any, Path]] = []
        self._count = 0

    def open(self, model: SegmentModel, threads: int | None) -> Any:
        """A session of the model that times its nodes; raises :class:`Unsupported`."""
        place = self._folder / str(self._count)
        self._count += 1
        place.mkdir()
        try:
            session = open_profiled(model, threads=threads, folder=place)
        except Unsupported:
            # Writing the optimised model may be what failed; without it the nodes' names have to do.
            session = open_profiled(model, threads=threads, folder=place, optimised=False)
        self._opened.append((model, session, place))
        return session

    def times(self) -> list[list[NodeTime]]:
        """For each session that ran, the times of its nodes."""
        found = []
        for number, (model, session, place) in enumerate(self._opened):
            durations, kernels = _events(Path(session.end_profiling()))
            before = read_nodes(model.bytes)
            covered = _covered(model, before, place)
            absorbed = _absorbed(model, before)
            times = []
            for name, spent in durations.items():
                label = ReadNode(name, "", (), ()).label
                labels = covered.get(name, (label,) if label else ())
                nodes = sorted({each for own in labels for each in absorbed.get(own, ())}, key=_number)
                operators = tuple(dict.fromkeys(model.labels[each].op for each in nodes))
                places = tuple(f"{number}.{each}" for each in labels or (name,))
                times.append(NodeTime(operators or (LAYOUT,), places, kernels[name], tuple(spent)))
            found.append(times)
        return [times for times in found if times]


def _events(path: Path) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of every run of each node, and its kernel, by the node's name, from ONNX Runtime's file."""
    durations: dict[str, list[float]] = {}
    kernels: dict[str, str] = {}
    for event in json.loads(path.read_bytes()):
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            node = name.removesuffix(_KERNEL)
            durations.setdefault(node, []).append(event["dur"] / 1e6)
            kernels[node] = event.get("args", {}).get("op_name", "")
    return durations, kernels


def _covered(model: SegmentModel, before: Sequence[ReadNode], place: Path) -> dict[str, tuple[str, ...]]:
    """The labels of the graph nodes that each node of the optimised model stands for; empty without that model."""
    with contextlib.suppress(OSError, IndexError, UnicodeDecodeError):
        optimised = read_nodes((place / "model.onnx").read_bytes())
        return origins(before, optimised, {name for name, _ in model.inputs})
    return {}


def _absorbed(model: SegmentModel, before: Sequence[ReadNode]) -> dict[str, tuple[str, ...]]:
    """For each label, the graph nodes whose work its ONNX nodes do: its own, and those before it that have none.

    A lowering may take what comes before a node into its own: the one of a quantisation makes one integer kernel of the
    whole layer. What is computed from weights alone is no work of a call.
    """
    present = {node.label for node in before}
    makers = {value: label for label, node in model.labels.items() for value in node.outputs}
    given = {value for _, value in model.inputs}
    live: set[str] = set()
    for label, node in model.labels.items():
        if not any(True for _ in node.inputs()) or any(v in given or makers.get(v) in live for v in node.inputs()):
            live.add(label)
    found = {}
    for label in model.labels:
        nodes, waiting = set[str](), [label]
        while waiting:
            each = waiting.pop()
            nodes.add(each)
            taken = (makers.get(value) for value in model.labels[each].inputs())
            waiting += [maker for maker in taken if maker in live and maker not in present and maker not in nodes]
        found[label] = tuple(nodes)
    return found


def _number(label: str) -> int:
    return int(label[1:])
