"""Golden cases of sorting and searching."""

import ml_dtypes
import numpy as np
from recorder import Recorder

rec = Recorder("sort")
rng = np.random.default_rng(3)
BF16 = ml_dtypes.bfloat16
NAN, INF = float("nan"), float("inf")


def floats(*shape, dtype=np.float32):
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def distinct(*shape, dtype):
    """No element twice, so that topk has one answer."""
    return rng.permutation(int(np.prod(shape))).reshape(shape).astype(dtype)


image = np.ascontiguousarray(floats(2, 4, 5, 3)).transpose(0, 3, 1, 2)
special = np.array([1, NAN, INF, NAN, -0.0, 0.0, -INF, 1], np.float32)

for descending in (False, True):
    rec.case("aten::sort.values", floats(3, 5), -1, descending)
    rec.case("aten::sort.values", floats(3, 5), 0, descending)
    rec.case("aten::sort.values", special, 0, descending)
    rec.case("aten::sort.values", special.astype(np.float16), -1, descending)
    rec.case("aten::sort.values", special.astype(BF16), -1, descending)
    rec.case("aten::sort.values", rng.integers(0, 4, (3, 9)).astype(np.int32), 1, descending)
    rec.case("aten::sort.values", rng.integers(0, 255, 20).astype(np.uint8), 0, descending)
    rec.case("aten::sort.values", rng.integers(0, 2, (2, 6)).astype(np.bool_), 1, descending)
    rec.case("aten::sort.values", image, 1, descending)
    rec.case("aten::sort.values", floats(2, 0), 1, descending)
    rec.case("aten::sort.values", floats(2, 0), 0, descending)
    rec.case("aten::sort.values", floats(), -1, descending)
rec.case("aten::sort.values", floats(4))

for largest in (True, False):
    for k in (0, 1, 3, 7):
        rec.case("aten::topk.values", floats(2, 7), k, -1, largest)
    rec.case("aten::topk.values", floats(40, 2), 5, 0, largest)
    rec.case("aten::topk.values", floats(3, 40), 1, 1, largest, True)
    rec.case("aten::topk.values", np.array([1, NAN, INF, 2, -INF, 5], np.float32), 3, 0, largest)
    rec.case("aten::topk.values", np.append(floats(30), np.float32(NAN)), 4, 0, largest)
    for dtype in (np.int8, np.uint8, np.int64, np.float16, BF16, np.float64):
        rec.case("aten::topk.values", distinct(2, 3, 20, dtype=dtype), 3, -1, largest)
        rec.case("aten::topk.values", distinct(5, 4, dtype=dtype), 2, 0, largest)
    rec.case("aten::topk.values", image, 2, 1, largest)
    rec.case("aten::topk.values", floats(), 1, -1, largest)
    rec.case("aten::topk.values", floats(), 0, 0, largest)
    rec.case("aten::topk.values", floats(0, 3), 2, 1, largest)

edges = np.array([-1, 0, 0, 1, 2.5], np.float32)
for right in (False, True):
    rec.case("aten::bucketize.Tensor_out", floats(3, 4), edges, right=right)
    rec.case("aten::bucketize.Tensor_out", np.array([-INF, -1, 0, 2.5, INF, NAN], np.float32), edges, right=right)
    rec.case("aten::bucketize.Tensor_out", rng.integers(-2, 4, (2, 3)), edges, right=right, out_int32=True)
    rec.case("aten::bucketize.Tensor_out", rng.integers(-2, 4, 7), np.array([-1, 0, 2]), right=right)
    rec.case("aten::bucketize.Tensor_out", floats(5, dtype=np.float16), edges.astype(np.float16), right=right)
    rec.case("aten::bucketize.Tensor_out", floats(5, dtype=BF16), edges.astype(BF16), right=right)
    rec.case("aten::bucketize.Tensor_out", image, edges, right=right)
    rec.case("aten::bucketize.Tensor_out", floats(), edges, right=right)
    rec.case("aten::bucketize.Tensor_out", floats(3), floats(0), right=right)
    rec.case("aten::bucketize.Tensor_out", floats(0, 3), edges, right=right)

for dtype in (np.float32, np.float16, BF16, np.int64, np.uint8, np.bool_):
    rec.case("aten::nonzero.out", rng.integers(0, 2, (3, 4)).astype(dtype))
rec.case("aten::nonzero.out", np.array([[0, NAN], [0, -0.0]], np.float32))
rec.case("aten::nonzero.out", np.ascontiguousarray(rng.integers(0, 2, (2, 3, 3, 2))).transpose(0, 3, 1, 2))
rec.case("aten::nonzero.out", np.zeros(4, np.int32))
rec.case("aten::nonzero.out", floats(2, 0))
rec.case("aten::nonzero.out", np.array(3, np.float32))
rec.case("aten::nonzero.out", np.array(0, np.int64))

rec.save()
