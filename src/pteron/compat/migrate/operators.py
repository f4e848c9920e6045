"""Steps that replace operators which the target lacks: by another name, or by others that it has."""

from __future__ import annotations

import dataclasses
import inspect
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from pteron.compat.fault_search import every_fault_use
from pteron.compat.migrate import placing, resampling
from pteron.compat.migrate.decompositions import DECOMPOSITIONS
from pteron.compat.migrate.expression import Expression
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.program import Program
from pteron.format.schema import InstructionArguments, KernelCall
from pteron.graph.constant_pool import ConstantPool
from pteron.graph.ir import Operand, Value
from pteron.graph.plan_edit import PlanEdit
from pteron.graph.splice import Piece, splice
from pteron.ops.registry import REGISTRY

RENAMED = {
    "executorch_prim::add.int": "executorch_prim::add.Scalar",
    "executorch_prim::sub.int": "executorch_prim::sub.Scalar",
    "executorch_prim::eq.int": "executorch_prim::eq.Scalar",
}
"""Names that exporters wrote for what runtimes call otherwise, with the same arguments."""
_SOLVES = ("PT-OP-001", "PT-OP-002", "PT-OP-004", "PT-OP-008", "PT-OP-009")
TABLES = (placing, resampling)
"""Modules that add to the table of decompositions."""


@step("rename-operators", solves=("PT-OP-001", "PT-OP-004", "PT-OP-013"), layout_only=False)
def renamed(subject: Subject, profile: Profile) -> Rewritten | None:
    """Call operators by the names that the target's runtime has for them."""
    counts: Counter[str] = Counter()
    plans = []
    for plan in subject.program.root.execution_plan or ():
        edit = PlanEdit(plan)

        def change(instruction: InstructionArguments, edit: PlanEdit = edit) -> list[InstructionArguments] | None:
            name = edit.name(instruction) if isinstance(instruction, KernelCall) else ""
            new = RENAMED.get(name)
            if new is None or not isinstance(instruction, KernelCall) or profile.has_operator(name):
                return None
            if not profile.has_operator(new):
                return None
            counts[name] += 1
            return [edit.call(new, instruction.args or ())]

        plans.append(edit.finish() if edit.replace(change) else plan)
    if not counts:
        return None
    root = dataclasses.replace(subject.program.root, execution_plan=tuple(plans))
    said = ", ".join(f"{name} as {RENAMED[name]}" for name in counts)
    return dataclasses.replace(subject, program=subject.program.replace(root=root)), f"called {said}"


@step("decompose-operators", solves=_SOLVES, layout_only=False)
def decomposed(subject: Subject, profile: Profile) -> Rewritten | None:
    """Write operators that the target lacks, or whose kernel has a known fault there, in terms of others."""
    counts: Counter[str] = Counter()
    faulty = _faulty_calls(subject.program, profile)

    def make(piece: Piece, instruction: InstructionArguments) -> Mapping[int, Value] | None:
        if not isinstance(instruction, KernelCall):
            return None
        name = piece.edit.name(instruction)
        if profile.has_operator(name) and id(instruction) not in faulty:
            return None
        results = decompose(piece, instruction)
        if results is not None:
            counts[name] += 1
        return results

    program = spliced(subject, make)
    if not counts:
        return None
    said = ", ".join(f"{count} × {name}" for name, count in counts.items())
    return dataclasses.replace(subject, program=program), f"wrote {said} in terms of other operators"


def _faulty_calls(program: Program, profile: Profile) -> frozenset[int]:
    """The ids of the records of calls that run into a certain fault of the target's kernels."""
    held = {id(fault) for fault in profile.faults}
    uses = every_fault_use(program)
    places = {use.place for use in uses if id(use.fault) in held and use.fault.certain}
    found = set()
    for p, plan in enumerate(program.root.execution_plan or ()):
        for c, chain in enumerate(plan.chains or ()):
            for i, instruction in enumerate(chain.instructions or ()):
                if f"execution_plan[{p}].chains[{c}].instructions[{i}].instr_args" in places:
                    found.add(id(instruction.instr_args))
    return frozenset(found)


def spliced(subject: Subject, make: Callable[[Piece, InstructionArguments], Mapping[int, Value] | None]) -> Program:
    """The program with pieces in the place of instructions."""
    pool = ConstantPool(subject.program)
    plans = []
    for index, plan in enumerate(subject.program.root.execution_plan or ()):
        edit = PlanEdit(plan)
        place = f"{subject.program.file}, execution_plan[{index}]"
        plans.append(edit.finish() if splice(edit, pool, place, make) else plan)
    root = dataclasses.replace(subject.program.root, execution_plan=tuple(plans))
    return pool.finish(subject.program.replace(root=root))


def decompose(piece: Piece, call: KernelCall) -> Mapping[int, Value] | None:
    """The results of a call by the values that take them; None for an operator without a decomposition.

    Raises ``UnsupportedError`` where the decomposition does not cover the call.
    """
    name = piece.edit.name(call)
    operator = REGISTRY.get(name)
    function = DECOMPOSITIONS.get(operator.functional.qualified_name) if operator is not None else None
    if function is None:
        return None
    accepted = inspect.signature(function).parameters
    read = called_with(piece, call, accepted)
    if read is None:
        return None
    operands: dict[str, Any] = dict(read.operands)
    outs = read.outs
    if "op" in accepted:
        operands["op"] = read.op
    if "result" in accepted:
        operands["result"] = piece.type(outs[0]).scalar_type
    if "dtype" in accepted and "dtype" not in operands:
        operands["dtype"] = piece.type(outs[0]).scalar_type
    expression = Expression(piece.builder, f"{piece.place}: {name}")
    results = function(expression, **operands)
    for index, value in zip(outs, results, strict=True):
        if not piece.type(index).dynamic and piece.type(index).shape != value.tensor_type.shape:
            raise UnsupportedError(
                f"{piece.place}: {name} gives {value.tensor_type}, the program says {piece.type(index)}"
            )
    return dict(zip(outs, results, strict=True))


@dataclass(frozen=True)
class Called:
    """A call as the functional operator ``op`` has it: operands by name, and the plan's tensors that take results."""

    op: str
    operands: Mapping[str, Operand]
    outs: tuple[int, ...]


def called_with(piece: Piece, call: KernelCall, names: Container[str] | None = None) -> Called | None:
    """The call's arguments, or those of some names; None for an operator or an argument list that is not known.

    Raises ``UnsupportedError`` for an argument that is known at run time only.
    """
    operator = REGISTRY.get(piece.edit.name(call))
    args = call.args or ()
    called = operator.schema_for(len(args)) if operator is not None else None
    if operator is None or called is None:
        return None
    functional = {argument.name for argument in operator.functional.arguments}
    operands: dict[str, Operand] = {}
    outs: list[int] = []
    for argument, index in zip(called.arguments, args, strict=False):
        if argument.name in functional:
            if names is None or argument.name in names:
                operands[argument.name] = piece.read(index)
        else:
            val = piece.edit.val(index)
            outs += list(val.items or ()) if isinstance(val, schema.TensorList) else [index]
    return Called(operator.functional.qualified_name, operands, tuple(outs))
