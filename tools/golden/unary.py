"""Golden cases of the unary operators."""

import numpy as np
from recorder import Recorder
from samples import BF16, BOOLS, EDGES, EMPTY, HALVES, INTEGERS, channels_last, complexes, floats, integers

rec = Recorder("unary")

FLOATING = (
    *("acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "exp", "expm1", "log", "log10", "log1p"),
    *("log2", "reciprocal", "rsqrt", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh"),
)
ROUNDING = ("ceil", "floor", "round", "trunc")
IMAGE = channels_last(floats(1, 2, 2, 3))
HALF_STEPS = np.arange(-3.5, 4, 0.5, np.float32)

for name in FLOATING:
    op = f"aten::{name}.out"
    for x in (EDGES, floats(3, 4, seed=1, low=-0.99, high=0.99), floats(2, 3, seed=2, low=1), EMPTY, IMAGE):
        rec.case(op, x)
    rec.case(op, np.array(0.75, np.float32))
    rec.case(op, floats(2, 3, seed=2, low=1, dtype=np.float64), rtol=1e-14, atol=0)
    rec.case(op, floats(5, seed=3, dtype=np.float64), rtol=1e-14, atol=1e-15)
    for dtype in HALVES:
        rec.case(op, floats(4, seed=4, dtype=dtype), rtol=1e-2)
    rec.case(op, integers(4, seed=5, low=-2, high=3, dtype=np.int32))
    rec.case(op, integers(3, seed=6, high=6, dtype=np.uint8))
    rec.case(op, BOOLS)
    if name != "erf":
        rec.case(op, complexes(3))

rec.case("aten::erf.out", np.concatenate([np.linspace(-4.5, 4.5, 91), 10.0 ** np.arange(-20, 0)]).astype(np.float32))
rec.case("aten::erf.out", np.linspace(-6.5, 6.5, 131), rtol=1e-15, atol=0)

for name in (*ROUNDING, "abs", "neg", "sign"):
    op = f"aten::{name}.out"
    for x in (EDGES, HALF_STEPS, HALF_STEPS.astype(np.float64), EMPTY, IMAGE, np.array(-1.5, np.float32)):
        rec.case(op, x)
    for dtype in HALVES:
        rec.case(op, HALF_STEPS.astype(dtype), rtol=0)
    for dtype in INTEGERS:
        rec.case(op, integers(4, seed=7, dtype=dtype))
rec.case("aten::abs.out", complexes(3))
rec.case("aten::neg.out", complexes(3))
rec.case("aten::sign.out", BOOLS)

for x in (complexes(2, 3), complexes(2, dtype=np.complex128), floats(2, 2), integers(3), EMPTY):
    rec.case("aten::_conj_physical.out", x)
rec.case("aten::_conj_physical.out", floats(3, dtype=BF16))
for x in (complexes(2, 3), complexes(1, dtype=np.complex128).reshape(()), complexes(0, 2), complexes(2, 3).T):
    rec.case("aten::view_as_real_copy.out", x)
rec.case("aten::complex.out", floats(2, 3), floats(2, 3, seed=1))
rec.case("aten::complex.out", floats(2, 1, dtype=np.float64), floats(3, seed=1, dtype=np.float64))
rec.case("aten::complex.out", np.array(1.5, np.float32), EDGES)

rec.save()
