"""erf to the last place, and formulas applied block by block."""

import math

import numpy as np
import pytest

from pteron.ops import special

VALUES = np.concatenate([np.linspace(-7, 7, 5001), np.linspace(-0.02, 0.02, 2001), 10.0 ** np.arange(-37, 0)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_right_to_one_and_a_half_units_in_the_last_place(dtype: type) -> None:
    x = VALUES.astype(dtype)
    expected = np.array([math.erf(v) for v in x.tolist()])
    result = special.erf(x)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=1.5 * float(np.finfo(dtype).eps), atol=0)


def test_erf_at_the_edges() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = np.array([math.inf, -math.inf, math.nan, 0.0, -0.0, 1e30 if dtype != np.float16 else 6e4], dtype)
        np.testing.assert_array_equal(special.erf(x), np.array([1, -1, math.nan, 0, -0.0, 1], dtype))


@pytest.mark.parametrize("size", [0, 1, special.BLOCK - 1, special.BLOCK, special.BLOCK + 1, 3 * special.BLOCK + 5])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_blocks_meet_without_gaps(size: int, dtype: type) -> None:
    def plus_one(source: np.ndarray, target: np.ndarray) -> None:
        assert source.ndim == target.ndim == 1
        np.add(source, 1, out=target)

    x = (np.arange(size) % 100).astype(dtype)
    wide = np.stack([x, x], axis=1)
    for source in (x, x[::-1], wide[:, 1], wide.T):
        result = special.blockwise(plus_one, source, np.dtype(np.float32))
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, source.astype(np.float32) + 1)


def test_the_result_keeps_the_memory_layout() -> None:
    x = np.zeros((2, 30, 40, 3), np.float32).transpose(0, 3, 1, 2)
    assert special.erf(x).strides == x.strides
