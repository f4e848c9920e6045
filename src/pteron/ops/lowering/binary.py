"""Lowerings: arithmetic of two tensors, or of a tensor and a scalar."""

from __future__ import annotations

import numpy as np

from pteron.ops.elementwise import check_dtype
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import Operand, finish, integral, operands, result_dtype
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT32, DType, float_dtype


def _is_bool(x: Operand) -> bool:
    return x.dtype == BOOL if isinstance(x, Ref) else isinstance(x, bool)


def _sum(b: Builder, op_type: str, x: Operand, y: Operand, alpha: Operand) -> Ref:
    if isinstance(alpha, Ref):
        raise Declined("alpha is not a constant")
    dtype = result_dtype(x, y)
    if (isinstance(alpha, bool) and dtype != BOOL) or (isinstance(alpha, float) and dtype.kind in "iub"):
        raise Declined(f"alpha {alpha!r} does not go with {dtype.name}")
    if op_type == "Sub" and (_is_bool(x) or _is_bool(y)):
        raise Declined("subtraction of bool")
    first, second = operands(b, x, y, dtype=dtype)
    if alpha != 1:
        (factor,) = operands(b, alpha, dtype=dtype)
        second = b.op("Mul", second, factor, dtype=second.dtype)
    return finish(b, b.op(op_type, first, second, dtype=first.dtype), dtype)


@lowering("aten::add.Tensor", "aten::add.Scalar")
def add(b: Builder, self: Ref, other: Operand, alpha: Operand) -> Ref:
    return _sum(b, "Add", self, other, alpha)


@lowering("aten::sub.Tensor", "aten::sub.Scalar")
def sub(b: Builder, self: Ref, other: Operand, alpha: Operand) -> Ref:
    return _sum(b, "Sub", self, other, alpha)


@lowering("aten::rsub.Scalar")
def rsub(b: Builder, self: Ref, other: Operand, alpha: Operand) -> Ref:
    return _sum(b, "Sub", other, self, alpha)


@lowering("aten::mul.Tensor", "aten::mul.Scalar")
def mul(b: Builder, self: Ref, other: Operand) -> Ref:
    dtype = result_dtype(self, other)
    x, y = operands(b, self, other, dtype=dtype)
    return finish(b, b.op("Mul", x, y, dtype=x.dtype), dtype)


@lowering("aten::div.Tensor", "aten::div.Scalar")
def div(b: Builder, self: Ref, other: Operand) -> Ref:
    dtype = float_dtype(result_dtype(self, other))
    x, y = operands(b, self, other, dtype=dtype)
    return finish(b, b.op("Div", x, y, dtype=x.dtype), dtype)


def check_divisor(y: Ref) -> None:
    """Decline an integer divisor that is not known or may be 0 or -1: the processor would trap."""
    if integral(y.dtype) and (y.data is None or bool(np.isin(y.data, (0, -1)).any())):
        raise Declined("an integer divisor that is not a constant, or is 0 or -1")


def _wrong_sign(b: Builder, rest: Ref, y: Ref) -> Ref:
    """Where a truncated remainder is not zero and has another sign than the divisor."""
    zero = b.const(0, y.dtype)
    differs = b.op("Xor", b.op("Less", rest, zero, dtype=BOOL), b.op("Less", y, zero, dtype=BOOL), dtype=BOOL)
    whole = b.op("Equal", rest, zero, dtype=BOOL)
    return b.op("And", differs, b.op("Not", whole, dtype=BOOL), dtype=BOOL)


def truncated(b: Builder, x: Ref) -> Ref:
    """A float without its fraction."""
    below = b.op("Less", x, b.const(0, x.dtype), dtype=BOOL)
    up, down = b.op("Ceil", x, dtype=x.dtype), b.op("Floor", x, dtype=x.dtype)
    return b.op("Where", below, up, down, dtype=x.dtype)


def _floor_quotient(b: Builder, x: Ref, y: Ref) -> Ref:
    rest = b.op("Mod", x, y, dtype=x.dtype, fmod=1)
    wrong = _wrong_sign(b, rest, y)
    one = b.const(1, x.dtype)
    quotient = b.op("Div", b.op("Sub", x, rest, dtype=x.dtype), y, dtype=x.dtype)
    lower = b.op("Where", wrong, b.op("Sub", quotient, one, dtype=x.dtype), quotient, dtype=x.dtype)
    if integral(x.dtype):
        return lower
    # As ATen: the quotient is within half of a whole number, and a division by zero is left as it is.
    whole = b.op("Floor", lower, dtype=x.dtype)
    over = b.op("Greater", b.op("Sub", lower, whole, dtype=x.dtype), b.const(0.5, x.dtype), dtype=BOOL)
    nearest = b.op("Where", over, b.op("Add", whole, one, dtype=x.dtype), whole, dtype=x.dtype)
    by_zero = b.op("Equal", y, b.const(0, x.dtype), dtype=BOOL)
    return b.op("Where", by_zero, b.op("Div", x, y, dtype=x.dtype), nearest, dtype=x.dtype)


@lowering("aten::div.Tensor_mode", "aten::div.Scalar_mode")
def div_mode(b: Builder, self: Ref, other: Operand, rounding_mode: str | None) -> Ref:
    if rounding_mode is None:
        return div(b, self, other)
    dtype = check_dtype(result_dtype(self, other), "div", boolean=False, complex=False)
    x, y = operands(b, self, other, dtype=dtype)
    check_divisor(y)
    if rounding_mode == "floor":
        return finish(b, _floor_quotient(b, x, y), dtype)
    if rounding_mode != "trunc":
        raise Declined(f"rounding_mode {rounding_mode!r}")
    quotient = b.op("Div", x, y, dtype=x.dtype)
    return finish(b, quotient if integral(x.dtype) else truncated(b, quotient), dtype)


