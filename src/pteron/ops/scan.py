"""Scans: running sums along a dim."""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import wrap_dim
from pteron.ops.promotion import BOOL, Array, cast
from pteron.ops.reduction import accumulator, sum_dtype
from pteron.ops.registry import operator


@operator("aten::cumsum(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", out="out")
def cumsum(self: Array, dim: int, dtype: int | None) -> Array:
    axis = wrap_dim(dim, self.ndim)
    result = sum_dtype(self, dtype)
    if result == BOOL:
        raise KernelError("a running sum cannot be bool")
    x, accumulate = accumulator(np.atleast_1d(self), result)
    return cast(np.add.accumulate(x, axis=axis, dtype=accumulate), result).reshape(self.shape)
