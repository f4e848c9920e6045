"""emit: nodes of a graph as instructions of an execution plan, with planned memory for what lies between them.

The inverse of lifting a block: a functional operator becomes a call of its out-variant, a scalar result a value that a
prim operator fills. Values that exist in the plan already (inputs of the piece, tensors to write its results to) are
bound first; every other tensor gets memory by :mod:`pteron.graph.memory_plan`, in one planned buffer behind what the
plan uses already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.schema import (
    AllocationDetails,
    EValue,
    InstructionArguments,
    KernelTypes,
    TensorShapeDynamism,
)
from pteron.graph.constant_pool import ConstantPool
from pteron.graph.ir import Constant, Graph, Node, Operand, TensorType, Value, values_in
from pteron.graph.memory_plan import ALIGNMENT, Request, plan_memory
from pteron.graph.plan_edit import PlanEdit
from pteron.ops.invoke import default_value
from pteron.ops.registry import REGISTRY, Registry
from pteron.ops.schema import Argument

_SCALARS: dict[str, KernelTypes] = {"int": schema.Int(0), "float": schema.Double(0.0), "bool": schema.Bool(False)}
_LOW = (1 << 32) - 1
VIEW = "aten::view_copy"


class Emitter:
    """Emits nodes into one plan.

    ``constants`` takes the data of constants. ``place`` is where the piece stands, for messages.
    """

    def __init__(
        self, edit: PlanEdit, graph: Graph, constants: ConstantPool, place: str, operators: Registry = REGISTRY
    ) -> None:
        self.edit, self.graph, self.place = edit, graph, place
        self.instructions: list[InstructionArguments] = []
        self._operators = operators
        self._pool = constants
        self._constants: dict[Value, Constant] = {constant.value: constant for constant in graph.constants}
        self._indices: dict[Value, int] = {}
        self._lifetimes: dict[Value, tuple[int, int]] = {}
        self._temporaries: list[Value] = []
        self._views: dict[Value, Value] = {}

    def bind(self, value: Value, index: int) -> None:
        """The value is the plan's value of that index: read from there, or written there by whoever makes it."""
        self._indices[value] = index

    def nodes(self, nodes: Iterable[Node]) -> None:
        """Append the nodes' calls."""
        for node in nodes:
            self.node(node)

    def node(self, node: Node) -> None:
        """Append one node's call; raises ``UnsupportedError`` for an operator that no plan can call."""
        operator = self._operators.by_functional(node.op)
        if operator is None:
            raise UnsupportedError(f"{self.place}: {node.op} cannot be called from a program")
        functional = {argument.name for argument in operator.functional.arguments}
        if any(argument.writes for argument in operator.functional.arguments):
            raise UnsupportedError(f"{self.place}: {node.op} changes its arguments in place")
        number = len(self.instructions)
        for value in node.inputs():
            self._use(value, number)
        if node.op == VIEW and self._view(node):
            return
        outs = [self._output(value, number) for value in node.outputs]
        args: list[int] = []
        pending = list(outs)
        for argument in operator.schema.arguments:
            if argument.name in functional:
                args.append(self._argument(node, argument))
            elif argument.type == "Tensor[]":
                args.append(self.edit.constant(schema.TensorList(tuple(pending))))
                pending = []
            else:
                args.append(pending.pop(0))
        if operator.schema.returns:
            args.append(self._result(operator.schema.returns, args, outs))
        self.instructions.append(self.edit.call(operator.name, args))

    def _result(self, returns: Sequence[Argument], args: list[int], outs: list[int]) -> int:
        """What a call lists for its return: the out tensor, the list of results, or the value that it fills."""
        if returns[0].type == "Tensor[]":
            return args[-1]
        return outs[0] if len(outs) == 1 else self.edit.constant(schema.TensorList(tuple(outs)))

    def copy(self, value: Operand, target: int) -> None:
        """Append a copy of a value into the tensor of that index."""
        if not isinstance(value, Value):
            raise UnsupportedError(f"{self.place}: {value!r} cannot be copied into a tensor")
        self._use(value, len(self.instructions))
        tensor = self.edit.val(target)
        nothing = self.edit.constant(schema.Null())
        source = self.index(value)
        if isinstance(tensor, schema.Tensor) and tensor.scalar_type != value.tensor_type.scalar_type:
            no = self.edit.constant(schema.Bool(False))
            self.instructions.append(self.edit.call("aten::_to_copy.out", (source, no, nothing, target, target)))
        else:
            self.instructions.append(self.edit.call("aten::clone.out", (source, nothing, target, target)))

    def plan(self, memory_id: int = 1, start: int | None = None) -> int:
        """Give every temporary its memory from byte ``start`` of a planned buffer on (behind it by default).

        Gives the end of what is taken; the buffer grows to it.
        """
        sizes = self.edit.buffer_sizes
        while len(sizes) <= memory_id:
            sizes.append(0)
        if start is None:
            start = -(-sizes[memory_id] // ALIGNMENT) * ALIGNMENT
        tensors = [value for value in self._temporaries if value.is_tensor]
        requests = [Request(value.tensor_type.nbytes, *self._lifetimes[value]) for value in tensors]
        planned = plan_memory(requests)
        for value, offset in zip(tensors, planned.offsets, strict=True):
            index = self._indices[value]
            tensor = self.edit.val(index)
            assert isinstance(tensor, schema.Tensor)
            at = start + offset
            details = AllocationDetails(memory_id, at & _LOW, at >> 32)
            self.edit.values[index] = EValue(dataclasses.replace(tensor, allocation_info=details))
        for view, value in self._views.items():
            tensor, root = self.edit.val(self._indices[view]), self.edit.val(self._indices[value])
            assert isinstance(tensor, schema.Tensor)
            assert isinstance(root, schema.Tensor)
            same = dataclasses.replace(tensor, allocation_info=root.allocation_info)
            self.edit.values[self._indices[view]] = EValue(same)
        end = start + planned.size
        sizes[memory_id] = max(sizes[memory_id], end)
        return end

    def keep(self, value: Value, first: int, last: int) -> None:
        """The value is alive at least from one instruction to another."""
        value = self._views.get(value, value)
        known = self._lifetimes.get(value, (first, last))
        self._lifetimes[value] = (min(known[0], first), max(known[1], last))

    def index(self, value: Value) -> int:
        """The plan's index of a value that is bound, made before, or a constant."""
        if value not in self._indices:
            constant = self._constants.get(value)
            if constant is None:
                raise UnsupportedError(f"{self.place}: %{value.name} is used before it is made")
            self._indices[value] = self.edit.constant(self._constant_tensor(constant))
        return self._indices[value]

    def temporary(self, value: Value, first: int) -> int:
        """The index of a new tensor or scalar for a value that is alive from instruction ``first`` on."""
        type = value.type
        if isinstance(type, TensorType):
            self._indices[value] = self.edit.add(tensor_record(type))
        else:
            self._indices[value] = self.edit.add(_SCALARS[type])
        self._temporaries.append(value)
        self.keep(value, first, first)
        return self._indices[value]

    def _constant_tensor(self, constant: Constant) -> schema.Tensor:
        type = constant.value.tensor_type
        order = type.dim_order or tuple(range(type.rank))
        if not type.nbytes:
            raise UnsupportedError(f"{self.place}: a constant without elements has no place in a program")
        number = self._pool.add(constant.data.transpose(order))
        return dataclasses.replace(tensor_record(type), data_buffer_idx=number)

    def _output(self, value: Value, number: int) -> int:
        if value in self._indices:
            return self._indices[value]
        return self.temporary(value, number)

    def _view(self, node: Node) -> bool:
        """Make the result of a view a second name for its source's memory, as exporters do; whether that is possible.

        Nothing writes to a temporary once it is made, so both names mean the same bytes.
        """
        source, view = node.operands["self"], node.output
        if not isinstance(source, Value) or view in self._indices:
            return False
        source = self._views.get(source, source)
        types = source.tensor_type, view.tensor_type
        if source.producer is None or source not in self._lifetimes:
            return False
        if any(type.dynamic or not type.contiguous for type in types) or types[0].scalar_type != types[1].scalar_type:
            return False
        self._indices[view] = self.edit.add(tensor_record(types[1]))
        self._views[view] = source
        return True

    def _use(self, value: Value, number: int) -> None:
        value = self._views.get(value, value)
        if value in self._lifetimes:
            self.keep(value, number, number)

    def _argument(self, node: Node, argument: Argument) -> int:
        if argument.name in node.operands:
            operand = node.operands[argument.name]
        elif argument.default is not None:
            operand = default_value(argument.default)
        else:
            raise UnsupportedError(f"{self.place}: {node.op} is called without {argument.name}")
        return self._value(operand, argument.type)

    def _value(self, operand: Any, kind: str) -> int:
        """The index of an argument of that schema type."""
        edit = self.edit
        match operand:
            case Value():
                return self.index(operand)
            case None:
                return edit.constant(schema.Null())
            case str():
                return edit.constant(schema.String(operand))
            case list():
                return self._list(operand, kind)
            case bool():
                return edit.constant(schema.Int(int(operand)) if kind.startswith("int") else schema.Bool(operand))
            case int():
                if kind.startswith("float"):
                    return edit.constant(schema.Double(float(operand)))
                return self._value([operand], kind) if "[]" in kind else edit.constant(schema.Int(operand))
            case float():
                return edit.constant(schema.Double(operand))
        raise UnsupportedError(f"{self.place}: {operand!r} cannot be an argument")

    def _list(self, items: list[Any], kind: str) -> int:
        edit = self.edit
        if kind.startswith("Tensor"):
            indices = tuple(-1 if item is None else self.index(item) for item in items)
            return edit.constant(
                schema.OptionalTensorList(indices) if kind.startswith("Tensor?") else schema.TensorList(indices)
            )
        if any(isinstance(item, Value) for item in items) and not kind.startswith("int"):
            raise UnsupportedError(f"{self.place}: a list of {kind} holds values that are computed")
        if kind.startswith("float"):
            return edit.constant(schema.DoubleList(tuple(float(item) for item in items)))
        if kind.startswith("bool"):
            return edit.constant(schema.BoolList(tuple(bool(item) for item in items)))
        return edit.constant(schema.IntList(tuple(self._value(item, "int") for item in items)))


def tensor_record(type: TensorType) -> schema.Tensor:
    """The record of a tensor of that type, without memory."""
    return schema.Tensor(
        scalar_type=type.scalar_type,
        sizes=type.shape,
        dim_order=type.dim_order or tuple(range(type.rank)),
        shape_dynamism=TensorShapeDynamism.DYNAMIC_BOUND if type.dynamic else TensorShapeDynamism.STATIC,
    )


def values_of(operands: Iterable[Operand]) -> list[Value]:
    """Every value in the operands, lists included."""
    return [value for operand in operands for value in values_in(operand)]
