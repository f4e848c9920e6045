"""Plan: an execution plan's values and instructions, checked and in the words of lifting."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from pteron.errors import ExternalDataError, LimitError, LoadError, MissingOperatorError, UnsupportedError
from pteron.format import schema
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.format.schema import TensorDataLocation, TensorShapeDynamism
from pteron.format.tensor_bytes import layout_problem
from pteron.graph.ir import TensorType
from pteron.graph.lift.regions import Pointer, Space
from pteron.ops.registry import Operator, Registry, call_length
from pteron.ops.schema import Schema

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry

COPY = "aten::copy_"
COPY_INDEX = "executorch_prim::et_copy_index.tensor"
ET_VIEW = "executorch_prim::et_view.default"


@dataclass(eq=False, slots=True)
class PlanTensor:
    """A tensor value: ``pointer`` is where its bytes lie when the method is loaded.

    ``data`` is what the memory starts with: a constant's bytes, or the initial state of a mutable buffer; ``file`` is
    where ``data`` comes from. ``unbound`` says that the tensor may outgrow its sizes, and then gets other memory.
    """

    index: int
    type: TensorType
    pointer: Pointer
    name: str = ""
    data: memoryview | None = None
    file: str = ""
    unbound: bool = False


@dataclass(frozen=True, slots=True)
class IntItems:
    """A list of integers that live in other values."""

    items: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorItems:
    """A list of tensors that live in other values; -1 is a null entry."""

    items: tuple[int, ...]


Slot: TypeAlias = PlanTensor | IntItems | TensorItems | int | float | bool | str | list[int | float] | None


@dataclass(frozen=True, slots=True)
class KernelCall:
    """``outs`` are the value indices of the out arguments.

    ``result`` is where a result without an out argument goes, or None.
    """

    operator: Operator
    schema: Schema
    args: tuple[int, ...]
    outs: tuple[int, ...]
    result: int | None

    @property
    def index_of(self) -> dict[str, int]:
        """Value indices by argument name."""
        return {argument.name: self.args[i] for i, argument in enumerate(self.schema.arguments)}

    @property
    def written(self) -> list[int]:
        """Value indices of the functional arguments that are changed in place."""
        names = {a.name for a in self.operator.functional.arguments if a.writes}
        return [self.args[i] for i, a in enumerate(self.schema.arguments) if a.name in names] if names else []

    @property
    def result_is_argument(self) -> bool:
        """Whether the result of an in-place operator is the argument that it writes."""
        returns = self.operator.functional.returns
        return self.result is not None and bool(returns) and returns[0].writes


@dataclass(frozen=True, slots=True)
class DelegateCall:
    index: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class JumpFalse:
    condition: int
    destination: int
    """Number of the instruction, counted over all chains; the number of instructions ends the method."""


@dataclass(frozen=True, slots=True)
class Free:
    value: int


Instruction: TypeAlias = KernelCall | DelegateCall | Move | JumpFalse | Free


class Plan:
    """One method as lifting sees it.

    ``slots`` are the plan's values, ``instructions`` those of all chains, one after the other. Raises ``FormatError``
    for what no method can be made of, ``LimitError`` for sizes above the program's limits, ``LoadError`` for what a
    runtime would refuse to load.
    """

    def __init__(
        self, program: Program, method: Method, operators: Registry, external: Mapping[str, TensorEntry]
    ) -> None:
        self.program = program
        self.method = method
        self.base = f"execution_plan[{method.index}]"
        self._operators = operators
        self._external = external
        self._types: dict[tuple[object, ...], TensorType] = {}
        values = method.plan.values
        if values is None:
            raise program.fault("the method has no values", f"{self.base}.values")
        self._check_memory()
        self.slots: list[Slot] = [self._slot(i, value.val, len(values)) for i, value in enumerate(values)]
        for field, indices in (("inputs", method.plan.inputs), ("outputs", method.plan.outputs)):
            self._indices(indices or (), f"{self.base}.{field}")
        self.sources: list[str] = []
        self.instructions: list[Instruction] = self._decode()

    @cached_property
    def written_slots(self) -> frozenset[int]:
        """Values that instructions replace: results of prim operators and targets of moves."""
        written: set[int] = set()
        for instruction in self.instructions:
            match instruction:
                case KernelCall() if instruction.result is not None:
                    written.add(instruction.result)
                case Move(target=target):
                    written.add(target)
        return frozenset(written)

    @cached_property
    def initial(self) -> list[PlanTensor]:
        """The tensors whose planned memory starts with data."""
        tensors = (slot for slot in self.slots if isinstance(slot, PlanTensor))
        return [t for t in tensors if t.data is not None and t.pointer.space.kind == "arena"]

    def tensor(self, index: int) -> PlanTensor:
        """The tensor of that value index."""
        slot = self.slots[index]
        assert isinstance(slot, PlanTensor)
        return slot

    def payload(self, delegate: int) -> memoryview:
        """The payload of a delegate."""
        record = (self.method.plan.delegates or ())[delegate]
        return self.program.payload(record, f"{self.base}.delegates[{delegate}]")

    def unsupported(self, reason: str, number: int | None = None) -> UnsupportedError:
        """An ``UnsupportedError`` that names the file, the method and the instruction."""
        where = f", {self.sources[number]}" if number is not None and number < len(self.sources) else ""
        return UnsupportedError(
            f"{self.program.file}, method {self.method.name!r}{where}: {reason}; run the method on the reference engine"
        )

    def _check_memory(self) -> None:
        sizes = self.method.memory_plan
        path = f"{self.base}.non_const_buffer_sizes"
        if any(size < 0 for size in sizes):
            raise self.program.fault("a planned buffer has a negative size", path)
        if sum(sizes) > self.program.limits.max_memory:
            raise LimitError(
                f"method {self.method.name!r} plans {sum(sizes):,} bytes of memory, more than "
                f"{self.program.limits.max_memory:,}; raise Limits.max_memory to load it",
                file=self.program.file,
                path=path,
            )

    def _slot(self, index: int, val: schema.KernelTypes | None, count: int) -> Slot:
        match val:
            case schema.Tensor():
                return self._tensor(index, val)
            case schema.Int():
                return val.int_val
            case schema.Bool():
                return val.bool_val
            case schema.Double():
                return val.double_val
            case schema.String():
                return val.string_val or ""
            case schema.Null():
                return None
            case schema.DoubleList() | schema.BoolList():
                return list(val.items or ())
            case schema.IntList():
                return IntItems(self._items(index, val.items, count, optional=False))
            case schema.TensorList():
                return TensorItems(self._items(index, val.items, count, optional=False))
            case schema.OptionalTensorList():
                return TensorItems(self._items(index, val.items, count, optional=True))
            case _:
                raise self.program.fault("the value is empty", f"{self.base}.values[{index}].val")

    def _items(self, index: int, items: tuple[int, ...] | None, count: int, *, optional: bool) -> tuple[int, ...]:
        for place, item in enumerate(items or ()):
            if not (0 <= item < count or (optional and item == -1)):
                raise self.program.fault(
                    f"item {place} is value {item}, there are {count}", f"{self.base}.values[{index}].val.items"
                )
        return items or ()

    def _tensor(self, index: int, record: schema.Tensor) -> PlanTensor:
        program, kind = self.program, record.scalar_type
        path = f"{self.base}.values[{index}].val"
        sizes, dim_order = record.sizes, record.dim_order
        problem = layout_problem(kind, sizes, dim_order, sys.maxsize, program.limits)
        if problem or sizes is None or dim_order is None:
            raise program.fault(problem, path)
        if math.prod(sizes) * kind.itemsize > program.limits.max_tensor_bytes:
            raise LimitError(
                f"a tensor of sizes {list(sizes)} is larger than {program.limits.max_tensor_bytes:,} bytes; "
                "raise Limits.max_tensor_bytes to load it",
                file=program.file,
                path=f"{path}.sizes",
            )
        if record.storage_offset:
            raise program.fault("a storage offset is not supported by any runtime", f"{path}.storage_offset")
        if kind.dtype.names is not None:
            raise UnsupportedError(f"{program.file}, {path}: {kind.torch_name} tensors cannot be run")
        type = self._type(record, sizes, dim_order)
        return self._bound(PlanTensor(index, type, Pointer(Space("own", index), 0, type.nbytes)), record, path)

    def _type(self, record: schema.Tensor, sizes: tuple[int, ...], dim_order: tuple[int, ...]) -> TensorType:
        dynamic = record.shape_dynamism != TensorShapeDynamism.STATIC
        key = (record.scalar_type, sizes, dim_order, dynamic)
        known = self._types.get(key)
        if known is None:
            order = () if dim_order == tuple(range(len(sizes))) else dim_order
            known = self._types[key] = TensorType(record.scalar_type, sizes, dynamic, order)
        return known

    def _bound(self, tensor: PlanTensor, record: schema.Tensor, path: str) -> PlanTensor:
        info, nbytes = record.extra_tensor_info, tensor.type.nbytes
        tensor.name = (info and info.fully_qualified_name) or ""
        tensor.unbound = record.shape_dynamism == TensorShapeDynamism.DYNAMIC_UNBOUND
        place = record.allocation_info
        if info is not None and info.location == TensorDataLocation.EXTERNAL:
            entry = self._external_entry(tensor.name, nbytes, path)
            tensor.data, tensor.file = entry.data, entry.file
            if place is None:
                tensor.pointer = Pointer(Space("const", tensor.name), 0, nbytes)
        elif record.data_buffer_idx and place is None:
            tensor.data = self.program.constant(record.data_buffer_idx, nbytes, f"{path}.data_buffer_idx")
            tensor.file = self.program.file
            tensor.pointer = Pointer(Space("const", record.data_buffer_idx), 0, nbytes)
        elif record.data_buffer_idx:
            group = info.mutable_data_segments_idx if info else 0
            tensor.data = self.program.mutable_data(group, record.data_buffer_idx, nbytes, f"{path}.data_buffer_idx")
        if place is not None:
            tensor.pointer = self._planned(place, nbytes, path)
            if tensor.unbound:
                raise self.unsupported(f"value {tensor.index} is planned, and may outgrow its planned memory")
        return tensor

    def _planned(self, place: schema.AllocationDetails, nbytes: int, path: str) -> Pointer:
        sizes, start = self.method.memory_plan, place.memory_offset
        if not 1 <= place.memory_id <= len(sizes):
            raise self.program.fault(
                f"planned buffer {place.memory_id} does not exist (the method has {len(sizes)})",
                f"{path}.allocation_info.memory_id",
            )
        if start + nbytes > sizes[place.memory_id - 1]:
            raise self.program.fault(
                f"{nbytes} bytes at offset {start} do not fit in planned buffer {place.memory_id} "
                f"of {sizes[place.memory_id - 1]} bytes",
                f"{path}.allocation_info",
            )
        return Pointer(Space("arena", place.memory_id), start, nbytes)

    def _external_entry(self, key: str, nbytes: int, path: str) -> TensorEntry:
        if not key:
            raise self.program.fault("an external tensor has no name", f"{path}.extra_tensor_info")
        entry = self._external.get(key)
        if entry is None or len(entry.data) < nbytes:
            problem = "no .ptd file given holds" if entry is None else f"fewer than {nbytes:,} bytes are given for"
            raise ExternalDataError(f"{self.program.file}, {path}: {problem} {key!r}; pass it as data=")
        return entry

    def _decode(self) -> list[Instruction]:
        chains = self.method.plan.chains
        if not chains:
            raise self.program.fault("the method has no chains", f"{self.base}.chains")
        self._check_operators()
        decoded: list[Instruction] = []
        for number, chain in enumerate(chains):
            path = f"{self.base}.chains[{number}].instructions"
            if chain.instructions is None:
                raise self.program.fault("the chain has no instructions", path)
            prefix = f"chain {number}, " if len(chains) > 1 else ""
            start, end = len(decoded), len(decoded) + len(chain.instructions)
            for position, instruction in enumerate(chain.instructions):
                self.sources.append(f"{prefix}instruction {position}")
                decoded.append(self._instruction(instruction, f"{path}[{position}].instr_args", start, end))
        return decoded

    def _check_operators(self) -> None:
        names = [operator.qualified_name for operator in self.method.plan.operators or ()]
        missing = tuple(name for name in names if self._operators.get(name) is None)
        if missing:
            raise MissingOperatorError(
                f"{self.program.file}, method {self.method.name!r}: no kernel for {', '.join(missing[:8])}; "
                "register one with pteron.operator, or check that the name is right",
                missing,
            )

    def _instruction(self, instruction: schema.Instruction, path: str, start: int, end: int) -> Instruction:
        match instruction.instr_args:
            case schema.KernelCall() as call:
                return self._kernel_call(call, path)
            case schema.DelegateCall() as call:
                count = len(self.method.plan.delegates or ())
                if not 0 <= call.delegate_index < count:
                    raise self.program.fault(
                        f"delegate {call.delegate_index} does not exist (the method has {count})",
                        f"{path}.delegate_index",
                    )
                return DelegateCall(call.delegate_index, self._indices(call.args, path))
            case schema.MoveCall() as move:
                return Move(*self._indices((move.move_from, move.move_to), path))
            case schema.JumpFalseCall() as jump:
                # A destination outside the chain ends it, as in the runtime.
                inside = 0 <= jump.destination_instruction < end - start
                target = start + jump.destination_instruction if inside else end
                (condition,) = self._indices((jump.cond_value_index,), path)
                return JumpFalse(condition, target)
            case schema.FreeCall() as free:
                return Free(*self._indices((free.value_index,), path))
            case _:
                raise self.program.fault("the instruction is empty", path)

    def _kernel_call(self, call: schema.KernelCall, path: str) -> KernelCall:
        operators = self.method.plan.operators or ()
        if not 0 <= call.op_index < len(operators):
            raise self.program.fault(
                f"operator {call.op_index} does not exist (the method has {len(operators)})", f"{path}.op_index"
            )
        args = self._indices(call.args, path)
        name = operators[call.op_index].qualified_name
        operator = self._operators.get(name)
        assert operator is not None
        called = operator.schema_for(len(args))
        if called is None:
            known = [call_length(s) for s in (operator.schema, *operator.older)]
            raise LoadError(
                f"{self.program.file}, {path}.args: {name} is called with {len(args)} arguments, it takes "
                f"{' or '.join(map(str, known))}; the file was made against another operator of that name"
            )
        functional = {a.name for a in operator.functional.arguments}
        outs = tuple(args[i] for i, a in enumerate(called.arguments) if a.name not in functional)
        result = args[len(called.arguments)] if len(args) > len(called.arguments) and not outs else None
        return KernelCall(operator, called, args, outs, result)

    def _indices(self, values: tuple[int, ...] | None, path: str) -> tuple[int, ...]:
        if values is None:
            raise self.program.fault("the call has no arguments", f"{path}.args")
        for value in values:
            if not 0 <= value < len(self.slots):
                raise self.program.fault(f"value {value} does not exist (the method has {len(self.slots)})", path)
        return values