@lowering("aten::floor_divide")
def floor_divide(b: Builder, self: Ref, other: Ref) -> Ref:
    return div_mode(b, self, other, "floor")


def _rest(b: Builder, self: Ref, other: Operand, name: str) -> tuple[Ref, Ref, DType]:
    dtype = check_dtype(result_dtype(self, other), name, boolean=False, complex=False)
    x, y = operands(b, self, other, dtype=dtype)
    check_divisor(y)
    return b.op("Mod", x, y, dtype=x.dtype, fmod=1), y, dtype


@lowering("aten::fmod.Tensor", "aten::fmod.Scalar")
def fmod(b: Builder, self: Ref, other: Operand) -> Ref:
    rest, _, dtype = _rest(b, self, other, "fmod")
    return finish(b, rest, dtype)


@lowering("aten::remainder.Tensor", "aten::remainder.Scalar")
def remainder(b: Builder, self: Ref, other: Operand) -> Ref:
    rest, y, dtype = _rest(b, self, other, "remainder")
    moved = b.op("Add", rest, y, dtype=rest.dtype)
    return finish(b, b.op("Where", _wrong_sign(b, rest, y), moved, rest, dtype=rest.dtype), dtype)


@lowering("aten::atan2")
def atan2(b: Builder, self: Ref, other: Ref) -> Ref:
    """The angle from the arc tangent of absolute values, then by the signs, which zeros have as well."""
    dtype = float_dtype(check_dtype(result_dtype(self, other), "atan2", complex=False))
    y, x = operands(b, self, other, dtype=dtype)
    if x.dtype != FLOAT32:
        raise Declined(f"ONNX Runtime has no Atan for {x.dtype.name}")
    zero, one, half_turn = (b.const(np.float32(number)) for number in (0, 1, np.pi))
    up, right = b.op("Abs", y, dtype=FLOAT32), b.op("Abs", x, dtype=FLOAT32)
    # Zero to zero is no angle, and infinity to infinity the one of equal sides.
    same = b.op("Where", b.op("Equal", up, zero, dtype=BOOL), zero, one, dtype=FLOAT32)
    ratio = b.op("Div", up, right, dtype=FLOAT32)
    ratio = b.op("Where", b.op("Equal", up, right, dtype=BOOL), same, ratio, dtype=FLOAT32)
    angle = b.op("Atan", ratio, dtype=FLOAT32)
    angle = b.op("Where", _negative(b, x), b.op("Sub", half_turn, angle, dtype=FLOAT32), angle, dtype=FLOAT32)
    # ONNX Runtime's Where takes the sign from a zero, the product keeps it.
    sign = b.op("Where", _negative(b, y), b.const(np.float32(-1)), one, dtype=FLOAT32)
    return finish(b, b.op("Mul", angle, sign, dtype=FLOAT32), dtype)


def _negative(b: Builder, x: Ref) -> Ref:
    """Which elements have a minus sign; that of a zero shows in its reciprocal."""
    zero = b.const(0, x.dtype)
    below = b.op("Less", b.op("Reciprocal", x, dtype=x.dtype), zero, dtype=BOOL)
    return b.op("Or", b.op("Less", x, zero, dtype=BOOL), below, dtype=BOOL)


def _small_power(b: Builder, x: Ref, exponent: int | float) -> Ref | None:
    """Powers that need no logarithm."""
    if exponent == 1:
        return x
    if exponent in (2, 3, -2):
        square = b.op("Mul", x, x, dtype=x.dtype)
        if exponent == 3:
            return b.op("Mul", square, x, dtype=x.dtype)
        return square if exponent == 2 else b.op("Reciprocal", square, dtype=x.dtype)
    if integral(x.dtype):
        return None
    if exponent in (0.5, -0.5):
        root = b.op("Sqrt", x, dtype=x.dtype)
        return root if exponent == 0.5 else b.op("Reciprocal", root, dtype=x.dtype)
    return b.op("Reciprocal", x, dtype=x.dtype) if exponent == -1 else None


@lowering("aten::pow.Tensor_Scalar")
def pow_scalar(b: Builder, self: Ref, exponent: Operand) -> Ref:
    dtype = check_dtype(result_dtype(self, exponent), "pow", boolean=False, complex=False)
    x, y = operands(b, self, exponent, dtype=dtype)
    if not isinstance(exponent, Ref) and (exponent in (1, 2, 3) or not integral(dtype)):
        result = _small_power(b, x, exponent)
        if result is not None:
            return finish(b, result, dtype)
    return _general_power(b, x, y, dtype)


@lowering("aten::pow.Tensor_Tensor", "aten::pow.Scalar")
def pow_tensor(b: Builder, self: Operand, exponent: Ref) -> Ref:
    dtype = check_dtype(result_dtype(self, exponent), "pow", boolean=False, complex=False)
    x, y = operands(b, self, exponent, dtype=dtype)
    return _general_power(b, x, y, dtype)


def _general_power(b: Builder, x: Ref, y: Ref, dtype: DType) -> Ref:
    if integral(dtype):
        raise Declined("an integer power is computed in floats by ONNX Runtime")
    return finish(b, b.op("Pow", x, y, dtype=x.dtype), dtype)
