"""Cases of the operators that write at given positions."""

import numpy as np
from layouts import BF16, DTYPES, F16, channels_last, places, sample
from recorder import Recorder

rec = Recorder("scatter")

PUTS = ("aten::index_put.out", "aten::index_put_")
at = np.array([[0, 2], [1, 0], [2, 1]])
for seed, dtype in enumerate(DTYPES):
    x, y = sample(3, 3, dtype=dtype, seed=seed), sample(3, 3, dtype=dtype, seed=seed + 50)
    for op in PUTS:
        rec.case(op, x, [np.array([2, 0])], y[:2])
        rec.case(op, x, [None, np.array([1, 1, -3])], y, True)
    rec.case("aten::masked_fill.Scalar_out", x, np.array([True, False, True]), 7)
    rec.case("aten::masked_scatter.out", x, np.array([[True], [False], [True]]), y)
    rec.case("aten::scatter.src_out", x, 1, at, y)
    rec.case("aten::scatter.value_out", x, 1, at, 7)
    rec.case("aten::scatter_add.out", x, 0, at, y[:, :2])
    rec.case("aten::select_scatter.out", x, y[0], 1, -2)
    rec.case("aten::slice_scatter.out", x, y[:2], 0, 1, 3)

matrix, cube, box = sample(4, 3), sample(2, 3, 4), sample(2, 3, 4, 2)
image = channels_last(sample(2, 3, 2, 4))
none = np.array([], np.int64)
row, mask = np.array([1, -2]), np.array([True, False, True])
one = sample(1, seed=9, special=False)
for x, indices, values in [
    (matrix, [np.array([1, 1, 1])], sample(3, 3, seed=1)),
    (matrix, [np.array(2)], sample(3, seed=1)),
    (matrix, [np.array([[0], [3]]), np.array([0, 2], np.int32)], sample(2, 1, seed=1)),
    (matrix, [matrix > 0], one),
    (matrix, [np.array([True, False, False, True])], sample(2, 3, seed=2)),
    (matrix, [None, mask], sample(4, 2, seed=2)),
    (matrix, [none], sample(0, 3)),
    (matrix, [none], one),
    (cube, [None, row, row], sample(2, 2, seed=3)),
    (cube, [row % 2, None, row], sample(2, 3, seed=3)),
    (cube, [row % 2, None, row], sample(seed=3)),
    (cube, [None, row], sample(2, 4, seed=3)),
    (box, [None, row, None, row % 2], sample(2, 2, 4, seed=4)),
    (box, [None, np.array([[0], [2]]), row], sample(2, 1, 2, 2, seed=4)),
    (image, [None, row], sample(2, 2, 4, seed=5)),
    (np.zeros((3, 0), np.float32), [row], np.zeros((2, 0), np.float32)),
]:
    for op in PUTS:
        rec.case(op, x, indices, values)
        rec.case(op, x, indices, values, True)
for dtype, start in ((F16, 2048), (BF16, 256)):
    x, ones = np.full((2,), start, dtype), np.ones(3, dtype)
    rec.case("aten::index_put.out", x, [np.array([0, 0, 0])], ones, True)  # each sum rounded
    rec.case("aten::scatter_add.out", x, 0, np.array([0, 0, 0]), ones)  # one sum, rounded once

for x, chosen, value in [
    (matrix, matrix > 0, float("-inf")),
    (matrix, matrix > 0, float("nan")),
    (sample(2), np.array([[True], [False]]), 2.5),
    (sample(), np.array(True), -1.5),
    (np.zeros((0, 3), np.float32), np.ones(3, bool), 1),
    (image, sample(2, 1, 2, 4, dtype=bool), 0.5),
    (sample(2, dtype="int64"), np.array([True, False]), 1.5),
    (sample(2, dtype=bool), np.array([True, True]), 0.5),
    (sample(2, dtype="uint8"), np.array([True, False]), -1),
    (sample(2, dtype="int32"), np.array([True, False]), True),
    (sample(2, dtype=F16), np.array([True, False]), 0.1),
    (sample(2, dtype=BF16), np.array([True, False]), -3.3),
    (sample(2, dtype=BF16), np.array([True, False]), float("-inf")),
    (sample(2), np.array([True, False]), 2**62 + 1),
]:
    rec.case("aten::masked_fill.Scalar_out", x, chosen, value)
for x, chosen, source in [
    (matrix, matrix > 0, sample(12, seed=3)),
    (sample(2), np.array([[True], [False], [True]]), sample(2, 3, seed=3)),
    (sample(), np.array(True), sample(2, seed=1)),
    (np.zeros((0, 3), np.float32), np.ones(3, bool), sample(0)),
    (image, sample(2, 1, 2, 4, dtype=bool), sample(2, 3, 2, 4, seed=8)),
    (image, sample(2, 3, 1, 1, dtype=bool), channels_last(sample(2, 3, 2, 4, seed=8))),
]:
    rec.case("aten::masked_scatter.out", x, chosen, source)

for x, dim, index, source in [
    (matrix, 0, np.array([[3, 1, 0]], np.int32), sample(2, 3, seed=1)),
    (matrix, -1, np.array([[1, 2], [0, 2], [2, 1]]), sample(4, 4, seed=1)),
    (matrix, 0, none, sample(4, 4, seed=1)),
    (matrix, 1, np.zeros((2, 0), np.int64), sample(2, 1)),
    (sample(), 0, np.array(0), sample(seed=2)),
    (sample(3), 0, np.array([2]), sample(1, seed=2)),
    (cube, 1, np.array([[[2, 0, 1]], [[0, 1, 2]]]), sample(2, 3, 3, seed=2)),
    (image, 1, places(2, 1, 2, 3, below=3), channels_last(sample(2, 3, 2, 4, seed=3))),
]:
    rec.case("aten::scatter.src_out", x, dim, index, source)
    rec.case("aten::scatter_add.out", x, dim, index, source)
    rec.case("aten::scatter.value_out", x, dim, index, -0.5)
rec.case("aten::scatter_add.out", matrix, 0, np.zeros((6, 2), np.int64), sample(6, 3, seed=1, special=False))
rec.case("aten::scatter.value_out", sample(3, dtype="int64"), 0, np.array([1, 1]), 2.7)
rec.case("aten::scatter.value_out", sample(3, dtype=bool), 0, np.array([1]), 2.5)

for x, source, dim, index in [
    (matrix, sample(3, seed=1), 0, -1),
    (sample(3), sample(seed=1), 0, 2),
    (cube, sample(2, 4, seed=1), -2, 1),
    (matrix, sample(3, dtype="int32"), 0, 1),
    (sample(2, 2, dtype="int32"), np.array([1.7, -2.5], np.float32), 1, 0),
    (np.zeros((2, 0), np.float32), sample(0), 0, 1),
    (image, sample(2, 2, 4, seed=1), 1, 2),
]:
    rec.case("aten::select_scatter.out", x, source, dim, index)
for x, source, *bounds in [
    (matrix, sample(4, 3, seed=1)),
    (matrix, sample(2, 3, seed=1), 0, None, None, 2),
    (matrix, sample(4, 2, seed=1), -1, -2, 100),
    (matrix, sample(0, 3), 0, 3, 1),
    (matrix, sample(1, 3, dtype=F16), 0, 3, 2**63 - 1),
    (np.zeros((0, 3), np.float32), sample(0, 3), 0, 0, 5),
    (image, sample(2, 1, 2, 4, seed=1), 1, 1, 2),
]:
    rec.case("aten::slice_scatter.out", x, source, *bounds)
rec.save()
