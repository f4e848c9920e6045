"""Operators: arithmetic of two tensors, or of a tensor and a scalar."""

from __future__ import annotations

from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.elementwise import bound, check_dtype, finish, operands, result_dtype
from pteron.ops.promotion import BOOL, Array, DType, Scalar, float_dtype, is_complex, is_integral
from pteron.ops.registry import operator

Operand = Array | Scalar


def _scaled(self: Operand, other: Operand, alpha: Scalar, dtype: DType) -> tuple[Array, Array]:
    """``self`` and ``alpha * other``, in the compute dtype."""
    if isinstance(alpha, bool) and dtype != BOOL:
        raise KernelError(f"a boolean alpha is only defined for bool results, not for {dtype.name}")
    if isinstance(alpha, float) and is_integral(dtype, include_bool=True):
        raise KernelError(f"alpha {alpha} is a floating number, but the result is {dtype.name}")
    a, b = operands(self, other, dtype=dtype)
    if alpha != 1:
        (factor,) = operands(alpha, dtype=dtype)
        b = np.multiply(b, factor)
    return a, b


def _add(self: Array, other: Operand, alpha: Scalar) -> Array:
    dtype = result_dtype(self, other)
    a, b = _scaled(self, other, alpha, dtype)
    return finish(np.add(a, b), dtype)


def _subtract(self: Operand, other: Operand, alpha: Scalar) -> Array:
    if any(x.dtype == BOOL if isinstance(x, np.ndarray) else isinstance(x, bool) for x in (self, other)):
        raise KernelError("subtraction is not defined for bool")
    dtype = result_dtype(self, other)
    a, b = _scaled(self, other, alpha, dtype)
    return finish(np.subtract(a, b), dtype)


