"""Operator ``embedding``: rows of a table."""

from __future__ import annotations

from pteron.errors import KernelError
from pteron.ops.dims import check_shape
from pteron.ops.indexing import check_index, check_range, take
from pteron.ops.promotion import Array
from pteron.ops.registry import operator


@operator(
    "aten::embedding(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, "
    "bool sparse=False) -> Tensor",
    out="out",
)
def embedding(weight: Array, indices: Array) -> Array:
    if weight.ndim != 2:
        raise KernelError(f"the weight of an embedding has 2 dimensions, not {weight.ndim}")
    check_index(indices, "embedding")
    check_range(indices, weight.shape[0])
    check_shape([*indices.shape, weight.shape[1]])
    return take(weight, indices, 0)
