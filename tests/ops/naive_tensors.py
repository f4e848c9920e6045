"""Tensors as plain Python sees them: shapes, index tuples and one element at a time.

The references of the property tests for operators that move elements are built from these; nothing here uses NumPy's
own reshaping, broadcasting or indexing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from pteron.ops import REGISTRY
from pteron.ops.invoke import call

Index = tuple[int, ...]
BF16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = tuple(np.dtype(d) for d in ("float32", "float16", "int64", "uint8", "bool", BF16))


def run(name: str, *, out_dtype: Any = None, **arguments: Any) -> Any:
    """The result of the operator that a PTE calls ``name``."""
    operator = REGISTRY.get(name)
    assert operator is not None, name
    (result,) = call(operator, arguments, out_dtype=None if out_dtype is None else np.dtype(out_dtype))
    return result


def indices(shape: Sequence[int]) -> Iterator[Index]:
    """Every index of a tensor, the last one moving fastest."""
    return itertools.product(*map(range, shape))


def build(shape: Sequence[int], dtype: Any, element: Callable[[Index], Any]) -> np.ndarray[Any, Any]:
    """A tensor from a rule for its elements."""
    result = np.zeros(tuple(shape), dtype)
    for i in indices(shape):
        result[i] = element(i)
    return result


def number(i: Index, shape: Sequence[int]) -> int:
    """How many elements come before index ``i``."""
    count = 0
    for position, size in zip(i, shape, strict=True):
        count = count * size + position
    return count


def index_of(count: int, shape: Sequence[int]) -> Index:
    """The inverse of ``number``."""
    found = []
    for size in reversed(shape):
        count, position = divmod(count, size)
        found.append(position)
    return tuple(reversed(found))


def common(*shapes: Sequence[int]) -> list[int]:
    """The shape that shapes broadcast to; ValueError where they do not."""
    result = []
    for sizes in itertools.zip_longest(*[list(reversed(s)) for s in shapes], fillvalue=1):
        wide = {s for s in sizes if s != 1}
        if len(wide) > 1:
            raise ValueError("do not broadcast")
        result.append(wide.pop() if wide else 1)
    return list(reversed(result))


def spread(x: np.ndarray[Any, Any], i: Index) -> Any:
    """The element of ``x`` at index ``i`` of a shape that it broadcasts to."""
    own = i[len(i) - x.ndim :]
    return x[tuple(0 if size == 1 else k for k, size in zip(own, x.shape, strict=True))]


def same(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Equal to the last bit, dtype and shape included."""
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    wide = np.float32 if expected.dtype == BF16 else expected.dtype
    np.testing.assert_array_equal(actual.astype(wide), expected.astype(wide))


@st.composite
def tensors(draw: st.DrawFn, shape: Any = None, *, low: int = 0, high: int = 4, dtypes: Any = DTYPES) -> Any:
    """Small tensors of any memory layout, with distinct elements as far as the dtype can tell them apart."""
    if shape is None:
        shape = draw(st.lists(st.integers(0, 3), min_size=low, max_size=high))
    shape = tuple(draw(shape)) if isinstance(shape, st.SearchStrategy) else tuple(shape)
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    start = draw(st.integers(0, 9))
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in shape]
    storage = np.zeros([shape[d] * abs(steps[d]) for d in order], dtype)
    x = storage.transpose([order.index(d) for d in range(len(shape))])
    x = x[(..., *(slice(None, None, step) for step in steps))]
    for i in indices(shape):
        value = start + number(i, shape)
        x[i] = value % 3 == 0 if dtype.kind == "b" else value
    return x


def wrapped(draw: st.DrawFn, dim: int, ndim: int) -> int:
    """``dim``, or the same dimension counted from the end."""
    return draw(st.sampled_from([dim, dim - max(ndim, 1)]))
