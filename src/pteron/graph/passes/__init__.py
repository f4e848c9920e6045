"""Passes: rewrites of a graph in place, each a function ``run(graph) -> bool`` that says whether anything changed.

A pass keeps what the graph means: its outputs and states are the same bit for bit, except that a reduction whose input
is turned may add in another order (``transposes``), and so may one that reads another memory layout (``no_ops``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pteron.graph.ir import Graph
from pteron.graph.passes import common, dead_code, fold, no_ops, quantization, transposes, unsigned, views

Pass: TypeAlias = Callable[[Graph], bool]

DEFAULT_PASSES: tuple[Pass, ...] = (
    dead_code.run,
    fold.run,
    no_ops.run,
    views.run,
    common.run,
    transposes.run,
    quantization.run,
)

_MAX_ROUNDS = 20


def run_passes(graph: Graph, passes: Sequence[Pass] = DEFAULT_PASSES) -> bool:
    """Run the passes in turn until none of them changes anything; whether any did."""
    changed = False
    for _ in range(_MAX_ROUNDS):
        # Every pass runs in every round.
        results = [each(graph) for each in passes]
        if not any(results):
            break
        changed = True
    return dead_code.run(graph) or changed


__all__ = [
    "DEFAULT_PASSES",
    "Pass",
    "common",
    "dead_code",
    "fold",
    "no_ops",
    "quantization",
    "run_passes",
    "transposes",
    "unsigned",
    "views",
]
