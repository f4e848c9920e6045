"""Makes small programs by hand, one value and one instruction at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pteron.format import schema as s
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType

FLOAT = ScalarType.FLOAT


class ProgramMaker:
    """One method ``forward``. Methods that add a value give its index; ``at`` is a byte offset in planned buffer 1."""

    def __init__(self, arena: int = 256) -> None:
        self.arena = arena
        self.values: list[s.EValue] = []
        self.operators: list[s.Operator] = []
        self.instructions: list[s.Instruction] = []
        self.constants: list[bytes] = [b""]
        self.states: list[bytes] = [b""]
        self.delegates: list[s.BackendDelegate] = []
        self._payloads: list[bytes] = []

    def value(self, val: Any) -> int:
        self.values.append(s.EValue(val))
        return len(self.values) - 1

    def tensor(
        self,
        *sizes: int,
        at: int | None = None,
        kind: ScalarType = FLOAT,
        order: Sequence[int] = (),
        dynamic: bool = False,
        initial: Any = None,
        name: str = "",
    ) -> int:
        """A tensor: planned at ``at``, else without memory of its own; ``initial`` is state that the file gives."""
        index, info = 0, None
        if initial is not None:
            self.states.append(np.asarray(initial, kind.dtype).tobytes())
            index = len(self.states) - 1
        if name:
            info = s.ExtraTensorInfo(fully_qualified_name=name)
        place = None if at is None else s.AllocationDetails(1, at)
        if at is not None:
            self.arena = max(self.arena, at + math.prod(sizes) * kind.itemsize)
        return self.value(
            s.Tensor(
                scalar_type=kind,
                sizes=sizes,
                dim_order=tuple(order) or tuple(range(len(sizes))),
                data_buffer_idx=index,
                allocation_info=place,
                shape_dynamism=s.TensorShapeDynamism.DYNAMIC_BOUND if dynamic else s.TensorShapeDynamism.STATIC,
                extra_tensor_info=info,
            )
        )

    def constant(self, array: Any, order: Sequence[int] = ()) -> int:
        """A float32 constant, stored in the order of its dimensions as ``order`` says."""
        data = np.asarray(array, np.float32)
        dims = tuple(order) or tuple(range(data.ndim))
        self.constants.append(np.ascontiguousarray(data.transpose(dims)).tobytes())
        return self.value(
            s.Tensor(scalar_type=FLOAT, sizes=data.shape, dim_order=dims, data_buffer_idx=len(self.constants) - 1)
        )

    def int(self, number: int) -> int:
        return self.value(s.Int(number))

    def bool(self, truth: bool) -> int:
        return self.value(s.Bool(truth))

    def float(self, number: float) -> int:
        return self.value(s.Double(number))

    def ints(self, *numbers: int) -> int:
        """A list of integers, each a value of its own."""
        return self.value(s.IntList(tuple(self.int(n) for n in numbers)))

    def items(self, *indices: int) -> int:
        """A list of integers that are these values."""
        return self.value(s.IntList(indices))

    def tensors(self, *indices: int) -> int:
        return self.value(s.TensorList(indices))

    def call(self, name: str, *args: int) -> None:
        base, _, overload = name.partition(".")
        operator = s.Operator(base, overload)
        if operator not in self.operators:
            self.operators.append(operator)
        self._add(s.KernelCall(self.operators.index(operator), args))

    def add(self, left: int, right: int, out: int) -> None:
        """``aten::add`` of two tensors."""
        self.call("aten::add.out", left, right, self.int(1), out, out)

    def neg(self, source: int, out: int) -> None:
        self.call("aten::neg.out", source, out, out)

    def copy(self, target: int, source: int) -> None:
        self.call("aten::copy_", target, source, self.bool(False), target)

    def view(self, source: int, size: int, out: int) -> None:
        self.call("executorch_prim::et_view.default", source, size, out)

    def move(self, source: int, target: int) -> None:
        self._add(s.MoveCall(source, target))

    def free(self, value: int) -> None:
        self._add(s.FreeCall(value))

    def jump_false(self, condition: int, destination: int) -> int:
        """A jump; its number is given back, to set another destination later with :meth:`land`."""
        self._add(s.JumpFalseCall(condition, destination))
        return len(self.instructions) - 1

    def land(self, jump: int) -> None:
        """Let a jump go to the instruction that comes next."""
        call = self.instructions[jump].instr_args
        assert isinstance(call, s.JumpFalseCall)
        self.instructions[jump] = s.Instruction(s.JumpFalseCall(call.cond_value_index, len(self.instructions)))

    def delegate(self, backend: str, payload: bytes, *args: int) -> None:
        reference = s.BackendDelegateDataReference(s.DataLocation.INLINE, len(self.delegates))
        self.delegates.append(s.BackendDelegate(backend, reference, ()))
        self._payloads.append(payload)
        self._add(s.DelegateCall(len(self.delegates) - 1, args))

    def program(self, inputs: Sequence[int], outputs: Sequence[int], limits: Limits = DEFAULT_LIMITS) -> Program:
        state = b"".join(self.states)
        starts = [sum(map(len, self.states[:i])) for i in range(len(self.states))]
        plan = s.ExecutionPlan(
            name="forward",
            values=tuple(self.values),
            inputs=tuple(inputs),
            outputs=tuple(outputs),
            chains=(s.Chain((), (), tuple(self.instructions)),),
            operators=tuple(self.operators),
            delegates=tuple(self.delegates),
            non_const_buffer_sizes=(0, self.arena),
        )
        root = s.Program(
            execution_plan=(plan,),
            constant_buffer=tuple(s.Buffer(memoryview(data)) for data in self.constants),
            backend_delegate_data=tuple(s.BackendDelegateInlineData(memoryview(p)) for p in self._payloads),
            segments=(s.DataSegment(0, len(state)),),
            mutable_data_segments=(s.SubsegmentOffsets(0, tuple(starts)),),
        )
        return Program(root, (memoryview(state),), "made.pte", limits=limits)

    def _add(self, call: Any) -> None:
        self.instructions.append(s.Instruction(call))
