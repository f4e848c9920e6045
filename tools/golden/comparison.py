"""Golden cases of comparisons, logic and choices."""

import numpy as np
import torch
from recorder import Recorder
from samples import BF16, BOOLS, EDGES, EMPTY, HALVES, INTEGERS, channels_last, complexes, floats, integers

rec = Recorder("comparison")

NAN, INF = float("nan"), float("inf")
IMAGE = channels_last(floats(1, 2, 2, 3))
LEFT, RIGHT = EDGES[:9, None], EDGES[None, :9]
PAIRS = [
    (floats(2, 3), floats(2, 3, seed=1)),
    (floats(2, 1, 3), floats(4, 1, seed=1)),
    (LEFT, RIGHT),
    (EMPTY, floats(1, 3)),
    (IMAGE, IMAGE),
    (BOOLS, ~BOOLS),
    (BOOLS, integers(2, 3, low=0, high=2)),
    (integers(2, 3), floats(3)),
    (integers(2, 3, low=0, high=3), integers(3, low=0, high=3, seed=1)),
    (integers(4, seed=1, dtype=np.uint8), integers(4, seed=1, dtype=np.int8)),
    (floats(2, 3), np.array(0.1)),
    (np.array([0.1], np.float32), np.array(0.1)),
    (np.array(1.5, np.float32), np.array(2)),
    *((floats(4, seed=1, dtype=t), floats(4, seed=2, dtype=t)) for t in HALVES),
    (floats(4, seed=1, dtype=np.float16), floats(4, seed=2, dtype=BF16)),
]
SCALARS = [
    (floats(2, 3), 0.5),
    (EDGES, 1.0),
    (EDGES, INF),
    (EDGES, NAN),
    (integers(2, 3, low=0, high=3), 1),
    (integers(2, 3, low=0, high=3), 1.5),
    (np.array([44, 50], np.uint8), 300),
    (np.array([1, 1.0009765625], np.float16), 1.0001),
    (np.array([0.1], np.float32), 0.1),
    (floats(3, dtype=BF16), 0.5),
    (BOOLS, True),
    (BOOLS, 2),
    (EMPTY, 1),
    (np.array(1.5), 1.5),
    (IMAGE, 0),
]

for name in ("eq", "ne", "lt", "le", "gt", "ge"):
    for a, b in PAIRS:
        rec.case(f"aten::{name}.Tensor_out", a, b)
    for a, b in SCALARS:
        rec.case(f"aten::{name}.Scalar_out", a, b)
for name in ("eq", "ne"):
    rec.case(f"aten::{name}.Tensor_out", complexes(3), complexes(3).conj())
for name in ("logical_and", "logical_or", "logical_xor"):
    for a, b in [*PAIRS, (complexes(2), np.array([0, 1j], np.complex64))]:
        rec.case(f"aten::{name}.out", a, b)
VALUES = [EDGES, EMPTY, IMAGE, BOOLS, np.array(0.0), complexes(3), *(EDGES.astype(t) for t in HALVES)]
for name in ("logical_not", "isinf", "isnan"):
    for x in [*VALUES, *(integers(5, seed=1, dtype=t) for t in INTEGERS)]:
        rec.case(f"aten::{name}.out", x)

for name in ("maximum", "minimum"):
    for a, b in PAIRS:
        rec.case(f"aten::{name}.out", a, b)

BOUNDS = [(-0.5, 0.5), (None, 0.5), (0, None), (3, 2), (-INF, 1.0), (NAN, None), (None, NAN)]
for low, high in BOUNDS:
    rec.case("aten::clamp.out", floats(3, 4), low, high)
    rec.case("aten::clamp.out", EDGES, low, high)
for dtype in INTEGERS:
    rec.case("aten::clamp.out", integers(5, seed=1, dtype=dtype), 1, 4)
for x in (integers(5, seed=1), BOOLS):
    rec.case("aten::clamp.out", x, -0.5, 0.75)
