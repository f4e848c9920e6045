"""Reductions against their definitions, lane by lane."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BF16, BOOL, FINITE, FLOATS, INF, INTEGERS, NAN, SPECIAL, arrays, by_lane, close, run

from pteron.errors import KernelError

ANY_DTYPE = (*FLOATS, *INTEGERS, BOOL)
REAL = (*FLOATS, *INTEGERS)


def same(dtype):
    return dtype


def summed(dtype):
    return dtype if dtype in FLOATS else np.dtype(np.int64)


def truth(dtype):
    return dtype if dtype == np.uint8 else BOOL


def index(dtype):
    return np.dtype(np.int64)


def total(lane):
    return math.fsum(lane) if all(map(math.isfinite, lane)) else sum(lane)


def mean(lane):
    return total(lane) / len(lane) if lane else NAN


def variance(lane, correction=1):
    if not all(map(math.isfinite, lane)):
        return NAN
    squares = math.fsum((v - mean(lane)) ** 2 for v in lane)
    freedom = max(0, len(lane) - correction)
    return squares / freedom if freedom else (INF if squares else NAN)


def place(lane, largest):
    """The index of the first NaN, else that of the first extremum."""
    for i, value in enumerate(lane):
        if value != value:
            return i
    return lane.index(max(lane) if largest else min(lane))


def largest(lane):
    return lane[place(lane, True)]


def smallest(lane):
    return lane[place(lane, False)]


def place_of_largest(lane):
    return place(lane, True)


def place_of_smallest(lane):
    return place(lane, False)


# Operator: input dtypes, dtype of the result, values to try, definition.
MANY_DIMS = {
    "aten::sum.IntList_out": (ANY_DTYPE, summed, FINITE, total),
    "aten::mean.out": (FLOATS, same, FINITE, mean),
    "aten::amax.out": (ANY_DTYPE, same, SPECIAL, largest),
    "aten::amin.out": (ANY_DTYPE, same, SPECIAL, smallest),
    "aten::any.dims_out": (ANY_DTYPE, truth, SPECIAL, any),
    "aten::var.out": (FLOATS, same, SPECIAL, variance),
    "aten::var.correction_out": (FLOATS, same, SPECIAL, variance),
    "aten::linalg_vector_norm.out": (FLOATS, same, FINITE, lambda lane: math.sqrt(math.fsum(v * v for v in lane))),
}
ONE_DIM = {
    "aten::prod.int_out": (ANY_DTYPE, summed, FINITE, math.prod),
    "aten::any.out": (ANY_DTYPE, truth, SPECIAL, any),
    "aten::argmax.out": (REAL, index, SPECIAL, place_of_largest),
    "aten::argmin.out": (REAL, index, SPECIAL, place_of_smallest),
}
WITH_INDEX = {
    "aten::max.dim_max": place_of_largest,
    "aten::min.dim_min": place_of_smallest,
}
WHOLE = {
    "aten::mean.dtype_out": (FLOATS, same, FINITE, mean),
    "aten::prod.out": (ANY_DTYPE, summed, FINITE, math.prod),
    "aten::max.unary_out": (ANY_DTYPE, same, SPECIAL, largest),
    "aten::min.unary_out": (ANY_DTYPE, same, SPECIAL, smallest),
    "aten::any.all_out": (ANY_DTYPE, truth, SPECIAL, any),
    "aten::argmax.out": (REAL, index, SPECIAL, place_of_largest),
    "aten::argmin.out": (REAL, index, SPECIAL, place_of_smallest),
}
CHOOSING = {
    *("aten::amax.out", "aten::amin.out", "aten::max.unary_out", "aten::min.unary_out"),
    *("aten::argmax.out", "aten::argmin.out"),
}


def sides(op):
    """Extrema need elements; the other reductions have a value for none."""
    return (1, 3) if op in CHOOSING or op in WITH_INDEX else (0, 3)


def one_dim(data, x):
    return data.draw(st.integers(-max(x.ndim, 1), max(x.ndim, 1) - 1))


def some_dims(data, x):
    if not x.ndim:
        return data.draw(st.sampled_from([[], [0], [-1]]))
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True))
    return [axis - x.ndim if data.draw(st.booleans()) else axis for axis in axes]


@pytest.mark.parametrize("op", MANY_DIMS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_over_several_dims(op, data):
    dtypes, result, values, definition = MANY_DIMS[op]
    x = data.draw(arrays(dtypes, values=values, sides=sides(op)))
    dim, keepdim = some_dims(data, x), data.draw(st.booleans())
    if dim == [] and op == "aten::any.dims_out":
        dim = None
    close(run(op, x, dim=dim, keepdim=keepdim), by_lane(x, dim, keepdim, definition), result(x.dtype))


@pytest.mark.parametrize("op", ONE_DIM)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_over_one_dim(op, data):
    dtypes, result, values, definition = ONE_DIM[op]
    x = data.draw(arrays(dtypes, values=values, sides=sides(op)))
    dim, keepdim = one_dim(data, x), data.draw(st.booleans())
    close(run(op, x, dim=dim, keepdim=keepdim), by_lane(x, dim, keepdim, definition), result(x.dtype))


@pytest.mark.parametrize("op", WITH_INDEX)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_extremum_with_its_index(op, data):
    x = data.draw(arrays(ANY_DTYPE, values=SPECIAL, sides=sides(op)))
    dim, keepdim = one_dim(data, x), data.draw(st.booleans())
    values, indices = run(op, x, dim=dim, keepdim=keepdim)
    chosen = WITH_INDEX[op]
    close(indices, by_lane(x, dim, keepdim, chosen), np.int64)
    close(values, by_lane(x, dim, keepdim, lambda lane: lane[chosen(lane)]), x.dtype)


@pytest.mark.parametrize("op", WHOLE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_of_the_whole_tensor(op, data):
    dtypes, result, values, definition = WHOLE[op]
    x = data.draw(arrays(dtypes, values=values, sides=sides(op)))
    close(run(op, x), by_lane(x, None, False, definition), result(x.dtype))


@settings(max_examples=60, deadline=None)
@given(x=arrays(values=FINITE), correction=st.sampled_from([None, 0, 1, 2, 0.5, 7]), keepdim=st.booleans())
def test_variance_and_mean(x, correction, keepdim):
    var, average = run("aten::var_mean.correction_out", x, None, correction=correction, keepdim=keepdim)
    used = 1 if correction is None else correction
    close(var, by_lane(x, None, keepdim, lambda lane: variance(lane, used)), x.dtype)
    close(average, by_lane(x, None, keepdim, mean), x.dtype)


@pytest.mark.parametrize("order", [2, 1, 0, 3, 1.5, -1, -2.5, INF, -INF])
@settings(max_examples=20, deadline=None)
@given(x=arrays(dims=(0, 2), sides=(1, 3)), keepdim=st.booleans())
def test_vector_norm_of_any_order(order, x, keepdim):
    def definition(lane):
        lane = [abs(v) for v in lane]
        if order in (INF, -INF):
            return max(lane) if order > 0 else min(lane)
        if order == 0:
            return sum(v != 0 for v in lane)
        if order < 0 and 0 in lane:
            return 0.0
        return math.fsum(v**order for v in lane) ** (1 / order)

    close(run("aten::linalg_vector_norm.out", x, order, None, keepdim), by_lane(x, None, keepdim, definition), x.dtype)


@pytest.mark.parametrize("op", ["aten::sum.IntList_out", "aten::mean.out", "aten::linalg_vector_norm.out"])
def test_half_types_accumulate_in_float32(op):
    for dtype in (np.float16, BF16):
        # In the element type itself the running sum would stop growing at 2048 or 256.
        x = np.ones(4096, dtype)
        expected = {"aten::sum.IntList_out": 4096, "aten::mean.out": 1, "aten::linalg_vector_norm.out": 64}[op]
        close(run(op, x, dim=[0]), np.array(expected), dtype)


def test_the_dtype_asked_for_is_that_of_the_elements_too():
    x = np.array([1.7, -2.9, 0.5], np.float32)
    close(run("aten::sum.IntList_out", x, [0], dtype=4), np.array(-1), np.int64)
    close(run("aten::prod.int_out", x, 0, dtype=3), np.array(0), np.int32)
    close(run("aten::prod.out", x[:2], dtype=4), np.array(-2), np.int64)
    close(run("aten::mean.dtype_out", np.array([1, 2]), dtype=6), np.array(1.5), np.float32)
    close(run("aten::sum.IntList_out", np.full(3, 100, np.int8), [0], dtype=1), np.array(44), np.int8)


def test_any_of_no_dims_asks_each_element():
    close(run("aten::any.dims_out", np.array([0, 2.5, NAN]), []), np.array([False, True, True]), np.bool_)


def test_variance_of_far_away_values_keeps_its_digits():
    x = (np.arange(100, dtype=np.float32) % 4 + np.float32(1e6)).reshape(2, 50)
    close(run("aten::var.correction_out", x, [1]), by_lane(x, [1], False, variance), np.float32)


COMPLEX = np.array([1j, 2])
ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("aten::sum.IntList_out", (ONES, [2])),
        ("aten::sum.IntList_out", (ONES, [0, -2])),
        ("aten::sum.IntList_out", (ONES[0, 0], [1])),
        ("aten::mean.out", (ONES.astype(np.int64), [0])),
        ("aten::mean.out", (ONES, [-3])),
        ("aten::mean.dtype_out", (ONES.astype(np.bool_),)),
        ("aten::prod.int_out", (ONES, 2)),
        ("aten::amax.out", (ONES[:, :0], [1])),
        ("aten::amax.out", (ONES, [1, 1])),
        ("aten::amin.out", (ONES[:0], [])),
        ("aten::amin.out", (COMPLEX, [0])),
        ("aten::max.dim_max", (ONES[:0], 0)),
        ("aten::max.dim_max", (ONES, 2)),
        ("aten::min.dim_min", (ONES, -3)),
        ("aten::max.unary_out", (ONES[:0],)),
        ("aten::min.unary_out", (COMPLEX,)),
        ("aten::argmax.out", (ONES[:0],)),
        ("aten::argmax.out", (ONES > 0,)),
        ("aten::argmin.out", (ONES, 2)),
        ("aten::argmin.out", (ONES > 0, 0)),
        ("aten::any.out", (ONES, 2)),
        ("aten::any.dims_out", (ONES, [0, 0])),
        ("aten::var.out", (ONES.astype(np.int32), [0])),
        ("aten::var.correction_out", (ONES, [5])),
        ("aten::var_mean.correction_out", (COMPLEX,)),
        ("aten::linalg_vector_norm.out", (ONES.astype(np.int64),)),
        ("aten::linalg_vector_norm.out", (ONES[:, :0], INF, [1])),
        ("aten::linalg_vector_norm.out", (ONES[:0], -1)),
    ],
)
def test_refusals(op, args):
    with pytest.raises(KernelError, match=r"^[^\n]{10,}$"):
        run(op, *args)


@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        ("aten::mean.out", 4),
        ("aten::mean.dtype_out", 3),
        ("aten::linalg_vector_norm.out", 5),
        ("aten::linalg_vector_norm.out", 4),
    ],
)
def test_refused_result_dtypes(op, dtype):
    with pytest.raises(KernelError):
        run(op, ONES, dim=[0], dtype=dtype)
