"""Golden cases of new tensors."""

import ml_dtypes
import numpy as np
import torch
from recorder import Recorder

rec = Recorder("creation")
NAN, INF = float("nan"), float("inf")
BF16 = ml_dtypes.bfloat16
# ScalarType numbers of the dtypes; the out tensor's dtype is what a kernel is told.
TYPES = {
    np.uint8: 0, np.int8: 1, np.int16: 2, np.int32: 3, np.int64: 4, np.float16: 5, np.float32: 6, np.float64: 7,
    np.complex64: 9, np.bool_: 11, BF16: 15,
}  # fmt: skip


def typed(op, *args, dtype, **options):
    rec.case(op, *args, dtype=TYPES[dtype], out_dtype=dtype, **options)


for end in (5, 0, 2.5, True):
    rec.case("aten::arange.out", end)
typed("aten::arange.out", 5, dtype=np.float32)
typed("aten::arange.out", 2.5, dtype=np.int64)
typed("aten::arange.out", 7, dtype=np.int32)
typed("aten::arange.out", 300, dtype=np.int8)
typed("aten::arange.out", 6.0, dtype=BF16)
for bounds in ((1, 10, 3), (10, 1, -4), (5, 5, -1), (0.5, 3.0, 0.5), (0, 1, 0.1), (3, -2.5, -0.75), (2**60, 2**60 + 3)):
    rec.case("aten::arange.start_out", *bounds)
typed("aten::arange.start_out", 0.5, 7.9, 1.7, dtype=np.int64)
typed("aten::arange.start_out", 0.5, 7.9, 1.7, dtype=np.int32)
typed("aten::arange.start_out", 0, 1, 0.1, dtype=np.float16)
typed("aten::arange.start_out", 0, 1, 0.1, dtype=BF16)
typed("aten::arange.start_out", 0, 300, 100, dtype=np.uint8)
typed("aten::arange.start_out", -1, 3, 1, dtype=np.uint8)
typed("aten::arange.start_out", -3, 3, dtype=np.float64)

for value in (1.5, 3, True, NAN, -INF):
    rec.case("aten::full.out", [2, 3], value)
    rec.case("aten::scalar_tensor.out", value)
rec.case("aten::full.out", [], 2)
rec.case("aten::full.out", [0, 3], 2.5)
for value, dtype in (
    (1.9, np.int64), (-1.9, np.int32), (-1, np.uint8), (255, np.uint8), (-128, np.int8), (0.5, np.bool_), (2, np.bool_),
    (0, np.bool_), (True, np.float32), (True, np.int16), (INF, np.float16), (65504, np.float16), (0.1, BF16),
    (0.1, np.float64), (2**62 + 1, np.int64), (2.5, np.complex64),
):  # fmt: skip
    typed("aten::full.out", [2], value, dtype=dtype)
    typed("aten::scalar_tensor.out", value, dtype=dtype)

image = np.zeros((1, 2, 2, 3), np.float32).transpose(0, 3, 1, 2)
for like in (
    np.zeros((2, 3), np.float32),
    np.zeros(2, np.int32),
    np.zeros((2, 0), BF16),
    np.array(0, np.float16),
    image,
):
    rec.case("aten::full_like.out", like, 2.7)
    rec.case("aten::fill.Scalar_out", like, 2.7)
    rec.case("aten::fill.Tensor_out", like, np.array(2.7, np.float32))
    rec.case("aten::fill.Tensor_out", like, np.array(300))
typed("aten::full_like.out", image, 7, dtype=np.int64)
typed("aten::full_like.out", np.zeros(2, np.int64), 0.1, dtype=np.float16)
rec.case("aten::fill.Scalar_out", np.zeros(2, np.bool_), 2)
rec.case("aten::fill.Scalar_out", np.zeros(2, np.float64), NAN)
rec.case("aten::fill.Scalar_out", np.zeros(2, np.uint8), -3)
rec.case("aten::fill.Tensor_out", np.zeros(3, np.int8), np.array(300))
rec.case("aten::fill.Tensor_out", np.zeros(3, np.bool_), np.array(0.5, BF16))
rec.case("aten::fill.Tensor_out", np.zeros(3, np.float16), np.array(1e6, np.float32))

for op in ("aten::ones.out", "aten::zeros.out"):
    for size in ([2, 3], [], [0, 2], [1, 2, 3, 4]):
        rec.case(op, size)
    for dtype in TYPES:
        typed(op, [2], dtype=dtype)

# Nothing is promised about the elements of an empty tensor; here they are zeros.
for size in ([2, 3], [], [0, 2]):
    for dtype in (np.float32, np.int64, BF16, np.bool_):
        zeros = np.zeros(size, dtype)
        options = {"expected": [zeros], "source": f"shape and dtype: torch {torch.__version__}"}
        typed("aten::empty.out", size, dtype=dtype, **options)
        order = list(reversed(range(len(size))))
        typed("aten::empty_permuted.out", size, order, dtype=dtype, **options)

rec.save()
