"""Scans against running sums kept in Python."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BF16, BOOL, FINITE, FLOATS, INTEGERS, along, arrays, close, run

from pteron.errors import KernelError

CUMSUM = "aten::cumsum.out"


def running(lane):
    return list(itertools.accumulate(lane))


@settings(max_examples=100, deadline=None)
@given(x=arrays((*FLOATS, *INTEGERS, BOOL), values=FINITE), data=st.data())
def test_cumsum(x, data):
    dim = data.draw(st.integers(-max(x.ndim, 1), max(x.ndim, 1) - 1))
    close(run(CUMSUM, x, dim), along(x, dim, running), x.dtype if x.dtype in FLOATS else np.int64)


@pytest.mark.parametrize("dtype", [np.float16, BF16])
def test_cumsum_of_half_types_accumulates_in_float32(dtype):
    x = np.ones(5000, dtype)
    close(run(CUMSUM, x, 0), np.arange(1, 5001), dtype)


def test_cumsum_in_the_dtype_asked_for():
    close(run(CUMSUM, np.array([1.7, -2.9, 1.7], np.float32), 0, dtype=4), np.array([1, -1, 0]), np.int64)
    close(run(CUMSUM, np.array([200, 100], np.uint8), 0, dtype=0), np.array([200, 44]), np.uint8)
    close(run(CUMSUM, np.array([1, 2], np.int32), 0, dtype=7), np.array([1, 3]), np.float64)


@pytest.mark.parametrize(
    "arguments",
    [
        {"dim": 2},
        {"dim": -3},
        {"dim": 0, "dtype": 11},
    ],
)
def test_cumsum_refusals(arguments):
    with pytest.raises(KernelError):
        run(CUMSUM, np.ones((2, 3), np.float32), **arguments)
