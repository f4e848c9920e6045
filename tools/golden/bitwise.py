"""Golden cases of the bitwise operators."""

import numpy as np
from recorder import Recorder
from samples import BOOLS, INTEGERS, channels_last, integers

rec = Recorder("bitwise")

IMAGE = channels_last(integers(1, 2, 2, 3, dtype=np.int32))
EMPTY = np.zeros((0, 3), np.int64)
INTEGER_PAIRS = [
    *((integers(5, seed=1, dtype=t), integers(5, seed=2, dtype=t)) for t in INTEGERS),
    (integers(2, 1, 3), integers(4, 1, seed=1)),
    (integers(2, 3, dtype=np.uint8), integers(3, seed=1, dtype=np.int8)),
    (integers(2, 3, dtype=np.int32), np.array(5)),
    (np.array(6), np.array(5, np.int16)),
    (EMPTY, integers(1, 3)),
    (IMAGE, IMAGE),
    (BOOLS, integers(3, seed=1, low=0)),
]
SCALAR_PAIRS = [(integers(5, seed=1, dtype=t), 5) for t in INTEGERS] + [(EMPTY, 1), (np.array(6), 3), (IMAGE, 2)]

for name in ("and", "or", "xor"):
    for a, b in [*INTEGER_PAIRS, (BOOLS, ~BOOLS[0])]:
        rec.case(f"aten::bitwise_{name}.Tensor_out", a, b)
    for a, b in [*SCALAR_PAIRS, (integers(3), -4), (integers(3, dtype=np.uint8), 300), (BOOLS, True), (BOOLS, 3)]:
        rec.case(f"aten::bitwise_{name}.Scalar_out", a, b)

SHIFTS = np.array([-100, -1, 0, 1, 3, 7, 8, 15, 31, 32, 63, 64, 100])
for name in ("left", "right"):
    op = f"aten::bitwise_{name}_shift"
    for a, b in INTEGER_PAIRS:
        rec.case(f"{op}.Tensor_out", a, b)
    for dtype in INTEGERS:
        limits = np.iinfo(dtype)
        values = np.array([limits.min, limits.max, 5], dtype)[:, None]
        rec.case(f"{op}.Tensor_out", values, SHIFTS.astype(dtype))
        for amount in (0, 3, 7, 40, -1):
            rec.case(f"{op}.Tensor_Scalar_out", values[:, 0], amount)
    for a, b in [(EMPTY, 1), (np.array(6), 1), (IMAGE, 2), (BOOLS, 2)]:
        rec.case(f"{op}.Tensor_Scalar_out", a, b)

for x in [*(integers(5, seed=1, dtype=t) for t in INTEGERS), BOOLS, EMPTY, IMAGE, np.array(6)]:
    rec.case("aten::bitwise_not.out", x)

rec.save()
