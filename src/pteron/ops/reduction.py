"""Reductions over dims: sum, mean, prod, extrema, any, variance, vector norm.

Half and bfloat16 accumulate in float32 and are rounded once. Float32 sums are NumPy's (pairwise along contiguous
rows), so they differ from ATen's in the last bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.format.scalar_type import ScalarType
from pteron.ops.dims import wrap_dims
from pteron.ops.promotion import (
    BOOL,
    INT64,
    Array,
    DType,
    Scalar,
    cast,
    compute_dtype,
    is_complex,
    is_floating,
    is_integral,
    promote,
    widen,
)
from pteron.ops.registry import operator

Dims = list[int] | None


def _axes(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The axes that a reduction runs over, for NumPy; None and an empty list mean all of them."""
    return tuple(wrap_dims(dim, ndim))[:ndim] if dim else tuple(range(ndim))


def accumulator(x: Array, result: DType) -> tuple[Array, DType]:
    """``x`` ready to be accumulated into ``result``, and the dtype to do it in.

    ATen casts the elements before it adds them, which shows where floats become integers; the harmless casts are
    left to the ufunc, which does them in cache-sized pieces.
    """
    dtype = compute_dtype(result)
    return (x if np.can_cast(x.dtype, dtype, "same_kind") else cast(x, dtype)), dtype


def sum_dtype(x: Array, dtype: int | None) -> DType:
    """The dtype that sums and products of ``x`` have: as asked for, or int64 for integers and bool."""
    if dtype is not None:
        return ScalarType(dtype).dtype
    return INT64 if is_integral(x.dtype, include_bool=True) else x.dtype


# With a start value NumPy reduces short rows thrice as fast; only floating types have one for extrema.
_START = {np.maximum: -math.inf, np.minimum: math.inf}


def _reduce(ufunc: np.ufunc, x: Array, axes: tuple[int, ...], keepdim: bool, result: DType) -> Array:
    x, dtype = accumulator(x, result)
    start: dict[str, Any] = {"initial": _START[ufunc]} if ufunc in _START and is_floating(dtype) else {}
    return np.asarray(ufunc.reduce(x, axis=axes, dtype=dtype, keepdims=keepdim, **start))


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[axis] for axis in axes)


@operator(
    "aten::sum.dim_IntList(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    out="IntList_out",
)
def sum_dims(self: Array, dim: Dims, keepdim: bool, dtype: int | None) -> Array:
    result = sum_dtype(self, dtype)
    return cast(_reduce(np.add, self, _axes(dim, self.ndim), keepdim, result), result)


@operator(
    "aten::mean.dim(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", out="out"
)
def mean_dims(self: Array, dim: Dims, keepdim: bool, dtype: int | None) -> Array:
    result = self.dtype if dtype is None else ScalarType(dtype).dtype
    if not (is_floating(result) or is_complex(result)):
        raise KernelError(f"a mean cannot be {result.name}; it must be floating point or complex")
    axes = _axes(dim, self.ndim)
    total = _reduce(np.add, self, axes, keepdim, result)
    return cast(np.asarray(total / _count(self, axes)), result)


@operator("aten::mean(Tensor self, *, ScalarType? dtype=None) -> Tensor", out="dtype_out")
def mean_all(self: Array, dtype: int | None) -> Array:
    return mean_dims(self, None, False, dtype)


@operator("aten::prod(Tensor self, *, ScalarType? dtype=None) -> Tensor", out="out")
def prod_all(self: Array, dtype: int | None) -> Array:
    result = sum_dtype(self, dtype)
    return cast(_reduce(np.multiply, self, _axes(None, self.ndim), False, result), result)


@operator(
    "aten::prod.dim_int(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor", out="int_out"
)
def prod_dim(self: Array, dim: int, keepdim: bool, dtype: int | None) -> Array:
    result = sum_dtype(self, dtype)
    return cast(_reduce(np.multiply, self, _axes([dim], self.ndim), keepdim, result), result)


