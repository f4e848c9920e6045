"""Small deterministic tensors of every dtype and layout, for operators that move elements without computing."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

BF16 = np.dtype(ml_dtypes.bfloat16)
F16 = np.dtype(np.float16)
F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
DTYPES = (F16, BF16, F64, *map(np.dtype, ("int64", "int32", "int16", "int8", "uint8", "bool")))

Array = np.ndarray[Any, Any]


def sample(*shape: int, dtype: Any = F32, seed: int = 0, special: bool = True) -> Array:
    """Values of every kind the dtype has; ``special`` strews NaN, infinities and -0.0 into floating point."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -100, 100, shape).astype(dtype)
    values = np.asarray(rng.normal(0, 3, shape).astype(np.float32))
    if special and values.size >= 6:
        values.reshape(-1)[rng.permutation(values.size)[:4]] = [np.nan, np.inf, -np.inf, -0.0]
    return values.astype(dtype)


def places(*shape: int, below: int, dtype: Any = np.int64, seed: int = 0, low: int = 0) -> Array:
    """Indices in [low, below)."""
    return np.random.default_rng(seed).integers(low, below, shape).astype(dtype)


def channels_last(x: Array) -> Array:
    """The same values, laid out with the channels innermost."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
