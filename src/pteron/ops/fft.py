"""Operators: Fourier transforms of real tensors and back.

Normalization 0 scales nothing, 1 by the root of the number of elements transformed, 2 by the number itself; the
transforms themselves are NumPy's, in the precision of the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import wrap_dims
from pteron.ops.promotion import FLOAT32, FLOAT64, Array, DType, cast
from pteron.ops.registry import operator
from pteron.ops.windows import check_volume

_COMPLEX: dict[DType, DType] = {FLOAT32: np.dtype(np.complex64), FLOAT64: np.dtype(np.complex128)}
_REAL: dict[DType, DType] = {made: real for real, made in _COMPLEX.items()}


def _dims(dim: Sequence[int], ndim: int) -> list[int]:
    if not dim:
        raise KernelError("no dimension to transform is given")
    return wrap_dims(dim, ndim)


def _normalize(x: Array, sizes: Sequence[int], normalization: int) -> Array:
    """Scale in place by the number of elements that were transformed together."""
    if normalization not in (0, 1, 2):
        raise KernelError(f"normalization is 0, 1 or 2, got {normalization}")
    count = math.prod(sizes)
    if normalization == 1:
        x *= 1 / math.sqrt(count)
    elif normalization == 2:
        x *= 1 / count
    return x


def _check_not_empty(sizes: Sequence[int]) -> None:
    if 0 in sizes:
        raise KernelError("a dimension to transform is empty")


@operator("aten::_fft_r2c(Tensor self, int[] dim, int normalization, bool onesided) -> Tensor", out="out")
def fft_r2c(self: Array, dim: Sequence[int], normalization: int, onesided: bool) -> Array:
    """The transform over ``dim``; one-sided leaves out the half of the last of them that mirrors the other."""
    if self.dtype not in _COMPLEX:
        raise KernelError(f"the Fourier transform takes float32 or float64, got {self.dtype.name}")
    dims = _dims(dim, self.ndim)
    sizes = [self.shape[d] for d in dims]
    _check_not_empty(sizes)
    if onesided:
        result = np.fft.rfft(self, axis=dims[-1])
        if len(dims) > 1:
            result = np.fft.fftn(result, axes=dims[:-1])
    else:
        result = np.fft.fftn(self, axes=dims)
    return _normalize(cast(result, _COMPLEX[self.dtype]), sizes, normalization)


@operator("aten::_fft_c2r(Tensor self, int[] dim, int normalization, SymInt last_dim_size) -> Tensor", out="out")
def fft_c2r(self: Array, dim: Sequence[int], normalization: int, last_dim_size: int) -> Array:
    """The way back, unscaled by itself: from the one-sided half to ``last_dim_size`` real elements."""
    if self.dtype not in _REAL:
        raise KernelError(f"the inverse Fourier transform takes complex64 or complex128, got {self.dtype.name}")
    dims = _dims(dim, self.ndim)
    last = dims[-1]
    if last_dim_size < 1 or self.shape[last] < last_dim_size // 2 + 1:
        raise KernelError(f"{self.shape[last]} frequencies do not give {last_dim_size} elements")
    shape = (*self.shape[:last], last_dim_size, *self.shape[last + 1 :])
    check_volume(shape)
    sizes = [shape[d] for d in dims]
    _check_not_empty(sizes)
    result = self
    if len(dims) > 1:
        result = np.fft.ifftn(result, axes=dims[:-1], norm="forward")
    result = np.fft.irfft(result, last_dim_size, axis=last, norm="forward")
    return _normalize(cast(result, _REAL[self.dtype]), sizes, normalization)
