"""PlanEdit: an execution plan while it is rewritten, index for index where nothing changes.

Values are only ever appended, so indices on record stay valid; operators that no call uses any more are dropped,
because runtimes look every listed operator up; destinations of jumps follow the instructions that they meant.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from pteron.format import schema
from pteron.format.schema import EValue, ExecutionPlan, Instruction, InstructionArguments, KernelCall

T = TypeVar("T")

Replacement = Sequence[InstructionArguments]
Replace = Callable[[InstructionArguments], Replacement | None]
"""What stands in the place of an instruction; None leaves it."""


class PlanEdit:
    """Edits one execution plan; :meth:`finish` gives the new record."""

    def __init__(self, plan: ExecutionPlan) -> None:
        self.plan = plan
        self.values: list[EValue] = list(plan.values or ())
        self.operators: list[schema.Operator] = list(plan.operators or ())
        self.delegates: list[schema.BackendDelegate] = list(plan.delegates or ())
        self.buffer_sizes: list[int] = list(plan.non_const_buffer_sizes or (0,))
        self._chains: list[schema.Chain] = list(plan.chains or ())
        self._numbers = {operator.qualified_name: index for index, operator in reversed([*enumerate(self.operators)])}
        self._known: dict[str, int] = {}
        self.computed = _computed(plan)
        """Indices of numbers that are inputs, or that an instruction of the plan may write."""

    def val(self, index: int) -> schema.KernelTypes | None:
        """The content of a value; None for an index out of range."""
        return self.values[index].val if 0 <= index < len(self.values) else None

    def add(self, val: schema.KernelTypes) -> int:
        """The index of a new value."""
        self.values.append(EValue(val))
        return len(self.values) - 1

    def constant(self, val: schema.KernelTypes) -> int:
        """The index of a number, string, list of numbers or null that nothing ever writes; equal ones are one."""
        # By text, which keeps 0.0 and -0.0 apart and finds nan again.
        key = repr(val)
        if key not in self._known:
            self._known[key] = self.add(val)
        return self._known[key]

    def as_stored(self, index: int) -> int | None:
        """The index of a tensor over the same memory with its dimensions in the order of memory; often the same one.

        None where that cannot be: only planned memory can have two names, and only sizes that stay can be written down.
        """
        tensor = self.val(index)
        if not isinstance(tensor, schema.Tensor):
            return None
        order = tensor.dim_order or ()
        if order == tuple(range(len(order))):
            return index
        if tensor.allocation_info is None or tensor.shape_dynamism is not schema.TensorShapeDynamism.STATIC:
            return None
        sizes = tuple((tensor.sizes or ())[dim] for dim in order)
        return self.constant(dataclasses.replace(tensor, sizes=sizes, dim_order=tuple(range(len(sizes)))))

    def integers(self, numbers: Sequence[int]) -> int:
        """The index of a list of integers."""
        return self.constant(schema.IntList(tuple(self.constant(schema.Int(number)) for number in numbers)))

    def name(self, call: KernelCall) -> str:
        """The name of the operator that a call calls; empty for an index out of range."""
        return self.operators[call.op_index].qualified_name if 0 <= call.op_index < len(self.operators) else ""

    def call(self, name: str, args: Sequence[int]) -> KernelCall:
        """A call of the operator of that name, which is listed if it is not yet."""
        if name not in self._numbers:
            base, _, overload = name.partition(".")
            self._numbers[name] = len(self.operators)
            self.operators.append(schema.Operator(base, overload))
        return KernelCall(self._numbers[name], tuple(args))

    def replace(self, change: Replace) -> int:
        """Put what ``change`` gives in the place of instructions; the number of instructions that it replaced."""
        replaced = 0
        for number, chain in enumerate(self._chains):
            instructions: list[Instruction] = []
            traces: list[schema.FrameList] = []
            starts: list[int] = []
            old_traces = chain.stacktrace or ()
            for position, instruction in enumerate(chain.instructions or ()):
                starts.append(len(instructions))
                new = change(instruction.instr_args) if instruction.instr_args is not None else None
                if new is None:
                    instructions.append(instruction)
                else:
                    replaced += 1
                    instructions += map(Instruction, new)
                if position < len(old_traces):
                    traces += [old_traces[position]] * (len(instructions) - len(traces))
            moved = _with_destinations(instructions, [*starts, len(instructions)])
            trace = tuple(traces) if chain.stacktrace else chain.stacktrace
            self._chains[number] = dataclasses.replace(chain, instructions=tuple(moved), stacktrace=trace)
        return replaced

    def finish(self) -> ExecutionPlan:
        """The new plan."""
        calls = [i.instr_args for chain in self._chains for i in chain.instructions or ()]
        operators, numbers = _kept(self.operators, {c.op_index for c in calls if isinstance(c, KernelCall)})
        delegates, delegate_numbers = _kept(
            self.delegates, {c.delegate_index for c in calls if isinstance(c, schema.DelegateCall)}
        )
        chains = []
        for chain in self._chains:
            renumbered = tuple(_renumbered(i, numbers, delegate_numbers) for i in chain.instructions or ())
            chains.append(dataclasses.replace(chain, instructions=renumbered))
        return dataclasses.replace(
            self.plan,
            values=tuple(self.values),
            operators=operators,
            delegates=delegates if self.plan.delegates is not None else None,
            chains=tuple(chains),
            non_const_buffer_sizes=tuple(self.buffer_sizes),
        )


def _computed(plan: ExecutionPlan) -> frozenset[int]:
    """Numbers that are not constants: inputs, what is moved to, and what stands where calls list their result."""
    found = set(plan.inputs or ())
    for chain in plan.chains or ():
        for instruction in chain.instructions or ():
            match instruction.instr_args:
                case KernelCall(args=args) if args:
                    found.add(args[-1])
                case schema.MoveCall(move_to=index):
                    found.add(index)
    values = plan.values or ()
    numbers = (schema.Int, schema.Double, schema.Bool)
    return frozenset(index for index in found if 0 <= index < len(values) and isinstance(values[index].val, numbers))


def _with_destinations(instructions: list[Instruction], starts: list[int]) -> list[Instruction]:
    """``starts`` are the new numbers of the old instructions, and of the end."""
    moved = []
    for instruction in instructions:
        jump = instruction.instr_args
        if isinstance(jump, schema.JumpFalseCall) and 0 <= jump.destination_instruction < len(starts):
            jump = dataclasses.replace(jump, destination_instruction=starts[jump.destination_instruction])
            instruction = Instruction(jump)
        moved.append(instruction)
    return moved


def _kept(records: Sequence[T], used: set[int]) -> tuple[tuple[T, ...], dict[int, int]]:
    kept = [index for index in range(len(records)) if index in used]
    return tuple(records[index] for index in kept), {old: new for new, old in enumerate(kept)}


def _renumbered(instruction: Instruction, operators: dict[int, int], delegates: dict[int, int]) -> Instruction:
    call = instruction.instr_args
    if isinstance(call, KernelCall) and call.op_index in operators:
        return Instruction(dataclasses.replace(call, op_index=operators[call.op_index]))
    if isinstance(call, schema.DelegateCall) and call.delegate_index in delegates:
        return Instruction(dataclasses.replace(call, delegate_index=delegates[call.delegate_index]))
    return instruction
