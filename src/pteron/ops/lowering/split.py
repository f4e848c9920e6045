"""Lowerings: tensors joined, or taken apart."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.ops.dims import wrap_dim
from pteron.ops.lowering.builder import Builder, Ref, Size, Spec
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import promote


@lowering("aten::cat")
def cat(b: Builder, tensors: Sequence[Ref], dim: int) -> Ref:
    dtype = promote(*(t.dtype for t in tensors))
    if any(t.dynamic and t.rank == 1 for t in tensors) and any(t.rank > 1 for t in tensors):
        raise Declined("a vector that may be empty")
    joined = [t for t in tensors if t.shape != (0,)]
    if not joined or any(t.rank != joined[0].rank or not t.rank for t in joined):
        raise Declined("tensors of different ranks, or none")
    parts = [b.cast(t, dtype) for t in joined]
    return b.op("Concat", *parts, dtype=dtype, axis=wrap_dim(dim, joined[0].rank)) if len(parts) > 1 else parts[0]


@lowering("aten::stack")
def stack(b: Builder, tensors: Sequence[Ref], dim: int) -> Ref:
    dtype = promote(*(t.dtype for t in tensors))
    axis = wrap_dim(dim, tensors[0].rank + 1)
    parts = [b.op("Unsqueeze", b.cast(t, dtype), b.ints([axis]), dtype=dtype) for t in tensors]
    return b.op("Concat", *parts, dtype=dtype, axis=axis) if len(parts) > 1 else parts[0]


def _cut(b: Builder, x: Ref, axis: int, sizes: Sequence[Size]) -> list[Ref]:
    if len(sizes) == 1:
        return [x]
    return b.ops("Split", x, b.ints(sizes), dtypes=[x.dtype] * len(sizes), axis=axis)


@lowering("aten::split_copy.Tensor")
def split_copy(b: Builder, self: Ref, split_size: int, dim: int, out: Sequence[Spec]) -> list[Ref]:
    axis = wrap_dim(dim, self.rank)
    if self.dynamic or isinstance(split_size, Ref) or split_size < 1:
        raise Declined("sizes that are not constants")
    length = self.shape[axis]
    sizes = [min(split_size, length - start) for start in range(0, length, split_size)]
    if len(sizes) != len(out):
        raise Declined(f"{len(sizes)} pieces for {len(out)} results")
    return _cut(b, self, axis, sizes)


@lowering("aten::split_with_sizes_copy")
def split_with_sizes_copy(b: Builder, self: Ref, split_sizes: Sequence[Size], dim: int) -> list[Ref]:
    if not split_sizes:
        raise Declined("no pieces")
    return _cut(b, self, wrap_dim(dim, self.rank), split_sizes)


@lowering("aten::unbind_copy.int")
def unbind_copy(b: Builder, self: Ref, dim: int, out: Sequence[Spec]) -> list[Ref]:
    axis = wrap_dim(dim, self.rank)
    if self.dynamic or len(out) != self.shape[axis]:
        raise Declined("a number of pieces that is not known")
    pieces = _cut(b, self, axis, [1] * len(out))
    return [b.op("Squeeze", piece, b.ints([axis]), dtype=self.dtype) for piece in pieces]
