"""Small arrays to try operators on, and reductions spelt out element by element in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from pteron.ops import REGISTRY
from pteron.ops.invoke import call

BF16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = tuple(map(np.dtype, (np.float32, np.float64, np.float16, BF16)))
INTEGERS = tuple(map(np.dtype, (np.int8, np.uint8, np.int32, np.int64)))
BOOL = np.dtype(np.bool_)
NAN, INF = float("nan"), float("inf")
# Each of these is exact in every floating dtype.
FINITE = tuple(n / 4 for n in range(-8, 9))
SPECIAL = (*FINITE, -0.0, NAN, INF, -INF)


def run(op: str, *args: Any, **options: Any) -> Any:
    """An operator's result (several: a tuple); arrays that it has no right to change are read-only."""
    operator = REGISTRY.get(op)
    assert operator is not None, op
    context = {name: options.pop(name) for name in ("out_dtype", "rng") if name in options}
    arguments = operator.functional.arguments
    given = dict(zip((a.name for a in arguments), args, strict=False)) | options
    writes = {a.name for a in arguments if a.writes}
    results = call(operator, {n: v if n in writes else _frozen(v) for n, v in given.items()}, **context)
    return results[0] if len(results) == 1 else results


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


@st.composite
def arrays(
    draw: st.DrawFn,
    dtypes: Sequence[np.dtype[Any]] = FLOATS,
    *,
    dims: tuple[int, int] = (0, 3),
    sides: tuple[int, int] = (0, 3),
    values: Sequence[float] = FINITE,
) -> np.ndarray[Any, Any]:
    """An array of one of ``dtypes``, with its axes in any order in memory."""
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(st.lists(st.integers(*sides), min_size=dims[0], max_size=dims[1]))
    if dtype not in FLOATS:
        values = (0, 1) if dtype == BOOL else (0, 1, 2, 3) if dtype.kind == "u" else (-3, -1, 0, 1, 2)
    count = int(np.prod(shape, dtype=np.int64))
    elements = draw(st.lists(st.sampled_from(values), min_size=count, max_size=count))
    return np.array(elements).reshape(shape).astype(dtype).transpose(draw(st.permutations(range(len(shape)))))


def plain(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``x`` with elements that Python can compute with."""
    return x.astype(np.float64) if x.dtype in FLOATS else x


def axes_of(dim: Sequence[int] | int | None, ndim: int) -> tuple[int, ...]:
    if dim is None or dim == []:
        return tuple(range(ndim))
    return tuple(d % ndim for d in ([dim] if isinstance(dim, int) else dim)) if ndim else ()


def by_lane(
    x: np.ndarray[Any, Any], dim: Sequence[int] | int | None, keepdim: bool, function: Callable[[list[Any]], Any]
) -> np.ndarray[Any, Any]:
    """``function`` of the elements, in index order, that share an index outside the dims."""
    x = plain(x)
    axes = axes_of(dim, x.ndim)
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    results = []
    for index in itertools.product(*map(range, shape)):
        ranges = [range(x.shape[a]) if a in axes else [i] for a, i in enumerate(index)]
        results.append(function([x[place].item() for place in itertools.product(*ranges)]))
    if not keepdim:
        shape = [size for axis, size in enumerate(shape) if axis not in axes]
    return np.array(results).reshape(shape)


def along(x: np.ndarray[Any, Any], dim: int, function: Callable[[list[Any]], Sequence[Any]]) -> np.ndarray[Any, Any]:
    """``function``, which maps a list to one as long, applied to every line along ``dim``."""
    x = plain(x)
    if not x.ndim:
        return np.array(function([x.item()])[0])
    moved = np.moveaxis(x, dim, -1)
    result = np.empty(moved.shape)
    for index in itertools.product(*map(range, moved.shape[:-1])):
        result[index] = function([moved[(*index, i)].item() for i in range(moved.shape[-1])])
    return np.moveaxis(result, -1, dim)


def close(actual: Any, expected: Any, dtype: Any) -> None:
    """The same shape, this dtype, and the same elements but for rounding."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == dtype
    if actual.dtype not in FLOATS:
        np.testing.assert_array_equal(actual, expected)
        return
    tolerance = {"float64": 1e-12, "float32": 1e-5}.get(actual.dtype.name, 1e-2)
    with np.errstate(over="ignore"):
        expected = plain(expected.astype(dtype))
    np.testing.assert_allclose(plain(actual), expected, rtol=tolerance, atol=tolerance)
