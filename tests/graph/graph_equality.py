"""Holds a lifted graph to the reference engine: the same calls on both, state from call to call, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pteron.errors import PteronError, UnsupportedError
from pteron.format.program import Program
from pteron.graph.check import check_graph
from pteron.graph.evaluate import evaluate, initial_state
from pteron.graph.ir import Graph
from pteron.graph.lift import lift
from pteron.ops import REGISTRY, Schema
from pteron.runtime.module import load

SEED = 7


@dataclass
class Compared:
    """``equal_calls`` came out the same; ``failed_calls`` raised on both.

    ``different`` says which outputs did not agree, ``raised`` what only the graph could not do.
    """

    refused: str = ""
    different: str = ""
    raised: str = ""
    equal_calls: int = 0
    failed_calls: int = 0
    graphs: dict[str, Graph] = field(default_factory=dict)


def schema_of(name: str) -> Schema | None:
    """The schema of a functional operator."""
    operator = REGISTRY.by_functional(name)
    return operator.functional if operator else None


def same(a: Any, b: Any) -> bool:
    """Whether two outputs are of one type and equal in every bit."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return type(a) is type(b) and (a == b or a != a)


class GraphModule:
    """Evaluates the graphs of a program's methods; state that methods share is shared, as the engine does."""

    def __init__(self, graphs: Mapping[str, Graph], shared: frozenset[int]) -> None:
        self.graphs = graphs
        self.shared = shared
        self._states = {name: initial_state(graph) for name, graph in graphs.items()}
        self._pool: dict[tuple[int, int], Any] = {}
        self._rngs = {name: np.random.default_rng(SEED) for name in graphs}

    def call(self, name: str, inputs: Sequence[Any]) -> list[Any]:
        graph, state = self.graphs[name], self._states[name]
        places = [s.memory if s.memory and s.memory[0] in self.shared else None for s in graph.states]
        given = [self._pool.get(place, old) if place else old for place, old in zip(places, state, strict=True)]
        outputs, new = evaluate(graph, inputs, given, rng=self._rngs[name], max_steps=1000)
        self._states[name] = new
        self._pool.update((place, content) for place, content in zip(places, new, strict=True) if place)
        return outputs


def compare(program: Program, calls: Sequence[Sequence[Any]]) -> Compared:
    """Runs ``forward`` on both for each list of inputs."""
    result = Compared()
    module = load(program, seed=SEED, engine="reference")
    try:
        result.graphs["forward"] = graph = lift(program, "forward")
    except UnsupportedError as error:
        result.refused = str(error)
        return result
    check_graph(graph, schema_of)
    evaluated = GraphModule(result.graphs, frozenset())
    for number, inputs in enumerate(calls):
        try:
            expected: list[Any] | PteronError = module["forward"](*inputs)
        except PteronError as error:
            expected = error
        try:
            actual: list[Any] | PteronError = evaluated.call("forward", inputs)
        except PteronError as error:
            actual = error
        if isinstance(expected, PteronError):
            # After an error the runtime's memory is half written, and nothing more can be compared.
            result.failed_calls += 1
            break
        if isinstance(actual, PteronError):
            result.raised = f"call {number}: {actual}\n{graph}"
            break
        if not all(map(same, expected, actual)):
            result.different = f"call {number}: {actual} instead of {expected}\n{graph}"
            break
        result.equal_calls += 1
    return result
