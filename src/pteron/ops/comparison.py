"""Operators: comparisons and logic with bool results, and those that choose between values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.elementwise import bound, check_broadcast, check_dtype, finish, operands, result_dtype
from pteron.ops.promotion import BOOL, FLOAT32, Array, Scalar, cast, is_floating, widen
from pteron.ops.registry import operator

_COMPARISONS: dict[str, Callable[..., Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_LOGIC: dict[str, Callable[..., Any]] = {
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
_EXTREMES: dict[str, Callable[..., Any]] = {"maximum": np.maximum, "minimum": np.minimum}
_TESTS: dict[str, Callable[..., Any]] = {"isinf": np.isinf, "isnan": np.isnan}


def _register_comparison(name: str, function: Callable[..., Any]) -> None:
    def compare(self: Array, other: Array | Scalar) -> Array:
        dtype = check_dtype(result_dtype(self, other), name, complex=name in ("eq", "ne"))
        a, b = operands(self, other, dtype=dtype, round_scalars=True)
        return finish(function(a, b), BOOL)

    @operator(f"aten::{name}.Tensor(Tensor self, Tensor other) -> Tensor", out="Tensor_out")
    def tensor_kernel(self: Array, other: Array) -> Array:
        return compare(self, other)

    @operator(f"aten::{name}.Scalar(Tensor self, Scalar other) -> Tensor", out="Scalar_out")
    def scalar_kernel(self: Array, other: Scalar) -> Array:
        return compare(self, other)


def _truth(x: Array) -> Array:
    """Which elements are true: those that are not zero, NaN included."""
    return x if x.dtype == BOOL else np.asarray(x != 0)


def _register_logic(name: str, function: Callable[..., Any]) -> None:
    @operator(f"aten::{name}(Tensor self, Tensor other) -> Tensor", out="out")
    def kernel(self: Array, other: Array) -> Array:
        check_broadcast(self, other)
        return finish(function(_truth(self), _truth(other)), BOOL)


def _register_extreme(name: str, function: Callable[..., Any]) -> None:
    @operator(f"aten::{name}(Tensor self, Tensor other) -> Tensor", out="out")
    def kernel(self: Array, other: Array) -> Array:
        dtype = check_dtype(result_dtype(self, other), name, complex=False)
        a, b = operands(self, other, dtype=dtype)
        return finish(function(a, b), dtype)


def _register_test(name: str, function: Callable[..., Any]) -> None:
    @operator(f"aten::{name}(Tensor self) -> Tensor", out="out")
    def kernel(self: Array) -> Array:
        return finish(function(self), BOOL)


for _name, _function in _COMPARISONS.items():
    _register_comparison(_name, _function)
for _name, _function in _LOGIC.items():
    _register_logic(_name, _function)
for _name, _function in _EXTREMES.items():
    _register_extreme(_name, _function)
for _name, _function in _TESTS.items():
    _register_test(_name, _function)


@operator("aten::logical_not(Tensor self) -> Tensor", out="out")
def logical_not(self: Array) -> Array:
    return finish(np.logical_not(_truth(self)), BOOL)


def _clamp(self: Array, low: Any, high: Any, as_bound: Callable[..., Array]) -> Array:
    """At least ``low``, then at most ``high``; NaN anywhere gives NaN."""
    present = [x for x in (low, high) if x is not None]
    if not present:
        raise KernelError("clamp needs a min or a max")
    dtype = check_dtype(result_dtype(self, *present), "clamp", boolean=False, complex=False)
    check_broadcast(self, *present, itemsize=dtype.itemsize)
    result: Any = widen(cast(self, dtype))
    if low is not None:
        result = np.maximum(result, widen(as_bound(low, dtype)))
    if high is not None:
        result = np.minimum(result, widen(as_bound(high, dtype)))
    return finish(result, dtype)


@operator("aten::clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", out="out")
def clamp(self: Array, min: Scalar | None, max: Scalar | None) -> Array:
    return _clamp(self, min, max, bound)


@operator("aten::clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor", out="Tensor_out")
def clamp_tensor(self: Array, min: Array | None, max: Array | None) -> Array:
    return _clamp(self, min, max, cast)


@operator("aten::where.self(Tensor condition, Tensor self, Tensor other) -> Tensor", out="self_out")
def where(condition: Array, self: Array, other: Array) -> Array:
    # A uint8 condition is deprecated in PyTorch, but older exporters wrote it.
    if condition.dtype not in (BOOL, np.uint8):
        raise KernelError(f"where's condition is {condition.dtype.name}, but must be bool")
    dtype = result_dtype(self, other)
    check_broadcast(condition, self, other, itemsize=dtype.itemsize)
    return finish(np.where(_truth(condition), cast(self, dtype), cast(other, dtype)), dtype)


def _allclose(self: Array, other: Array, rtol: float, atol: float, equal_nan: bool) -> Array:
    """One bool: whether |self - other| <= atol + rtol * |other| everywhere, where equal values are always close.

    As ATen's allclose. ExecuTorch's kernel ignores equal_nan and the tolerances of integers, and infinities are never
    close to it.
    """
    if self.dtype != other.dtype:
        raise KernelError(f"allclose compares {self.dtype.name} with {other.dtype.name}")
    if not (rtol >= 0 and atol >= 0):
        raise KernelError(f"allclose's tolerances {rtol} and {atol} must not be negative")
    check_broadcast(self, other)
    a, b = (widen(x) if is_floating(x.dtype) or x.dtype.kind == "c" else cast(x, FLOAT32) for x in (self, other))
    error = np.abs(a - b)
    close = np.isfinite(error) & (error <= atol + np.abs(rtol * b))
    close |= np.equal(self, other)
    if equal_nan:
        close |= np.isnan(a) & np.isnan(b)
    return np.array([close.all()])


_ALLCLOSE = (
    "Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False, bool dummy_param=False"
)


@operator(f"aten::allclose.Tensor({_ALLCLOSE}) -> Tensor", out="out")
def allclose_out(self: Array, other: Array, rtol: float, atol: float, equal_nan: bool) -> Array:
    return _allclose(self, other, rtol, atol, equal_nan)


@operator(f"aten::allclose.Tensor({_ALLCLOSE}) -> Tensor")
def allclose_tensor(self: Array, other: Array, rtol: float, atol: float, equal_nan: bool) -> Array:
    return _allclose(self, other, rtol, atol, equal_nan)
