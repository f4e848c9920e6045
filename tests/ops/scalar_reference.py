"""Elementwise operators the slow way: one Python call per element, for the property tests to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pteron.ops import REGISTRY
from pteron.ops.invoke import call

BF16 = np.dtype(ml_dtypes.bfloat16)
INTEGERS = [np.dtype(t) for t in ("uint8", "int8", "int16", "int32", "int64")]
FLOATS = [np.dtype(t) for t in ("float16", "float32", "float64")] + [BF16]
NAN, INF = math.nan, math.inf

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def run(op: str, *args: Any, **kwargs: Any) -> np.ndarray:
    """Call an operator by the name a PTE spells; arrays are handed over read-only."""
    operator = REGISTRY.get(op)
    assert operator is not None, op
    bound = dict(zip([a.name for a in operator.functional.arguments], args, strict=False)) | kwargs
    for name, value in bound.items():
        if isinstance(value, np.ndarray):
            bound[name] = value.view()
            bound[name].flags.writeable = False
    (result,) = call(operator, bound)
    assert isinstance(result, np.ndarray)
    return result


def elements(dtype: np.dtype, *, low: float = -20, high: float = 20, special: bool = True) -> st.SearchStrategy[Any]:
    """Values that ``dtype`` holds exactly; with ``special`` also NaN, infinities and the zeros."""
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return st.integers(max(int(limits.min), int(low)), min(int(limits.max), int(high)))
    # Not every float16 is a bfloat16, but bfloat16's own range is wider than the tests need.
    drawn = np.dtype(np.float16) if dtype == BF16 else dtype
    low, high = (float(np.array(limit, drawn)) for limit in (low, high))
    finite = st.floats(low, high, width=8 * drawn.itemsize).map(lambda value: float(dtype.type(value)))
    return st.one_of(finite, st.sampled_from([NAN, INF, -INF, 0.0, -0.0])) if special else finite


def arrays(dtype: np.dtype, shape: Any = SHAPES, **limits: Any) -> st.SearchStrategy[np.ndarray]:
    if dtype == BF16:
        half = hnp.arrays(np.float16, shape, elements=elements(dtype, **limits))
        return half.map(lambda x: x.astype(BF16))
    return hnp.arrays(dtype, shape, elements=elements(dtype, **limits))


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, with NaN where Python's math raises a domain error."""

    def safe(*values: Any) -> Any:
        try:
            return function(*values)
        except (ValueError, ZeroDivisionError):
            return NAN

    return safe


def python(value: Any) -> Any:
    """An element as a Python number."""
    return float(value) if value.dtype == BF16 else value.item()


def each(function: Callable[..., Any], *operands: Any) -> np.ndarray:
    """``function`` of every element, operands broadcast; float64, int64 (object for more) or bool by its values."""
    filled = np.broadcast_arrays(*[np.asarray(x) for x in operands])
    values = [function(*(python(x[index]) for x in filled)) for index in np.ndindex(filled[0].shape)]
    return np.array(values, object).reshape(filled[0].shape)


def wrap(value: int, dtype: np.dtype) -> int:
    """An integer as two's complement keeps it."""
    bits = dtype.itemsize * 8
    value %= 1 << bits
    return value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value


TOLERANCES = {2: 1e-2, 4: 3e-6, 8: 1e-13}


def assert_equal(actual: np.ndarray, expected: np.ndarray, dtype: np.dtype, atol: float = 0.0) -> None:
    """Same shape, the dtype given, and values equal: exactly, or for floats to a few units in the last place."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if dtype.kind in "biu":
        np.testing.assert_array_equal(actual, expected.astype(dtype))
        return
    rtol = TOLERANCES[dtype.itemsize]
    with np.errstate(over="ignore"):
        # What is beyond the dtype is infinite in it.
        expected = np.where(np.isinf(expected.astype(np.float64).astype(dtype)), expected.astype(dtype), expected)
    np.testing.assert_allclose(actual.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol)


def strided(x: np.ndarray) -> np.ndarray:
    """The values of ``x`` in memory that is neither C- nor F-contiguous."""
    room = np.zeros([2 * extent for extent in x.shape], x.dtype)
    view = room[tuple(slice(None, None, -2) for _ in x.shape)]
    view[...] = x
    return view
