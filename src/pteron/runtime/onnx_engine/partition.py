"""Divides a block into segments: runs of nodes for ONNX Runtime, and single nodes for reference kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pteron.graph.ir import Block, Node, Value

Segment = list[Node]


def partition(block: Block, supported: Callable[[Node], bool]) -> list[tuple[bool, Segment]]:
    """Segments in an order to run them in; True marks those for ONNX Runtime.

    Nodes are moved as far as data dependencies allow, so that supported ones make few, large segments: those that can
    run are taken until none is left, then the unsupported ones that can, and so on. Unsupported nodes keep their
    order among themselves, as random ones must.
    """
    waiting: dict[bool, list[Node]] = {True: [], False: []}
    for node in block.nodes:
        waiting[supported(node)].append(node)
    pending = {id(value) for node in block.nodes for value in node.outputs}
    segments: list[tuple[bool, Segment]] = []
    while waiting[True] or waiting[False]:
        for fast in (True, False):
            taken, waiting[fast] = _ready(waiting[fast], pending, in_order=not fast)
            if taken and fast:
                segments.append((True, taken))
            else:
                segments += [(False, [node]) for node in taken]
    return segments


def _ready(nodes: Sequence[Node], pending: set[int], *, in_order: bool) -> tuple[list[Node], list[Node]]:
    """The nodes whose inputs are there (or come from nodes taken before), and the rest; updates ``pending``."""
    taken: list[Node] = []
    left: list[Node] = []
    for node in nodes:
        if (in_order and left) or any(id(value) in pending for value in node.inputs()):
            left.append(node)
            continue
        taken.append(node)
        pending.difference_update(id(value) for value in node.outputs)
    return taken, left


def outputs_of(segment: Segment, needed: set[Value]) -> list[Value]:
    """What a segment must give: values that are needed outside of it."""
    return [value for node in segment for value in node.outputs if value in needed]


def inputs_of(segment: Segment) -> list[Value]:
    """What a segment takes from outside, each value once."""
    inside = {value for node in segment for value in node.outputs}
    return list(dict.fromkeys(value for node in segment for value in node.inputs() if value not in inside))
