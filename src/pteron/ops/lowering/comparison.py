"""Lowerings: comparisons, logic, bitwise logic, and what chooses between values."""

from __future__ import annotations

import numpy as np

from pteron.ops.elementwise import bound, check_dtype
from pteron.ops.lowering.activation import clip
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import Operand, finish, integral, operands, result_dtype
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, DType

_COMPARISONS = {
    "eq": "Equal",
    "ne": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}


def _register_comparison(name: str, op_type: str) -> None:
    @lowering(f"aten::{name}.Tensor", f"aten::{name}.Scalar")
    def lower(b: Builder, self: Ref, other: Operand) -> Ref:
        dtype = check_dtype(result_dtype(self, other), name, complex=False)
        x, y = operands(b, self, other, dtype=dtype, round_scalars=True)
        result = b.op(op_type, x, y, dtype=BOOL)
        return b.op("Not", result, dtype=BOOL) if name == "ne" else result


for _name, _op in _COMPARISONS.items():
    _register_comparison(_name, _op)


def truth(b: Builder, x: Ref) -> Ref:
    """Which elements are true: those that are not zero, NaN included."""
    return b.cast(x, BOOL)


def _register_logic(name: str, op_type: str) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref, other: Ref) -> Ref:
        return b.op(op_type, truth(b, self), truth(b, other), dtype=BOOL)


for _name, _op in {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}.items():
    _register_logic(_name, _op)


@lowering("aten::logical_not")
def logical_not(b: Builder, self: Ref) -> Ref:
    return b.op("Not", truth(b, self), dtype=BOOL)


def _register_bitwise(name: str, logic: str, bits: str) -> None:
    @lowering(f"aten::{name}.Tensor", f"aten::{name}.Scalar")
    def lower(b: Builder, self: Ref, other: Operand) -> Ref:
        dtype = check_dtype(result_dtype(self, other), name, real=False, complex=False)
        if dtype == BOOL:
            x, y = (b.const(v) if isinstance(v, bool) else v for v in (self, other))
            return b.op(logic, x, y, dtype=BOOL)  # type: ignore[arg-type]
        x, y = operands(b, self, other, dtype=dtype)
        return finish(b, b.op(bits, x, y, dtype=x.dtype), dtype)


_register_bitwise("bitwise_and", "And", "BitwiseAnd")
_register_bitwise("bitwise_or", "Or", "BitwiseOr")
_register_bitwise("bitwise_xor", "Xor", "BitwiseXor")


def _register_extreme(name: str, op_type: str) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref, other: Ref) -> Ref:
        dtype = check_dtype(result_dtype(self, other), name, complex=False)
        x, y = operands(b, self, other, dtype=dtype)
        return finish(b, b.op(op_type, x, y, dtype=x.dtype), dtype)


_register_extreme("maximum", "Max")
_register_extreme("minimum", "Min")


def _register_test(name: str, op_type: str) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref) -> Ref:
        check_dtype(self.dtype, name, complex=False)
        if integral(self.dtype) or self.dtype == BOOL:
            spread = b.cast(self, np.dtype(np.float32))
            return b.op("Not", b.op("Equal", spread, spread, dtype=BOOL), dtype=BOOL)
        (x,) = operands(b, self, dtype=self.dtype)
        return b.op(op_type, x, dtype=BOOL)


_register_test("isinf", "IsInf")
_register_test("isnan", "IsNaN")


@lowering("aten::clamp")
def clamp(b: Builder, self: Ref, min: Operand | None, max: Operand | None) -> Ref:
    return _clamp(b, self, min, max, scalars=True)


@lowering("aten::clamp.Tensor")
def clamp_tensor(b: Builder, self: Ref, min: Ref | None, max: Ref | None) -> Ref:
    return _clamp(b, self, min, max, scalars=False)


def _fits(value: Operand, dtype: DType) -> bool:
    return isinstance(value, int) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _clamp(b: Builder, self: Ref, low: Operand | None, high: Operand | None, *, scalars: bool) -> Ref:
    present = [x for x in (low, high) if x is not None]
    if not present or (scalars and any(isinstance(x, Ref) for x in present)):
        raise Declined("no bound, or one that is not a constant")
    dtype = check_dtype(result_dtype(self, *present), "clamp", boolean=False, complex=False)
    if dtype == self.dtype and dtype.name in ("int8", "uint8") and all(_fits(x, dtype) for x in present):
        ends = [None if x is None else b.const(x, dtype) for x in (low, high)]
        return b.op("Clip", self, *ends, dtype=dtype)
    (x,) = operands(b, self, dtype=dtype)
    limits: list[Ref | None] = []
    for value in (low, high):
        if value is None:
            limits.append(None)
        elif isinstance(value, Ref):
            limits.append(operands(b, value, dtype=dtype)[0])
        else:
            limits.append(b.const(bound(value, dtype).astype(x.dtype)))
    return finish(b, clip(b, x, *limits), dtype)


@lowering("aten::where.self")
def where(b: Builder, condition: Ref, self: Ref, other: Ref) -> Ref:
    if condition.dtype not in (BOOL, np.dtype(np.uint8)):
        raise Declined(f"a condition of {condition.dtype.name}")
    dtype = result_dtype(self, other)
    x, y = operands(b, self, other, dtype=dtype)
    return finish(b, b.op("Where", truth(b, condition), x, y, dtype=x.dtype), dtype)
