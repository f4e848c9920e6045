"""Element conversion as ``c10::convert`` does it, with a defined answer where C has none.

Floating point becomes an integer by truncation. What does not fit the integer (NaN and infinities included) becomes
the lowest 32- or 64-bit integer, of which narrower types keep the low bits: the answer of x86 processors, which the
expected outputs of the official exporters hold.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT64,
    Array,
    DType,
    Scalar,
    is_complex,
    is_floating,
    is_integral,
    is_reduced,
)

_INT32 = np.dtype(np.int32)


def convert(x: Array, dtype: DType) -> Array:
    """``x`` as ``dtype``; not copied where it is that already. Bool is "not zero"; complex to real drops a part."""
    if x.dtype == dtype:
        return x
    with np.errstate(all="ignore"):
        if dtype == BOOL:
            return x.astype(dtype)
        if is_complex(x.dtype) and not is_complex(dtype):
            x = x.real
        if is_reduced(dtype):
            # c10's Half and BFloat16 are made from a float, so a double is rounded twice.
            x = x.astype(FLOAT32, copy=False)
        if is_floating(x.dtype) and is_integral(dtype) and dtype.name != "uint64":
            x = _whole(x, _INT32 if dtype == _INT32 else INT64)
        return x.astype(dtype, copy=False)


def fill_value(value: Scalar, dtype: DType) -> Array:
    """A scalar as a zero-dim array of ``dtype``; one that does not fit is refused, as ``Scalar::to`` does."""
    if not _fits(value, dtype):
        raise KernelError(f"the value {value} does not fit {dtype.name}")
    return convert(np.asarray(value, FLOAT64 if isinstance(value, float) else INT64), dtype)


def _whole(x: Array, target: DType) -> Array:
    if x.dtype != FLOAT64:
        x = x.astype(FLOAT32, copy=False)
    limit = float(2 ** (8 * target.itemsize - 1))
    outside = ~(np.abs(x) < limit)
    if outside.any():
        x = np.where(outside, x.dtype.type(-limit), x)
    return x.astype(target)


def _fits(value: Scalar, dtype: DType) -> bool:
    if dtype == BOOL or is_complex(dtype):
        return True
    if is_floating(dtype):
        return not np.isfinite(value) or abs(value) <= float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
    bounds = np.iinfo(dtype)
    if isinstance(value, float):
        return float(bounds.min) <= value <= float(bounds.max)
    # A negative integer wraps around in an unsigned type.
    return (-bounds.max if dtype.kind == "u" else bounds.min) <= value <= bounds.max
