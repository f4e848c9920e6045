"""Value, Node, Block, Graph: one method as functional ATen operators.

    graph forward(%in0: float32[1, 3, 8, 8]) {
      constant %weight: float32[4, 3, 3, 3]
      state %cache: float32[1, 16]
    block0:
      %1: float32[1, 4, 6, 6] = aten::convolution(input=%in0, weight=%weight, bias=None, stride=[1, 1], …)
      …
      return %1 states %3
    }

* Every value is defined once: by a node, as a graph input, a constant, a state or a block parameter. A value is a
  tensor (``type`` a :class:`TensorType`) or a Python scalar (``type`` is ``"int"``, ``"float"``, ``"bool"``).
* A node calls a *functional* operator (``aten::add.Tensor``): no out arguments, no memory plan. An operator that
  changes an argument in place has one more result for each argument it writes, after its own results.
* A node's output has the type that the program gave its out tensor, and the operator's result is *stored* into it: it
  takes the result's sizes where it is dynamic, and converts the elements where the operator computes another dtype
  (``add`` of two int64 into float32). An engine whose operators choose the dtype must convert in those places. The
  output's dtype also stands for a ``dtype`` argument that the program left away (``full``, ``arange``, ``_to_copy``).
* ``delegate::<id>`` is no operator but a call of delegate number ``delegate`` with ``args``; its outputs are what the
  arguments at the positions that ``written`` lists hold afterwards. None in ``args`` is memory without content.
* A block is straight-line code with parameters and a terminator; a method without jumps is one block.
* State is explicit: ``State.value`` is what the call starts with, ``Return.states`` what it leaves for the next one.

The graph is edited in place by passes; :func:`pteron.graph.check.check_graph` says whether it still holds together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from pteron.format.scalar_type import ScalarType

ScalarKind: TypeAlias = Literal["int", "float", "bool"]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and shape of a tensor.

    ``shape`` gives each dimension's upper bound; ``dynamic`` says that sizes may be smaller at run time (of which
    dimensions a file does not say). ``dim_order`` lists dimensions from outermost to innermost in memory; it matters
    at the graph's boundary and to ``dim_order_ops``, not to the operators' results.
    """

    scalar_type: ScalarType
    shape: tuple[int, ...]
    dynamic: bool = False
    dim_order: tuple[int, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of the elements."""
        return self.scalar_type.dtype

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def contiguous(self) -> bool:
        """Whether memory order is the order of the dimensions."""
        return not self.dim_order or self.dim_order == tuple(range(len(self.shape)))

    @property
    def nbytes(self) -> int:
        """Bytes at the upper bound."""
        return math.prod(self.shape) * self.scalar_type.itemsize

    def __str__(self) -> str:
        mark = "≤" if self.dynamic else ""
        order = "" if self.contiguous else f" order {list(self.dim_order)}"
        return f"{self.scalar_type.torch_name}[{', '.join(f'{mark}{n}' for n in self.shape)}]{order}"


@dataclass(eq=False, slots=True)
class Value:
    """One SSA value; ``producer`` is the node that defines it, None for inputs, constants, states and parameters."""

    name: str
    type: TensorType | ScalarKind
    producer: Node | None = None

    @property
    def is_tensor(self) -> bool:
        return isinstance(self.type, TensorType)

    @property
    def tensor_type(self) -> TensorType:
        """The type of a tensor value; raises TypeError for a scalar."""
        if not isinstance(self.type, TensorType):
            raise TypeError(f"%{self.name} is {self.type}, not a tensor")
        return self.type

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


# An argument: a value, a Python constant, or a list of them (None inside a list is an absent tensor).
Operand: TypeAlias = Union[Value, int, float, bool, str, list["Operand"], None]  # noqa: UP007 - recursive


@dataclass(eq=False, slots=True)
class Node:
    """One call of a functional operator.

    ``op`` is the functional schema's name (``aten::add.Tensor``, no dot where the overload is empty). ``operands``
    are by argument name, defaults left away or given. ``outputs``: the results, then one value for each written
    argument. ``source`` says where it comes from (``instruction 12``), for messages and profiles.
    """

    op: str
    operands: dict[str, Operand]
    outputs: list[Value]
    source: str = ""

    def __post_init__(self) -> None:
        for value in self.outputs:
            value.producer = self

    @property
    def output(self) -> Value:
        """The only result."""
        (value,) = self.outputs
        return value

    def inputs(self) -> Iterator[Value]:
        """Every value among the operands, lists included."""
        for operand in self.operands.values():
            yield from values_in(operand)

    def replace_input(self, old: Value, new: Operand) -> None:
        """Put ``new`` wherever ``old`` is used."""
        for name, operand in self.operands.items():
            self.operands[name] = replaced(operand, old, new)


def values_in(operand: Operand) -> Iterator[Value]:
    """The values in an operand."""
    if isinstance(operand, Value):
        yield operand
    elif isinstance(operand, list):
        for item in operand:
            yield from values_in(item)


def replaced(operand: Operand, old: Value, new: Operand) -> Operand:
    """The operand with ``new`` in the place of ``old``."""
    if operand is old:
        return new
    if isinstance(operand, list):
        return [replaced(item, old, new) for item in operand]
    return operand


@dataclass(slots=True)
class Return:
    """Ends the method; ``values`` are its outputs (values or Python constants) in order.

    ``states`` are what each of ``Graph.states`` is left with, in their order.
    """

    values: list[Operand]
    states: list[Operand] = field(default_factory=list)


@dataclass(slots=True)
class Jump:
    """Go on at ``target`` with ``arguments`` for its parameters."""

    target: Block
    arguments: list[Operand] = field(default_factory=list)


@dataclass(slots=True)
class Branch:
    """Go on at ``if_true`` or ``if_false`` (each a Jump) by ``condition``.

    The condition is a bool, or a bool tensor all of whose elements must be true.
    """

    condition: Operand
    if_true: Jump
    if_false: Jump


Terminator: TypeAlias = Return | Jump | Branch


@dataclass(eq=False, slots=True)
class Block:
    """Straight-line code: ``parameters`` are defined on entry, ``terminator`` says what comes next."""

    name: str
    parameters: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    terminator: Terminator = field(default_factory=lambda: Return([]))


@dataclass(eq=False, slots=True)
class Constant:
    """A weight: ``data`` is a read-only view into the file (or into memory, for folded constants).

    ``offset`` is where its bytes start in ``file`` (a .pte, .bpte or .ptd), in the order that ``value.type.dim_order``
    says, so that an engine can map them; None for data that is in no file.
    """

    value: Value
    data: NDArray[Any]
    file: str = ""
    offset: int | None = None


@dataclass(eq=False, slots=True)
class State:
    """Mutable state: ``value`` at the start of a call; ``initial`` is its content when loaded (None: zeros).

    ``memory`` is the memory id and byte offset of planned state: methods that share planned buffers share the state
    that both have there. ``shared`` says that other methods see it, so that it is needed even where this one does not
    read it.
    """

    value: Value
    initial: NDArray[Any] | int | float | bool | None = None
    memory: tuple[int, int] | None = None
    shared: bool = False


@dataclass(eq=False, slots=True)
class Graph:
    """One method. ``blocks[0]`` is the entry; inputs, constants and states are visible in every block.

    ``inputs`` are the method's tensor inputs in order; its scalar inputs were fixed when it was exported and are
    constants of the nodes.
    """

    name: str
    inputs: list[Value] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    _names: set[str] = field(default_factory=set, repr=False)

    @property
    def entry(self) -> Block:
        return self.blocks[0]

    def nodes(self) -> Iterator[Node]:
        """Every node, block by block."""
        for block in self.blocks:
            yield from block.nodes

    def value(self, type: TensorType | ScalarKind, name: str = "") -> Value:
        """A new value with a name unique in this graph, made from ``name`` or a number."""
        base = name or str(len(self._names))
        unique = base
        suffix = 0
        while unique in self._names:
            suffix += 1
            unique = f"{base}_{suffix}"
        self._names.add(unique)
        return Value(unique, type)

    def constant(self, data: NDArray[Any], type: TensorType, name: str = "const", **place: Any) -> Value:
        """A new constant; ``place`` is ``file`` and ``offset`` where the data lies in a file."""
        value = self.value(type, name)
        self.constants.append(Constant(value, data, **place))
        return value

    def __str__(self) -> str:
        from pteron.graph.printer import print_graph

        return print_graph(self)


def terminator_operands(terminator: Terminator) -> Iterator[Operand]:
    """Every operand that a terminator uses."""
    match terminator:
        case Return():
            yield from terminator.values
            yield from terminator.states
        case Jump():
            yield from terminator.arguments
        case Branch():
            yield terminator.condition
            yield from terminator.if_true.arguments
            yield from terminator.if_false.arguments
