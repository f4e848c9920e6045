"""MethodLift: a whole method while it is lifted: its blocks, and what they share (constants and state)."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.errors import LimitError
from pteron.format.scalar_type import ScalarType
from pteron.format.tensor_bytes import tensor_array
from pteron.graph.ir import (
    Block,
    Branch,
    Graph,
    Jump,
    Operand,
    Return,
    ScalarKind,
    State,
    TensorType,
    Value,
)
from pteron.graph.lift.aliases import NO_TENSOR, entry_aliases
from pteron.graph.lift.block import BlockLift, Key
from pteron.graph.lift.calls import lift_call
from pteron.graph.lift.delegates import Expand, first_definitions, lift_delegate
from pteron.graph.lift.flow import Range, basic_blocks
from pteron.graph.lift.plan import DelegateCall, Free, JumpFalse, KernelCall, Move, Plan, PlanTensor
from pteron.graph.lift.regions import Pointer, Space


class MethodLift:
    """Lifts one method; :meth:`run` gives the graph."""

    def __init__(self, plan: Plan, expand: Expand | None, shared: frozenset[int]) -> None:
        self.plan = plan
        self.graph = Graph(plan.method.name)
        self._expand = expand
        self._shared = shared
        self._ranges = basic_blocks(plan)
        self._aliases = entry_aliases(plan, self._ranges)
        self._state_keys: list[Key] = []
        self._constants: dict[tuple[Space, TensorType], Value] = {}
        self._counted = 0

    def run(self) -> Graph:
        """Lift every block, then hand from block to block what each of them needs."""
        self.graph.blocks = [Block(f"block{i}") for i in range(len(self._ranges))]
        blocks = [
            BlockLift(self, block, aliases, entry=number == 0)
            for number, (block, aliases) in enumerate(zip(self.graph.blocks, self._aliases, strict=True))
        ]
        for block, instructions in zip(blocks, self._ranges, strict=True):
            self._lift_block(block, instructions)
        self._connect(blocks)
        return self.graph

    def count(self, items: int) -> None:
        """Count list items that calls take; raises ``LimitError`` where a file repeats long lists too often."""
        self._counted += items
        if self._counted > self.plan.program.limits.max_instructions:
            raise LimitError(
                f"the calls of method {self.plan.method.name!r} list more than "
                f"{self.plan.program.limits.max_instructions:,} values; raise Limits.max_instructions to go on",
                file=self.plan.program.file,
                path=f"{self.plan.base}.chains",
            )

    @cached_property
    def first_definitions(self) -> dict[int, int]:
        """See :func:`first_definitions`."""
        return first_definitions(self.plan)

    @cached_property
    def written_in_several_blocks(self) -> dict[tuple[Pointer, ScalarType], set[int]]:
        """Which tensors that instructions write lie where; empty for a method of one block."""
        written: dict[tuple[Pointer, ScalarType], set[int]] = {}
        if len(self._ranges) == 1:
            return written
        named = {info.value_index for info in self.plan.method.inputs}
        for instruction in self.plan.instructions:
            if isinstance(instruction, KernelCall):
                named.update((*instruction.outs, *instruction.written))
            elif isinstance(instruction, DelegateCall):
                named.update(instruction.args)
        for index in named:
            slot = self.plan.slots[index]
            if isinstance(slot, PlanTensor):
                written.setdefault((slot.pointer, slot.type.scalar_type), set()).add(index)
        return written

    # Constants and state

    def constant(self, space: Space, type: TensorType) -> Value:
        """The constant whose bytes fill a space, as ``type``; zeros for a tensor without elements."""
        type = replace(type, dynamic=False) if type.dynamic else type
        known = self._constants.get((space, type))
        if known is None:
            known = self._constants[space, type] = self._new_constant(space, type)
        return known

    def state(self, key: Key, number: int | None) -> Value:
        """What ``key`` stands for when a call begins, left there by the call before."""
        type = self.type_of(key, number)
        initial: NDArray[Any] | int | float | bool | None
        name, memory = "", None
        if key[0] == "scalar":
            content = self.plan.slots[key[1]]
            assert isinstance(content, int | float)
            initial = content
        else:
            assert isinstance(type, TensorType)
            place = self._state_place(key, number)
            if place.space.kind == "arena":
                memory = (int(place.space.key), place.offset)
            initial, name = self._initial(place, type)
        value = self.graph.value(type, name or f"state{len(self.graph.states)}")
        self.graph.states.append(State(value, initial, memory, memory is not None and memory[0] in self._shared))
        self._state_keys.append(key)
        return value

    def type_of(self, key: Key, number: int | None) -> TensorType | ScalarKind:
        """The type of what ``key`` stands for."""
        match key:
            case ("window", _, type):
                return type
            case ("tensor", index):
                return self.plan.tensor(index).type
            case ("scalar", slot):
                content = self.plan.slots[slot]
                if isinstance(content, bool):
                    return "bool"
                if isinstance(content, int | float):
                    return "int" if isinstance(content, int) else "float"
                raise self.plan.unsupported(f"value {slot} is a number here and was none before", number)
            case (_, slot):
                return self._common_type(slot, number)

    def _common_type(self, slot: int, number: int | None) -> TensorType:
        tensors = {t for aliases in self._aliases for t in aliases.tensors_of(slot, self.plan) if t != NO_TENSOR}
        types = {self.plan.tensor(t).type for t in tensors}
        first = next(iter(types))
        if len(types) == 1:
            return first
        if any(t.scalar_type != first.scalar_type or t.rank != first.rank for t in types):
            raise self.plan.unsupported(f"value {slot} may be one of several types", number)
        shape = tuple(max(sizes) for sizes in zip(*(t.shape for t in types), strict=True))
        return TensorType(first.scalar_type, shape, len({t.shape for t in types}) > 1 or first.dynamic)

    def _new_constant(self, space: Space, type: TensorType) -> Value:
        if not type.nbytes:
            return self.graph.constant(np.zeros(type.shape, type.dtype), type, "empty")
        tensor = self._constant_tensors[space]
        assert tensor.data is not None
        data = tensor.data[: type.nbytes]
        array = tensor_array(data, type.scalar_type, type.shape, type.dim_order or tuple(range(type.rank)))
        array.flags.writeable = False
        name = tensor.name or f"const{space.key}"
        return self.graph.constant(array, type, name, file=tensor.file, offset=_offset(data))

    @cached_property
    def _constant_tensors(self) -> dict[Space, PlanTensor]:
        """The largest tensor of each constant's space."""
        found: dict[Space, PlanTensor] = {}
        for slot in self.plan.slots:
            if isinstance(slot, PlanTensor) and slot.pointer.space.kind == "const":
                known = found.get(slot.pointer.space)
                if known is None or slot.type.nbytes > known.type.nbytes:
                    found[slot.pointer.space] = slot
        return found

    def _state_place(self, key: Key, number: int | None) -> Pointer:
        match key:
            case ("window", place, _):
                pass
            case ("tensor", index):
                places = self._aliases[0].places_of(index, self.plan)
                if len(places) > 1:
                    raise self.plan.unsupported(f"value {index} lies where the call before left it", number)
                (place,) = places
            case _:
                raise self.plan.unsupported(f"value {key[1]} is what the call before left it to be", number)
        outputs = {info.value_index for info in self.plan.method.outputs}
        if place.space.kind == "own" and place.space.key not in outputs:
            raise self.plan.unsupported(f"value {place.space.key} is read, and nothing was written to it", number)
        return place

    def _initial(self, place: Pointer, type: TensorType) -> tuple[NDArray[Any] | None, str]:
        """What the memory holds when the method is loaded (None: zeros), and a name for it."""
        name = next((t.name for t in self._planned_names if t.pointer == place), "")
        holders = [
            t
            for t in self.plan.initial
            if t.pointer.space == place.space and t.pointer.offset < place.end and place.offset < t.pointer.end
        ]
        if not holders:
            return None, name
        order = type.dim_order or tuple(range(type.rank))
        last = holders[-1]
        assert last.data is not None
        if last.pointer == place:
            return tensor_array(last.data, type.scalar_type, type.shape, order), name or last.name
        image = np.zeros(place.nbytes, np.uint8)
        for tensor in holders:
            assert tensor.data is not None
            start, end = max(tensor.pointer.offset, place.offset), min(tensor.pointer.end, place.end)
            source = np.frombuffer(tensor.data, np.uint8)
            base = tensor.pointer.offset
            image[start - place.offset : end - place.offset] = source[start - base : end - base]
        return tensor_array(image.data, type.scalar_type, type.shape, order), name

    @cached_property
    def _planned_names(self) -> list[PlanTensor]:
        return [s for s in self.plan.slots if isinstance(s, PlanTensor) and s.name and s.pointer.space.kind == "arena"]

    # Blocks

    def _lift_block(self, block: BlockLift, instructions: Range) -> None:
        if block.entry:
            self._take_shared_state(block)
            self._take_inputs(block)
        for number in range(instructions.start, instructions.end):
            block.number = number
            block.builder.source = self.plan.sources[number]
            match self.plan.instructions[number]:
                case KernelCall() as call:
                    lift_call(block, call)
                case DelegateCall() as call:
                    lift_delegate(block, call, self._expand)
                case Move(source, target):
                    block.move(source, target)
                case Free(value):
                    block.free(value)
                case JumpFalse():
                    pass
        block.builder.block.terminator = self._terminator(block, instructions)

    def _terminator(self, block: BlockLift, instructions: Range) -> Jump | Branch | Return:
        targets = [Jump(self.graph.blocks[target]) for target in instructions.targets]
        if not targets:
            return Return([self._output(block, info.value_index) for info in self.plan.method.outputs])
        if len(targets) == 1:
            return targets[0]
        jump = self.plan.instructions[instructions.end - 1]
        assert isinstance(jump, JumpFalse)
        condition = block.read(jump.condition)
        if isinstance(condition, Value):
            type = condition.type
            fits = type.dtype == np.bool_ if isinstance(type, TensorType) else type == "bool"
        else:
            fits = isinstance(condition, bool)
        if not fits:
            raise block.unsupported(f"the condition of a jump must be bool, not {condition!r}")
        return Branch(condition, *targets)

    def _take_shared_state(self, block: BlockLift) -> None:
        for slot in self.plan.slots:
            if isinstance(slot, PlanTensor) and slot.type.nbytes:
                space = slot.pointer.space
                if space.kind == "arena" and space.key in self._shared:
                    block.read_tensor(slot)

    def _take_inputs(self, block: BlockLift) -> None:
        for info in self.plan.method.inputs:
            tensor = block.tensor(info.value_index) if info.kind == "tensor" else None
            if tensor is None:
                continue
            if tensor.index != info.value_index:
                raise block.unsupported(f"input {info.name} is another tensor after the first call")
            value = self.graph.value(tensor.type, info.name)
            self.graph.inputs.append(value)
            block.write_tensor(tensor, value)

    def _output(self, block: BlockLift, slot: int) -> Operand:
        content = self.plan.slots[slot]
        if isinstance(content, list):
            return list(content)
        return block.read(slot)

    def _connect(self, blocks: list[BlockLift]) -> None:
        """Give every jump its arguments and the end its states; what that needs may need more from before."""
        by_block = {id(block.builder.block): block for block in blocks}
        changed = True
        while changed:
            changed = False
            for block in blocks:
                for jump in _jumps(block.builder.block):
                    target = by_block[id(jump.target)]
                    while len(jump.arguments) < len(target.keys):
                        key = target.keys[len(jump.arguments)]
                        jump.arguments.append(self._argument(block, key))
                        changed = True
                end = block.builder.block.terminator
                if isinstance(end, Return):
                    while len(end.states) < len(self._state_keys):
                        end.states.append(self._argument(block, self._state_keys[len(end.states)]))
                        changed = True

    def _argument(self, block: BlockLift, key: Key) -> Operand:
        argument = block.look_up(key)
        wanted = self.type_of(key, block.number)
        if isinstance(wanted, str):
            given = argument.type if isinstance(argument, Value) else type(argument).__name__
            if given != wanted:
                raise block.unsupported(f"value {key[1]} is {wanted} in one place and {given} in another")
        return argument


def lift_plan(plan: Plan, expand: Expand | None, shared: frozenset[int]) -> Graph:
    """The graph of a plan; see :func:`pteron.graph.lift.lift`."""
    return MethodLift(plan, expand, shared).run()


def _jumps(block: Block) -> tuple[Jump, ...]:
    match block.terminator:
        case Jump() as jump:
            return (jump,)
        case Branch(if_true=if_true, if_false=if_false):
            return (if_true, if_false)
        case _:
            return ()


def _offset(data: memoryview) -> int | None:
    """Where a view starts in the buffer that it is a view of."""
    whole: Any = data.obj
    try:
        base = np.frombuffer(whole, np.uint8)
    except (TypeError, ValueError, BufferError):
        return None
    view = np.frombuffer(data, np.uint8)
    offset = int(view.__array_interface__["data"][0]) - int(base.__array_interface__["data"][0])
    return offset if 0 <= offset and offset + len(view) <= len(base) else None
