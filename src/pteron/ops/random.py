"""Random numbers: rand, randn, dropout.

The distributions are ATen's, the numbers are not: they come from the caller's NumPy generator.
"""

from __future__ import annotations

import math

import numpy as np

from pteron.errors import KernelError
from pteron.ops.creation import MAX_COMPUTED_ELEMENTS
from pteron.ops.dims import check_shape
from pteron.ops.promotion import FLOAT16, FLOAT32, FLOAT64, Array, DType, cast, is_floating, is_reduced, widen
from pteron.ops.registry import operator
from pteron.ops.result_size import elements_allowed

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"


def _request(size: list[int], out_dtype: DType | None) -> tuple[tuple[int, ...], DType]:
    shape, dtype = check_shape(size), out_dtype or FLOAT32
    if not is_floating(dtype):
        raise KernelError(f"random numbers cannot be {dtype.name}; they must be floating point")
    allowed = elements_allowed(MAX_COMPUTED_ELEMENTS)
    if math.prod(shape) > allowed:
        raise KernelError(f"random numbers of shape {shape} are above the cap of {allowed} elements")
    return shape, dtype


@operator(f"aten::rand(SymInt[] size, *, {_OPTIONS}) -> Tensor", out="out")
def rand(size: list[int], out_dtype: DType | None, rng: np.random.Generator | None) -> Array:
    """Uniform over [0, 1)."""
    shape, dtype = _request(size, out_dtype)
    rng = rng or np.random.default_rng()
    if is_reduced(dtype):
        # As many bits as the significand has: a rounded float32 could come out as 1.
        steps = 1 << (11 if dtype == FLOAT16 else 8)
        return cast(rng.integers(0, steps, shape, dtype=np.int32) / np.float32(steps), dtype)
    return cast(rng.random(shape, dtype=np.float64 if dtype == FLOAT64 else np.float32), dtype)


@operator(f"aten::randn(SymInt[] size, *, {_OPTIONS}) -> Tensor", out="out")
def randn(size: list[int], out_dtype: DType | None, rng: np.random.Generator | None) -> Array:
    """Normal, of mean 0 and variance 1."""
    shape, dtype = _request(size, out_dtype)
    rng = rng or np.random.default_rng()
    return cast(rng.standard_normal(shape, dtype=np.float64 if dtype == FLOAT64 else np.float32), dtype)


@operator("aten::native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)", out="out")
def native_dropout(input: Array, p: float, train: bool | None, rng: np.random.Generator | None) -> tuple[Array, Array]:
    """Zeroes elements with probability ``p`` and scales the others by 1 / (1 - p); the mask of those kept.

    The scaling is ATen's; the portable kernel leaves it out.
    """
    if not 0 <= p <= 1:
        raise KernelError(f"the dropout probability {p} is not between 0 and 1")
    if train is False:
        return input, np.broadcast_to(np.True_, input.shape)
    if not is_floating(input.dtype):
        raise KernelError(f"dropout of {input.dtype.name} is not defined; it must be floating point")
    mask = (rng or np.random.default_rng()).random(input.shape, dtype=np.float32) >= p
    x = widen(input)
    y: Array = np.asarray(x * mask)
    y *= 0.0 if p == 1 else 1 / (1 - p)
    return cast(y, input.dtype), np.asarray(mask)
