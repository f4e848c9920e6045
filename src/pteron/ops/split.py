"""Operators that join tensors or take one apart. What is taken apart are views of the input."""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.conversion import convert
from pteron.ops.dims import check_shape, require_dims, wrap_dim
from pteron.ops.promotion import Array, promote
from pteron.ops.registry import operator

MAX_PIECES = 1 << 20
"""Tensors of one result; a tensor without elements may have any size along the dimension it is split."""


@operator("aten::cat(Tensor[] tensors, int dim=0) -> Tensor", out="out")
def cat(tensors: list[Array], dim: int) -> Array:
    if not tensors:
        raise KernelError("cat needs at least one tensor")
    if any(t.ndim == 0 for t in tensors):
        raise KernelError("a zero-dim tensor cannot be concatenated")
    dtype = promote(*(t.dtype for t in tensors))
    # A vector without elements goes with any shape and counts for the dtype only.
    joined = [t for t in tensors if t.shape != (0,)]
    if not joined:
        return np.empty(0, dtype)
    axis = wrap_dim(dim, joined[0].ndim)
    other = _without(joined[0], axis)
    if any(t.ndim != joined[0].ndim or _without(t, axis) != other for t in joined):
        raise KernelError(f"the shapes {[list(t.shape) for t in joined[:8]]} differ outside dimension {axis}")
    check_shape([sum(t.shape[axis] for t in joined), *other])
    return np.concatenate([convert(t, dtype) for t in joined], axis)


@operator("aten::stack(Tensor[] tensors, int dim=0) -> Tensor", out="out")
def stack(tensors: list[Array], dim: int) -> Array:
    if not tensors:
        raise KernelError("stack needs at least one tensor")
    shape = tensors[0].shape
    if any(t.shape != shape for t in tensors):
        raise KernelError(f"the shapes {[list(t.shape) for t in tensors[:8]]} of a stack differ")
    axis = wrap_dim(dim, len(shape) + 1)
    check_shape([len(tensors), *shape])
    dtype = promote(*(t.dtype for t in tensors))
    return np.stack([convert(t, dtype) for t in tensors], axis)


@operator("aten::split_copy.Tensor(Tensor self, SymInt split_size, int dim=0) -> Tensor[]", out="Tensor_out")
def split_copy(self: Array, split_size: int, dim: int) -> list[Array]:
    length = _length(self, dim)
    if split_size < 0 or (split_size == 0 and length):
        raise KernelError(f"a dimension of {length} cannot be split into pieces of {split_size}")
    pieces = max(1, -(-length // max(split_size, 1)))
    _check_pieces(pieces)
    return _cut(self, dim, [min((i + 1) * split_size, length) for i in range(pieces)])


@operator(
    "aten::split_with_sizes_copy(Tensor self, SymInt[] split_sizes, int dim=0) -> Tensor[]",
    out="out",
)
def split_with_sizes_copy(self: Array, split_sizes: list[int], dim: int) -> list[Array]:
    length = _length(self, dim)
    if min(split_sizes, default=0) < 0 or sum(split_sizes) != length:
        raise KernelError(f"the sizes {split_sizes[:8]} do not sum to the dimension's {length}")
    return _cut(self, dim, np.cumsum(split_sizes, dtype=np.int64).tolist())


@operator("aten::unbind_copy.int(Tensor self, int dim=0) -> Tensor[]", out="int_out")
def unbind_copy(self: Array, dim: int) -> list[Array]:
    _check_pieces(_length(self, dim))
    along = np.moveaxis(self, dim, 0)
    return [along[i, ...] for i in range(len(along))]


def _length(x: Array, dim: int) -> int:
    require_dims(x, "a split")
    length: int = x.shape[wrap_dim(dim, x.ndim)]
    return length


def _check_pieces(count: int) -> None:
    if count > MAX_PIECES:
        raise KernelError(f"a split into {count} tensors is more than {MAX_PIECES}")


def _cut(x: Array, dim: int, ends: list[int]) -> list[Array]:
    before = (slice(None),) * (dim % x.ndim)
    return [x[(*before, slice(start, end))] for start, end in zip([0, *ends], ends, strict=False)]


def _without(x: Array, axis: int) -> tuple[int, ...]:
    return x.shape[:axis] + x.shape[axis + 1 :]
