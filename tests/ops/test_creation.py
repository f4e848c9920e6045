"""New tensors: their values, and that what a file asks for cannot exhaust the memory."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BF16, BOOL, FLOATS, INF, INTEGERS, NAN, close, run

from pteron.errors import KernelError

ARANGE, ARANGE_START = "aten::arange.out", "aten::arange.start_out"
FULL, FULL_LIKE = "aten::full.out", "aten::full_like.out"
FILL_SCALAR, FILL_TENSOR = "aten::fill.Scalar_out", "aten::fill.Tensor_out"
SCALAR_TENSOR, EMPTY_PERMUTED = "aten::scalar_tensor.out", "aten::empty_permuted.out"
CONSTANT = {"aten::ones.out": 1, "aten::zeros.out": 0, "aten::empty.out": 0}

DTYPES = (*FLOATS, *INTEGERS, BOOL)
SIZES = st.lists(st.integers(0, 3), max_size=4)
VALUES = st.one_of(st.booleans(), st.integers(-1, 100), st.sampled_from([0.5, -0.75, 3.0, 99.5]))


def stored(value, dtype):
    """What a tensor of this dtype holds for the value: truncated, or wrapped where it has no sign."""
    if dtype == BOOL:
        return value != 0
    if dtype in FLOATS:
        return float(value)
    return math.trunc(value) % 256 if dtype == np.uint8 else math.trunc(value)


def filled(size, value, dtype):
    return np.array([stored(value, dtype)] * math.prod(size)).reshape(size)


@settings(max_examples=100, deadline=None)
@given(size=SIZES, value=VALUES, dtype=st.sampled_from(DTYPES))
def test_constants_of_a_value(size, value, dtype):
    close(run(FULL, size, value, out_dtype=dtype), filled(size, value, dtype), dtype)
    close(run(SCALAR_TENSOR, value, out_dtype=dtype), filled([], value, dtype), dtype)
    like = np.ones(size, dtype)
    close(run(FULL_LIKE, like, value), filled(size, value, dtype), dtype)
    close(run(FULL_LIKE, np.ones(size), value, out_dtype=dtype), filled(size, value, dtype), dtype)
    close(run(FILL_SCALAR, like, value), filled(size, value, dtype), dtype)
    close(run(FILL_TENSOR, like, np.array(value)), filled(size, value, dtype), dtype)


@pytest.mark.parametrize("op", [*CONSTANT, EMPTY_PERMUTED])
@settings(max_examples=30, deadline=None)
@given(size=SIZES, dtype=st.sampled_from(DTYPES))
def test_constants(op, size, dtype):
    arguments = (list(range(len(size)))[::-1],) if op == EMPTY_PERMUTED else ()
    close(run(op, size, *arguments, out_dtype=dtype), filled(size, CONSTANT.get(op, 0), dtype), dtype)


def test_dtypes_inferred_from_values():
    for value, full, scalar in ((True, BOOL, np.float32), (3, np.int64, np.float32), (0.5, np.float32, np.float32)):
        assert run(FULL, [2], value).dtype == full
        assert run(SCALAR_TENSOR, value).dtype == scalar
    assert run(ARANGE, True).dtype == np.int64
    assert run(ARANGE, 2.0).dtype == np.float32
    assert {run(op, [2]).dtype.name for op in CONSTANT} == {"float32"}


def test_values_that_are_not_finite():
    for dtype in FLOATS:
        assert np.isnan(run(FULL, [2], NAN, out_dtype=dtype).astype(np.float32)).all()
        close(run(SCALAR_TENSOR, -INF, out_dtype=dtype), np.array(-INF), dtype)


def test_large_integers_stay_exact():
    assert run(FULL, [1], 2**62 + 1).item() == 2**62 + 1
    assert run(ARANGE_START, 2**62, 2**62 + 2).tolist() == [2**62, 2**62 + 1]


STEPS = st.integers(-40, 40).filter(bool)


@settings(max_examples=100, deadline=None)
@given(start=st.integers(-50, 50), length=st.integers(0, 20), step=STEPS, spare=st.integers(0, 39))
def test_ranges(start, length, step, spare):
    """In quarters, which are exact in float32: ``spare`` is what the end goes beyond the last element."""
    end = start + length * step - math.copysign(min(spare, abs(step) - 1), step) * bool(length)
    expected = [start + i * step for i in range(length)]
    close(run(ARANGE_START, start, int(end), step), np.array(expected), np.int64)
    close(run(ARANGE_START, start, int(end), step, out_dtype=np.dtype(np.int32)), np.array(expected), np.int32)
    close(
        run(ARANGE_START, start / 4, end / 4, step / 4), np.array([float(Fraction(v, 4)) for v in expected]), np.float32
    )


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_range_from_zero(dtype):
    close(run(ARANGE, 7, out_dtype=dtype), np.array([0, 1, 2, 3, 4, 5, 6]), dtype)
    close(run(ARANGE, 2.5, out_dtype=dtype), np.array([0, 1, 2][: 2 if dtype == np.int64 else 3]), dtype)


@pytest.mark.parametrize("op", [FULL, *CONSTANT, EMPTY_PERMUTED])
def test_constants_take_no_memory(op):
    size = [1 << 10, 1 << 10, 1 << 9]
    arguments = {FULL: (2.5,), EMPTY_PERMUTED: ([2, 1, 0],)}.get(op, ())
    result = run(op, size, *arguments)
    assert result.shape == tuple(size)
    assert set(result.strides) == {0}


HUGE = [1 << 40, 1 << 40]
BYTES, SHORTS, HALF = (np.dtype(t) for t in (np.uint8, np.int16, np.float16))


@pytest.mark.parametrize(
    ("op", "args", "dtype"),
    [
        *((op, ([2, -1],), None) for op in CONSTANT),
        *((op, (HUGE,), None) for op in CONSTANT),
        (FULL, ([-1], 2), None),
        (FULL, (HUGE, 2), None),
        (FULL, ([2], 300), BYTES),
        (FULL, ([2], NAN), BYTES),
        (FULL, ([2], INF), SHORTS),
        (FULL, ([2], 1e6), HALF),
        (FULL, ([2], -1e39), BF16),
        (SCALAR_TENSOR, (-40000,), SHORTS),
        (SCALAR_TENSOR, (2**70,), np.dtype(np.int64)),
        (FULL_LIKE, (np.ones(2, np.int8), 128), None),
        (FILL_SCALAR, (np.ones(2, np.int8), -129), None),
        (FILL_SCALAR, (np.ones(2, np.int64), NAN), None),
        (FILL_TENSOR, (np.ones(2), np.ones(1)), None),
        (EMPTY_PERMUTED, ([2, 3], [0]), None),
        (EMPTY_PERMUTED, ([2, 3], [1, 1]), None),
        (EMPTY_PERMUTED, ([2, 3], [0, -1]), None),
        (EMPTY_PERMUTED, ([2, -3], [0, 1]), None),
        (ARANGE, (-1,), None),
        (ARANGE, (1e15,), None),
        (ARANGE, (NAN,), None),
        (ARANGE, (3,), BOOL),
        (ARANGE_START, (0, 5, 0), None),
        (ARANGE_START, (0, 5, -1), None),
        (ARANGE_START, (0, INF, 1), None),
        (ARANGE_START, (0, 1, 1e-300), None),
        (ARANGE_START, (0.5, 3.9, 0.5), np.dtype(np.int64)),
        (ARANGE_START, (-(2**62), 2**62, 1), None),
    ],
)
def test_refusals(op, args, dtype):
    with pytest.raises(KernelError, match=r"^[^\n]{10,}$"):
        run(op, *args, out_dtype=dtype)
