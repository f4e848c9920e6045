"""Cases of the operators that join and split."""

import numpy as np
from layouts import BF16, DTYPES, F16, F32, F64, channels_last, sample
from recorder import Recorder

rec = Recorder("split")

for seed, dtype in enumerate(DTYPES):
    x = sample(3, 2, dtype=dtype, seed=seed)
    rec.case("aten::cat.out", [x, x[:1]], 0)
    rec.case("aten::stack.out", [x, x[::-1]], -1)
    rec.case("aten::split_copy.Tensor_out", x, 2, 0)
    rec.case("aten::split_with_sizes_copy.out", x, [1, 2], 0)
    rec.case("aten::unbind_copy.int_out", x, -1)

nothing = np.zeros(0, np.float32)
image = channels_last(sample(2, 3, 2, 4))
for first, second in [(F32, "int64"), ("int32", F16), (F16, BF16), ("uint8", "int8"), ("bool", "int16"), (F64, BF16)]:
    a, b = sample(2, 2, dtype=first), sample(2, 2, dtype=second, seed=1)
    rec.case("aten::cat.out", [a, b], 1)
    rec.case("aten::stack.out", [a, b], 1)

for tensors, dim in [
    ([sample(2, 3), sample(2, 2)], -1),
    ([sample(2, 3)], 0),
    ([nothing, sample(1, 2, dtype="int32")], 1),
    ([sample(1, 2), nothing.astype(np.float64), sample(2, 2, seed=3)], 0),
    ([nothing, nothing], 0),
    ([nothing, nothing.astype(np.int64)], 1),
    ([np.zeros((2, 0), np.float32), sample(2, 3)], 1),
    ([image, image], 1),
    ([image, sample(2, 3, 2, 4, seed=5)], -1),
]:
    rec.case("aten::cat.out", tensors, dim)
for tensors, dim in [
    ([sample(seed=1), sample(seed=2)], 0),
    ([sample(2), sample(2, seed=1), sample(2, seed=2)], -2),
    ([np.zeros((0, 2), np.float32)] * 2, 1),
    ([image, image], 2),
]:
    rec.case("aten::stack.out", tensors, dim)
for x, size, dim in [
    (sample(5, 3), 2, 0),
    (sample(2, 4), 3, -1),
    (sample(3), 100, 0),
    (np.zeros((0, 2), np.float32), 0, 0),
    (np.zeros((0, 2), np.float32), 2, 0),
    (np.zeros((2, 0), np.float32), 1, 0),
    (image, 2, 1),
]:
    rec.case("aten::split_copy.Tensor_out", x, size, dim)
for x, sizes, dim in [
    (sample(2, 6), [1, 2, 3], 1),
    (sample(2, 6), [0, 6, 0], -1),
    (np.zeros(0, np.float32), [], 0),
    (np.zeros(0, np.float32), [0, 0], 0),
    (image, [1, 2], 1),
]:
    rec.case("aten::split_with_sizes_copy.out", x, sizes, dim)
for x, dim in [
    (sample(3), 0),
    (sample(2, 3, 2), 1),
    (np.zeros((0, 2), np.float32), 0),
    (np.zeros((2, 0), bool), 0),
    (image, 1),
]:
    rec.case("aten::unbind_copy.int_out", x, dim)
rec.save()
