"""Input arrays that the elementwise families share (equal arrays are stored once)."""

from __future__ import annotations

import ml_dtypes
import numpy as np

BF16 = np.dtype(ml_dtypes.bfloat16)
HALVES = (np.float16, BF16)
INTEGERS = (np.uint8, np.int8, np.int16, np.int32, np.int64)

# Zeros of both signs, infinities, NaN, and both sides of rounding halves.
EDGES = np.array([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 2.5, -2.5, 0.5, 1e-30, 1e30], np.float32)
EMPTY = np.zeros((2, 0, 3), np.float32)
BOOLS = np.array([[True, False, True], [False, False, True]])


def floats(*shape: int, seed: int = 0, low: float = -3, high: float = 3, dtype: np.typing.DTypeLike = np.float32):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(dtype)


def integers(*shape: int, seed: int = 0, low: int = -9, high: int = 10, dtype: np.typing.DTypeLike = np.int64):
    low = max(low, 0) if np.dtype(dtype).kind == "u" else low
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


def complexes(*shape: int, seed: int = 0, dtype: np.typing.DTypeLike = np.complex64):
    rng = np.random.default_rng(seed)
    return (rng.uniform(-2, 2, shape) + 1j * rng.uniform(-2, 2, shape)).astype(dtype)


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
