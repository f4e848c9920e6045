"""Checks of a method's instructions: calls, moves, jumps and frees name what exists, with as many arguments as due."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pteron.format import schema
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import ExecutionPlan
from pteron.format.verify.finding import Report

Arity = Callable[[str], "Collection[int] | None"]
"""Operator name → the argument counts that a call may have, or None where the operator is not known."""

_MAX_NAME = 99
"""Bytes of an operator's name with its overload (``kTempBufferSizeForName`` less the final zero)."""


def check_instructions(report: Report, plan: ExecutionPlan, path: str, arity: Arity | None) -> None:
    """Every instruction of every chain of a method."""
    checker = _Checker(report, plan, path, arity)
    for number, chain in enumerate(plan.chains or ()):
        count = len(chain.instructions or ())
        for index, instruction in enumerate(chain.instructions or ()):
            checker.check(instruction.instr_args, f"{path}.chains[{number}].instructions[{index}].instr_args", count)


class _Checker:
    def __init__(self, report: Report, plan: ExecutionPlan, path: str, arity: Arity | None) -> None:
        self.report = report
        self.values = plan.values or ()
        self.operators = plan.operators or ()
        self.delegates = plan.delegates or ()
        self.path = path
        self.arity = arity
        self.counts: dict[int, Collection[int] | None] = {}
        self.written = _written(plan)

    def check(self, call: object, path: str, count: int) -> None:
        if isinstance(call, schema.KernelCall):
            self._kernel(call, path)
        elif isinstance(call, schema.DelegateCall):
            if not 0 <= call.delegate_index < len(self.delegates):
                problem = f"delegate {call.delegate_index} does not exist (there are {len(self.delegates)})"
                self.report.add("PT-VF-044", f"{path}.delegate_index", problem)
            self._arguments(call.args, path)
        elif isinstance(call, schema.MoveCall):
            self._exists(call.move_from, f"{path}.move_from")
            self._exists(call.move_to, f"{path}.move_to")
        elif isinstance(call, schema.JumpFalseCall):
            self._jump(call, path, count)
        elif isinstance(call, schema.FreeCall):
            where = f"{path}.value_index"
            if self._exists(call.value_index, where):
                val = self.values[call.value_index].val
                if not isinstance(val, schema.Tensor) and call.value_index not in self.written:
                    kind = type(val).__name__
                    self.report.add("PT-VF-048", where, f"value {call.value_index} is of kind {kind}, not Tensor")
        else:
            self.report.add("PT-VF-040", path, "the instruction has no content")

    def _kernel(self, call: schema.KernelCall, path: str) -> None:
        self._arguments(call.args, path)
        if not 0 <= call.op_index < len(self.operators):
            problem = f"operator {call.op_index} does not exist (there are {len(self.operators)})"
            self.report.add("PT-VF-041", f"{path}.op_index", problem)
            return
        if call.op_index not in self.counts:
            self.counts[call.op_index] = self._operator(call.op_index)
        counts = self.counts[call.op_index]
        if counts is not None and call.args is not None and len(call.args) not in counts:
            name = self.operators[call.op_index].qualified_name
            due = " or ".join(map(str, sorted(counts)))
            self.report.add("PT-VF-043", f"{path}.args", f"{name} is called with {len(call.args)} entries, not {due}")

    def _operator(self, index: int) -> Collection[int] | None:
        """Check an operator at its first use; gives the argument counts of its calls."""
        operator = self.operators[index]
        where = f"{self.path}.operators[{index}].name"
        if operator.name is None:
            self.report.add("PT-VF-050", where, f"operator {index} has no name")
            return None
        size = len(operator.qualified_name.encode())
        if size > _MAX_NAME:
            problem = f"{operator.qualified_name[:40]}… takes {size} bytes, {_MAX_NAME} at most"
            self.report.add("PT-VF-049", where, problem)
            return None
        return self.arity(operator.qualified_name) if self.arity is not None else None

    def _jump(self, call: schema.JumpFalseCall, path: str, count: int) -> None:
        if not 0 <= call.destination_instruction <= count:
            problem = f"instruction {call.destination_instruction} does not exist (the chain has {count})"
            self.report.add("PT-VF-046", f"{path}.destination_instruction", problem)
        where = f"{path}.cond_value_index"
        index = call.cond_value_index
        if not self._exists(index, where) or index in self.written:
            return
        val = self.values[index].val
        if isinstance(val, schema.Tensor):
            if val.scalar_type != ScalarType.BOOL:
                problem = f"value {index} is a tensor of {val.scalar_type.torch_name}, not bool"
                self.report.add("PT-VF-047", where, problem)
        elif not isinstance(val, schema.Bool):
            self.report.add("PT-VF-047", where, f"value {index} is of kind {type(val).__name__}, not Bool")

    def _arguments(self, args: tuple[int, ...] | None, path: str) -> None:
        if args is None:
            self.report.add("PT-VF-004", f"{path}.args", "the call has no args")
            return
        count = len(self.values)
        if args and (min(args) < 0 or max(args) >= count):
            for place, index in enumerate(args):
                self._exists(index, f"{path}.args[{place}]", "PT-VF-042")

    def _exists(self, index: int, path: str, rule: str = "PT-VF-045") -> bool:
        if 0 <= index < len(self.values):
            return True
        self.report.add(rule, path, f"value {index} does not exist (there are {len(self.values)})")
        return False


def _written(plan: ExecutionPlan) -> frozenset[int]:
    """Values whose kind may change while the method runs: targets of moves, and scalars that calls write."""
    values = plan.values or ()
    found: set[int] = set()
    for chain in plan.chains or ():
        for instruction in chain.instructions or ():
            call = instruction.instr_args
            if isinstance(call, schema.MoveCall):
                found.add(call.move_to)
            elif isinstance(call, schema.KernelCall) and call.args:
                last = call.args[-1]
                if 0 <= last < len(values) and not isinstance(values[last].val, schema.Tensor):
                    found.add(last)
    return frozenset(found)
