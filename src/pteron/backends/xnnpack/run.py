"""run: an expanded payload on the reference kernels, compiled once to a list of closures.

It computes what the graph's nodes say with two differences: quantised layers are computed in integers and rounded as
XNNPACK rounds them (:mod:`.integer`), and what depends on constants only is computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.backends.xnnpack import integer
from pteron.errors import KernelError
from pteron.graph.ir import Graph, Node, Operand, Return, TensorType, Value, values_in
from pteron.ops.invoke import default_value
from pteron.ops.registry import REGISTRY, Operator, Registry

Array = NDArray[Any]
Step = Callable[[list[Any]], None]

FOLD_LIMIT = 256 << 20
"""Bytes of prepared weights that are kept for one payload; more are prepared in every call."""
_VIEWS = frozenset(("aten::permute_copy", "aten::view_copy"))


class CompiledGraph:
    """A graph of one block without state, ready to run; call it with one array per input."""

    def __init__(self, graph: Graph, operators: Registry = REGISTRY) -> None:
        self._operators = operators
        self._slots: dict[Value, int] = {}
        self._initial: list[Any] = []
        self._known: dict[Value, Array] = {}
        self._left = FOLD_LIMIT
        self._inputs = [self._slot(value) for value in graph.inputs]
        for constant in graph.constants:
            self._remember(constant.value, constant.data)
        block = graph.entry
        assert isinstance(block.terminator, Return)
        results = [value for operand in block.terminator.values for value in values_in(operand)]
        uses = Counter(value for node in block.nodes for value in node.inputs())
        uses.update(results)
        unchanging = _constant_values(graph)
        self._layers = integer.find_layers(block.nodes, uses, unchanging)
        self._names: list[str] = []
        self._steps = self._compile(_needed(block.nodes, results, self._layers), results)
        self._outputs = [self._slots[value] for value in results]

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """The results for these inputs. Raises ``KernelError`` for what a kernel refuses."""
        slots = self._initial.copy()
        for slot, array in zip(self._inputs, inputs, strict=True):
            slots[slot] = array
        with np.errstate(all="ignore"):
            for number, step in enumerate(self._steps):
                try:
                    step(slots)
                except KernelError as error:
                    raise KernelError(f"{self._names[number]}: {error}") from error
        return [slots[slot] for slot in self._outputs]

    def _slot(self, value: Value) -> int:
        slot = self._slots.get(value)
        if slot is None:
            slot = self._slots[value] = len(self._initial)
            self._initial.append(None)
        return slot

    def _remember(self, value: Value, array: Array) -> None:
        self._known[value] = array
        self._initial[self._slot(value)] = array

    def _compile(self, nodes: list[Node], results: list[Value]) -> list[Step]:
        plans: list[tuple[Node, Step, list[Value]]] = []
        for node in nodes:
            layer = self._layers.get(node)
            if layer is not None:
                plans.append((node, layer.step(self._known, self._slot, self._operators), layer.inputs))
            elif not self._fold(node):
                plans.append((node, self._step(node), list(node.inputs())))
        return self._with_releases(plans, results)

    def _with_releases(self, plans: list[tuple[Node, Step, list[Value]]], results: list[Value]) -> list[Step]:
        """Steps that let go of each array after its last use."""
        kept = set(results) | set(self._known)
        last = {value: number for number, (_, _, inputs) in enumerate(plans) for value in inputs}
        steps = []
        for number, (node, step, inputs) in enumerate(plans):
            dead = [self._slots[v] for v in dict.fromkeys(inputs) if last[v] == number and v not in kept]
            steps.append(_releasing(step, dead) if dead else step)
            self._names.append(node.source or node.op)
        return steps

    def _fold(self, node: Node) -> bool:
        """Compute a node of constants now; False where it has to be computed in every call."""
        inputs = list(node.inputs())
        if not inputs or any(value not in self._known for value in inputs) or len(node.outputs) != 1:
            return False
        type = node.output.type
        if not isinstance(type, TensorType):
            return False
        fits = type.nbytes <= self._left
        if not fits and node.op not in _VIEWS:
            return False
        slot = self._slot(node.output)
        scratch = self._initial.copy()
        with np.errstate(all="ignore"):
            self._step(node)(scratch)
        array = scratch[slot]
        if fits and not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        if not any(np.shares_memory(array, self._known[value]) for value in inputs):
            self._left -= array.nbytes
        self._remember(node.output, array)
        return True

    def _step(self, node: Node) -> Step:
        if node.op == integer.CHOOSE_QPARAMS:
            source, (scales, zeros) = self._slot(next(node.inputs())), map(self._slot, node.outputs)

            def choose(slots: list[Any]) -> None:
                slots[scales], slots[zeros] = integer.choose_qparams(slots[source])

            return choose
        operator = self._operators.by_functional(node.op)
        if operator is None:
            raise KernelError(f"{node.op}: there is no such operator")
        return _kernel_step(operator, node, self._slot)


def _constant_values(graph: Graph) -> set[Value]:
    """Values that are the same in every call."""
    constant = {c.value for c in graph.constants}
    for node in graph.entry.nodes:
        inputs = list(node.inputs())
        if inputs and constant.issuperset(inputs):
            constant.update(node.outputs)
    return constant


def _needed(nodes: list[Node], results: list[Value], layers: dict[Node, integer.Layer]) -> list[Node]:
    """The nodes whose results something reads, where layers read stored values themselves."""
    read = set(results)
    needed = []
    for node in reversed(nodes):
        if read.isdisjoint(node.outputs):
            continue
        needed.append(node)
        layer = layers.get(node)
        if layer is None:
            read.update(node.inputs())
        else:
            read.update((*layer.inputs, *layer.constants))
    return needed[::-1]


def _releasing(step: Step, dead: list[int]) -> Step:
    def released(slots: list[Any]) -> None:
        step(slots)
        for slot in dead:
            slots[slot] = None

    return released


def _kernel_step(operator: Operator, node: Node, slot_of: Callable[[Value], int]) -> Step:
    """Calls a kernel: constants of the call are bound, values are read from their slots."""
    kernel = operator.kernel
    first = node.outputs[0].type
    bound: dict[str, Any] = {"rng": None, "out_dtype": first.dtype if isinstance(first, TensorType) else None}
    read: list[tuple[str, int]] = []
    read_lists: list[tuple[str, list[Any]]] = []
    for argument in operator.functional.arguments:
        if argument.name not in node.operands:
            bound[argument.name] = None if argument.default is None else default_value(argument.default)
            continue
        operand = node.operands[argument.name]
        if isinstance(operand, Value):
            read.append((argument.name, slot_of(operand)))
        elif isinstance(operand, list) and any(isinstance(item, Value) for item in operand):
            read_lists.append((argument.name, [_item(item, slot_of) for item in operand]))
        else:
            bound[argument.name] = operand
    bound = {name: value for name, value in bound.items() if name in operator.parameters}
    read = [(name, slot) for name, slot in read if name in operator.parameters]
    targets = [(slot_of(value), _dtype(value)) for value in node.outputs]

    def step(slots: list[Any]) -> None:
        arguments = bound.copy()
        for name, slot in read:
            arguments[name] = slots[slot]
        for name, items in read_lists:
            arguments[name] = [slots[item.slot] if type(item) is _Slot else item for item in items]
        result = kernel(**arguments)
        if len(targets) == 1:
            result = (result,)
        for (slot, dtype), array in zip(targets, result, strict=True):
            slots[slot] = array if dtype is None or array.dtype == dtype else array.astype(dtype)

    return step


class _Slot:
    """An item of a list that is read from a slot."""

    __slots__ = ("slot",)

    def __init__(self, slot: int) -> None:
        self.slot = slot


def _item(item: Operand, slot_of: Callable[[Value], int]) -> Any:
    return _Slot(slot_of(item)) if isinstance(item, Value) else item


def _dtype(value: Value) -> np.dtype[Any] | None:
    return value.type.dtype if isinstance(value.type, TensorType) else None
