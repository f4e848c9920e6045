"""Cases of the operators that read by index."""

import numpy as np
from layouts import DTYPES, channels_last, places, sample
from recorder import Recorder

rec = Recorder("index")

for seed, dtype in enumerate(DTYPES):
    x = sample(4, 3, dtype=dtype, seed=seed)
    rec.case("aten::index.Tensor_out", x, [None, np.array([2, -3, 0])])
    rec.case("aten::index_select.out", x, 0, np.array([2, 0, 2]))
    rec.case("aten::gather.out", x, 1, np.array([[0, 2], [1, 1], [2, 0]]))
    rec.case("aten::masked_select.out", x, np.array([[True], [False], [True], [True]]))

matrix, cube, box = sample(4, 3), sample(2, 3, 4), sample(2, 3, 4, 2)
image = channels_last(sample(2, 3, 2, 4))
none = np.array([], np.int64)
row, mask = np.array([1, -2]), np.array([True, False, True])
for x, indices in [
    (matrix, [np.array([[1, -1], [0, 3]])]),
    (matrix, [np.array(2)]),
    (matrix, [np.array(2, np.int32), np.array(-1)]),
    (matrix, [np.array([2, 0], np.int32), np.array([1, 2])]),
    (matrix, [np.array([[0], [3]]), np.array([0, 2])]),
    (matrix, [none]),
    (matrix, [np.array([9]), none]),
    (matrix, [matrix > 0]),
    (matrix, [(matrix > 0).astype(np.uint8)]),
    (matrix, [None, mask]),
    (matrix, [np.array([True, False, False, True]), np.array([2])]),
    (matrix, [np.zeros(4, bool)]),
    (cube, [None, row, row]),
    (cube, [row % 2, None, row]),
    (cube, [np.array(1), None, row]),
    (cube, [None, mask, None]),
    (cube, [row % 2, None]),
    (cube, [None, None, places(2, 1, 3, below=4, low=-4)]),
    (box, [None, row, None, row % 2]),
    (box, [None, row, row, None]),
    (box, [None, np.array([[0], [2]]), row]),
    (box, [None, np.arange(12).reshape(3, 4) % 5 == 0, np.array([1])]),
    (image, [None, row, None, row]),
    (image, [None, None, np.array([1])]),
    (np.zeros((0, 3), np.float32), [none]),
    (np.zeros((3, 0), np.float32), [row]),
]:
    rec.case("aten::index.Tensor_out", x, indices)
for x, dim, index in [
    (matrix, 1, np.array([1], np.int32)),
    (matrix, -2, np.array(3)),
    (matrix, 0, none),
    (sample(), 0, np.array([0])),
    (sample(), -1, np.array(0)),
    (np.zeros((2, 0), np.float32), 0, np.array([1, 1, 0])),
    (image, 1, np.array([2, 0])),
    (image, -1, np.array([3, 3, 1, 0], np.int32)),
]:
    rec.case("aten::index_select.out", x, dim, index)
for x, dim, index in [
    (matrix, 0, np.array([[0, 2, 1]], np.int32)),
    (matrix, -1, places(4, 5, below=3)),
    (matrix, 0, none),
    (sample(3), 0, np.array(1)),
    (sample(), 0, np.array([0, 0])),
    (sample(), -1, np.array(0)),
    (cube, 1, places(1, 6, 3, below=3)),
    (image, 1, places(2, 2, 1, 4, below=3)),
]:
    rec.case("aten::gather.out", x, dim, index)
rec.case("aten::gather.out", matrix, 0, places(2, 3, below=4), sparse_grad=True)
for x, chosen in [
    (matrix, matrix > 0),
    (sample(), np.array(True)),
    (sample(2), np.array([[True], [False], [True]])),
    (np.zeros((0, 3), np.float32), np.ones(3, bool)),
    (matrix, np.zeros(3, bool)),
    (image, sample(2, 1, 2, 4, dtype=bool)),
]:
    rec.case("aten::masked_select.out", x, chosen)
rec.save()
