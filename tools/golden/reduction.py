"""Golden cases of the reductions."""

import ml_dtypes
import numpy as np
from recorder import Recorder

rec = Recorder("reduction")
rng = np.random.default_rng(1)
BF16 = ml_dtypes.bfloat16
NAN, INF = float("nan"), float("inf")
HALF = {"rtol": 2e-2, "atol": 2e-3}


def floats(*shape, dtype=np.float32):
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def ints(*shape, dtype=np.int64, low=-9, high=9):
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


SPECIAL = np.array([[1, NAN, -INF], [INF, 2, 3], [-INF, INF, 0], [-0.0, 0.0, -2]], np.float32)
image = channels_last(floats(2, 3, 4, 5))
half = floats(3, 40, dtype=np.float16)
bfloat = floats(3, 40, dtype=BF16)
integers = ints(3, 4, dtype=np.int32)
bools = ints(3, 4, low=0, high=2, dtype=np.bool_)
empty = floats(2, 0, 3)
scalar = floats()

# Sums, means and products.
for op in ("aten::sum.IntList_out", "aten::mean.out"):
    rec.case(op, floats(2, 3, 4), [1], False)
    rec.case(op, floats(2, 3, 4), [0, -1], True)
    rec.case(op, floats(2, 3, 4), [], False)
    rec.case(op, floats(2, 3), None, True)
    rec.case(op, floats(4, 300).T, [0])
    rec.case(op, image, [2, 3])
    rec.case(op, image, [-3], True)
    rec.case(op, SPECIAL, [1])
    rec.case(op, empty, [1], True)
    rec.case(op, empty, [0])
    rec.case(op, scalar, [-1], True)
    rec.case(op, half, [1], **HALF)
    rec.case(op, bfloat, [1], **HALF)
    rec.case(op, floats(3, 4, dtype=np.float64), [0])
    rec.case(op, integers, [0], dtype=6)
    rec.case(op, floats(3, 4), [0], dtype=7)
    rec.case(op, half, [-1], dtype=6)
    rec.case(op, np.array([1 + 2j, 3 - 1j], np.complex64), [0])
rec.case("aten::sum.IntList_out", integers, [1])
rec.case("aten::sum.IntList_out", bools, [0, 1])
rec.case("aten::sum.IntList_out", ints(300, dtype=np.uint8, low=0, high=255), [0])
rec.case("aten::sum.IntList_out", ints(300, dtype=np.uint8, low=0, high=255), [0], dtype=0)
rec.case("aten::sum.IntList_out", np.array([1.7, -2.9, 0.5], np.float32), None, dtype=4)
rec.case("aten::sum.IntList_out", integers, [0], dtype=11)
rec.case("aten::mean.dtype_out", floats(2, 3))
rec.case("aten::mean.dtype_out", floats(2, 3, dtype=np.float64))
rec.case("aten::mean.dtype_out", floats(2, 3), dtype=7)
rec.case("aten::mean.dtype_out", integers, dtype=5, **HALF)
rec.case("aten::mean.dtype_out", floats(0))
rec.case("aten::mean.dtype_out", scalar)
rec.case("aten::mean.dtype_out", bfloat, **HALF)
rec.case("aten::prod.out", floats(2, 3))
rec.case("aten::prod.out", ints(2, 3, dtype=np.int16))
rec.case("aten::prod.out", bools)
rec.case("aten::prod.out", empty)
rec.case("aten::prod.out", SPECIAL)
rec.case("aten::prod.out", scalar, dtype=7)
rec.case("aten::prod.out", floats(6, dtype=np.float16), **HALF)
rec.case("aten::prod.int_out", floats(2, 3, 2), -2, True)
rec.case("aten::prod.int_out", floats(2, 3, 2), 0)
rec.case("aten::prod.int_out", ints(2, 3, dtype=np.int8), 1)
rec.case("aten::prod.int_out", floats(2, 4), 1, dtype=3)
rec.case("aten::prod.int_out", empty, 1)
rec.case("aten::prod.int_out", scalar, -1, True)
rec.case("aten::prod.int_out", image, 1)
rec.case("aten::prod.int_out", floats(2, 5, dtype=BF16), 1, **HALF)

# Extrema.
for op in ("aten::amax.out", "aten::amin.out"):
    rec.case(op, floats(2, 3, 4), [1])
    rec.case(op, floats(2, 3, 4), [0, -1], True)
    rec.case(op, floats(2, 3), [], True)
    rec.case(op, SPECIAL, [1])
    rec.case(op, integers, [-1])
    rec.case(op, ints(3, 4, dtype=np.uint8, low=0, high=255), [0])
    rec.case(op, bools, [0])
    rec.case(op, half, [1])
    rec.case(op, bfloat, [1], True)
    rec.case(op, image, [1])
    rec.case(op, empty, [0])
    rec.case(op, scalar, [-1])
for op in ("aten::max.unary_out", "aten::min.unary_out"):
    for x in (floats(2, 3), SPECIAL, SPECIAL[:2, 1:], integers, bools, half, bfloat, scalar, image):
        rec.case(op, x)
