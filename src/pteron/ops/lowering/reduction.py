"""Lowerings: reductions over dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.format.scalar_type import ScalarType
from pteron.ops.dims import wrap_dims
from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.elementwise import INT32, finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT32, INT64, DType, is_floating, is_integral

UINT8 = np.dtype(np.uint8)
Dims = Sequence[int] | None


def _axes(dim: Dims, rank: int) -> list[int]:
    return wrap_dims(dim, rank)[:rank] if dim else list(range(rank))


def sum_dtype(x: Ref, dtype: int | None) -> DType:
    if dtype is not None:
        return ScalarType(dtype).dtype
    return INT64 if is_integral(x.dtype, include_bool=True) else x.dtype


def reduced(b: Builder, op_type: str, x: Ref, axes: Sequence[int], keepdim: bool) -> Ref:
    """``x`` reduced by one node; nothing to do for a tensor of no dimensions."""
    if not axes:
        return x
    return b.op(op_type, x, b.ints(axes), dtype=x.dtype, keepdims=int(keepdim))


def _accumulated(b: Builder, op_type: str, self: Ref, axes: list[int], keepdim: bool, result: DType) -> Ref:
    if result == BOOL:
        raise Declined("a sum of bool as bool")
    (x,) = operands(b, self, dtype=result)
    return finish(b, reduced(b, op_type, x, axes, keepdim), result)


@lowering("aten::sum.dim_IntList")
def sum_dims(b: Builder, self: Ref, dim: Dims, keepdim: bool, dtype: int | None) -> Ref:
    return _accumulated(b, "ReduceSum", self, _axes(dim, self.rank), keepdim, sum_dtype(self, dtype))


@lowering("aten::mean.dim")
def mean_dims(b: Builder, self: Ref, dim: Dims, keepdim: bool, dtype: int | None) -> Ref:
    result = self.dtype if dtype is None else ScalarType(dtype).dtype
    if not is_floating(result) or 0 in self.shape:
        raise Declined(f"a mean as {result.name}, or of no elements")
    return _accumulated(b, "ReduceMean", self, _axes(dim, self.rank), keepdim, result)


@lowering("aten::mean")
def mean_all(b: Builder, self: Ref, dtype: int | None) -> Ref:
    return mean_dims(b, self, None, False, dtype)


@lowering("aten::prod")
def prod_all(b: Builder, self: Ref, dtype: int | None) -> Ref:
    return _accumulated(b, "ReduceProd", self, _axes(None, self.rank), False, sum_dtype(self, dtype))


@lowering("aten::prod.dim_int")
def prod_dim(b: Builder, self: Ref, dim: int, keepdim: bool, dtype: int | None) -> Ref:
    return _accumulated(b, "ReduceProd", self, _axes([dim], self.rank), keepdim, sum_dtype(self, dtype))


def _choosable(self: Ref, axes: Sequence[int]) -> None:
    if any(self.shape[a] == 0 for a in axes):
        raise Declined("no elements to choose from")


def _extremum(b: Builder, op_type: str, self: Ref, dim: Dims, keepdim: bool) -> Ref:
    axes = _axes(dim, self.rank)
    _choosable(self, axes)
    (x,) = operands(b, self, dtype=self.dtype)
    result = reduced(b, op_type, x, axes, keepdim)
    if is_floating(x.dtype):
        # ONNX Runtime passes over NaN; a sum holds it (and infinities of both signs make one, too).
        nan = b.cast(b.op("IsNaN", x, dtype=BOOL), INT32)
        some = b.cast(reduced(b, "ReduceMax", nan, axes, keepdim), BOOL)
        result = b.op("Where", some, b.const(math.nan, x.dtype), result, dtype=x.dtype)
    return finish(b, result, self.dtype)


@lowering("aten::amax")
def amax(b: Builder, self: Ref, dim: Dims, keepdim: bool) -> Ref:
    return _extremum(b, "ReduceMax", self, dim, keepdim)


@lowering("aten::amin")
def amin(b: Builder, self: Ref, dim: Dims, keepdim: bool) -> Ref:
    return _extremum(b, "ReduceMin", self, dim, keepdim)


@lowering("aten::max")
def max_all(b: Builder, self: Ref) -> Ref:
    return _extremum(b, "ReduceMax", self, None, False)


@lowering("aten::min")
def min_all(b: Builder, self: Ref) -> Ref:
    return _extremum(b, "ReduceMin", self, None, False)


def _argument(b: Builder, self: Ref, dim: int | None, keepdim: bool, op_type: str) -> Ref:
    axes = _axes(None if dim is None else [dim], self.rank)
    _choosable(self, axes)
    (x,) = operands(b, self, dtype=self.dtype)
    if x.dtype == INT64:
        raise Declined("ONNX Runtime has no ArgMax for int64")
    if is_floating(x.dtype):
        # NaN counts as the greatest of all, and as the smallest.
        nan = b.op("IsNaN", x, dtype=BOOL)
        has_nan = b.cast(nan, FLOAT32)
        extreme = b.const(math.inf if op_type == "ArgMax" else -math.inf, x.dtype)
        found = _position(b, op_type, b.op("Where", nan, extreme, x, dtype=x.dtype), self, dim, keepdim)
        first = _position(b, "ArgMax", has_nan, self, dim, keepdim)
        any_nan = b.cast(reduced(b, "ReduceMax", has_nan, axes, keepdim), BOOL)
        return b.op("Where", any_nan, first, found, dtype=INT64)
    return _position(b, op_type, x, self, dim, keepdim)


def _position(b: Builder, op_type: str, x: Ref, self: Ref, dim: int | None, keepdim: bool) -> Ref:
    if not self.rank or dim is None:
        flat = b.op("Reshape", x, b.ints([-1]), dtype=x.dtype)
        found = b.op(op_type, flat, dtype=INT64, axis=0, keepdims=0)
        return b.op("Reshape", found, b.ints([1] * (self.rank if keepdim else 0)), dtype=INT64)
    return b.op(op_type, x, dtype=INT64, axis=dim % self.rank, keepdims=int(keepdim))


def _register_with_index(name: str, op_type: str, choose: str) -> None:
    @lowering(f"aten::{name}.dim")
    def lower(b: Builder, self: Ref, dim: int, keepdim: bool) -> tuple[Ref, Ref]:
        values = _extremum(b, op_type, self, [dim], keepdim)
        if self.dtype == BOOL:
            raise Declined("bool")
        return values, _argument(b, self, dim, keepdim, choose)

    @lowering(f"aten::arg{name}")
    def argument(b: Builder, self: Ref, dim: int | None, keepdim: bool) -> Ref:
        if self.dtype == BOOL:
            raise Declined("bool")
        return _argument(b, self, dim, keepdim, choose)


_register_with_index("max", "ReduceMax", "ArgMax")
_register_with_index("min", "ReduceMin", "ArgMin")


def _any(b: Builder, self: Ref, axes: list[int], keepdim: bool, out: Sequence[Spec]) -> Ref:
    # Where there may be no elements, a sum rather than a maximum: it is 0 then.
    filled = not self.dynamic and 0 not in self.shape
    some = b.cast(b.cast(self, BOOL), UINT8 if filled else INT64)
    found = reduced(b, "ReduceMax" if filled else "ReduceSum", some, axes, keepdim)
    return b.cast(b.cast(found, BOOL), out[0].dtype)


@lowering("aten::any.dim")
def any_dim(b: Builder, self: Ref, dim: int, keepdim: bool, out: Sequence[Spec]) -> Ref:
    return _any(b, self, _axes([dim], self.rank), keepdim, out)


@lowering("aten::any")
def any_all(b: Builder, self: Ref, out: Sequence[Spec]) -> Ref:
    return _any(b, self, _axes(None, self.rank), False, out)


@lowering("aten::any.dims")
def any_dims(b: Builder, self: Ref, dim: Dims, keepdim: bool, out: Sequence[Spec]) -> Ref:
    return _any(b, self, [] if dim is not None and not len(dim) else _axes(dim, self.rank), keepdim, out)


def _variance(b: Builder, self: Ref, dim: Dims, correction: float | None, keepdim: bool) -> tuple[Ref, Ref]:
    if not is_floating(self.dtype) or self.dynamic or isinstance(correction, Ref) or 0 in self.shape:
        raise Declined("a variance of integers, or over a number of elements that is not known")
    axes = _axes(dim, self.rank)
    (x,) = operands(b, self, dtype=self.dtype)
    count = math.prod(self.shape[a] for a in axes)
    mean = reduced(b, "ReduceMean", x, axes, True)
    deviation = b.op("Sub", x, mean, dtype=x.dtype)
    squares = reduced(b, "ReduceSum", b.op("Mul", deviation, deviation, dtype=x.dtype), axes, keepdim)
    freedom = max(0.0, count - float(1 if correction is None else correction))
    variance = b.op("Div", squares, b.const(freedom, x.dtype), dtype=x.dtype)
    kept = reduced(b, "ReduceMean", x, axes, keepdim)
    return finish(b, variance, self.dtype), finish(b, kept, self.dtype)


@lowering("aten::var.dim")
def var_dim(b: Builder, self: Ref, dim: Dims, unbiased: bool, keepdim: bool) -> Ref:
    return _variance(b, self, dim, int(unbiased), keepdim)[0]


@lowering("aten::var.correction")
def var_correction(b: Builder, self: Ref, dim: Dims, correction: float | None, keepdim: bool) -> Ref:
    return _variance(b, self, dim, correction, keepdim)[0]


@lowering("aten::var_mean.correction")
def var_mean(b: Builder, self: Ref, dim: Dims, correction: float | None, keepdim: bool) -> tuple[Ref, Ref]:
    return _variance(b, self, dim, correction, keepdim)


@lowering("aten::linalg_vector_norm")
def vector_norm(b: Builder, self: Ref, ord: float, dim: Dims, keepdim: bool, dtype: int | None) -> Ref:
    result = self.dtype if dtype is None else ScalarType(dtype).dtype
    if ord not in (1, 2) or not is_floating(self.dtype) or not is_floating(result):
        raise Declined(f"a norm of order {ord}")
    (x,) = operands(b, self, dtype=result)
    axes = _axes(dim, self.rank)
    if not axes:
        return finish(b, b.op("Abs", x, dtype=x.dtype), result)
    norm = reduced(b, "ReduceL1" if ord == 1 else "ReduceL2", x, axes, keepdim)
    return finish(b, norm, result)
