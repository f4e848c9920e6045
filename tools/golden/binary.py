"""Golden cases of the arithmetic operators."""

import numpy as np
from recorder import Recorder
from samples import BF16, BOOLS, EDGES, EMPTY, HALVES, INTEGERS, channels_last, complexes, floats, integers

rec = Recorder("binary")

IMAGE, OTHER_IMAGE = channels_last(floats(1, 2, 2, 3)), channels_last(floats(1, 2, 2, 3, seed=1))
ZERO_DIM = {dtype: np.array(2, dtype) for dtype in (np.int64, np.float16, np.float32, np.float64)}
# Every pair of edge values meets once.
LEFT, RIGHT = EDGES[:9, None], EDGES[None, :9]

PAIRS = [
    (floats(2, 3), floats(2, 3, seed=1)),
    (floats(2, 1, 3), floats(4, 1, seed=1)),
    (LEFT, RIGHT),
    (EMPTY, floats(1, 3)),
    (IMAGE, OTHER_IMAGE),
    (floats(2, 3, dtype=np.float64), floats(3, seed=1)),
    (floats(2, 3), integers(2, 3, low=1, high=5)),
    (integers(2, 3, dtype=np.int32), floats(3, seed=1, dtype=np.float16)),
    (floats(2, 3, dtype=np.float16), ZERO_DIM[np.float32]),
    (floats(2, 3), ZERO_DIM[np.float64]),
    (integers(2, 3, dtype=np.int32), ZERO_DIM[np.int64]),
    (integers(2, 3), ZERO_DIM[np.float16]),
    (ZERO_DIM[np.float64], ZERO_DIM[np.int64]),
    (floats(3, dtype=np.float16), floats(3, seed=1, dtype=BF16)),
    (integers(4, seed=3, dtype=np.uint8), integers(4, seed=4, low=1, dtype=np.int8)),
    (integers(2, 3), integers(2, 3, seed=1, low=1, high=5)),
]
SAME = [(integers(6, seed=5, dtype=t), integers(6, seed=6, low=1, high=5, dtype=t)) for t in INTEGERS]
HALF = [(floats(4, seed=1, dtype=t), floats(4, seed=2, low=0.5, dtype=t)) for t in HALVES]
SCALARS = [
    (floats(2, 3), 2.5),
    (floats(2, 3), 2),
    (EDGES, -1.5),
    (EMPTY, 2),
    (np.array(1.5, np.float32), 3),
    (IMAGE, 0.5),
    (floats(2, 3, dtype=np.float64), 0.1),
    (integers(2, 3), 3),
    (integers(2, 3), 1.5),
    (integers(2, 3, dtype=np.uint8), 3),
    (integers(2, 3, dtype=np.int16), 2.5),
]
HALF_SCALARS = [(floats(4, seed=1, dtype=t), 0.75) for t in HALVES]


def pairs(op, cases, **options):
    for a, b in cases:
        halves = any(getattr(x, "dtype", None) in (np.float16, BF16) for x in (a, b))
        rec.case(op, a, b, **{"rtol": 1e-2, "atol": 1e-3} if halves else {}, **options)


for name in ("add", "sub"):
    pairs(f"aten::{name}.out", PAIRS + SAME + HALF + [(complexes(3), complexes(3, seed=1)), (complexes(3), floats(3))])
    for a, b in (PAIRS[0], PAIRS[-1], HALF[0], HALF[1], SAME[0]):
        rec.case(f"aten::{name}.out", a, b, alpha=3, rtol=1e-2 if a.dtype.itemsize == 2 else 1e-5)
    rec.case(f"aten::{name}.out", *PAIRS[1], alpha=-0.5)
    pairs(f"aten::{name}.Scalar_out", SCALARS + HALF_SCALARS)
    rec.case(f"aten::{name}.Scalar_out", floats(2, 3), 2.5, 3)
    rec.case(f"aten::{name}.Scalar_out", integers(2, 3), 2, -2)
    rec.case(f"aten::{name}.Scalar_out", integers(2, 3, dtype=np.uint8), 300)
pairs("aten::add.out", [(BOOLS, ~BOOLS), (BOOLS, integers(2, 3)), (BOOLS, floats(3))])
rec.case("aten::add.out", BOOLS, BOOLS, alpha=True)
pairs("aten::add.Scalar_out", [(BOOLS, True), (BOOLS, 2), (BOOLS, 1.5), (floats(3, dtype=np.float16), 1e10)])
pairs("aten::rsub.Scalar_out", SCALARS + HALF_SCALARS)
rec.case("aten::rsub.Scalar_out", floats(2, 3), 2.5, 3)
rec.case("aten::rsub.Scalar_out", integers(2, 3), 2, -2)
rec.case("aten::rsub.Scalar_out", integers(2, 3), 1.5, 2)

