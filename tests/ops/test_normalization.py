"""Normalisations against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BF16, FLOATS, INF, NAN, along, arrays, by_lane, close, plain, run

from pteron.errors import KernelError

SOFTMAX, LOG_SOFTMAX = "aten::_softmax.out", "aten::_log_softmax.out"
LAYER_NORM, GROUP_NORM = "aten::native_layer_norm.out", "aten::native_group_norm.out"
BATCH_NORM = "aten::_native_batch_norm_legit.out"
BATCH_NORM_NO_STATS = "aten::_native_batch_norm_legit.no_stats_out"
BATCH_NORM_INFERENCE = "aten::_native_batch_norm_legit_no_training.out"
EPS = 0.25


def softmax(lane):
    weights = [math.exp(v) for v in lane]
    return [w / math.fsum(weights) for w in weights]


def log_softmax(lane):
    return [v - math.log(math.fsum(map(math.exp, lane))) for v in lane]


@pytest.mark.parametrize(("op", "definition"), [(SOFTMAX, softmax), (LOG_SOFTMAX, log_softmax)])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_softmax(op, definition, data):
    x = data.draw(arrays(FLOATS))
    dim = data.draw(st.integers(-max(x.ndim, 1), max(x.ndim, 1) - 1))
    close(run(op, x, dim, False), along(x, dim, definition), x.dtype)


@pytest.mark.parametrize("shift", [-1e30, 90, 1e30])
def test_softmax_does_not_overflow(shift):
    x = np.full((2, 4), shift, np.float32)
    close(run(SOFTMAX, x, 1, False), np.full((2, 4), 0.25), np.float32)
    close(run(LOG_SOFTMAX, x, 1, False), np.full((2, 4), -math.log(4)), np.float32)


@pytest.mark.parametrize("op", [SOFTMAX, LOG_SOFTMAX])
def test_softmax_of_masked_rows(op):
    x = np.array([[-INF, 0, -INF], [-INF, -INF, -INF], [NAN, 0, 0], [INF, 0, 0]], np.float32)
    y = run(op, x, -1, False)
    zero, one = (0, 1) if op == SOFTMAX else (-INF, 0)
    assert y[0].tolist() == [zero, one, zero]
    assert np.isnan(y[1:3]).all()
    assert np.isnan(y[3, 0])


@pytest.mark.parametrize("op", [SOFTMAX, LOG_SOFTMAX])
def test_softmax_to_float32(op):
    x = np.array([[1, 2, 4]], BF16)
    definition = softmax if op == SOFTMAX else log_softmax
    close(run(op, x, 1, True), along(x, 1, definition), np.float32)


def standardized(lane, eps=EPS):
    mean = math.fsum(lane) / len(lane)
    variance = math.fsum((v - mean) ** 2 for v in lane) / len(lane)
    return mean, 1 / math.sqrt(variance + eps)


def expected_norm(x, dim):
    """``x`` standardized over dims; the means; the reciprocal deviations (dims kept)."""
    mean = by_lane(x, dim, True, lambda lane: standardized(lane)[0])
    rstd = by_lane(x, dim, True, lambda lane: standardized(lane)[1])
    return (plain(x) - mean) * rstd, mean, rstd


def parameters(data, shape, dtype):
    """A weight and a bias, each of which may be missing."""
    given = []
    for _ in range(2):
        drawn = data.draw(st.lists(st.sampled_from([-1, 0, 0.5, 1, 2]), min_size=math.prod(shape), max_size=64))
        given.append(np.array(drawn[: math.prod(shape)]).reshape(shape).astype(dtype) if drawn else None)
    return given


def transformed(y, weight, bias):
    y = y if weight is None else y * plain(weight)
    return y if bias is None else y + plain(bias)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_layer_norm(data):
    x = data.draw(arrays(FLOATS, dims=(1, 3), sides=(1, 4)))
    inner = data.draw(st.integers(1, x.ndim))
    shape = x.shape[x.ndim - inner :]
    weight, bias = parameters(data, shape, x.dtype)
    y, mean, rstd = expected_norm(x, list(range(x.ndim - inner, x.ndim)))
    actual = run(LAYER_NORM, x, list(shape), weight, bias, EPS)
    for a, e in zip(actual, (transformed(y, weight, bias), mean, rstd), strict=True):
        close(a, e, x.dtype)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), groups=st.integers(1, 3), width=st.integers(1, 3))
def test_group_norm(data, groups, width):
    channels = groups * width
    x = data.draw(arrays(FLOATS, dims=(3, 3), sides=(1, 3)))
    x = np.concatenate([x[:, :1] * (c + 1) for c in range(channels)], axis=1)
    weight, bias = parameters(data, (channels,), x.dtype)
    n, _, length = x.shape
    y, mean, rstd = expected_norm(x.reshape(n, groups, width * length), [2])
    shaped = [None if p is None else p[:, None] for p in (weight, bias)]
    actual = run(GROUP_NORM, x, weight, bias, n, channels, length, groups, EPS)
    close(actual[0], transformed(y.reshape(x.shape), *shaped), x.dtype)
    close(actual[1], mean[..., 0], x.dtype)
    close(actual[2], rstd[..., 0], x.dtype)


def test_norms_of_nothing_have_no_deviation():
    for y, mean, rstd in (
        run(LAYER_NORM, np.ones((2, 0), np.float32), [0], None, None, EPS),
        run(GROUP_NORM, np.ones((2, 3, 0), np.float32), None, None, 2, 3, 0, 1, EPS),
    ):
        assert y.size == 0
        assert mean.tolist() == [[0], [0]]
        assert np.isnan(rstd).all()


@pytest.mark.parametrize("length", [1 << 10, 1 << 17])
def test_layer_norm_of_long_rows_keeps_its_digits(length):
    x = np.array([0.1, 0.3], np.float32).repeat(length // 2)[None]
    mean, rstd = standardized([0.1, 0.3], 1e-5)
    actual = run(LAYER_NORM, x, [length], None, None, 1e-5)
    close(actual[1], np.array([[mean]]), np.float32)
    np.testing.assert_allclose(actual[2], rstd, rtol=5e-5)


@pytest.mark.parametrize("op", [LAYER_NORM, GROUP_NORM])
def test_statistics_of_half_inputs_have_the_dtype_of_the_parameters(op):
    x, weight = np.ones((2, 3), np.float16), np.ones(3, np.float32)
    arguments = ([3], weight, weight) if op == LAYER_NORM else (weight, weight, 2, 3, 1, 1)
    assert [r.dtype.name for r in run(op, x, *arguments, EPS)] == ["float16", "float32", "float32"]


def per_channel(values, x):
    return values.reshape((-1,) + (1,) * (x.ndim - 2))


def batches(data):
    x = data.draw(arrays(FLOATS, dims=(2, 4), sides=(1, 3)))
    return x, *(None if p is None else p for p in parameters(data, (x.shape[1],), x.dtype))


def scaled(y, x, weight, bias):
    return transformed(y, *(None if p is None else per_channel(p, x) for p in (weight, bias)))


@pytest.mark.parametrize("op", [BATCH_NORM, BATCH_NORM_INFERENCE])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_batch_norm_with_given_statistics(op, data):
    x, weight, bias = batches(data)
    channels = x.shape[1]
    mean = np.array(data.draw(st.lists(st.sampled_from([-1, 0.5]), min_size=channels, max_size=channels))).astype(
        x.dtype
    )
    variance = np.array(data.draw(st.lists(st.sampled_from([0, 2]), min_size=channels, max_size=channels))).astype(
        x.dtype
    )
    before = mean.copy(), variance.copy()
    training = (False,) if op == BATCH_NORM else ()
    y, *saved = run(op, x, weight, bias, mean, variance, *training, 0.1, EPS)
    rstd = np.array([1 / math.sqrt(v + EPS) for v in plain(variance).tolist()])
    expected = (plain(x) - per_channel(plain(mean), x)) * per_channel(rstd, x)
    close(y, scaled(expected, x, weight, bias), x.dtype)
    assert [s.shape for s in saved] == [(0,), (0,)]
    np.testing.assert_array_equal((mean, variance), before)


@pytest.mark.parametrize("op", [BATCH_NORM, BATCH_NORM_NO_STATS])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_batch_norm_with_statistics_of_the_batch(op, data):
    x, weight, bias = batches(data)
    dims = [d for d in range(x.ndim) if d != 1]
    y, mean, rstd = expected_norm(x, dims)
    running = (np.full(x.shape[1], 3, x.dtype), np.full(x.shape[1], 5, x.dtype)) if op == BATCH_NORM else ()
    actual = run(op, x, weight, bias, *running, True, 0.25, EPS)
    for a, e in zip(actual, (scaled(y, x, weight, bias), mean.ravel(), rstd.ravel()), strict=True):
        close(a, e, x.dtype)
    if running:
        count = x.size // x.shape[1]
        variance = (1 / rstd.ravel() ** 2 - EPS) * (count / (count - 1) if count > 1 else NAN)
        close(running[0], 0.75 * 3 + 0.25 * mean.ravel(), x.dtype)
        close(running[1], 0.75 * 5 + 0.25 * variance, x.dtype)


def test_batch_norm_of_one_element_is_its_bias():
    x, bias = np.array([[1e4, -3]], np.float32), np.array([0.5, 2], np.float32)
    y, *_ = run(BATCH_NORM_NO_STATS, x, None, bias, True, 0.1, 1e-5)
    assert y.tolist() == [[0.5, 2]]


X = np.ones((2, 4, 3), np.float32)
FOUR = np.ones(4, np.float32)
THREE = np.ones(3, np.float32)
WHOLE = np.ones((2, 4), np.int64)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (SOFTMAX, (X, 3, False)),
        (SOFTMAX, (X, 0, True)),
        (SOFTMAX, (WHOLE, 0, False)),
        (LOG_SOFTMAX, (X, -4, False)),
        (LOG_SOFTMAX, (WHOLE, 0, False)),
        (LAYER_NORM, (X, [4], None, None, EPS)),
        (LAYER_NORM, (X, [], None, None, EPS)),
        (LAYER_NORM, (X, [1, 2, 4, 3], None, None, EPS)),
        (LAYER_NORM, (X, [4, 3], THREE, None, EPS)),
        (LAYER_NORM, (X, [3], None, FOUR, EPS)),
        (LAYER_NORM, (WHOLE, [4], None, None, EPS)),
        (GROUP_NORM, (X, None, None, 2, 4, 3, 3, EPS)),
        (GROUP_NORM, (X, None, None, 2, 4, 3, 0, EPS)),
        (GROUP_NORM, (X, None, None, 2, 4, 4, 2, EPS)),
        (GROUP_NORM, (X, None, None, 4, 2, 3, 2, EPS)),
        (GROUP_NORM, (X, THREE, None, 2, 4, 3, 2, EPS)),
        (GROUP_NORM, (THREE, None, None, 3, 1, 1, 1, EPS)),
        (GROUP_NORM, (WHOLE, None, None, 2, 4, 1, 1, EPS)),
        (BATCH_NORM_INFERENCE, (X, None, None, THREE, FOUR, 0.1, EPS)),
        (BATCH_NORM_INFERENCE, (X, THREE, None, FOUR, FOUR, 0.1, EPS)),
        (BATCH_NORM_INFERENCE, (FOUR, None, None, FOUR, FOUR, 0.1, EPS)),
        (BATCH_NORM_INFERENCE, (WHOLE, None, None, FOUR, FOUR, 0.1, EPS)),
        (BATCH_NORM_NO_STATS, (X[:0], None, None, True, 0.1, EPS)),
        (BATCH_NORM_NO_STATS, (X, None, THREE, True, 0.1, EPS)),
        (BATCH_NORM, (X, None, None, FOUR, THREE, True, 0.1, EPS)),
        (BATCH_NORM, (X, None, None, THREE, FOUR, False, 0.1, EPS)),
    ],
)
def test_refusals(op, args):
    with pytest.raises(KernelError, match=r"^[^\n]{10,}$"):
        run(op, *args)
