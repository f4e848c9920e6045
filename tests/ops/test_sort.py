"""Sorting and searching against Python's own."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import BOOL, FLOATS, INF, INTEGERS, NAN, SPECIAL, along, arrays, close, plain, run

from pteron.errors import KernelError

REAL = (*FLOATS, *INTEGERS)


def rank(value):
    """A sort key with NaN above everything."""
    return (value != value, 0 if value != value else value)


def ordered(lane, descending):
    return sorted(range(len(lane)), key=lambda i: rank(lane[i]), reverse=descending)


def any_dim(data, x):
    return data.draw(st.integers(-max(x.ndim, 1), max(x.ndim, 1) - 1))


@settings(max_examples=100, deadline=None)
@given(x=arrays((*REAL, BOOL), values=SPECIAL), descending=st.booleans(), data=st.data())
def test_sort(x, descending, data):
    dim = any_dim(data, x)
    values, indices = run("aten::sort.values", x, dim, descending)
    close(indices, along(x, dim, lambda lane: ordered(lane, descending)), np.int64)
    close(values, along(x, dim, lambda lane: [lane[i] for i in ordered(lane, descending)]), x.dtype)


@pytest.mark.parametrize("longest", [3, 24], ids=["sorted whole", "partitioned"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_topk(longest, data):
    x = data.draw(arrays(REAL, values=SPECIAL, dims=(1, 2), sides=(1, longest)))
    largest, dim = data.draw(st.booleans()), any_dim(data, x)
    length = x.shape[dim]
    k = data.draw(st.integers(0, min(4, length)))
    values, indices = run("aten::topk.values", x, k, dim, largest)
    # Which of equal elements is taken is open, so the indices are only checked against the values.
    best = along(x, dim, lambda lane: [lane[i] for i in ordered(lane, largest)])
    close(values, np.take(best, range(k), dim), x.dtype)
    assert indices.dtype == np.int64
    assert all(len({*lane}) == k for lane in np.moveaxis(indices, dim, 0).reshape(k, indices.size // max(k, 1)).T)
    np.testing.assert_array_equal(plain(np.take_along_axis(x, indices, dim)), plain(values))


def test_topk_of_a_zero_dim_tensor():
    for k in (0, 1):
        values, indices = run("aten::topk.values", np.array(2.5, np.float32), k)
        close(values, np.array(2.5), np.float32)
        close(indices, np.array(0), np.int64)


@settings(max_examples=80, deadline=None)
@given(
    x=arrays(REAL, values=SPECIAL),
    boundaries=st.lists(st.sampled_from([-INF, -2, -1, 0, 0.5, 1, 2, INF]), max_size=9),
    right=st.booleans(),
    narrow=st.booleans(),
    data=st.data(),
)
def test_bucketize(x, boundaries, right, narrow, data):
    dtype = data.draw(st.sampled_from(FLOATS))
    edges = np.array(sorted(boundaries)).astype(dtype)

    def bucket(lane):
        # Boundaries that lie before the value; before NaN lie all.
        return [sum(not (edge > v if right else edge >= v) for edge in boundaries) for v in lane]

    actual = run("aten::bucketize.Tensor_out", x, edges, right=right, out_int32=narrow)
    close(actual, along(x, -1, bucket), np.int32 if narrow else np.int64)


@settings(max_examples=80, deadline=None)
@given(x=arrays((*REAL, BOOL), values=SPECIAL))
def test_nonzero(x):
    places = [i for i in itertools.product(*map(range, x.shape)) if plain(x)[i] != 0]
    close(run("aten::nonzero.out", x), np.array(places, np.int64).reshape(len(places), x.ndim), np.int64)


ONES = np.ones((2, 3), np.float32)
COMPLEX = np.array([1j, 2])


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("aten::sort.values", (ONES, 2)),
        ("aten::sort.values", (COMPLEX,)),
        ("aten::topk.values", (ONES, 4)),
        ("aten::topk.values", (ONES, -1)),
        ("aten::topk.values", (ONES, 1, -3)),
        ("aten::topk.values", (ONES[0, 0], 2)),
        ("aten::topk.values", (ONES > 0, 1)),
        ("aten::topk.values", (COMPLEX, 1)),
        ("aten::bucketize.Tensor_out", (ONES, ONES)),
        ("aten::bucketize.Tensor_out", (ONES, ONES[0, 0])),
        ("aten::bucketize.Tensor_out", (COMPLEX, ONES[0])),
        ("aten::bucketize.Tensor_out", (ONES, COMPLEX)),
    ],
)
def test_refusals(op, args):
    with pytest.raises(KernelError, match=r"^[^\n]{10,}$"):
        run(op, *args)


def test_nonzero_counts_nan_and_not_negative_zero():
    assert run("aten::nonzero.out", np.array([NAN, -0.0, 0.0, -INF], np.float16)).tolist() == [[0], [3]]
