"""Sorting through its lowering: stable both ways, with NaN as the greatest, against Python's own stable sort."""

from __future__ import annotations

import math

import numpy as np
import pytest
from one_node import run


def place(x: float) -> tuple[bool, float]:
    return (True, 0.0) if math.isnan(x) else (False, x)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("length", [5, 40, 700])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int8", "int64", "bool"])
def test_equal_elements_stay_in_order(dtype: str, length: int, descending: bool) -> None:
    rng = np.random.default_rng(length)
    x = rng.integers(0, 2 if dtype == "bool" else 6, (3, length)).astype(dtype)
    if dtype.startswith("float"):
        special = np.array([math.nan, math.inf, -math.inf, -0.0, 0.0], dtype)
        x[rng.random(x.shape) < 0.5] = 1
        chosen = rng.random(x.shape) < 0.4
        x[chosen] = rng.choice(special, int(chosen.sum()))
    # Python keeps equal elements in order with ``reverse``, too.
    order = [sorted(range(length), key=lambda i, row=row: place(row[i]), reverse=descending) for row in x.tolist()]
    indices = np.array(order, np.int64)
    expected = np.take_along_axis(x, indices, -1)
    values, found = run("aten::sort.values", {"self": x, "dim": -1, "descending": descending}, [expected, indices])
    np.testing.assert_array_equal(found, indices)
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(values, expected)
