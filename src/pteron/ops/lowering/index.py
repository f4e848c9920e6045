"""Lowerings: elements read at positions given by another tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.ops.dims import wrap_dim
from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import INT64

INDEX = (np.dtype(np.int32), INT64)


def check_index(index: Ref) -> None:
    if index.dtype not in INDEX:
        raise Declined(f"an index of {index.dtype.name}")


@lowering("aten::index_select")
def index_select(b: Builder, self: Ref, dim: int, index: Ref) -> Ref:
    check_index(index)
    if not self.rank or index.rank > 1:
        raise Declined("a tensor of no dimensions, or an index of several")
    positions = index if index.rank else b.op("Unsqueeze", index, b.ints([0]), dtype=index.dtype)
    return b.gather(self, positions, wrap_dim(dim, self.rank))


@lowering("aten::gather")
def gather(b: Builder, self: Ref, dim: int, index: Ref) -> Ref:
    check_index(index)
    if not self.rank or index.rank != self.rank or self.dynamic or index.dynamic or 0 in index.shape:
        raise Declined("a tensor of no dimensions, or sizes that are not constants")
    axis = wrap_dim(dim, self.rank)
    x = self
    for d, (size, wanted) in enumerate(zip(self.shape, index.shape, strict=True)):
        if d != axis and size != wanted:
            x = b.op("Slice", x, b.ints([0]), b.ints([wanted]), b.ints([d]), dtype=x.dtype)
    return b.op("GatherElements", x, index, dtype=self.dtype, axis=axis)


def adjacent(indices: Sequence[Ref | None], rank: int) -> tuple[list[int], list[Ref]]:
    """The dimensions that are indexed, which must lie side by side, and their indices."""
    dims = [d for d, index in enumerate(indices) if index is not None]
    found = [index for index in indices if index is not None]
    for index in found:
        check_index(index)
    if not dims or len(indices) > rank or dims[-1] - dims[0] + 1 != len(dims):
        raise Declined("no index, or indices of dimensions that are not side by side")
    return dims, found


@lowering("aten::index.Tensor")
def index_tensor(b: Builder, self: Ref, indices: Sequence[Ref | None], out: Sequence[Spec]) -> Ref:
    dims, found = adjacent(indices, self.rank)
    if len(dims) == 1:
        return b.gather(self, found[0], dims[0])
    if self.dynamic or any(index.dynamic for index in found) or 0 in out[0].shape:
        raise Declined("sizes that are not constants")
    first, count = dims[0], len(dims)
    sizes = [self.shape[d] for d in dims]
    shape = np.broadcast_shapes(*(index.shape for index in found))
    # The indexed dimensions become one, and the indices positions in it.
    x = b.reshape(self, [*self.shape[:first], math.prod(sizes), *self.shape[first + count :]])
    position: Ref | None = None
    for index, size in zip(found, sizes, strict=True):
        at = b.cast(index, INT64)
        below = b.op("Less", at, b.const(0, INT64), dtype=np.dtype(bool))
        at = b.op("Where", below, b.op("Add", at, b.const(size, INT64), dtype=INT64), at, dtype=INT64)
        # Out of range of its own dimension, an index must not name an element of the next.
        outside = b.op("GreaterOrEqual", at, b.const(size, INT64), dtype=np.dtype(bool))
        at = b.op("Where", outside, b.const(1 << 40, INT64), at, dtype=INT64)
        if position is None:
            position = at
        else:
            position = b.op("Add", b.op("Mul", position, b.const(size, INT64), dtype=INT64), at, dtype=INT64)
    assert position is not None
    return b.gather(x, position, first, [*self.shape[:first], *shape, *self.shape[first + count :]])
