"""Angles and distances through their lowerings, where signs of zero, infinities and NaN decide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from one_node import run

SIDES = np.array([0.0, -0.0, 1.0, -1.0, 1e-30, -1e30, math.inf, -math.inf, math.nan], np.float32)


def test_atan2_of_every_two_sides() -> None:
    up, right = SIDES[:, np.newaxis], SIDES[np.newaxis]
    expected = np.array([[math.atan2(y, x) for x in SIDES.tolist()] for y in SIDES.tolist()], np.float32)
    (found,) = run("aten::atan2.out", {"self": up, "other": right}, [expected])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(expected)[known])


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.0, math.inf])
def test_distances_with_nan(p: float) -> None:
    """The maximum norm of cdist passes over NaN, and nothing else does."""
    x = np.array([[1, 2, 3], [4, math.nan, 9], [1, 2, 5]], np.float32)
    expected = np.empty((3, 3), np.float32)
    for i, j in np.ndindex(3, 3):
        sides = [abs(a - c) for a, c in zip(x[i].tolist(), x[j].tolist(), strict=True)]
        if math.isinf(p):
            expected[i, j] = max((s for s in sides if not math.isnan(s)), default=0)
        elif any(map(math.isnan, sides)):
            expected[i, j] = math.nan
        else:
            expected[i, j] = sum(s > 0 for s in sides) if p == 0 else sum(s**p for s in sides) ** (1 / p)
    (found,) = run("aten::_cdist_forward.out", {"x1": x, "x2": x, "p": p, "compute_mode": None}, [expected])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    pairs = expected[np.triu_indices(3, 1)]
    pairs[[0, 2]] = math.nan
    (found,) = run("aten::_pdist_forward.out", {"self": x, "p": p}, [pairs])
    np.testing.assert_allclose(found, pairs, rtol=1e-5)
