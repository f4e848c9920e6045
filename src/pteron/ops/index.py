"""Operators that read elements at positions given by another tensor."""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import broadcast, check_shape, common_shape, wrap_dim
from pteron.ops.indexing import address, check_index, check_range, take
from pteron.ops.promotion import BOOL, Array
from pteron.ops.registry import operator


@operator("aten::index.Tensor(Tensor self, Tensor?[] indices) -> Tensor", out="Tensor_out")
def index_tensor(self: Array, indices: list[Array | None]) -> Array:
    # Eager ATen refuses a list without any index; ExecuTorch's kernel copies the tensor, and so does this.
    where = address(self, indices)
    if 0 in where.result_shape:
        return np.empty(where.result_shape, self.dtype)
    if len(where.dims) == 1:
        return take(self, where.positions[0], where.dims[0])
    return where.to_result(where.view[where.key])


@operator("aten::index_select(Tensor self, int dim, Tensor index) -> Tensor", out="out")
def index_select(self: Array, dim: int, index: Array) -> Array:
    axis = wrap_dim(dim, self.ndim)
    check_index(index, "index_select")
    if index.ndim > 1:
        raise KernelError(f"index_select takes a vector of indices, not {index.ndim} dimensions")
    source = np.atleast_1d(self)
    check_range(index, source.shape[axis])
    if self.ndim == 0 and index.size != 1:
        raise KernelError(f"a zero-dim tensor is selected from by one index, not {index.size}")
    shape = check_shape([*source.shape[:axis], index.size, *source.shape[axis + 1 :]])
    picked = take(source, index.reshape(-1), axis)
    return picked.reshape(shape if self.ndim else ())


@operator("aten::gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor", out="out")
def gather(self: Array, dim: int, index: Array) -> Array:
    axis = wrap_dim(dim, self.ndim)
    check_index(index, "gather")
    if index.size == 0:
        return np.empty(index.shape, self.dtype)
    source, places = np.atleast_1d(self), np.atleast_1d(index)
    if source.ndim != places.ndim or any(
        n > m for d, (n, m) in enumerate(zip(places.shape, source.shape, strict=True)) if d != axis
    ):
        raise KernelError(
            f"an index of shape {list(index.shape)} does not lie within {list(self.shape)} apart from dimension {axis}"
        )
    check_range(places, source.shape[axis])
    within = tuple(slice(None if d == axis else n) for d, n in enumerate(places.shape))
    return np.take_along_axis(source[within], places, axis).reshape(index.shape)


@operator("aten::masked_select(Tensor self, Tensor mask) -> Tensor", out="out")
def masked_select(self: Array, mask: Array) -> Array:
    if mask.dtype != BOOL:
        raise KernelError(f"masked_select takes a bool mask, not {mask.dtype.name}")
    shape = common_shape(self.shape, mask.shape)
    picked: Array = broadcast(self, shape)[broadcast(mask, shape)]
    return picked
