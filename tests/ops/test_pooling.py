"""Pooling against windows walked element by element."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import FINITE, FLOATS, INF, INTEGERS, NAN, SPECIAL, run

from pteron.errors import KernelError

MAX, MEAN, ADAPTIVE = "aten::max_pool2d_with_indices.out", "aten::avg_pool2d.out", "aten::_adaptive_avg_pool2d.out"
BACK = "aten::max_pool2d_with_indices_backward.grad_input"
INT64 = np.dtype(np.int64)


def size_of(n, k, s, p, d, ceil_mode):
    """The number of windows, counted one by one."""
    reach, count = d * (k - 1), 0
    while True:
        start = count * s - p
        fits = start + reach <= n + p - 1
        overhangs = ceil_mode and start < n and start + reach - (s - 1) <= n + p - 1
        if not fits and not overhangs:
            return count
        count += 1


@st.composite
def pools(draw, dtypes, dilated=True, special=SPECIAL):
    """A tensor and kernel, stride, padding, dilation, ceil_mode that leave at least one window."""
    kernel, stride = [[draw(st.integers(1, 3)) for _ in "hw"] for _ in range(2)]
    dilation = [draw(st.integers(1, 2)) if dilated else 1 for _ in "hw"]
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    size = [draw(st.integers(max(2, d * (k - 1) + 1), 7)) for k, d in zip(kernel, dilation, strict=True)]
    lead = draw(st.sampled_from([(1,), (2,), (1, 2), (2, 3), (0, 1)]))
    dtype = draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    if dtype.kind in "iu":
        x = rng.integers(0 if dtype.kind == "u" else -4, 5, (*lead, *size)).astype(dtype)
    else:
        x = rng.choice(np.array(special if draw(st.booleans()) else FINITE), (*lead, *size)).astype(dtype)
    if draw(st.booleans()):
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, -3, -1)), -1, -3)
    return x, kernel, stride, padding, dilation, draw(st.booleans())


def windows(x, kernel, stride, padding, dilation, ceil_mode):
    """For every output (row, column) of a plane: the rows and columns of its elements that are not padding."""
    lines = list(zip(x.shape[-2:], kernel, stride, padding, dilation, strict=True))
    counts = [size_of(*line, ceil_mode) for line in lines]

    def inside(index, n, k, s, p, d):
        return [e for t in range(k) if 0 <= (e := index * s - p + t * d) < n]

    for i, j in np.ndindex(*counts):
        yield (i, j), inside(i, *lines[0]), inside(j, *lines[1])


def planes(x):
    return np.ndindex(x.shape[:-2])


@settings(max_examples=120, deadline=None)
@given(pool=pools((*FLOATS, *INTEGERS)))
def test_max_pool2d(pool):
    x, *options = pool
    values, indices = run(MAX, x, *options)
    found = list(windows(*pool))
    assert values.shape == indices.shape == (*x.shape[:-2], *[n + 1 for n in found[-1][0]])
    assert values.dtype == x.dtype
    assert indices.dtype == INT64
    for plane in planes(x):
        for at, rows, columns in found:
            best, place = None, None
            for row in rows:
                for column in columns:
                    value = x[(*plane, row, column)]
                    if best is None or value > best or value != value:
                        best, place = value, row * x.shape[-1] + column
            assert values[(*plane, *at)] == best or (math.isnan(values[(*plane, *at)]) and math.isnan(best))
            assert indices[(*plane, *at)] == place


@settings(max_examples=80, deadline=None)
@given(pool=pools(FLOATS, special=FINITE))
def test_max_pool2d_backward(pool):
    x, *options = pool
    values, indices = run(MAX, x, *options)
    grad = (np.random.default_rng(1).integers(-8, 9, values.shape) / 4).astype(x.dtype)
    indices = np.where(np.random.default_rng(2).random(indices.shape) < 0.1, -1, indices)
    expected = np.zeros(x.shape)
    for plane in planes(x):
        for at in np.ndindex(values.shape[-2:]):
            if indices[(*plane, *at)] >= 0:
                expected[(*plane, *divmod(int(indices[(*plane, *at)]), x.shape[-1]))] += float(grad[(*plane, *at)])
    result = run(BACK, grad, x, *options, indices)
    assert result.dtype == x.dtype
    np.testing.assert_array_equal(result.astype(np.float64), expected)


def mean(numbers, divisor):
    return math.fsum(numbers) / divisor if all(map(math.isfinite, numbers)) else sum(numbers) / divisor


def close(actual, expected, dtype):
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    rtol = {2: 1e-2, 4: 1e-5, 8: 1e-13}[dtype.itemsize]
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=rtol, atol=rtol / 10)


@settings(max_examples=120, deadline=None)
@given(
    pool=pools((*FLOATS, INT64), dilated=False, special=(*FINITE, NAN, INF)),
    count_padding=st.booleans(),
    divisor=st.sampled_from([None, None, 3, -2]),
)
def test_avg_pool2d(pool, count_padding, divisor):
    x, kernel, stride, padding, _, ceil_mode = pool
    found = list(windows(*pool))
    expected = np.zeros((*x.shape[:-2], *[n + 1 for n in found[-1][0]]), object if x.dtype == INT64 else np.float64)
    for plane in planes(x):
        for at, rows, columns in found:
            lines = zip(at, x.shape[-2:], kernel, stride, padding, strict=True)
            padded = math.prod(min(i * s - p + k, n + p) - (i * s - p) for i, n, k, s, p in lines)
            count = divisor or (padded if count_padding else len(rows) * len(columns))
            numbers = [float(x[(*plane, r, c)]) for r in rows for c in columns]
            if x.dtype == INT64:
                expected[(*plane, *at)] = math.trunc(sum(map(int, numbers)) / count)
            else:
                expected[(*plane, *at)] = mean(numbers, count)
    result = run(MEAN, x, kernel, stride, padding, ceil_mode, count_padding, divisor)
    if x.dtype == INT64:
        assert result.dtype == INT64
        np.testing.assert_array_equal(result, expected.astype(np.int64))
    else:
        close(result, expected, x.dtype)


def test_avg_pool2d_of_a_window_in_the_padding_only():
    """Ceil mode never starts a window in the right padding, so every window has an element."""
    result = run(MEAN, np.ones((1, 3, 3), np.float32), [2, 2], [2, 2], [1, 1], True, False)
    assert result.tolist() == [[[1, 1], [1, 1]]]


@settings(max_examples=80, deadline=None)
@given(pool=pools(FLOATS, special=(*FINITE, NAN, INF)), size=st.lists(st.integers(0, 9), min_size=2, max_size=2))
def test_adaptive_avg_pool2d(pool, size):
    x = pool[0]
    expected = np.zeros((*x.shape[:-2], *size))

    def covered(index, length, count):
        return range(index * length // count, -(-(index + 1) * length // count))

    for plane in planes(x):
        for i, j in np.ndindex(*size):
            rows, columns = covered(i, x.shape[-2], size[0]), covered(j, x.shape[-1], size[1])
            numbers = [float(x[(*plane, r, c)]) for r in rows for c in columns]
            expected[(*plane, i, j)] = mean(numbers, len(numbers))
    close(run(ADAPTIVE, x, size), expected, x.dtype)


@pytest.mark.parametrize("size", [[1, 1], [2, 3]])
def test_a_few_means_of_many_elements_are_accurate(size):
    x = np.random.default_rng(0).random((1, 1, 301, 299), np.float32) + 1
    result = run(ADAPTIVE, x, size)
    rows, columns = (range(n * i // s, -(-n * (i + 1) // s)) for n, s, i in [(301, size[0], 0), (299, size[1], 0)])
    exact = mean([float(x[0, 0, r, c]) for r in rows for c in columns], len(rows) * len(columns))
    assert math.isclose(result[0, 0, 0, 0], exact, rel_tol=1e-6)


def test_a_kernel_far_larger_than_the_input():
    x = np.arange(25, dtype=np.float32).reshape(1, 5, 5)
    kernel, padding = [1 << 26, 2], [1 << 25, 1]
    values, indices = run(MAX, x, kernel, [1 << 26, 2], padding)
    assert values.tolist() == indices.tolist() == [[[20, 22, 24]]]
    assert run(MEAN, x, [1 << 40, 1], [1, 1], [1 << 39, 0], False, False).tolist() == [[[10, 11, 12, 13, 14]] * 6]


IMAGE = np.zeros((1, 2, 5, 5), np.float32)


@pytest.mark.parametrize("op", [MAX, MEAN])
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": [0, 2]},
        {"kernel_size": []},
        {"kernel_size": [2, 2, 2]},
        {"kernel_size": [6, 2]},
        {"stride": [0, 1]},
        {"stride": [-1, 1]},
        {"padding": [2, 0]},
        {"padding": [-1, 0]},
        {"self": IMAGE[0, 0]},
        {"self": IMAGE[None]},
        {"self": IMAGE[:, :0]},
        {"self": IMAGE[:, :, :0]},
        {"self": IMAGE > 0},
        {"self": IMAGE.astype(np.complex64)},
        {"kernel_size": [1 << 40, 1 << 40], "stride": [1, 1], "padding": [1 << 38, 1 << 38]},
    ],
    ids=str,
)
def test_refusals(op, options):
    good = {"self": IMAGE, "kernel_size": [2, 2]}
    run(op, **good)
    with pytest.raises(KernelError):
        run(op, **(good | options))


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (MAX, (IMAGE, [2, 2], [1, 1], [0, 0], [0, 1])),
        (MAX, (IMAGE, [2, 2], [1, 1], [0, 0], [5, 1])),
        (MAX, (IMAGE, [1 << 20, 1 << 20], [1, 1], [1 << 19, 1 << 19])),
        (MAX, (IMAGE[:, :, :1], [2, 2], [1, 1], [1, 1], [2, 2])),
        (MEAN, (IMAGE, [2, 2], [1, 1], [0, 0], False, True, 0)),
        (MEAN, (IMAGE.astype(np.int32), [2, 2])),
        (ADAPTIVE, (IMAGE, [-1, 2])),
        (ADAPTIVE, (IMAGE, [1, 2, 3])),
        (ADAPTIVE, (IMAGE, [1 << 30, 1 << 30])),
        (ADAPTIVE, (IMAGE[:, :, :0], [1, 1])),
        (ADAPTIVE, (IMAGE.astype(int), [1, 1])),
    ],
)
def test_more_refusals(op, arguments):
    with pytest.raises(KernelError):
        run(op, *arguments)


INDICES = np.zeros((1, 2, 2, 2), np.int64)


@pytest.mark.parametrize(
    "change",
    [
        {"grad_output": np.zeros((1, 2, 2, 3), np.float32)},
        {"grad_output": np.zeros((1, 2, 2, 2))},
        {"indices": INDICES[..., :1]},
        {"indices": INDICES.astype(np.int32)},
        {"indices": INDICES + 25},
        {"indices": INDICES - 2},
        {"stride": [1, 1]},
        {"self": IMAGE.astype(int), "grad_output": INDICES},
    ],
    ids=str,
)
def test_backward_refusals(change):
    good = {
        "grad_output": np.zeros((1, 2, 2, 2), np.float32),
        "self": IMAGE,
        "kernel_size": [2, 2],
        "stride": [2, 2],
        "padding": [0, 0],
        "dilation": [1, 1],
        "ceil_mode": False,
        "indices": INDICES,
    }
    run(BACK, **good)
    with pytest.raises(KernelError):
        run(BACK, **(good | change))
