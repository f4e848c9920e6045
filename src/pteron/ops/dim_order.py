"""Operators of namespace ``dim_order_ops``: copies whose memory layout is given as a dim order.

Schemas: ExecuTorch's exir/passes/dim_order_ops_registry.py. The out tensor already has the dim order that a call
asks for, so the results here have the right elements in logical order, and a dim order is only checked.
"""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.conversion import convert
from pteron.ops.dims import check_shape
from pteron.ops.promotion import FLOAT32, Array, DType
from pteron.ops.registry import operator

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"


@operator(
    f"dim_order_ops::_to_dim_order_copy(Tensor self, *, {_OPTIONS}, bool non_blocking=False, "
    "int[]? dim_order=None) -> Tensor",
    out="out",
)
def to_dim_order_copy(self: Array, dim_order: list[int] | None, out_dtype: DType | None) -> Array:
    _check(dim_order, self.ndim)
    return convert(self, self.dtype if out_dtype is None else out_dtype)


@operator(
    "dim_order_ops::_clone_dim_order(Tensor self, *, bool non_blocking=False, int[]? dim_order=None) -> Tensor",
    out="out",
)
def clone_dim_order(self: Array, dim_order: list[int] | None) -> Array:
    _check(dim_order, self.ndim)
    return self


@operator(
    f"dim_order_ops::_empty_dim_order(int[] size, *, {_OPTIONS}, int[]? dim_order=None) -> Tensor",
    out="out",
)
def empty_dim_order(size: list[int], dim_order: list[int] | None, out_dtype: DType | None) -> Array:
    _check(dim_order, len(size))
    # Zeros rather than whatever memory holds: a run must not depend on it.
    return np.broadcast_to(np.zeros((), FLOAT32 if out_dtype is None else out_dtype), check_shape(size))


def _check(dim_order: list[int] | None, ndim: int) -> None:
    if dim_order is not None and sorted(dim_order) != list(range(ndim)):
        raise KernelError(f"{dim_order} is not an order of {ndim} dimensions")
