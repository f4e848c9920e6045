"""Operators that write into a copy of a tensor (or into the tensor itself) at given positions.

Where two values go to the same place, the later one stays, as it does in ATen's sequential loops.
"""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.conversion import convert, fill_value
from pteron.ops.dims import broadcast, common_shape, wrap_dim
from pteron.ops.indexing import address, check_index, check_range
from pteron.ops.promotion import BOOL, Array, Scalar, cast, widen
from pteron.ops.registry import operator
from pteron.ops.shape import select_at, slice_at

# --- by advanced indexing


@operator(
    "aten::index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
    out="out",
)
def index_put(self: Array, indices: list[Array | None], values: Array, accumulate: bool) -> Array:
    return index_put_(self.copy(), indices, values, accumulate)


@operator("aten::index_put_(Tensor(a!) self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor(a!)")
def index_put_(self: Array, indices: list[Array | None], values: Array, accumulate: bool) -> Array:
    if values.dtype != self.dtype:
        raise KernelError(f"values of {values.dtype.name} cannot be put into {self.dtype.name}")
    where = address(self, indices)
    source = where.from_result(broadcast(values, where.result_shape, "values tensor"))
    if 0 in where.result_shape:
        return self
    if accumulate:
        total = np.ascontiguousarray(where.view)
        # Half and bfloat16 sums are rounded at each step, as ATen's are here.
        np.add.at(total.reshape(-1), where.linear().reshape(-1), source.reshape(-1))
        if not where.view.flags.c_contiguous:
            where.view[...] = total
    else:
        where.view[where.key] = source
    return self


# --- by mask


@operator("aten::masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor", out="Scalar_out")
def masked_fill(self: Array, mask: Array, value: Scalar) -> Array:
    _check_mask(self, mask, "masked_fill")
    return np.where(mask, fill_value(value, self.dtype), self)


@operator("aten::masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", out="out")
def masked_scatter(self: Array, mask: Array, source: Array) -> Array:
    shape = _check_mask(self, mask, "masked_scatter")
    _check_dtype(self, source)
    chosen = broadcast(mask, shape)
    count = np.count_nonzero(chosen)
    if count > source.size:
        raise KernelError(f"{source.size} elements are fewer than the {count} places of the mask")
    result = np.array(broadcast(self, shape), order="C")
    result[chosen] = source.reshape(-1)[:count]
    return result


def _check_mask(x: Array, mask: Array, what: str) -> tuple[int, ...]:
    if mask.dtype != BOOL:
        raise KernelError(f"{what} takes a bool mask, not {mask.dtype.name}")
    return common_shape(x.shape, mask.shape)


# --- along one dimension, an index for each element


@operator("aten::scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", out="src_out")
def scatter_src(self: Array, dim: int, index: Array, src: Array) -> Array:
    _check_dtype(self, src)
    return _scatter(self, dim, index, src)


@operator("aten::scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor", out="value_out")
def scatter_value(self: Array, dim: int, index: Array, value: Scalar) -> Array:
    return _scatter(self, dim, index, np.broadcast_to(fill_value(value, self.dtype), index.shape))


@operator("aten::scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor", out="out")
def scatter_add(self: Array, dim: int, index: Array, src: Array) -> Array:
    _check_dtype(self, src)
    places = _places(self, dim, index, src)
    total = np.array(widen(self), order="C")
    if places.size:
        np.add.at(total.reshape(-1), places.reshape(-1), widen(_front(src, places)).reshape(-1))
    return cast(total, self.dtype)


def _scatter(x: Array, dim: int, index: Array, src: Array) -> Array:
    places = _places(x, dim, index, src)
    result = np.array(x, order="C")
    if places.size:
        result.reshape(-1)[places] = _front(src, places)
    return result


def _front(src: Array, places: Array) -> Array:
    """The part of ``src`` that an index of that shape uses."""
    return np.atleast_1d(src)[tuple(slice(n) for n in places.shape)]


def _places(x: Array, dim: int, index: Array, src: Array) -> Array:
    """For each element of the index, its place in a contiguous ``x``."""
    axis = wrap_dim(dim, x.ndim)
    check_index(index, "scatter")
    if index.size == 0:
        return np.empty(0, np.int64)
    places, target, source = np.atleast_1d(index), np.atleast_1d(x), np.atleast_1d(src)
    limits = tuple(
        m if d == axis else min(m, n) for d, (m, n) in enumerate(zip(source.shape, target.shape, strict=False))
    )
    if not places.ndim == target.ndim == source.ndim or any(
        n > limit for n, limit in zip(places.shape, limits, strict=True)
    ):
        raise KernelError(
            f"an index of shape {list(index.shape)} does not lie within {list(x.shape)} apart from dimension {axis}, "
            f"or not within the source's {list(src.shape)}"
        )
    check_range(places, target.shape[axis])
    linear = np.zeros((), np.int64)
    for d, size in enumerate(target.shape):
        along = [1] * places.ndim
        along[d] = places.shape[d]
        linear = linear * size + (places if d == axis else np.arange(places.shape[d]).reshape(along))
    return linear


# --- a slice of the tensor


@operator("aten::select_scatter(Tensor self, Tensor src, int dim, SymInt index) -> Tensor", out="out")
def select_scatter(self: Array, src: Array, dim: int, index: int) -> Array:
    return _put(self, select_at(self, dim, index), src)


@operator(
    "aten::slice_scatter(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) "
    "-> Tensor",
    out="out",
)
def slice_scatter(self: Array, src: Array, dim: int, start: int | None, end: int | None, step: int) -> Array:
    return _put(self, slice_at(self, dim, start, end, step), src)


def _put(x: Array, where: tuple[int | slice, ...], src: Array) -> Array:
    result = x.copy()
    part = result[(*where, ...)]
    if part.shape != src.shape:
        raise KernelError(f"a source of shape {list(src.shape)} does not fit a slice of shape {list(part.shape)}")
    part[...] = convert(src, x.dtype)
    return result


def _check_dtype(x: Array, source: Array) -> None:
    if x.dtype != source.dtype:
        raise KernelError(f"a source of {source.dtype.name} cannot be scattered into {x.dtype.name}")
