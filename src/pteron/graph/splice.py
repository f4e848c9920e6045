"""splice: a piece of graph in the place of one instruction; everything else of the plan stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.schema import InstructionArguments, TensorShapeDynamism
from pteron.graph.build import Builder
from pteron.graph.constant_pool import ConstantPool
from pteron.graph.emit import Emitter
from pteron.graph.ir import Block, Graph, Operand, TensorType, Value
from pteron.graph.plan_edit import PlanEdit
from pteron.ops.registry import REGISTRY, Registry


class Piece:
    """What takes the place of one instruction: a graph under construction over values of the plan.

    ``builder`` appends nodes; :meth:`read` gives what the plan's value holds before them, :meth:`emit` turns all of it
    into instructions. Kernels take operands of one dim order, so a tensor with one of its own is read and written under
    the sizes that it has in memory, with a permutation beside. Temporary tensors lie behind all memory that the plan
    uses, and pieces of one plan share that room: none of them is alive outside of its piece.
    """

    def __init__(self, edit: PlanEdit, pool: ConstantPool, place: str, start: int) -> None:
        self.edit, self.place = edit, place
        self.graph = Graph("piece", blocks=[Block("block0")])
        self.builder = Builder(self.graph, self.graph.entry)
        self._pool, self._start = pool, start
        self._read: dict[int, Value] = {}
        self._turned: dict[int, Value] = {}

    def read(self, index: int) -> Operand:
        """The plan's value: a graph value for a tensor, a Python constant or a list of these for anything else.

        Raises ``UnsupportedError`` for a number that the program computes or is given.
        """
        if index in self.edit.computed:
            raise UnsupportedError(f"{self.place}: value {index} is a number that is known at run time only")
        match self.edit.val(index):
            case schema.Tensor() as tensor:
                return self._tensor(index, tensor)
            case schema.Int(number):
                return number
            case schema.Double(real):
                return real
            case schema.Bool(truth):
                return truth
            case schema.String(text):
                return text or ""
            case schema.Null():
                return None
            case schema.IntList(items):
                return [self.read(item) for item in items or ()]
            case schema.DoubleList(reals):
                return list(reals or ())
            case schema.BoolList(truths):
                return list(truths or ())
            case schema.TensorList(items) | schema.OptionalTensorList(items):
                return [None if item == -1 else self.read(item) for item in items or ()]
            case _:
                raise UnsupportedError(f"{self.place}: value {index} is empty")

    def type(self, index: int) -> TensorType:
        """The type of the plan's tensor; raises ``UnsupportedError`` for anything else."""
        tensor = self.edit.val(index)
        if not isinstance(tensor, schema.Tensor):
            raise UnsupportedError(f"{self.place}: value {index} is no tensor")
        return tensor_type(tensor)

    def emit(self, results: Mapping[int, Value], operators: Registry = REGISTRY) -> list[InstructionArguments]:
        """The instructions; ``results`` are the values that the plan's tensors hold afterwards, by their index."""
        emitter = Emitter(self.edit, self.graph, self._pool, self.place, operators)
        for index, value in self._read.items():
            emitter.bind(value, index)
        turned = {self._stored(index): self._in_order(index, value) for index, value in results.items()}
        bound: set[Value] = set(self._read.values()) | {constant.value for constant in self.graph.constants}
        copies: list[tuple[int, Value]] = []
        for index, value in turned.items():
            wanted = self.type(index)
            direct = value not in bound and value.producer is not None
            if direct and _same_memory(value.tensor_type, wanted):
                emitter.bind(value, index)
                bound.add(value)
            else:
                copies.append((index, value))
        emitter.nodes(self.graph.nodes())
        for index, value in copies:
            emitter.copy(value, index)
        emitter.plan(start=self._start)
        return emitter.instructions

    def _stored(self, index: int) -> int:
        """A tensor over the same memory in plain dim order; raises ``UnsupportedError`` where there can be none."""
        stored = self.edit.as_stored(index)
        if stored is None:
            raise UnsupportedError(
                f"{self.place}: value {index} has a dim order of its own, and is dynamic or not memory planned"
            )
        return stored

    def _in_order(self, index: int, value: Value) -> Value:
        """The value as it lies in the memory of the plan's tensor."""
        order = self.type(index).dim_order
        return self._permuted(value, order) if order else value

    def _permuted(self, value: Value, dims: Sequence[int]) -> Value:
        type = value.tensor_type
        sizes = tuple(type.shape[dim] for dim in dims)
        operands: dict[str, Operand] = {"self": value, "dims": list(dims)}
        return self.builder.call("aten::permute_copy", operands, TensorType(type.scalar_type, sizes, type.dynamic))

    def _tensor(self, index: int, tensor: schema.Tensor) -> Value:
        order = tensor_type(tensor).dim_order
        if order:
            if index not in self._turned:
                stored = self._stored(index)
                value = self._tensor(stored, self.edit.val(stored))  # type: ignore[arg-type]
                self._turned[index] = self._permuted(value, [order.index(dim) for dim in range(len(order))])
            return self._turned[index]
        if index not in self._read:
            if tensor.shape_dynamism is TensorShapeDynamism.DYNAMIC_UNBOUND:
                raise UnsupportedError(f"{self.place}: value {index} has no upper bound")
            self._read[index] = self.graph.value(tensor_type(tensor), f"v{index}")
        return self._read[index]


Splice = Callable[[Piece, InstructionArguments], Mapping[int, Value] | None]
"""Appends to the piece what an instruction does and gives back the values of the tensors that it writes; None leaves
the instruction."""


def splice(edit: PlanEdit, pool: ConstantPool, place: str, make: Splice) -> int:
    """Put pieces in the place of instructions; the number of instructions replaced."""
    sizes = edit.buffer_sizes
    start = -(-(sizes[1] if len(sizes) > 1 else 0) // 16) * 16

    def change(instruction: InstructionArguments) -> Sequence[InstructionArguments] | None:
        piece = Piece(edit, pool, place, start)
        results = make(piece, instruction)
        return None if results is None else piece.emit(results)

    return edit.replace(change)


def tensor_type(tensor: schema.Tensor) -> TensorType:
    """The graph's type of a tensor of a plan."""
    sizes, order = tensor.sizes or (), tensor.dim_order or ()
    contiguous = order == tuple(range(len(sizes)))
    dynamic = tensor.shape_dynamism is not TensorShapeDynamism.STATIC
    return TensorType(tensor.scalar_type, sizes, dynamic, () if contiguous else order)


def _same_memory(made: TensorType, wanted: TensorType) -> bool:
    """Whether an operator can store its result straight into the tensor."""
    return made.scalar_type == wanted.scalar_type and made.dim_order == wanted.dim_order and made.shape == wanted.shape
