"""Cases of the operators that pad."""

import numpy as np
from layouts import BF16, DTYPES, F16, channels_last, sample
from recorder import Recorder

rec = Recorder("padding")

line, plane, space = sample(2, 5), sample(2, 3, 4), sample(2, 3, 3, 4)
image = channels_last(sample(2, 3, 3, 4))
for seed, dtype in enumerate(DTYPES):
    x = sample(2, 3, dtype=dtype, seed=seed)
    rec.case("aten::constant_pad_nd.out", x, [1, 2], 3)
    if dtype.kind != "b":  # torch has no kernels for it
        rec.case("aten::reflection_pad1d.out", x, [2, 1])
        rec.case("aten::replication_pad1d.out", x, [2, 1])
for dtype in (F16, BF16, "int64", "uint8"):
    for kind in ("reflection", "replication"):
        rec.case(f"aten::{kind}_pad2d.out", sample(1, 2, 3, dtype=dtype), [1, 0, 0, 1])
        rec.case(f"aten::{kind}_pad3d.out", sample(1, 2, 2, 3, dtype=dtype), [1, 0, 0, 1, 1, 1])

for x, pad, *value in [
    (plane, [1, 0, 2, 1], 1.5),
    (plane, [1, 0, 0, 0, 0, 2], float("-inf")),
    (plane, [1, 1], float("nan")),
    (plane, [-1, 1, -2, 0], 5),
    (plane, [-1, -1], 1e300),
    (plane, [-2, -2]),
    (plane, []),
    (plane, [0, 0]),
    (plane, [3, -4, 1, 0]),
    (sample(), []),
    (np.zeros((0, 2), np.float32), [1, 1]),
    (np.zeros((0, 2), np.float32), [0, 0, 1, 1], 2),
    (sample(2, dtype="int32"), [1, 0], 1.5),
    (sample(2, dtype=bool), [1, 0], 2.5),
    (sample(2, dtype="uint8"), [1, 0], -1),
    (sample(2, dtype=F16), [0, 1], 0.1),
    (image, [1, 0, 2, 1], 0.5),
    (image, [0, 0, 0, 0, 1, 0]),
]:
    rec.case("aten::constant_pad_nd.out", x, pad, *value)
for kind in ("reflection", "replication"):
    for dims, x, padding in [
        (1, line, [0, 0]),
        (1, line, [4, 4]),
        (1, line, [-1, 2]),
        (1, line, [4, -3]),
        (1, line, [-6, 4]),
        (1, plane, [1, 3]),
        (1, np.zeros((0, 2, 3), np.float32), [1, 1]),
        (1, sample(2, 1), [0, 0]),
        (2, plane, [3, 1, 2, 0]),
        (2, space, [0, 0, 1, 1]),
        (2, space, [-1, 2, 2, -1]),
        (2, image, [2, 1, 1, 2]),
        (2, np.zeros((0, 1, 2, 2), np.float32), [1, 1, 1, 1]),
        (3, space, [1, 1, 2, 1, 1, 2]),
        (3, space, [-1, 1, 1, -1, 2, 0]),
        (3, sample(2, 1, 2, 3, 2), [1, 1, 0, 2, 1, 0]),
    ]:
        rec.case(f"aten::{kind}_pad{dims}d.out", x, padding)
rec.case("aten::replication_pad1d.out", line, [9, 7])
rec.case("aten::replication_pad2d.out", plane, [5, 0, 0, 6])
rec.case("aten::replication_pad3d.out", sample(1, 1, 1, 2), [1, 2, 3, 0, 2, 2])
rec.save()