# Extrema: NaN wins, the first of equal elements is the one whose index is returned.


def _ordered(x: Array, axes: tuple[int, ...]) -> Array:
    """``x`` in a dtype that NumPy compares fast; refused where there is no order or nothing to choose from."""
    if is_complex(x.dtype):
        raise KernelError(f"{x.dtype.name} has no largest or smallest element")
    if _count(x, axes) == 0:
        raise KernelError(f"shape {x.shape} has no elements to choose from along dims {axes}")
    return widen(x)


def _extremum(ufunc: np.ufunc, self: Array, dim: Dims, keepdim: bool) -> Array:
    axes = _axes(dim, self.ndim)
    x = _ordered(self, axes)
    return cast(_reduce(ufunc, x, axes, keepdim, x.dtype), self.dtype)


@operator("aten::amax(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", out="out")
def amax(self: Array, dim: Dims, keepdim: bool) -> Array:
    return _extremum(np.maximum, self, dim, keepdim)


@operator("aten::amin(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor", out="out")
def amin(self: Array, dim: Dims, keepdim: bool) -> Array:
    return _extremum(np.minimum, self, dim, keepdim)


@operator("aten::max(Tensor self) -> Tensor", out="unary_out")
def max_all(self: Array) -> Array:
    return _extremum(np.maximum, self, None, False)


@operator("aten::min(Tensor self) -> Tensor", out="unary_out")
def min_all(self: Array) -> Array:
    return _extremum(np.minimum, self, None, False)


def _argument(self: Array, dim: int | None, keepdim: bool, largest: bool) -> Array:
    x = _ordered(self, _axes(None if dim is None else [dim], self.ndim))
    choose = np.argmax if largest else np.argmin
    axis = dim if self.ndim else None
    return np.asarray(choose(x, axis=axis, keepdims=keepdim)).astype(INT64, copy=False)


def _extremum_with_index(self: Array, dim: int, keepdim: bool, largest: bool) -> tuple[Array, Array]:
    indices = _argument(self, dim, True, largest)
    if not self.ndim:
        return self, indices
    values = np.take_along_axis(self, indices, dim)
    return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))


# The results are named as the out arguments are: max.dim_max and min.dim_min do not follow the general rule.


@operator("aten::max.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor max, Tensor max_values)", out="dim_max")
def max_dim(self: Array, dim: int, keepdim: bool) -> tuple[Array, Array]:
    return _extremum_with_index(self, dim, keepdim, True)


@operator("aten::min.dim(Tensor self, int dim, bool keepdim=False) -> (Tensor min, Tensor min_indices)", out="dim_min")
def min_dim(self: Array, dim: int, keepdim: bool) -> tuple[Array, Array]:
    return _extremum_with_index(self, dim, keepdim, False)


def _refuse_bool(self: Array) -> None:
    if self.dtype == BOOL:
        raise KernelError("argmax and argmin are not defined for bool")


@operator("aten::argmax(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", out="out")
def argmax(self: Array, dim: int | None, keepdim: bool) -> Array:
    _refuse_bool(self)
    return _argument(self, dim, keepdim, True)


@operator("aten::argmin(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", out="out")
def argmin(self: Array, dim: int | None, keepdim: bool) -> Array:
    _refuse_bool(self)
    return _argument(self, dim, keepdim, False)


# any: bool, but uint8 for uint8, which served as bool before ATen had one.