@operator("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out="out")
def add(self: Array, other: Array, alpha: Scalar) -> Array:
    return _add(self, other, alpha)


@operator("aten::add.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", out="Scalar_out")
def add_scalar(self: Array, other: Scalar, alpha: Scalar) -> Array:
    return _add(self, other, alpha)


@operator("aten::sub.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out="out")
def sub(self: Array, other: Array, alpha: Scalar) -> Array:
    return _subtract(self, other, alpha)


@operator("aten::sub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", out="Scalar_out")
def sub_scalar(self: Array, other: Scalar, alpha: Scalar) -> Array:
    return _subtract(self, other, alpha)


@operator("aten::rsub.Scalar(Tensor self, Scalar other, Scalar alpha=1) -> Tensor", out="Scalar_out")
def rsub_scalar(self: Array, other: Scalar, alpha: Scalar) -> Array:
    return _subtract(other, self, alpha)


def _multiply(self: Array, other: Operand) -> Array:
    dtype = result_dtype(self, other)
    a, b = operands(self, other, dtype=dtype)
    return finish(np.multiply(a, b), dtype)


@operator("aten::mul.Tensor(Tensor self, Tensor other) -> Tensor", out="out")
def mul(self: Array, other: Array) -> Array:
    return _multiply(self, other)


@operator("aten::mul.Scalar(Tensor self, Scalar other) -> Tensor", out="Scalar_out")
def mul_scalar(self: Array, other: Scalar) -> Array:
    return _multiply(self, other)


def _check_divisor(b: Array, name: str) -> None:
    if b.dtype.kind in "iu" and not b.all():
        raise KernelError(f"{name} of integers by zero")


def _truncated_quotient(a: Array, b: Array) -> Any:
    # What fmod takes away leaves an exact multiple, for which every way of rounding is the same.
    return np.floor_divide(a - np.fmod(a, b), b) if a.dtype.kind in "iu" else np.trunc(np.divide(a, b))


def _divide(self: Array, other: Operand, rounding_mode: str | None = None) -> Array:
    dtype = result_dtype(self, other)
    if rounding_mode is None:
        dtype = float_dtype(dtype)
        a, b = operands(self, other, dtype=dtype)
        return finish(np.divide(a, b), dtype)
    if rounding_mode not in ("trunc", "floor"):
        raise KernelError(f"div's rounding_mode is {rounding_mode!r}, but must be None, 'trunc' or 'floor'")
    check_dtype(dtype, f"div with rounding_mode {rounding_mode!r}", boolean=False, complex=False)
    a, b = operands(self, other, dtype=dtype)
    _check_divisor(b, "division")
    return finish((np.floor_divide if rounding_mode == "floor" else _truncated_quotient)(a, b), dtype)


@operator("aten::div.Tensor(Tensor self, Tensor other) -> Tensor", out="out")
def div(self: Array, other: Array) -> Array:
    return _divide(self, other)


@operator("aten::div.Scalar(Tensor self, Scalar other) -> Tensor", out="Scalar_out")
def div_scalar(self: Array, other: Scalar) -> Array:
    return _divide(self, other)


@operator("aten::div.Tensor_mode(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor", out="out_mode")
def div_mode(self: Array, other: Array, rounding_mode: str | None) -> Array:
    return _divide(self, other, rounding_mode)


@operator("aten::div.Scalar_mode(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor", out="Scalar_mode_out")
def div_scalar_mode(self: Array, other: Scalar, rounding_mode: str | None) -> Array:
    return _divide(self, other, rounding_mode)


@operator("aten::floor_divide(Tensor self, Tensor other) -> Tensor", out="out")
def floor_divide(self: Array, other: Array) -> Array:
    return _divide(self, other, "floor")


def _remainder(self: Array, other: Operand, name: str) -> Array:
    """What is left of a division: with the sign of the dividend (fmod) or of the divisor (remainder)."""
    dtype = check_dtype(result_dtype(self, other), name, boolean=False, complex=False)
    a, b = operands(self, other, dtype=dtype)
    _check_divisor(b, name)
    left = np.asarray(np.fmod(a, b))
    if name == "remainder":
        np.add(left, b, out=left, where=(left != 0) & ((left < 0) != (b < 0)))
    return finish(left, dtype)


@operator("aten::fmod.Tensor(Tensor self, Tensor other) -> Tensor", out="Tensor_out")
def fmod(self: Array, other: Array) -> Array:
    return _remainder(self, other, "fmod")


@operator("aten::fmod.Scalar(Tensor self, Scalar other) -> Tensor", out="Scalar_out")
def fmod_scalar(self: Array, other: Scalar) -> Array:
    return _remainder(self, other, "fmod")


@operator("aten::remainder.Tensor(Tensor self, Tensor other) -> Tensor", out="Tensor_out")
def remainder(self: Array, other: Array) -> Array:
    return _remainder(self, other, "remainder")


@operator("aten::remainder.Scalar(Tensor self, Scalar other) -> Tensor", out="Scalar_out")
def remainder_scalar(self: Array, other: Scalar) -> Array:
    return _remainder(self, other, "remainder")


@operator("aten::atan2(Tensor self, Tensor other) -> Tensor", out="out")
def atan2(self: Array, other: Array) -> Array:
    dtype = float_dtype(check_dtype(result_dtype(self, other), "atan2", complex=False))
    a, b = operands(self, other, dtype=dtype)
    return finish(np.arctan2(a, b), dtype)


# Powers that need no logarithm: faster, and rounded as eager PyTorch does.
_EXACT_POWERS: dict[float, Any] = {
    0.5: np.sqrt,
    1.0: np.positive,
    2.0: np.square,
    3.0: lambda x: x * x * x,
    -0.5: lambda x: np.reciprocal(np.sqrt(x)),
    -1.0: np.reciprocal,
    -2.0: lambda x: np.reciprocal(x * x),
}


def _power(base: Operand, exponent: Operand) -> Array:
    dtype = check_dtype(result_dtype(base, exponent), "pow", boolean=False)
    a, b = operands(base, exponent, dtype=dtype)
    if is_integral(dtype):
        return finish(_integer_power(a, b), dtype)
    if not isinstance(exponent, np.ndarray) and not is_complex(dtype) and exponent in _EXACT_POWERS:
        return finish(_EXACT_POWERS[float(exponent)](a), dtype)
    return finish(np.power(a, b), dtype)


def _integer_power(a: Array, b: Array) -> Any:
    """Integer powers; those of a negative exponent are ±1 for a base of ±1, and else 0."""
    negative = b < 0
    if not negative.any():
        return np.power(a, b)
    one = a.dtype.type(1)
    inverse = np.where(a == 1, one, np.where(a == -1, np.where(b % 2 == 0, one, -one), a.dtype.type(0)))
    return np.where(negative, inverse, np.power(a, np.where(negative, 0, b)))


@operator("aten::pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", out="Tensor_Tensor_out")
def pow_tensor_tensor(self: Array, exponent: Array) -> Array:
    return _power(self, exponent)


@operator("aten::pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", out="Tensor_Scalar_out")
def pow_tensor_scalar(self: Array, exponent: Scalar) -> Array:
    dtype = result_dtype(self, exponent)
    if is_integral(dtype):
        bound(exponent, dtype)
        if exponent < 0:
            raise KernelError(f"pow of an integer tensor to the negative integer {exponent} is not defined")
    return _power(self, exponent)


@operator("aten::pow.Scalar(Scalar self, Tensor exponent) -> Tensor", out="Scalar_out")
def pow_scalar(self: Scalar, exponent: Array) -> Array:
    return _power(self, exponent)
