"""Cases of the operators on shapes."""

import numpy as np
from layouts import BF16, DTYPES, F16, F64, channels_last, sample
from recorder import Recorder

rec = Recorder("shape")

for op, shape, *args in [
    ("view_copy.out", (2, 6), [3, 4]),
    ("permute_copy.out", (2, 3, 2), [2, 0, -2]),
    ("repeat.out", (2, 3), [2, 1, 2]),
    ("flip.out", (2, 3, 2), [0, -1]),
    ("roll.out", (3, 4), [1, -2], [0, -1]),
    ("tril.out", (3, 4)),
    ("unfold_copy.out", (2, 7), 1, 3, 2),
    ("select_copy.int_out", (2, 3), -1, -2),
    ("slice_copy.Tensor_out", (5, 4), 0, 1, 5, 2),
    ("diagonal_copy.out", (3, 4)),
]:
    for seed, dtype in enumerate(DTYPES):
        rec.case(f"aten::{op}", sample(*shape, dtype=dtype, seed=seed), *args)

image = channels_last(sample(2, 3, 2, 4))
scalar, vector, matrix, cube = sample(seed=1), sample(7), sample(3, 4), sample(2, 3, 4)
empty = np.zeros((0, 3), np.float32)

CASES = {
    "view_copy.out": [
        (cube, [-1]),
        (cube, [4, 1, -1]),
        (scalar, []),
        (scalar, [1, 1]),
        (empty, [3, 0]),
        (empty, [-1, 3]),
        (image, [6, -1]),
    ],
    "permute_copy.out": [(scalar, []), (image, [0, 2, 3, 1]), (image, [3, 2, 1, 0]), (empty, [1, 0])],
    "transpose_copy.int_out": [
        (scalar, 0, -1),
        (cube, 0, 2),
        (cube, -1, -2),
        (image, 1, 3),
        (empty, 0, 1),
        (sample(2, 3, dtype=BF16), 0, 1),
        (sample(2, 3, dtype=bool), 1, 0),
    ],
    "t_copy.out": [
        (scalar,),
        (vector,),
        (matrix,),
        (empty,),
        (sample(2, 3, dtype=F16),),
        (sample(2, 3, dtype="int8"),),
    ],
    "squeeze_copy.dim_out": [
        (scalar, 0),
        (sample(2, 1, 3), 1),
        (sample(2, 1, 3), -2),
        (sample(2, 1, 3), 0),
        (np.zeros((0, 1), np.int32), 1),
        (channels_last(sample(2, 1, 3, 2)), 1),
        (sample(1, dtype=BF16), 0),
    ],
    "squeeze_copy.dims_out": [
        (scalar, [0]),
        (sample(1, 2, 1), []),
        (sample(1, 2, 1), [0, -1]),
        (sample(1, 2, 1), [1, 2]),
        (np.zeros((1, 0), np.uint8), [0, 1]),
        (sample(1, 1, dtype=bool), [1, 0]),
    ],
    "unsqueeze_copy.out": [
        (scalar, 0),
        (scalar, -1),
        (matrix, 0),
        (matrix, 2),
        (matrix, -3),
        (empty, 1),
        (channels_last(sample(2, 2, 3, 2)), -1),
        (sample(3, dtype="int64"), 0),
        (sample(3, dtype=F16), 1),
    ],
    "expand_copy.out": [
        (sample(2, 1, 3), [2, 4, -1]),
        (sample(3), [2, -1]),
        (scalar, [2, 2]),
        (scalar, []),
        (np.zeros((1, 3), np.float32), [0, 3]),
        (sample(1, dtype=BF16), [3]),
        (sample(1, 2, dtype=bool), [2, 2]),
        (sample(2, 1, dtype="int16"), [-1, 2]),
        (channels_last(sample(1, 2, 3, 2)), [2, 2, 3, 2]),
    ],
    "as_strided_copy.out": [
        (sample(4, 4), [2, 2], [4, 1], 1),
        (sample(6), [2, 3], [1, 2]),
        (matrix, [3, 3], [1, 1]),
        (matrix, [], [], 3),
        (matrix, [0, 2], [1, 1], 100),
        (matrix, [2, 3], [0, 1], 2),
        (scalar, [2], [0]),
        (image, [5, 2], [1, 3], 4),
        (sample(6, dtype=F16), [2, 2], [3, 1]),
        (sample(6, dtype="int64"), [2], [5]),
        (sample(6, dtype=bool), [4], [1], 2),
    ],
    "diagonal_copy.out": [
        (matrix, 1),
        (matrix, -1),
        (matrix, 7),
        (matrix, -9, 1, 0),
        (cube, 1, -2, -1),
        (cube, 0, 2, 0),
        (empty,),
        (image, 0, 1, 3),
    ],
    "unfold_copy.out": [
        (scalar, 0, 1, 1),
        (scalar, 0, 0, 3),
        (vector, 0, 0, 2),
        (vector, -1, 7, 3),
        (cube, 1, 2, 1),
        (image, -1, 2, 2),
        (empty, 1, 2, 1),
    ],
    "select_copy.int_out": [(cube, 1, 2), (vector, 0, 6), (vector, 0, -7), (image, 1, 0), (empty, 1, 1)],
    "slice_copy.Tensor_out": [
        (matrix,),
        (matrix, -1, None, None, 3),
        (matrix, 1, -3, -1),
        (matrix, 0, 3, 1),
        (matrix, 0, -100, 100),
        (matrix, 0, 0, 2**63 - 1),
        (image, 3, 1),
        (empty, 0, 0, 5),
    ],
    "narrow_copy.out": [
        (sample(2, 7), 1, 2, 3),
        (sample(2, 7), -1, -2, 2),
        (matrix, 0, 3, 0),
        (image, 1, 1, 2),
        (empty, 0, 0, 0),
        (sample(4, dtype=BF16), 0, 1, 2),
        (sample(4, dtype=F64), 0, 0, 4),
        (sample(4, dtype="int32"), 0, -4, 1),
        (sample(4, dtype=bool), 0, 1, 2),
    ],
    "flip.out": [(scalar, [0]), (scalar, []), (matrix, []), (empty, [0, 1]), (image, [1, 3])],
    "roll.out": [
        (scalar, [1]),
        (matrix, [5]),
        (matrix, [-1]),
        (matrix, [1, 2], [1, -1]),
        (matrix, [2**62], [1]),
        (empty, [1], [0]),
        (image, [1, 1], [1, 2]),
    ],
    "repeat.out": [
        (scalar, []),
        (scalar, [2, 2]),
        (matrix, [2, 0]),
        (matrix, [1, 1]),
        (empty, [2, 2]),
        (image, [1, 2, 1, 2]),
    ],
    "repeat_interleave.Tensor_out": [
        (np.array([1, 2, 3]),),
        (np.array([1, 0, 2], np.int32),),
        (np.array([0, 0]),),
        (np.array([], np.int64),),
    ],
    "tril.out": [
        (matrix, 1),
        (matrix, -1),
        (matrix, -9),
        (matrix, 2**62),
        (cube, -1),
        (image, 1),
        (empty,),
        (np.zeros((3, 0), np.int32), 1),
    ],
}
for op, cases in CASES.items():
    for case in cases:
        rec.case(f"aten::{op}", *case)
rec.case("aten::expand_copy.out", sample(1, 2), [2, 2], implicit=True)
rec.case("aten::repeat_interleave.Tensor_out", np.array([3, 1]), output_size=4)
rec.save()
