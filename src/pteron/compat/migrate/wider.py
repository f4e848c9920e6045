"""Operators computed in float32, where the target's kernel does not take the element type."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

from pteron.compat.migrate.expression import Expression
from pteron.compat.migrate.operators import called_with, spliced
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import InstructionArguments, KernelCall
from pteron.graph.ir import Operand, Value
from pteron.graph.splice import Piece

_NARROW = frozenset({ScalarType.HALF, ScalarType.BFLOAT16})
_CONVERTS = "aten::_to_copy.out"


@step("compute-in-float32", solves=("PT-OP-014",), layout_only=False)
def widened(subject: Subject, profile: Profile) -> Rewritten | None:
    """Convert half-precision operands to float32 and results back, where the target's kernel does not take them."""
    counts: Counter[str] = Counter()

    def make(piece: Piece, instruction: InstructionArguments) -> Mapping[int, Value] | None:
        if not isinstance(instruction, KernelCall):
            return None
        name = piece.edit.name(instruction)
        refused = profile.refused_dtypes(name) & _NARROW
        call = called_with(piece, instruction) if refused and name != _CONVERTS else None
        if call is None:
            return None
        e = Expression(piece.builder, f"{piece.place}: {name}")
        operands: dict[str, Operand] = {key: _wide(e, value, refused) for key, value in call.operands.items()}
        types = [piece.type(index) for index in call.outs]
        if operands == call.operands and not any(type.scalar_type in refused for type in types):
            return None
        made = [
            dataclasses.replace(type, scalar_type=ScalarType.FLOAT) if type.scalar_type in refused else type
            for type in types
        ]
        results = e.builder.node(call.op, operands, made)
        counts[name] += 1
        return {
            index: e.to(result, type.scalar_type) for index, result, type in zip(call.outs, results, types, strict=True)
        }

    program = spliced(subject, make)
    if not counts:
        return None
    said = ", ".join(f"{count} × {name}" for name, count in counts.items())
    return dataclasses.replace(subject, program=program), f"computed {said} in float32"


def _wide(e: Expression, operand: Operand, refused: frozenset[ScalarType]) -> Operand:
    if isinstance(operand, list):
        return [_wide(e, item, refused) for item in operand]
    if isinstance(operand, Value) and operand.is_tensor and operand.tensor_type.scalar_type in refused:
        return e.to(operand, ScalarType.FLOAT)
    return operand