def _any(self: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    result = self.dtype if self.dtype == np.uint8 else BOOL
    return cast(np.asarray(np.any(self, axis=axes, keepdims=keepdim)), result)


@operator("aten::any.dim(Tensor self, int dim, bool keepdim=False) -> Tensor", out="out")
def any_dim(self: Array, dim: int, keepdim: bool) -> Array:
    return _any(self, _axes([dim], self.ndim), keepdim)


@operator("aten::any(Tensor self) -> Tensor", out="all_out")
def any_all(self: Array) -> Array:
    return _any(self, _axes(None, self.ndim), False)


@operator("aten::any.dims(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor", out="dims_out")
def any_dims(self: Array, dim: Dims, keepdim: bool) -> Array:
    # Unlike elsewhere, an empty list reduces nothing: each element is asked by itself.
    return _any(self, () if dim == [] else _axes(dim, self.ndim), keepdim)


def _variance(self: Array, dim: Dims, correction: Scalar | None, keepdim: bool) -> tuple[Array, Array]:
    if not is_floating(self.dtype):
        raise KernelError(f"a variance of {self.dtype.name} is not defined; it must be floating point")
    axes = _axes(dim, self.ndim)
    x, count = widen(self), _count(self, axes)
    mean = np.add.reduce(x, axis=axes, keepdims=True) / count
    deviation = np.asarray(x - mean)
    # The deviations do not sum to zero exactly where the mean was rounded; what is left of them is taken out.
    rest = _reduce(np.add, deviation, axes, keepdim, x.dtype)
    squares = _reduce(np.add, np.square(deviation), axes, keepdim, x.dtype) - np.square(rest) / count
    # Too large a correction leaves no degree of freedom: NaN or inf, not a negative variance.
    freedom = max(0.0, count - float(1 if correction is None else correction))
    mean = np.asarray(mean).reshape(squares.shape)
    return cast(np.asarray(squares / freedom), self.dtype), cast(mean, self.dtype)


@operator("aten::var.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) -> Tensor", out="out")
def var_dim(self: Array, dim: Dims, unbiased: bool, keepdim: bool) -> Array:
    return _variance(self, dim, int(unbiased), keepdim)[0]


@operator(
    "aten::var.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor",
    out="correction_out",
)
def var_correction(self: Array, dim: Dims, correction: Scalar | None, keepdim: bool) -> Array:
    return _variance(self, dim, correction, keepdim)[0]


@operator(
    "aten::var_mean.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False)"
    " -> (Tensor, Tensor)",
    out="correction_out",
)
def var_mean(self: Array, dim: Dims, correction: Scalar | None, keepdim: bool) -> tuple[Array, Array]:
    return _variance(self, dim, correction, keepdim)


@operator(
    "aten::linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *,"
    " ScalarType? dtype=None) -> Tensor",
    out="out",
)
def vector_norm(self: Array, ord: Scalar, dim: Dims, keepdim: bool, dtype: int | None) -> Array:
    source = self.dtype
    target = source if dtype is None else ScalarType(dtype).dtype
    if not (is_floating(source) or is_complex(source)):
        raise KernelError(f"a vector norm of {source.name} is not defined; it must be floating point or complex")
    if promote(source, target) != target:
        raise KernelError(f"a vector norm of {source.name} cannot be computed as {target.name} without narrowing")
    power, axes = float(ord), _axes(dim, self.ndim)
    if (power < 0 or power == math.inf) and _count(self, axes) == 0:
        raise KernelError(f"the {power:g}-norm of no elements is not defined (shape {self.shape}, dims {axes})")
    x = np.abs(widen(cast(self, target)))
    result = target.type(0).real.dtype if is_complex(target) else target
    return cast(np.asarray(_norm(x, power, axes, keepdim)), result)


def _norm(x: Array, power: float, axes: tuple[int, ...], keepdim: bool) -> Array:
    """The ``power``-norm of the magnitudes ``x``."""
    if math.isinf(power):
        return _reduce(np.maximum if power > 0 else np.minimum, x, axes, keepdim, x.dtype)
    if power == 0:
        x = x != 0
    elif power != 1:
        x = np.square(x) if power == 2 else np.power(x, power)
    total = _reduce(np.add, x, axes, keepdim, x.dtype if x.dtype != BOOL else INT64)
    if power in (0, 1):
        return total
    return np.sqrt(total) if power == 2 else np.power(total, 1 / power)
