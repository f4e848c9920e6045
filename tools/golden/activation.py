"""Golden cases of the activation functions."""

import numpy as np
from recorder import Recorder
from samples import EDGES, EMPTY, HALVES, INTEGERS, channels_last, floats, integers

rec = Recorder("activation")

SCALAR = np.array(-0.25, np.float32)
IMAGE = channels_last(floats(1, 2, 2, 3))
CALLS = {
    "relu": [()],
    "hardtanh": [(), (-0.5, 0.75), (3, 2), (0.0, float("inf"))],
    "leaky_relu": [(), (0.2,), (-2.0,), (0,)],
    "elu": [(), (0.5,), (2, 3.0, 0.5)],
    "logit": [(), (0.1,), (0.7,), (-0.25,)],
}

for name, calls in CALLS.items():
    op = f"aten::{name}.out"
    for arguments in calls:
        rec.case(op, EDGES, *arguments)
        rec.case(op, floats(3, 4, seed=1, low=-2, high=2), *arguments)
    for x in (EMPTY, SCALAR, IMAGE):
        rec.case(op, x)
    rec.case(op, floats(3, 4, seed=1, low=-2, high=2, dtype=np.float64), rtol=1e-14, atol=1e-15)
    for dtype in HALVES:
        rec.case(op, floats(4, seed=2, dtype=dtype), *calls[-1], rtol=1e-2)

for dtype in INTEGERS:
    rec.case("aten::relu.out", integers(4, seed=3, dtype=dtype))
    rec.case("aten::hardtanh.out", integers(4, seed=3, dtype=dtype), 1, 4)
rec.case("aten::hardtanh.out", integers(4, seed=3), -2.5, 4.5)
rec.case("aten::logit.out", integers(4, seed=3, low=0, high=2, dtype=np.int32))
rec.case("aten::logit.out", np.array([True, False]), 0.1)

LONG = np.concatenate([np.linspace(-8, 8, 161), [1e-20, -1e-20, 30, -30]])
# Without +inf: torch's vectorised gelu makes it NaN, though erf is 1 there.
FINITE = EDGES[~np.isposinf(EDGES)]
for mode in ("none", "tanh"):
    for x in (FINITE, EMPTY, SCALAR, IMAGE, LONG.astype(np.float32), floats(3, 4).T):
        rec.case("aten::gelu.out", x, approximate=mode)
    rec.case("aten::gelu.out", LONG, approximate=mode, rtol=1e-13, atol=1e-15)
    for dtype in HALVES:
        rec.case("aten::gelu.out", floats(5, seed=4, dtype=dtype), approximate=mode, rtol=1e-2, atol=1e-3)

rec.case("aten::glu.out", floats(3, 4))
rec.case("aten::glu.out", floats(4, 6, seed=1), 0)
rec.case("aten::glu.out", floats(2, 4, 3, seed=2), -2)
rec.case("aten::glu.out", floats(2, 4, 3, seed=2, dtype=np.float64), 1)
rec.case("aten::glu.out", EDGES)
rec.case("aten::glu.out", EMPTY, 1)
rec.case("aten::glu.out", IMAGE, 1)
for dtype in HALVES:
    rec.case("aten::glu.out", floats(2, 4, dtype=dtype), rtol=1e-2)

rec.save()
