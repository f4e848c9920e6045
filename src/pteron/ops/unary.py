"""Operators: elementwise mathematics of one tensor, and complex numbers taken apart and put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.elementwise import check_broadcast, check_dtype, finish
from pteron.ops.promotion import BOOL, FLOAT32, FLOAT64, Array, cast, float_dtype, is_complex, widen
from pteron.ops.registry import operator
from pteron.ops.special import blockwise, erf_block, sigmoid_block


def _rsqrt(x: Array) -> Any:
    return np.reciprocal(np.sqrt(x))


# Results are floating: integers and booleans are taken as float32.
_FLOATING: dict[str, Callable[[Array], Any]] = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cos": np.cos,
    "cosh": np.cosh,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "reciprocal": np.reciprocal,
    "rsqrt": _rsqrt,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}

# Floating to floating of the same dtype; integers are their own result.
_ROUNDING: dict[str, Callable[[Array], Any]] = {
    "ceil": np.ceil,
    "floor": np.floor,
    "round": np.rint,
    "trunc": np.trunc,
}


def _register_floating(name: str, function: Callable[[Array], Any]) -> None:
    @operator(f"aten::{name}(Tensor self) -> Tensor", out="out")
    def kernel(self: Array) -> Array:
        dtype = float_dtype(check_dtype(self.dtype, name))
        return finish(function(widen(cast(self, dtype))), dtype)


def _register_rounding(name: str, function: Callable[[Array], Any]) -> None:
    @operator(f"aten::{name}(Tensor self) -> Tensor", out="out")
    def kernel(self: Array) -> Array:
        check_dtype(self.dtype, name, boolean=False, complex=False)
        return self if self.dtype.kind in "iu" else finish(function(widen(self)), self.dtype)


for _name, _function in _FLOATING.items():
    _register_floating(_name, _function)
for _name, _function in _ROUNDING.items():
    _register_rounding(_name, _function)


@operator("aten::erf(Tensor self) -> Tensor", out="out")
def erf(self: Array) -> Array:
    return blockwise(erf_block, self, float_dtype(check_dtype(self.dtype, "erf", complex=False)))


@operator("aten::sigmoid(Tensor self) -> Tensor", out="out")
def sigmoid(self: Array) -> Array:
    return blockwise(sigmoid_block, self, float_dtype(check_dtype(self.dtype, "sigmoid")))


@operator("aten::abs(Tensor self) -> Tensor", out="out")
def absolute(self: Array) -> Array:
    check_dtype(self.dtype, "abs", boolean=False)
    result = np.abs(widen(self))
    return finish(result, result.dtype if is_complex(self.dtype) else self.dtype)


@operator("aten::neg(Tensor self) -> Tensor", out="out")
def neg(self: Array) -> Array:
    check_dtype(self.dtype, "neg", boolean=False)
    return finish(np.negative(widen(self)), self.dtype)


@operator("aten::sign(Tensor self) -> Tensor", out="out")
def sign(self: Array) -> Array:
    # The sign of NaN is 0, as in eager PyTorch; ExecuTorch's kernel returns NaN.
    check_dtype(self.dtype, "sign", complex=False)
    if self.dtype == BOOL:
        return self
    x = widen(self)
    return finish(np.subtract(x > 0, x < 0, dtype=np.int8), self.dtype)


@operator("aten::_conj_physical(Tensor self) -> Tensor", out="out")
def conj_physical(self: Array) -> Array:
    return finish(np.conjugate(self), self.dtype) if is_complex(self.dtype) else self


@operator("aten::complex(Tensor real, Tensor imag) -> Tensor", out="out")
def complex_(real: Array, imag: Array) -> Array:
    if real.dtype != imag.dtype or real.dtype not in (FLOAT32, FLOAT64):
        raise KernelError(f"complex is not defined for {real.dtype.name} and {imag.dtype.name}")
    check_broadcast(real, imag, itemsize=2 * real.dtype.itemsize)
    result = np.empty(np.broadcast_shapes(real.shape, imag.shape), np.result_type(real.dtype, np.complex64))
    result.real, result.imag = real, imag
    return result


@operator("aten::view_as_real_copy(Tensor self) -> Tensor", out="out")
def view_as_real_copy(self: Array) -> Array:
    if not is_complex(self.dtype):
        raise KernelError(f"view_as_real is only defined for complex tensors, not for {self.dtype.name}")
    return np.stack([self.real, self.imag], axis=-1)
