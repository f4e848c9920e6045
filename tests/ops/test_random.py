"""Random operators by their distributions: ranges, moments, shapes, repeatability."""

import math

import numpy as np
import pytest
from lanes import BF16, FLOATS, INF, NAN, plain, run

from pteron.errors import KernelError

RAND, RANDN, DROPOUT = "aten::rand.out", "aten::randn.out", "aten::native_dropout.out"
COUNT = 40_000


def seeded():
    return np.random.default_rng(7)


def moments(x):
    """Mean, variance and the share of elements beyond one deviation, in plain Python."""
    values = plain(x).ravel().tolist()
    mean = math.fsum(values) / len(values)
    variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return mean, variance, sum(abs(v - mean) > math.sqrt(variance) for v in values) / len(values)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (RAND, (1 / 2, 1 / 12, 1 - 1 / math.sqrt(3))),
        (RANDN, (0, 1, math.erfc(1 / math.sqrt(2)))),
    ],
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_distribution(op, expected, dtype):
    x = run(op, [200, COUNT // 200], out_dtype=dtype, rng=seeded())
    assert x.shape == (200, 200)
    assert x.dtype == dtype
    # About five standard errors.
    np.testing.assert_allclose(moments(x), expected, atol=0.035)


@pytest.mark.parametrize("dtype", FLOATS)
def test_uniform_numbers_are_below_one(dtype):
    x = plain(run(RAND, [COUNT], out_dtype=dtype, rng=seeded()))
    assert x.min() >= 0
    assert 0.99 < x.max() < 1


@pytest.mark.parametrize("op", [RAND, RANDN])
def test_numbers_are_the_generators(op):
    first, second = run(op, [9], rng=seeded()), run(op, [9], rng=seeded())
    assert first.tolist() == second.tolist()
    assert len(set(first.tolist())) == 9
    assert run(op, [9]).tolist() != run(op, [9]).tolist()
    assert run(op, []).shape == ()
    assert run(op, [2, 0]).shape == (2, 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.0, 0.25, 0.75, 1.0])
@pytest.mark.parametrize("train", [True, None])
def test_dropout(dtype, p, train):
    x = np.full((100, COUNT // 100), 1.5, dtype)
    y, mask = run(DROPOUT, x, p, train, rng=seeded())
    assert (y.shape, y.dtype, mask.shape, mask.dtype) == (x.shape, dtype, x.shape, np.bool_)
    kept = sum(mask.ravel().tolist()) / x.size
    assert abs(kept - (1 - p)) < 0.015
    values = set(plain(y)[mask].tolist())
    assert not values or all(math.isclose(v, 1.5 / (1 - p), rel_tol=1e-2) for v in values)
    assert not plain(y)[~mask].any()


def test_dropout_leaves_inference_alone():
    for x in (np.array([1, INF, NAN], np.float32), np.array(2, BF16), np.arange(3)):
        y, mask = run(DROPOUT, x, 0.5, False)
        np.testing.assert_array_equal(y, x)
        assert y.dtype == x.dtype
        assert mask.shape == x.shape
        assert mask.all()


@pytest.mark.parametrize(
    ("op", "args", "dtype"),
    [
        (RAND, ([2, -1],), None),
        (RAND, ([1 << 40],), None),
        (RAND, ([2],), np.dtype(np.int64)),
        (RANDN, ([-2],), None),
        (RANDN, ([1 << 30, 1 << 30],), None),
        (RANDN, ([2],), np.dtype(np.bool_)),
        (DROPOUT, (np.ones(2), 1.5, True), None),
        (DROPOUT, (np.ones(2), -0.5, False), None),
        (DROPOUT, (np.ones(2), NAN, None), None),
        (DROPOUT, (np.arange(2), 0.5, True), None),
    ],
)
def test_refusals(op, args, dtype):
    with pytest.raises(KernelError, match=r"^[^\n]{10,}$"):
        run(op, *args, out_dtype=dtype)