for x in (EMPTY, IMAGE, np.array(3.5, np.float32), floats(4), floats(4, dtype=np.float16), floats(4, dtype=BF16)):
    rec.case("aten::clamp.out", x, -1, 1.5)
rec.case("aten::clamp.out", BOOLS, 0, 1)

rec.case("aten::clamp.Tensor_out", floats(3, 4), floats(4, low=-1, high=0), floats(4, low=0, high=1))
rec.case("aten::clamp.Tensor_out", floats(3, 4), None, floats(3, 1))
rec.case("aten::clamp.Tensor_out", LEFT, RIGHT, None)
rec.case("aten::clamp.Tensor_out", LEFT, None, RIGHT)
rec.case("aten::clamp.Tensor_out", integers(3), floats(3), None)
rec.case("aten::clamp.Tensor_out", floats(3), np.array(0.0), np.array(1))
rec.case("aten::clamp.Tensor_out", integers(4, dtype=np.uint8), integers(4, seed=1, dtype=np.uint8), None)
rec.case("aten::clamp.Tensor_out", floats(4, dtype=BF16), floats(4, dtype=np.float16), None)
rec.case("aten::clamp.Tensor_out", EMPTY, floats(3), None)
rec.case("aten::clamp.Tensor_out", IMAGE, np.zeros(1, np.float32), None)

rec.case("aten::where.self_out", BOOLS, floats(2, 3), floats(2, 3, seed=1))
rec.case("aten::where.self_out", BOOLS[0], floats(2, 3), floats(2, 1))
rec.case("aten::where.self_out", BOOLS, integers(2, 3), floats(3))
rec.case("aten::where.self_out", BOOLS, floats(3, dtype=np.float16), np.array(1.0, np.float32))
rec.case("aten::where.self_out", BOOLS, integers(3), np.array(1.5, np.float32))
rec.case("aten::where.self_out", BOOLS, floats(3, dtype=np.float16), floats(3, dtype=BF16))
rec.case("aten::where.self_out", integers(2, 3, low=0, high=3, dtype=np.uint8), floats(3), floats(3, seed=1))
rec.case("aten::where.self_out", np.array(True), EMPTY, np.array(0.0, np.float32))
rec.case("aten::where.self_out", BOOLS, np.array([NAN, INF, 1], np.float32), np.zeros(3, np.float32))
rec.case("aten::where.self_out", BOOLS, BOOLS, ~BOOLS)
rec.case("aten::where.self_out", IMAGE > 0, IMAGE, -IMAGE)
rec.case("aten::where.self_out", BOOLS, complexes(3), floats(3))


def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    close = torch.allclose(torch.from_numpy(a), torch.from_numpy(b), rtol, atol, equal_nan)
    for overload in ("out", "Tensor"):
        rec.case(f"aten::allclose.{overload}", a, b, rtol, atol, equal_nan, expected=[np.array([close])])


def allclose_cases():
    x = floats(2, 3)
    for factor in (1, 1 + 1e-6, 1 + 1e-3):
        allclose(x, x * np.float32(factor))
    allclose(x, x * np.float32(1.05), 0.1, 0.0)
    allclose(x, x + np.float32(0.05), 0.0, 0.1)
    allclose(x, x, 0.0, 0.0)
    allclose(x, x[:, :1])
    allclose(EDGES, EDGES)
    allclose(EDGES, EDGES, 1e-5, 1e-8, True)
    allclose(np.array([INF, -INF]), np.array([INF, -INF]))
    allclose(np.array([INF]), np.array([-INF]), INF, INF)
    allclose(integers(3), integers(3) + 1)
    allclose(integers(3), integers(3) + 1, 0.0, 1.0)
    allclose(BOOLS, BOOLS)
    allclose(EMPTY, EMPTY)
    allclose(complexes(3), complexes(3))
    allclose(floats(3, dtype=np.float16), floats(3, dtype=np.float16) + np.float16(0.01))


allclose_cases()
rec.save()
