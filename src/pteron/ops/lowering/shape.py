"""Lowerings: other shapes and orders of a tensor's elements, and parts of it.

What ONNX has no node for is a Gather from the flat tensor, at positions found by running the reference kernel on the
positions themselves; that takes static shapes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pteron.ops import shape as kernels
from pteron.ops.dims import wrap_dim, wrap_dims
from pteron.ops.lowering.builder import Builder, Ref, Size, Spec
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, INT64, Array

_LAST = (1 << 63) - 1
_POSITIONS = 1 << 20


@lowering("aten::view_copy", "executorch_prim::et_view.default")
def view_copy(b: Builder, self: Ref, size: Sequence[Size], out: Sequence[Spec]) -> Ref:
    return b.reshape(self, size, out[0])


@lowering("aten::squeeze_copy.dim")
def squeeze_copy_dim(b: Builder, self: Ref, dim: int, out: Sequence[Spec]) -> Ref:
    return squeeze_copy_dims(b, self, [dim], out)


@lowering("aten::squeeze_copy.dims")
def squeeze_copy_dims(b: Builder, self: Ref, dim: Sequence[int], out: Sequence[Spec]) -> Ref:
    axes = [a for a in wrap_dims(dim, self.rank) if a < self.rank and self.shape[a] == 1]
    if len(axes) != self.rank - len(out[0].shape):
        raise Declined("dimensions that may be of size 1 at run time")
    if not axes:
        return self
    return b.op("Squeeze", self, b.ints(axes), dtype=self.dtype)


@lowering("aten::unsqueeze_copy")
def unsqueeze_copy(b: Builder, self: Ref, dim: int) -> Ref:
    return b.op("Unsqueeze", self, b.ints([wrap_dim(dim, self.rank + 1)]), dtype=self.dtype)


@lowering("aten::expand_copy")
def expand_copy(b: Builder, self: Ref, size: Sequence[Size], out: Sequence[Spec]) -> Ref:
    # A size of 1 keeps the dimension as it is, as -1 does in ATen.
    kept = [1 if not isinstance(s, Ref) and s == -1 else s for s in size]
    return b.expand(self, kept, out[0])


@lowering("aten::repeat")
def repeat(b: Builder, self: Ref, repeats: Sequence[Size]) -> Ref:
    extra = len(repeats) - self.rank
    if extra < 0:
        raise Declined("fewer repeats than dimensions")
    x = b.op("Unsqueeze", self, b.ints(range(extra)), dtype=self.dtype) if extra else self
    return b.op("Tile", x, b.ints(repeats), dtype=self.dtype)


@lowering("aten::permute_copy")
def permute_copy(b: Builder, self: Ref, dims: Sequence[int]) -> Ref:
    return b.transpose(self, wrap_dims(dims, self.rank)) if self.rank else self


@lowering("aten::transpose_copy.int")
def transpose_copy(b: Builder, self: Ref, dim0: int, dim1: int) -> Ref:
    if not self.rank:
        return self
    order = list(range(self.rank))
    first, second = wrap_dim(dim0, self.rank), wrap_dim(dim1, self.rank)
    order[first], order[second] = order[second], order[first]
    return b.transpose(self, order)


@lowering("aten::t_copy")
def t_copy(b: Builder, self: Ref) -> Ref:
    return b.transpose(self, list(range(self.rank))[::-1])


@lowering("aten::flip")
def flip(b: Builder, self: Ref, dims: Sequence[int]) -> Ref:
    axes = wrap_dims(dims, self.rank)
    if not self.rank or not axes:
        return self
    count = len(axes)
    return _slice(b, self, [-1] * count, [-_LAST - 1] * count, axes, [-1] * count)


def _slice(
    b: Builder, x: Ref, starts: Sequence[Size], ends: Sequence[Size], axes: Sequence[int], steps: Sequence[int]
) -> Ref:
    parts = [b.ints(starts), b.ints(ends), b.ints(axes), b.ints(steps)]
    return b.op("Slice", x, *parts, dtype=x.dtype)


@lowering("aten::slice_copy.Tensor")
def slice_copy(b: Builder, self: Ref, dim: int, start: Size | None, end: Size | None, step: int) -> Ref:
    if not self.rank or isinstance(step, Ref) or step <= 0:
        raise Declined("a step that is not a positive constant")
    axis = wrap_dim(dim, self.rank)
    if start in (None, 0) and step == 1 and (end is None or (not isinstance(end, Ref) and end >= self.shape[axis])):
        return self
    return _slice(b, self, [0 if start is None else start], [_LAST if end is None else end], [axis], [step])


@lowering("aten::narrow_copy")
def narrow_copy(b: Builder, self: Ref, dim: int, start: Size, length: Size) -> Ref:
    if isinstance(start, Ref) or isinstance(length, Ref) or self.dynamic or not self.rank:
        raise Declined("bounds that are not constants")
    axis = wrap_dim(dim, self.rank)
    begin = start + self.shape[axis] if start < 0 else start
    if not 0 <= begin <= begin + length <= self.shape[axis]:
        raise Declined("bounds out of range")
    return _slice(b, self, [begin], [begin + length], [axis], [1])


@lowering("aten::select_copy.int")
def select_copy(b: Builder, self: Ref, dim: int, index: Size) -> Ref:
    if not self.rank:
        raise Declined("a tensor of no dimensions")
    position = index if isinstance(index, Ref) else b.const(index, INT64)
    return b.gather(self, position, wrap_dim(dim, self.rank))


@lowering("aten::tril")
def tril(b: Builder, self: Ref, diagonal: int) -> Ref:
    if isinstance(diagonal, Ref):
        raise Declined("a diagonal that is not a constant")
    if self.dtype in (np.dtype(np.float32), np.dtype(np.float64), INT64, BOOL) and self.rank >= 2:
        limit = max(self.shape[-2:]) + 1
        at = b.const(max(-limit, min(int(diagonal), limit)), INT64)
        return b.op("Trilu", self, at, dtype=self.dtype, upper=0)
    raise Declined(f"ONNX Runtime has no Trilu for {self.dtype.name}")


def by_position(b: Builder, x: Ref, kernel: Callable[..., Array], *arguments: Any, **named: Any) -> Ref:
    """What ``kernel`` makes of the elements' positions, gathered from the flat tensor."""
    if x.dynamic or any(isinstance(a, Ref) for a in (*arguments, *named.values())):
        raise Declined("shapes or arguments that are not constants")
    if math.prod(x.shape) > _POSITIONS:
        raise Declined("a table of positions that would be too large")
    positions = kernel(np.arange(math.prod(x.shape)).reshape(x.shape), *arguments, **named)
    if positions.size > _POSITIONS:
        raise Declined("a table of positions that would be too large")
    return b.gather(b.reshape(x, [-1]), b.const(positions, INT64), 0, positions.shape)


@lowering("aten::roll")
def roll(b: Builder, self: Ref, shifts: Sequence[int], dims: Sequence[int]) -> Ref:
    return by_position(b, self, kernels.roll, list(shifts), list(dims))


@lowering("aten::diagonal_copy")
def diagonal_copy(b: Builder, self: Ref, offset: int, dim1: int, dim2: int) -> Ref:
    return by_position(b, self, kernels.diagonal_copy, offset, dim1, dim2)


@lowering("aten::unfold_copy")
def unfold_copy(b: Builder, self: Ref, dimension: int, size: int, step: int) -> Ref:
    return by_position(b, self, kernels.unfold_copy, dimension, size, step)


@lowering("aten::as_strided_copy")
def as_strided_copy(
    b: Builder, self: Ref, size: Sequence[int], stride: Sequence[int], storage_offset: int | None
) -> Ref:
    # Of several dimensions the elements may lie in another order, which a value of a model does not have.
    if sum(n != 1 for n in self.shape) > 1:
        raise Declined("elements that may lie in another order of dimensions")
    return by_position(b, self, kernels.as_strided_copy, list(size), list(stride), storage_offset)
