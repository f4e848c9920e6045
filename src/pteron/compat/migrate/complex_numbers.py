"""Complex intermediate results as pairs of real numbers, which every runtime can hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from pteron.compat.migrate.expression import Expression, shape
from pteron.compat.migrate.memory import calls_of, name_of
from pteron.compat.migrate.operators import spliced
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.format import schema
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import EValue, ExecutionPlan, InstructionArguments, KernelCall
from pteron.graph.ir import Value
from pteron.graph.splice import Piece

_REAL = {
    ScalarType.COMPLEX_HALF: ScalarType.HALF,
    ScalarType.COMPLEX_FLOAT: ScalarType.FLOAT,
    ScalarType.COMPLEX_DOUBLE: ScalarType.DOUBLE,
}
_MAKE, _TAKE_APART = "aten::complex.out", "aten::view_as_real_copy.out"


@step("complex-as-pairs", solves=("PT-OP-001", "PT-OP-002", "PT-OP-004", "PT-FM-002"), layout_only=False)
def as_pairs(subject: Subject, profile: Profile) -> Rewritten | None:
    """Hold complex tensors that are made of two real ones and taken apart again as pairs of real numbers."""
    plans = subject.program.root.execution_plan or ()
    held = [_pairs(plan) for plan in plans]
    if not any(held):
        return None
    changed = tuple(_retyped(plan, pairs) for plan, pairs in zip(plans, held, strict=True))
    root = dataclasses.replace(subject.program.root, execution_plan=changed)
    count = sum(map(len, held))
    program = spliced(dataclasses.replace(subject, program=subject.program.replace(root=root)), _make)
    return dataclasses.replace(subject, program=program), f"held {count} complex tensors as pairs of real numbers"


def _pairs(plan: ExecutionPlan) -> frozenset[int]:
    """Complex tensors that only calls of ``complex`` write and only calls of ``view_as_real_copy`` read.

    All of the plan or none: the calls' names alone tell what is to be rewritten.
    """
    values, outside = plan.values or (), {*(plan.inputs or ()), *(plan.outputs or ())}
    found: set[int] = set()
    for index, value in enumerate(values):
        tensor = value.val
        if isinstance(tensor, schema.Tensor) and tensor.scalar_type in _REAL:
            plain = tuple(range(len(tensor.sizes or ())))
            if tensor.allocation_info is None or index in outside or tensor.dim_order != plain:
                return frozenset()
            found.add(index)
    for chain in plan.chains or ():
        for instruction in chain.instructions or ():
            call = instruction.instr_args
            if not isinstance(call, KernelCall):
                if isinstance(call, schema.DelegateCall) and found & set(call.args or ()):
                    return frozenset()
                continue
            name, args = name_of(plan, call), call.args or ()
            allowed = {_MAKE: args[2:], _TAKE_APART: args[:1]}.get(name, ())
            if any(index in found and index not in allowed for index in args):
                return frozenset()
    names = {name_of(plan, call) for call in calls_of(plan)}
    return frozenset(found) if names & {_MAKE, _TAKE_APART} else frozenset()


def _retyped(plan: ExecutionPlan, pairs: frozenset[int]) -> ExecutionPlan:
    values = list(plan.values or ())
    for index in pairs:
        tensor = values[index].val
        assert isinstance(tensor, schema.Tensor)
        sizes = tensor.sizes or ()
        values[index] = EValue(
            dataclasses.replace(
                tensor,
                scalar_type=_REAL[tensor.scalar_type],
                sizes=(*sizes, 2),
                dim_order=tuple(range(len(sizes) + 1)),
            )
        )
    return dataclasses.replace(plan, values=tuple(values))


def _make(piece: Piece, instruction: InstructionArguments) -> Mapping[int, Value] | None:
    if not isinstance(instruction, KernelCall):
        return None
    name, args = piece.edit.name(instruction), instruction.args or ()
    e = Expression(piece.builder, f"{piece.place}: {name}")
    if name not in (_MAKE, _TAKE_APART):
        return None
    read = [value for value in map(piece.read, args[: 2 if name == _MAKE else 1]) if isinstance(value, Value)]
    e.static(*read)
    if name == _TAKE_APART:
        return {args[1]: e.call("aten::clone", {"self": read[0]}, shape(read[0]))}
    sizes = shape(read[0])
    if len(read) != 2 or shape(read[1]) != sizes:
        raise e.refuse("its parts are of different sizes")
    return {args[2]: e.cat([e.view(part, [*sizes, 1]) for part in read], len(sizes))}
