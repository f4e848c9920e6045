"""Grid sampling and pixel shuffling, one element at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BOOL, FLOATS, INF, INTEGERS, NAN, run

from pteron.errors import KernelError

SAMPLE, SHUFFLE, UNSHUFFLE = "aten::grid_sampler_2d.out", "aten::pixel_shuffle.out", "aten::pixel_unshuffle.out"


def numbered(shape, dtype):
    return np.arange(math.prod(shape)).reshape(shape).astype(dtype)


@settings(max_examples=60, deadline=None)
@given(
    lead=st.lists(st.integers(0, 2), max_size=2),
    sizes=st.tuples(*[st.integers(0, 3)] * 3),
    factor=st.integers(1, 3),
    dtype=st.sampled_from([*FLOATS, *INTEGERS, BOOL]),
    turned=st.booleans(),
)
def test_pixel_shuffle_and_back(lead, sizes, factor, dtype, turned):
    channels, height, width = sizes
    x = numbered((*lead, channels * factor * factor, height, width), dtype)
    if turned:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -3, -1)), -1, -3)
    result = run(SHUFFLE, x, factor)
    assert result.dtype == dtype
    assert result.shape == (*lead, channels, height * factor, width * factor)
    for *n, c, i, j in np.ndindex(result.shape):
        source = c * factor * factor + i % factor * factor + j % factor
        assert result[(*n, c, i, j)] == x[(*n, source, i // factor, j // factor)]
    back = run(UNSHUFFLE, result, factor)
    assert back.dtype == dtype
    assert back.shape == x.shape
    assert back.tolist() == x.tolist()


def position(value, size, align_corners):
    return (value + 1) / 2 * (size - 1) if align_corners else ((value + 1) * size - 1) / 2


def reflected(value, size, align_corners):
    low, high = (0, size - 1) if align_corners else (-0.5, size - 0.5)
    if low == high:
        return 0.0
    while not low <= value <= high:
        value = 2 * low - value if value < low else 2 * high - value
    return value


def place(value, size, padding, align_corners):
    if padding == 2:
        value = reflected(value, size, align_corners)
    return value if padding == 0 else min(max(value, 0), size - 1)


def cubic(distance):
    d, a = abs(distance), -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def sampled(plane, x, y, mode, padding, align_corners):
    """The value of a plane (rows of numbers) at one place of a grid."""
    height, width = len(plane), len(plane[0])

    def at(row, column):
        return plane[row][column] if 0 <= row < height and 0 <= column < width else 0.0

    x, y = position(x, width, align_corners), position(y, height, align_corners)
    if mode == 2:
        total = 0.0
        for row in range(math.floor(y) - 1, math.floor(y) + 3):
            for column in range(math.floor(x) - 1, math.floor(x) + 3):
                i, j = place(row, height, padding, align_corners), place(column, width, padding, align_corners)
                total += at(int(i), int(j)) * cubic(y - row) * cubic(x - column)
        return total
    x, y = place(x, width, padding, align_corners), place(y, height, padding, align_corners)
    if mode == 1:
        return at(round(y), round(x))
    top, left = math.floor(y), math.floor(x)
    corners = [(row, column) for row in (top, top + 1) for column in (left, left + 1)]
    return sum(at(i, j) * (1 - abs(y - i)) * (1 - abs(x - j)) for i, j in corners)


@settings(max_examples=120, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 5), st.integers(1, 5)),
    made=st.tuples(st.integers(0, 3), st.integers(1, 3)),
    mode=st.integers(0, 2),
    padding=st.integers(0, 2),
    align_corners=st.booleans(),
    dtype=st.sampled_from(FLOATS),
    seed=st.integers(0, 999),
)
def test_grid_sampler_2d(sizes, made, mode, padding, align_corners, dtype, seed):
    rng = np.random.default_rng(seed)
    x = (rng.integers(-8, 9, sizes) / 4).astype(dtype)
    # Multiples of 1/64, which every dtype holds exactly.
    grid = (rng.integers(-120, 121, (sizes[0], *made, 2)) / 64).astype(dtype)
    result = run(SAMPLE, x, grid, mode, padding, align_corners)
    assert result.dtype == dtype
    assert result.shape == (*sizes[:2], *made)
    rtol = {2: 2e-2, 4: 1e-5, 8: 1e-12}[dtype.itemsize]
    for n, c, i, j in np.ndindex(result.shape):
        plane = x[n, c].astype(np.float64).tolist()
        across, down = (float(v) for v in grid[n, i, j])
        ends = position(across, sizes[3], align_corners), position(down, sizes[2], align_corners)
        if mode == 1 and any(abs(p - math.floor(p) - 0.5) < 1e-3 for p in ends):
            continue  # half way between two elements, where the last bit decides
        expected = sampled(plane, across, down, mode, padding, align_corners)
        assert math.isclose(float(result[n, c, i, j]), expected, rel_tol=rtol, abs_tol=4 * rtol)


def test_places_beyond_any_image():
    x = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3) + 1
    grid = np.array([[NAN, 0], [INF, 0], [1e30, 0]], np.float32).reshape(1, 1, 3, 2)

    def at(mode, padding):
        return run(SAMPLE, x, grid, mode, padding, False).reshape(-1).tolist()

    assert at(1, 0) == [0, 0, 0]
    assert at(0, 1) == at(1, 1) == [4, 6, 6]
    bilinear = at(0, 0)
    assert math.isnan(bilinear[0])
    assert math.isnan(bilinear[1])
    assert bilinear[2] == 0


def test_nan_outside_of_the_samples_is_not_seen():
    x = np.zeros((1, 1, 3, 3), np.float32)
    x[0, 0, 0, 0] = NAN
    grid = np.array([[5, 5], [0.6, 0.6]], np.float32).reshape(1, 1, 2, 2)
    for mode in (0, 1, 2):
        assert run(SAMPLE, x, grid, mode, 0, False)[0, 0, 0, 0] == 0
    assert run(SAMPLE, x, grid, 0, 0, False)[0, 0, 0, 1] == 0


IMAGE, GRID = np.zeros((1, 2, 3, 3), np.float32), np.zeros((1, 2, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (SHUFFLE, (IMAGE, 0)),
        (SHUFFLE, (IMAGE, -2)),
        (SHUFFLE, (IMAGE, 2)),
        (SHUFFLE, (IMAGE, 1 << 40)),
        (SHUFFLE, (IMAGE[0, 0], 1)),
        (UNSHUFFLE, (IMAGE, 2)),
        (UNSHUFFLE, (IMAGE, 0)),
        (UNSHUFFLE, (IMAGE, 1 << 40)),
        (UNSHUFFLE, (IMAGE[0, 0], 1)),
        (SAMPLE, (IMAGE, GRID, 3, 0, False)),
        (SAMPLE, (IMAGE, GRID, 0, -1, False)),
        (SAMPLE, (IMAGE[0], GRID, 0, 0, False)),
        (SAMPLE, (IMAGE, GRID[0], 0, 0, False)),
        (SAMPLE, (IMAGE, GRID[..., :1], 0, 0, False)),
        (SAMPLE, (IMAGE, np.concatenate([GRID, GRID]), 0, 0, False)),
        (SAMPLE, (IMAGE, GRID.astype(np.float64), 0, 0, False)),
        (SAMPLE, (IMAGE.astype(int), GRID.astype(int), 0, 0, False)),
        (SAMPLE, (IMAGE[:, :, :0], GRID, 0, 0, False)),
        (SAMPLE, (IMAGE, np.broadcast_to(GRID[:, :1, :1], (1, 1 << 20, 1 << 20, 2)), 0, 0, False)),
    ],
)
def test_refusals(op, arguments):
    with pytest.raises(KernelError):
        run(op, *arguments)