pairs("aten::mul.out", PAIRS + SAME + HALF + [(BOOLS, BOOLS), (BOOLS, floats(3)), (complexes(3), complexes(3, seed=1))])
pairs("aten::mul.Scalar_out", SCALARS + HALF_SCALARS + [(BOOLS, True), (BOOLS, 2), (BOOLS, 1.5), (complexes(3), 1.5)])

pairs("aten::div.out", PAIRS + SAME + HALF + [(BOOLS, BOOLS), (integers(3), integers(3, low=0, high=1))])
pairs("aten::div.out", [(complexes(3), complexes(3, seed=1))])
pairs("aten::div.Scalar_out", SCALARS + HALF_SCALARS + [(BOOLS, True), (integers(3), 0), (EDGES, 0.0)])
SIGNED = [(np.array([7, -7, 7, -7, 6, -6]), np.array([2, 2, -2, -2, 3, -3]))]
for mode in ("trunc", "floor"):
    # Quotients of halves are kept away from integers, where one rounding more or less decides.
    cases = [p for p in PAIRS if p[0].dtype != np.float16 and p[1].dtype != np.float16]
    pairs("aten::div.out_mode", cases + SAME + SIGNED + HALF, rounding_mode=mode)
    pairs("aten::div.Scalar_mode_out", [*SCALARS, (SIGNED[0][0], -2), (floats(4), -0.7)], rounding_mode=mode)
rec.case("aten::div.out_mode", *PAIRS[-1], rounding_mode=None)
rec.case("aten::div.Scalar_mode_out", integers(2, 3), 4, rounding_mode=None)
pairs("aten::floor_divide.out", PAIRS + SAME + SIGNED + HALF)

for name in ("fmod", "remainder"):
    pairs(f"aten::{name}.Tensor_out", PAIRS + SAME + SIGNED + HALF)
    pairs(f"aten::{name}.Scalar_out", SCALARS + HALF_SCALARS + [(SIGNED[0][0], -2), (BOOLS, 2)])

pairs("aten::atan2.out", PAIRS + SAME[:2] + HALF + [(BOOLS, floats(2, 3))])

POWERS = [
    (floats(2, 3, low=0.2), floats(2, 3, seed=1)),
    (floats(2, 1, 3), floats(4, 1, seed=1)),
    (LEFT, RIGHT),
    (EMPTY, floats(1, 3)),
    (floats(2, 3, low=0.2, dtype=np.float64), floats(3, seed=1)),
    (integers(2, 3, low=1, high=4), integers(2, 3, seed=1, low=0, high=4)),
    (np.array([1, -1, -1, 2, 0, 3]), np.array([-3, -2, -3, -1, -1, 4])),
    (integers(3, dtype=np.int32), ZERO_DIM[np.int64]),
    (integers(3, low=0, dtype=np.uint8), integers(3, low=0, high=5, seed=1, dtype=np.uint8)),
    (floats(3, low=0.2), integers(3, low=-2, high=3)),
    (BOOLS, integers(2, 3, low=0, high=3)),
    (floats(4, low=0.2, dtype=np.float16), floats(4, seed=1, dtype=np.float16)),
    (floats(4, low=0.2, dtype=BF16), floats(4, seed=1, dtype=BF16)),
]
pairs("aten::pow.Tensor_Tensor_out", POWERS)
for exponent in (0, 1, 2, 3, 0.5, -0.5, -1.0, -2, 1.7, 4, float("inf")):
    rec.case("aten::pow.Tensor_Scalar_out", EDGES, exponent)
    rec.case("aten::pow.Tensor_Scalar_out", floats(2, 3, low=0.2), exponent)
pairs("aten::pow.Tensor_Scalar_out", [(integers(2, 3), 3), (integers(2, 3), 2.0), (integers(2, 3, dtype=np.int8), 5)])
pairs("aten::pow.Tensor_Scalar_out", [(floats(3, dtype=np.float16), 2), (floats(3, dtype=BF16), 3.0), (EMPTY, 2)])
pairs("aten::pow.Tensor_Scalar_out", [(BOOLS, 2), (np.array(3.0, np.float32), 2), (IMAGE, 2)])
for base in (2.0, 3, 0, 1, -2, 0.5):
    rec.case("aten::pow.Scalar_out", base, EDGES)
    rec.case("aten::pow.Scalar_out", base, integers(2, 3, seed=2, low=-2, high=4))
rec.case("aten::pow.Scalar_out", 2, floats(3, dtype=np.float16), rtol=1e-2)
rec.case("aten::pow.Scalar_out", 2.5, integers(3, dtype=np.int32, low=0, high=4))
rec.case("aten::pow.Scalar_out", 2, BOOLS)
rec.case("aten::pow.Scalar_out", 2, EMPTY)
rec.case("aten::pow.Scalar_out", 1.5, np.array(2.0, np.float64))

rec.save()
