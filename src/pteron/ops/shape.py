"""Operators that lay a tensor's elements out in another shape or order, without joining or splitting tensors.

Almost every result is a view of the input; the caller stores it into the out tensor.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from pteron.errors import KernelError
from pteron.ops.dims import broadcast, check_shape, require_dims, wrap_dim, wrap_dims
from pteron.ops.promotion import Array
from pteron.ops.registry import operator

# --- another shape


@operator("aten::view_copy(Tensor self, SymInt[] size) -> Tensor", out="out")
def view_copy(self: Array, size: list[int]) -> Array:
    known = math.prod(s for s in size if s != -1)
    unknown = size.count(-1)
    if unknown > 1 or min(size, default=0) < -1:
        raise KernelError(f"the shape {size} has more than one size to infer, or a negative one")
    if unknown and known == 0:
        raise KernelError(f"the size to infer in {size} is ambiguous for a tensor without elements")
    if (self.size % known if unknown else known != self.size) != 0:
        raise KernelError(f"a tensor of shape {list(self.shape)} cannot be viewed as {size}")
    return self.reshape([self.size // known if s == -1 else s for s in size])


@operator("aten::squeeze_copy.dim(Tensor self, int dim) -> Tensor", out="dim_out")
def squeeze_copy_dim(self: Array, dim: int) -> Array:
    return squeeze_copy_dims(self, [dim])


@operator("aten::squeeze_copy.dims(Tensor self, int[] dim) -> Tensor", out="dims_out")
def squeeze_copy_dims(self: Array, dim: list[int]) -> Array:
    axes = wrap_dims(dim, self.ndim)
    return self.squeeze(tuple(a for a in axes if a < self.ndim and self.shape[a] == 1))


@operator("aten::unsqueeze_copy(Tensor self, int dim) -> Tensor", out="out")
def unsqueeze_copy(self: Array, dim: int) -> Array:
    return np.expand_dims(self, wrap_dim(dim, self.ndim + 1))


@operator("aten::expand_copy(Tensor self, SymInt[] size, *, bool implicit=False) -> Tensor", out="out")
def expand_copy(self: Array, size: list[int]) -> Array:
    extra = len(size) - self.ndim
    if extra < 0:
        raise KernelError(f"{len(size)} sizes are fewer than the {self.ndim} dimensions of the tensor")
    if min(size, default=0) < -1 or -1 in size[:extra]:
        raise KernelError(f"the shape {size} has a negative size where there is no dimension to keep")
    kept = [self.shape[d - extra] if s == -1 else s for d, s in enumerate(size)]
    return broadcast(self, kept)


@operator("aten::repeat(Tensor self, SymInt[] repeats) -> Tensor", out="out")
def repeat(self: Array, repeats: list[int]) -> Array:
    extra = len(repeats) - self.ndim
    if extra < 0:
        raise KernelError(f"{len(repeats)} repeats are fewer than the {self.ndim} dimensions of the tensor")
    if min(repeats, default=0) < 0:
        raise KernelError(f"the repeats {repeats} hold a negative number")
    shape = (1,) * extra + self.shape
    check_shape([r * s for r, s in zip(repeats, shape, strict=True)])
    return np.tile(self, repeats)


# --- another order


@operator("aten::permute_copy(Tensor self, int[] dims) -> Tensor", out="out")
def permute_copy(self: Array, dims: list[int]) -> Array:
    if len(dims) != self.ndim:
        raise KernelError(f"{len(dims)} dimensions do not permute the {self.ndim} of the tensor")
    return self.transpose(wrap_dims(dims, self.ndim))


@operator("aten::transpose_copy.int(Tensor self, int dim0, int dim1) -> Tensor", out="int_out")
def transpose_copy(self: Array, dim0: int, dim1: int) -> Array:
    first, second = wrap_dim(dim0, self.ndim), wrap_dim(dim1, self.ndim)
    return self.swapaxes(first, second) if self.ndim else self


@operator("aten::t_copy(Tensor self) -> Tensor", out="out")
def t_copy(self: Array) -> Array:
    if self.ndim > 2:
        raise KernelError(f"t_copy takes at most 2 dimensions, the tensor has {self.ndim}")
    return self.T


@operator("aten::flip(Tensor self, int[] dims) -> Tensor", out="out")
def flip(self: Array, dims: list[int]) -> Array:
    axes = wrap_dims(dims, self.ndim)
    return np.flip(self, tuple(axes)) if self.ndim else self


@operator("aten::roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor", out="out")
def roll(self: Array, shifts: list[int], dims: list[int]) -> Array:
    if self.size == 0:
        return self
    if len(shifts) != len(dims) and not (len(shifts) == 1 and not dims):
        raise KernelError(f"{len(shifts)} shifts do not go with {len(dims)} dimensions")
    if not shifts:
        raise KernelError("roll needs a shift")
    if not dims:
        return np.roll(self, shifts[0] % self.size)
    require_dims(self, "roll along a dimension")
    result = self
    for shift, dim in zip(shifts, dims, strict=True):
        axis = wrap_dim(dim, self.ndim)
        result = np.roll(result, shift % self.shape[axis], axis)
    return result


# --- a part of the tensor


@operator("aten::select_copy.int(Tensor self, int dim, SymInt index) -> Tensor", out="int_out")
def select_copy(self: Array, dim: int, index: int) -> Array:
    return self[(*select_at(self, dim, index), ...)]


@operator(
    "aten::slice_copy.Tensor(Tensor self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor",
    out="Tensor_out",
)
def slice_copy(self: Array, dim: int, start: int | None, end: int | None, step: int) -> Array:
    return self[slice_at(self, dim, start, end, step)]


@operator("aten::narrow_copy(Tensor self, int dim, SymInt start, SymInt length) -> Tensor", out="out")
def narrow_copy(self: Array, dim: int, start: int, length: int) -> Array:
    require_dims(self, "narrow_copy")
    axis = wrap_dim(dim, self.ndim)
    size = self.shape[axis]
    if not -size <= start <= size:
        raise KernelError(f"the start {start} is out of range for a dimension of {size}")
    begin = start + size if start < 0 else start
    if length < 0 or begin + length > size:
        raise KernelError(f"start {start} and length {length} exceed a dimension of {size}")
    return self[_along(axis, slice(begin, begin + length))]


@operator(
    "aten::diagonal_copy(Tensor self, int offset=0, int dim1=0, int dim2=1) -> Tensor",
    out="out",
)
def diagonal_copy(self: Array, offset: int, dim1: int, dim2: int) -> Array:
    first, second = wrap_dim(dim1, self.ndim), wrap_dim(dim2, self.ndim)
    if first == second:
        raise KernelError(f"the dimensions {dim1} and {dim2} of a diagonal are the same")
    limit = max(self.shape)
    return self.diagonal(max(-limit, min(offset, limit)), first, second)


@operator("aten::tril(Tensor self, SymInt diagonal=0) -> Tensor", out="out")
def tril(self: Array, diagonal: int) -> Array:
    if self.ndim < 2:
        raise KernelError(f"tril needs at least 2 dimensions, the tensor has {self.ndim}")
    rows, columns = self.shape[-2:]
    return np.tril(self, max(-rows, min(diagonal, columns)))


@operator("aten::unfold_copy(Tensor self, int dimension, int size, int step) -> Tensor", out="out")
def unfold_copy(self: Array, dimension: int, size: int, step: int) -> Array:
    axis = wrap_dim(dimension, self.ndim)
    length = self.shape[axis] if self.ndim else 1
    if not 0 <= size <= length or step <= 0:
        raise KernelError(f"windows of {size} with a step of {step} do not fit a dimension of {length}")
    if self.ndim == 0:
        return self.reshape(1)[:size]
    return sliding_window_view(self, size, axis)[_along(axis, slice(None, None, step))]


@operator(
    "aten::as_strided_copy(Tensor self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor",
    out="out",
)
def as_strided_copy(self: Array, size: list[int], stride: list[int], storage_offset: int | None) -> Array:
    offset = storage_offset or 0
    if len(size) != len(stride):
        raise KernelError(f"{len(size)} sizes do not go with {len(stride)} strides")
    if min([*size, *stride, offset], default=0) < 0:
        raise KernelError(f"sizes {size}, strides {stride} and offset {offset} must not be negative")
    if 0 in size:
        return np.empty(size, self.dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if last >= self.size:
        raise KernelError(f"sizes {size}, strides {stride} and offset {offset} exceed {self.size} elements")
    memory = _in_memory_order(self)[offset:]
    return as_strided(memory, check_shape(size), [s * self.itemsize for s in stride], writeable=False)


@operator(
    "aten::repeat_interleave.Tensor(Tensor repeats, *, SymInt? output_size=None) -> Tensor",
    out="Tensor_out",
)
def repeat_interleave(repeats: Array, output_size: int | None) -> Array:
    if repeats.ndim != 1 or repeats.dtype not in (np.int32, np.int64):
        raise KernelError("repeats must be a vector of int32 or int64")
    if repeats.size and repeats.min() < 0:
        raise KernelError("repeats must not be negative")
    total = check_shape([int(repeats.sum(dtype=np.float64))])[0]
    if output_size is not None and output_size != total and repeats.size:
        raise KernelError(f"the repeats sum to {total}, not to output_size {output_size}")
    return np.repeat(np.arange(repeats.size, dtype=repeats.dtype), repeats)


# --- shared


def select_at(x: Array, dim: int, index: int) -> tuple[int | slice, ...]:
    """The NumPy index of ``select``; refuses what is out of range."""
    require_dims(x, "select")
    axis = wrap_dim(dim, x.ndim)
    if not -x.shape[axis] <= index < x.shape[axis]:
        raise KernelError(f"index {index} is out of range for a dimension of {x.shape[axis]}")
    return _along(axis, index)


def slice_at(x: Array, dim: int, start: int | None, end: int | None, step: int) -> tuple[int | slice, ...]:
    """The NumPy index of ``slice``; its bounds wrap and clamp as Python's do."""
    require_dims(x, "slice")
    if step <= 0:
        raise KernelError(f"the step {step} of a slice must be positive")
    return _along(wrap_dim(dim, x.ndim), slice(start, end, step))


def _along(axis: int, part: int | slice) -> tuple[int | slice, ...]:
    return (*(slice(None),) * axis, part)


def _in_memory_order(x: Array) -> Array:
    """The elements of a dense tensor as they lie in memory, whatever its dim order; else in logical order."""
    order = sorted(range(x.ndim), key=lambda d: -x.strides[d])
    dense = x.transpose(order)
    return dense.reshape(-1) if dense.flags.c_contiguous else x.reshape(-1)
