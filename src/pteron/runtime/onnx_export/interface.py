"""What an exported model looks like from outside: ports, states, and names that nothing else has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pteron.ops.lowering.model_bytes import GraphRecord, NodeRecord


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of an ONNX model.

    ``dtype`` is the element type as NumPy names it; bfloat16 of the program is float32 here. ``shape`` has a name for
    each dimension that may vary, ``bound`` its upper bounds.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    bound: tuple[int, ...]

    def __str__(self) -> str:
        sizes = (
            f"{size}≤{most}" if isinstance(size, str) else str(size)
            for size, most in zip(self.shape, self.bound, strict=True)
        )
        return f"{self.dtype}[{', '.join(sizes)}]"


@dataclass(frozen=True, slots=True)
class StatePort:
    """A mutable buffer: what a call leaves in output ``next`` is given to the next call as ``input``.

    ``initial`` is ``zeros`` (an array of zeros is given to the first call) or ``default`` (the content in the program
    is the input's default, and the first call may leave it away). ``shared``: the models of other methods have it
    too, under the same name.
    """

    input: Port
    next: str
    initial: Literal["zeros", "default"]
    shared: bool = False


class Names:
    """Hands out names, each once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str) -> str:
        """The name wanted, or the first free one with a number behind it."""
        name, number = wanted, 0
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def renamed(graph: GraphRecord, names: dict[str, str], taken: Names) -> GraphRecord:
    """The graph under readable names: those of ``names``, and for everything inside its own or a free one."""
    for weight in graph.weights:
        if weight.name not in names:
            names[weight.name] = taken.take(weight.name.removeprefix("v."))
    for node in graph.every_node():
        for name in node.outputs:
            if name and name not in names:
                names[name] = taken.take(name)
        for branch in node.branches():
            for value in branch.outputs:
                names.setdefault(value.name, value.name)
    return _renamed(graph, names)


def _renamed(graph: GraphRecord, names: dict[str, str]) -> GraphRecord:
    def each(given: Iterable[str]) -> list[str]:
        return [names.get(name, name) for name in given]

    def node(record: NodeRecord) -> NodeRecord:
        attributes = {
            key: _renamed(value, names) if isinstance(value, GraphRecord) else value
            for key, value in record.attributes.items()
        }
        return replace(record, inputs=each(record.inputs), outputs=each(record.outputs), attributes=attributes)

    return replace(
        graph,
        nodes=[node(record) for record in graph.nodes],
        inputs=[replace(value, name=names.get(value.name, value.name)) for value in graph.inputs],
        outputs=[replace(value, name=names.get(value.name, value.name)) for value in graph.outputs],
        weights=[replace(weight, name=names.get(weight.name, weight.name)) for weight in graph.weights],
    )
