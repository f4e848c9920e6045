"""Lowerings: writes into a tensor at given positions.

The nodes are ScatterND and ScatterElements on the tensor itself: where the engine binds a state and its update to the
same memory, they write only the new elements.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pteron.ops.conversion import fill_value
from pteron.ops.dims import wrap_dim
from pteron.ops.lowering.builder import Builder, Ref, Size
from pteron.ops.lowering.comparison import truth
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.index import adjacent, check_index
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT32, INT64, Scalar


def scatter_rows(b: Builder, x: Ref, axis: int, rows: Ref, values: Ref) -> Ref:
    """``x`` with ``values`` at the positions ``rows`` (a vector of int64) of dimension ``axis``; sizes are static."""
    lead = x.shape[:axis]
    count = rows.shape[0]
    parts = []
    for d, size in enumerate(lead):
        along = [1] * (axis + 2)
        along[d] = size
        parts.append(b.const(np.arange(size).reshape(along), INT64))
    parts.append(b.op("Reshape", rows, b.ints([*[1] * axis, count, 1]), dtype=INT64))
    whole = [*lead, count, 1]
    index = [b.op("Expand", part, b.ints(whole), dtype=INT64) for part in parts]
    where = b.op("Concat", *index, dtype=INT64, axis=-1) if len(index) > 1 else index[0]
    shape = (*lead, count, *x.shape[axis + 1 :])
    source = values
    if values.shape != shape:
        source = b.op("Expand", values, b.ints(shape), dtype=values.dtype, shape=shape)
    return b.op("ScatterND", x, where, source, dtype=x.dtype, shape=x.shape)


@lowering("aten::index_put", "aten::index_put_")
def index_put(b: Builder, self: Ref, indices: Sequence[Ref | None], values: Ref, accumulate: bool) -> Ref:
    if self.dynamic or values.dynamic or self.dtype != values.dtype or 0 in self.shape:
        raise Declined("sizes that are not constants")
    if len(indices) == 1 and indices[0] is not None and indices[0].dtype == BOOL:
        return _masked(b, self, indices[0], values, accumulate)
    dims, found = adjacent(indices, self.rank)
    if accumulate or len(dims) != 1 or found[0].rank != 1 or found[0].dynamic or 0 in found[0].shape:
        raise Declined("more than one index, or one that is no vector, or accumulation")
    axis = dims[0]
    rows = b.cast(found[0], INT64)
    size = b.const(self.shape[axis], INT64)
    below = b.op("Less", rows, b.const(0, INT64), dtype=BOOL)
    rows = b.op("Where", below, b.op("Add", rows, size, dtype=INT64), rows, dtype=INT64, shape=found[0].shape)
    return scatter_rows(b, self, axis, rows, values)


def _masked(b: Builder, self: Ref, mask: Ref, values: Ref, accumulate: bool) -> Ref:
    if accumulate or mask.dynamic or mask.shape != self.shape[: mask.rank] or any(n != 1 for n in values.shape):
        raise Declined("values that are not one number")
    aligned = b.op("Reshape", mask, b.ints([*mask.shape, *[1] * (self.rank - mask.rank)]), dtype=BOOL)
    one = b.op("Reshape", values, b.ints([]), dtype=values.dtype)
    x, number = operands(b, self, one, dtype=self.dtype)
    return finish(b, b.op("Where", aligned, number, x, dtype=x.dtype), self.dtype)


@lowering("aten::masked_fill.Scalar")
def masked_fill(b: Builder, self: Ref, mask: Ref, value: Scalar) -> Ref:
    if mask.dtype != BOOL or isinstance(value, Ref):
        raise Declined("a mask that is not bool, or a value that is not a constant")
    x, number = operands(b, self, b.const(fill_value(value, self.dtype)), dtype=self.dtype)
    return finish(b, b.op("Where", truth(b, mask), number, x, dtype=x.dtype), self.dtype)


def _check(self: Ref, index: Ref, *others: Ref) -> None:
    check_index(index)
    if any(x.dynamic or not x.rank or 0 in x.shape for x in (self, index, *others)) or index.rank != self.rank:
        raise Declined("sizes that are not constants, or a tensor of no dimensions")


def _front(b: Builder, src: Ref, index: Ref) -> Ref:
    """The part of ``src`` that an index of that shape uses."""
    if src.shape == index.shape:
        return src
    axes = range(src.rank)
    return b.op("Slice", src, b.ints([0] * src.rank), b.ints(index.shape), b.ints(axes), dtype=src.dtype)


@lowering("aten::scatter.src")
def scatter_src(b: Builder, self: Ref, dim: int, index: Ref, src: Ref) -> Ref:
    _check(self, index, src)
    source = _front(b, src, index)
    return b.op("ScatterElements", self, index, source, dtype=self.dtype, axis=wrap_dim(dim, self.rank))


@lowering("aten::scatter.value")
def scatter_value(b: Builder, self: Ref, dim: int, index: Ref, value: Scalar) -> Ref:
    _check(self, index)
    if isinstance(value, Ref):
        raise Declined("a value that is not a constant")
    source = b.op("Expand", b.const(fill_value(value, self.dtype)), b.ints(index.shape), dtype=self.dtype)
    return b.op("ScatterElements", self, index, source, dtype=self.dtype, axis=wrap_dim(dim, self.rank))


@lowering("aten::scatter_add")
def scatter_add(b: Builder, self: Ref, dim: int, index: Ref, src: Ref) -> Ref:
    _check(self, index, src)
    x, source = operands(b, self, src, dtype=self.dtype)
    if self.dtype != src.dtype or x.dtype not in (FLOAT32, INT64) or self.dtype != x.dtype:
        raise Declined(f"a sum of {self.dtype.name}")
    source = _front(b, source, index)
    return b.op("ScatterElements", x, index, source, dtype=x.dtype, axis=wrap_dim(dim, self.rank), reduction="add")


@lowering("aten::select_scatter")
def select_scatter(b: Builder, self: Ref, src: Ref, dim: int, index: Size) -> Ref:
    if not self.rank or self.dynamic or src.dynamic or 0 in self.shape:
        raise Declined("sizes that are not constants")
    axis = wrap_dim(dim, self.rank)
    at = b.ints([index if isinstance(index, Ref) or index >= 0 else index + self.shape[axis]])
    values = b.op("Unsqueeze", b.cast(src, self.dtype), b.ints([axis]), dtype=self.dtype)
    values.shape = (*self.shape[:axis], 1, *self.shape[axis + 1 :])
    at.shape = (1,)
    return scatter_rows(b, self, axis, at, values)


@lowering("aten::slice_scatter")
def slice_scatter(b: Builder, self: Ref, src: Ref, dim: int, start: Size | None, end: Size | None, step: Size) -> Ref:
    if not self.rank or self.dynamic or src.dynamic or 0 in self.shape or 0 in src.shape or isinstance(step, Ref):
        raise Declined("sizes that are not constants")
    axis = wrap_dim(dim, self.rank)
    length, count = self.shape[axis], src.shape[axis]
    source = b.cast(src, self.dtype)
    if isinstance(start, Ref):
        # The slice's length is the source's, else the shapes would not fit.
        rows = b.op("Add", start, b.const(np.arange(count) * step, INT64), dtype=INT64, shape=(count,))
        return scatter_rows(b, self, axis, rows, source)
    if isinstance(end, Ref):
        raise Declined("an end that is not a constant")
    positions = range(length)[slice(start, end, step)]
    if len(positions) != count:
        raise Declined("a source that does not fit")
    if count == length:
        return source
    return scatter_rows(b, self, axis, b.const(np.array(positions), INT64), source)