distinct = rng.permutation(60).reshape(3, 4, 5)
for op in ("aten::max.dim_max", "aten::min.dim_min"):
    rec.case(op, floats(2, 3, 4), 1)
    rec.case(op, floats(2, 3, 4), -1, True)
    rec.case(op, SPECIAL, 1)
    rec.case(op, SPECIAL, 0, True)
    rec.case(op, np.array([3, 1, 3, 1], np.int32), 0)
    rec.case(op, bools, 1)
    rec.case(op, distinct.astype(np.float16), 1)
    rec.case(op, distinct.astype(BF16), 2)
    rec.case(op, distinct.astype(np.uint8), 0)
    rec.case(op, image, 1)
    rec.case(op, empty, 0)
    rec.case(op, scalar, -1, True)
for op in ("aten::argmax.out", "aten::argmin.out"):
    rec.case(op, floats(2, 3, 4), 1, False)
    rec.case(op, floats(2, 3, 4), -1, True)
    rec.case(op, floats(2, 3, 4))
    rec.case(op, floats(2, 3), None, True)
    rec.case(op, SPECIAL, 1)
    rec.case(op, SPECIAL)
    rec.case(op, distinct.astype(BF16), 0)
    rec.case(op, distinct.astype(np.float16), -2)
    rec.case(op, np.array([3, 1, 3, 1], np.int32), 0)
    rec.case(op, floats(4, 3).T)
    rec.case(op, image)
    rec.case(op, empty, 0)
    rec.case(op, scalar, 0, True)

# Any.
flags = np.array([[0, 0, 1], [0, 0, 0], [0, 2, 0]], np.uint8)
sparse = np.array([[0, 0, NAN], [0, 0, 0], [0, 2, -0.0]], np.float32)
for x in (sparse, bools, integers, flags, sparse.astype(np.float16), sparse.astype(BF16), empty):
    rec.case("aten::any.out", x, 1)
    rec.case("aten::any.out", x, -2, True)
    rec.case("aten::any.all_out", x)
    rec.case("aten::any.dims_out", x, [0, -1])
    rec.case("aten::any.dims_out", x, None, True)
rec.case("aten::any.out", scalar, -1, True)
rec.case("aten::any.all_out", np.zeros((2, 2), np.int8))
rec.case("aten::any.all_out", scalar)
rec.case("aten::any.all_out", np.array([0j, 1j], np.complex64))
rec.case("aten::any.dims_out", sparse, [])
rec.case("aten::any.dims_out", flags, [])
rec.case("aten::any.dims_out", image, [1, 2])

# Variance.
far = floats(3, 50) + np.float32(1000)
for dim, unbiased, keepdim in (([1], True, False), ([0, -1], False, True), ([], True, False), (None, False, False)):
    rec.case("aten::var.out", floats(2, 3, 4), dim, unbiased, keepdim)
rec.case("aten::var.out", image, [2, 3], False)
rec.case("aten::var.out", SPECIAL, [1])
rec.case("aten::var.out", scalar, [0], True)
rec.case("aten::var.out", empty, [1])
rec.case("aten::var.out", half, [1], **HALF)
rec.case("aten::var.out", bfloat, [1], **HALF)
rec.case("aten::var.out", floats(3, 4, dtype=np.float64), [0])
rec.case("aten::var.out", far, [1], rtol=1e-4)
for op in ("aten::var.correction_out", "aten::var_mean.correction_out"):
    rec.case(op, floats(2, 3, 4), [1], correction=1)
    rec.case(op, floats(2, 3, 4), [2], correction=0, keepdim=True)
    rec.case(op, floats(2, 3), None, correction=2)
    rec.case(op, floats(2, 3))
    rec.case(op, floats(2, 3), [-1], correction=0.5)
    rec.case(op, np.array([1, 2], np.float32), [0], correction=3)
    rec.case(op, np.array([[1, NAN], [2, 2]], np.float32), [1])
    rec.case(op, empty, [1])
    rec.case(op, scalar, [-1], correction=0)
    rec.case(op, image, [1], correction=0)
    rec.case(op, half, [1], correction=1, **HALF)
    rec.case(op, bfloat, None, correction=1, keepdim=True, **HALF)

# Vector norms.
norm = "aten::linalg_vector_norm.out"
for order in (2, 1, 0, 3, 0.5, -1, -2.0, INF, -INF):
    rec.case(norm, floats(3, 4), order, [1])
    rec.case(norm, np.array([0, 2, -3, 0], np.float32), order)
    rec.case(norm, np.array([NAN, 2, INF], np.float32), order, None, True)
rec.case(norm, floats(2, 3, 4), 2, [0, -1], True)
rec.case(norm, floats(2, 3, 4), 1.5, [])
rec.case(norm, image, 2, [1])
rec.case(norm, empty, 2, [1])
rec.case(norm, empty, INF, [0])
rec.case(norm, scalar, 3, [0], True)
rec.case(norm, half, 2, [1], **HALF)
rec.case(norm, bfloat, 1, [1], **HALF)
rec.case(norm, half, 2, [1], dtype=6)
rec.case(norm, floats(5), 2, dtype=7)
rec.case(norm, np.array([3 + 4j, 1j], np.complex64), 1)
rec.case(norm, floats(3, 4, dtype=np.float64), 4, [-1])

rec.save()
