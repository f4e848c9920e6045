"""Convolution and its gradients against a sum over every product of an input element and a weight."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import FLOATS, INTEGERS, NAN, run

from pteron.errors import KernelError
from pteron.ops import convolution as kernels

FORWARD, BACKWARD = "aten::convolution.out", "aten::convolution_backward.out"
NAMES = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")


def values(dtype, shape, seed):
    """Multiples of a quarter in floating types, small integers otherwise."""
    drawn = np.random.default_rng(seed).integers(0 if dtype.kind == "u" else -8, 9, shape)
    return drawn.astype(dtype) if dtype.kind in "iu" else (drawn / 4).astype(dtype)


@st.composite
def calls(draw, dtypes):
    """Input, weight and options of a convolution that leaves some output."""
    rank, groups = draw(st.sampled_from([1, 2, 2, 3])), draw(st.sampled_from([1, 1, 2, 3]))
    transposed = draw(st.booleans())

    def each(low, high):
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    kernel, stride, padding, dilation = each(1, 3), each(1, 3), each(0, 2), each(1, 2)
    if draw(st.integers(0, 3)) == 0:
        kernel, stride, padding = [1] * rank, [1] * rank, [0] * rank
    size = [n + d * (k - 1) for n, d, k in zip(each(1, 4), dilation, kernel, strict=True)]
    extra = [min(e, max(s, d) - 1) for e, s, d in zip(each(0, 1), stride, dilation, strict=True)]
    ins, outs, dtype = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.sampled_from(dtypes))
    batch, seed = draw(st.integers(0, 2)), draw(st.integers(0, 99))
    x = values(dtype, (batch, ins * groups, *size), seed)
    leading = (ins * groups, outs) if transposed else (outs * groups, ins)
    weight = values(dtype, (*leading, *kernel), seed + 1)
    if draw(st.booleans()):
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if transposed and any(n < 0 for n in made_size(x, weight, stride, padding, dilation, True, extra)):
        padding = [0] * rank
    return x, weight, (stride, padding, dilation, transposed, extra if transposed else [0] * rank, groups)


def made_size(x, weight, stride, padding, dilation, transposed, extra):
    sizes = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True)
    if transposed:
        return [(n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in sizes]
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d, _ in sizes]


def products(x, weight, stride, padding, dilation, transposed, extra, groups):
    """Indices (of the input, of the weight, of the output) of every product of the sum; and the output's shape."""
    made = made_size(x, weight, stride, padding, dilation, transposed, extra)
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    found = []
    per_group = (x.shape[1] // groups, outputs // groups)
    small, big = (x.shape[2:], made) if transposed else (made, x.shape[2:])
    for position in itertools.product(*map(range, small)):
        for tap in itertools.product(*map(range, weight.shape[2:])):
            other = tuple(
                i * s + t * d - p for i, s, t, d, p in zip(position, stride, tap, dilation, padding, strict=True)
            )
            if not all(0 <= o < n for o, n in zip(other, big, strict=True)):
                continue
            taken, left = (position, other) if transposed else (other, position)
            for n, g, c, o in itertools.product(range(x.shape[0]), range(groups), *map(range, per_group)):
                source, target = g * per_group[0] + c, g * per_group[1] + o
                at = (source, o) if transposed else (target, c)
                found.append(((n, source, *taken), (*at, *tap), (n, target, *left)))
    return found, (x.shape[0], outputs, *made)


def exact(x):
    """Elements as Python numbers: floats or unbounded integers."""
    return x.astype(object) if x.dtype.kind in "iu" else x.astype(np.float64).astype(object)


def compare(actual, expected, dtype, terms):
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if dtype.kind in "iu":
        bits = 8 * dtype.itemsize
        wrapped = [(int(v) % (1 << bits)) for v in expected.reshape(-1)]
        np.testing.assert_array_equal(actual.reshape(-1), np.array(wrapped, np.uint64).astype(dtype))
        return
    rtol = {2: 1e-2, 4: 1e-5, 8: 1e-13}[dtype.itemsize]
    np.testing.assert_allclose(
        actual.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=rtol / 100 * terms
    )


@settings(max_examples=60, deadline=None)
@given(call=calls((*FLOATS, *INTEGERS)), biased=st.booleans())
def test_convolution(call, biased):
    x, weight, options = call
    terms, shape = products(x, weight, *options)
    bias = values(x.dtype, shape[1], 5) if biased else None
    expected, inputs, weights = np.zeros(shape, object), exact(x), exact(weight)
    for i, w, o in terms:
        expected[o] += inputs[i] * weights[w]
    if bias is not None:
        expected = expected + exact(bias).reshape(-1, *(1,) * (len(shape) - 2))
    compare(run(FORWARD, x, weight, bias, **dict(zip(NAMES, options, strict=True))), expected, x.dtype, weight.size)


@settings(max_examples=40, deadline=None)
@given(call=calls(FLOATS), mask=st.lists(st.booleans(), min_size=3, max_size=3))
def test_convolution_backward(call, mask):
    x, weight, options = call
    terms, shape = products(x, weight, *options)
    grad = values(x.dtype, shape, 6)
    expected = [np.zeros(x.shape, object), np.zeros(weight.shape, object), np.zeros(shape[1], object)]
    gradients, inputs, weights = exact(grad), exact(x), exact(weight)
    for i, w, o in terms:
        expected[0][i] += gradients[o] * weights[w]
        expected[1][w] += gradients[o] * inputs[i]
    for o in np.ndindex(shape):
        expected[2][o[1]] += gradients[o]
    named = dict(zip(NAMES, options, strict=True))
    results = run(BACKWARD, grad, x, weight, bias_sizes=[shape[1]], **named, output_mask=mask)
    for asked, actual, wanted in zip(mask, results, expected, strict=True):
        if asked:
            compare(actual, wanted, x.dtype, max(x.size, grad.size))
        else:
            assert actual is None


@pytest.mark.parametrize("block", [1, 50, 400])
def test_windows_are_taken_in_blocks(monkeypatch, block):
    """However little fits into a block, the result is the one of a single block."""
    float64 = np.dtype(np.float64)
    for groups, transposed in itertools.product((1, 4), (False, True)):
        x, weight = values(float64, (2, 4, 9, 8), 1), values(float64, (4, 4 // groups, 3, 2), 2)
        options = dict(zip(NAMES, ([2, 1], [1, 1], [1, 2], transposed, [0, 0], groups), strict=True))
        whole = run(FORWARD, x, weight, None, **options)
        grad = values(float64, whole.shape, 3)
        gradients = run(BACKWARD, grad, x, weight, bias_sizes=None, **options, output_mask=[True, True, True])
        monkeypatch.setattr(kernels, "_BLOCK", block)
        np.testing.assert_allclose(run(FORWARD, x, weight, None, **options), whole)
        again = run(BACKWARD, grad, x, weight, bias_sizes=None, **options, output_mask=[True, True, True])
        for first, second in zip(gradients, again, strict=True):
            np.testing.assert_allclose(first, second)
        monkeypatch.undo()


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_integers_wrap(dtype, transposed):
    limits = np.iinfo(dtype)
    x = np.array([limits.max, limits.min, limits.max, 3], dtype).reshape(1, 1, 4)
    weight = np.array([limits.max, 2, limits.min], dtype).reshape(1, 1, 3)
    options = ([1], [1], [1], transposed, [0], 1)
    terms, shape = products(x, weight, *options)
    expected, inputs, weights = np.zeros(shape, object), exact(x), exact(weight)
    for i, w, o in terms:
        expected[o] += inputs[i] * weights[w]
    compare(run(FORWARD, x, weight, None, **dict(zip(NAMES, options, strict=True))), expected, dtype, 3)


@pytest.mark.parametrize("layout", ["plain", "channels last"])
@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "groups"), [(64, 32, 3, 1), (200, 16, 1, 1), (64, 64, 3, 64)]
)
def test_float32_is_accurate(layout, channels, outputs, kernel, groups):
    """Large enough for BLAS to block: within 1e-5 of the sum of the magnitudes, one output at a time in float64."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, channels, 12, 11), np.float32)
    weight = rng.standard_normal((outputs, channels // groups, kernel, kernel), np.float32)
    given = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if layout != "plain" else x
    options = dict(zip(NAMES, ([1, 1], [0, 0], [1, 1], False, [0, 0], groups), strict=True))
    result = run(FORWARD, given, weight, None, **options)
    for o, i, j in [(0, 0, 0), (outputs - 1, 3, 7), (outputs // 2, 9, 4)]:
        first = o // (outputs // groups) * (channels // groups)
        window = x[0, first : first + channels // groups, i : i + kernel, j : j + kernel].reshape(-1).tolist()
        factors = weight[o].reshape(-1).tolist()
        exact_sum = math.fsum(a * b for a, b in zip(window, factors, strict=True))
        magnitude = math.fsum(abs(a * b) for a, b in zip(window, factors, strict=True))
        assert abs(float(result[0, o, i, j]) - exact_sum) <= 1e-6 * magnitude


def test_a_channels_last_input_gives_a_channels_last_result():
    x = np.zeros((1, 5, 6, 3), np.float32).transpose(0, 3, 1, 2)
    result = run(FORWARD, x, np.zeros((4, 3, 3, 3), np.float32), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    assert result.transpose(0, 2, 3, 1).flags.c_contiguous


def test_nan_stays_in_its_window():
    x = np.zeros((1, 1, 6), np.float32)
    x[0, 0, 2] = NAN
    result = run(FORWARD, x, np.ones((1, 1, 2), np.float32), None, [1], [0], [1], False, [0], 1)
    assert np.isnan(result).tolist() == [[[False, True, True, False, False]]]


GOOD = {
    "input": np.zeros((1, 4, 5, 5), np.float32),
    "weight": np.zeros((6, 2, 3, 3), np.float32),
    "bias": None,
    "stride": [1, 1],
    "padding": [0, 0],
    "dilation": [1, 1],
    "transposed": False,
    "output_padding": [0, 0],
    "groups": 2,
}


@pytest.mark.parametrize(
    "change",
    [
        {"groups": 0},
        {"groups": -1},
        {"groups": 4},
        {"groups": 1},
        {"stride": [0, 1]},
        {"stride": [1, 1, 1]},
        {"stride": []},
        {"padding": [-1, 0]},
        {"padding": [1 << 40, 0], "stride": [1 << 40, 1]},
        {"padding": [1 << 20, 1 << 20]},
        {"dilation": [0, 1]},
        {"input": np.broadcast_to(np.float32(0), (1, 4, 600, 1 << 17)), "weight": np.zeros((2, 2, 600, 1), np.float32)},
        {"dilation": [9, 1]},
        {"bias": np.zeros(5, np.float32)},
        {"input": np.zeros((4, 5, 5), np.float32)},
        {"input": np.zeros((1, 4, 2, 5), np.float32)},
        {"input": np.zeros((1, 4, 5, 5), np.float64)},
        {"input": np.zeros((5, 5), np.float32), "weight": np.zeros((5, 5), np.float32)},
        {"input": np.zeros((1, 4, 5, 5), bool), "weight": np.zeros((6, 2, 3, 3), bool)},
        {"input": np.zeros((1, 4, 5, 5), np.complex64), "weight": np.zeros((6, 2, 3, 3), np.complex64)},
        {"weight": np.zeros((6, 2, 0, 3), np.float32)},
        {"weight": np.zeros((0, 2, 3, 3), np.float32)},
        {"transposed": True},
        {"transposed": True, "weight": np.zeros((4, 2, 3, 3), np.float32), "output_padding": [1, 0]},
        {"transposed": True, "weight": np.zeros((4, 2, 3, 3), np.float32), "output_padding": [-1, 0]},
        {"transposed": True, "weight": np.zeros((4, 2, 3, 3), np.float32), "padding": [9, 0]},
        {"transposed": True, "weight": np.zeros((4, 2, 3, 3), np.float32), "stride": [1 << 30, 1 << 30]},
    ],
    ids=str,
)
def test_refusals(change):
    run(FORWARD, **GOOD)
    with pytest.raises(KernelError):
        run(FORWARD, **(GOOD | change))


@pytest.mark.parametrize(
    "change",
    [
        {"grad_output": np.zeros((1, 6, 3, 2), np.float32)},
        {"grad_output": np.zeros((1, 6, 3, 3), np.float64)},
        {"output_mask": [True, True]},
        {"groups": 3},
        {
            n: np.zeros(s, int)
            for n, s in [("grad_output", (1, 6, 3, 3)), ("input", (1, 4, 5, 5)), ("weight", (6, 2, 3, 3))]
        },
    ],
    ids=str,
)
def test_backward_refusals(change):
    good = GOOD | {"grad_output": np.zeros((1, 6, 3, 3), np.float32), "bias_sizes": [6], "output_mask": [True] * 3}
    del good["bias"]
    run(BACKWARD, **good)
    with pytest.raises(KernelError):
        run(BACKWARD, **(good | change))
