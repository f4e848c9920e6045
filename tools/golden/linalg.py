"""Golden cases of matrix products and distances."""

import numpy as np
import torch
from recorder import Recorder
from samples import EDGES, HALVES, INTEGERS, complexes, floats, integers

rec = Recorder("linalg")

DOUBLE = np.float64
NAN, INF = np.nan, np.inf

PRODUCTS = [
    (floats(3, 4), floats(4, 5, seed=1)),
    (floats(4, 3).T, floats(5, 4, seed=1).T),
    (floats(3, 8)[:, ::2], floats(4, 5, seed=1)),
    (floats(2, 0), floats(0, 3)),
    (floats(0, 4), floats(4, 2)),
    (floats(1, 4), floats(4, 1)),
    (EDGES[3:6].reshape(1, 3), floats(3, 2)),
    (floats(3, 4, dtype=DOUBLE), floats(4, 5, seed=1, dtype=DOUBLE)),
    (complexes(2, 3), complexes(3, 2, seed=1)),
    (integers(2, 3, low=2**61, high=2**62), integers(3, 2, seed=1)),
    *((integers(3, 4, low=-120, high=120, dtype=t), integers(4, 2, seed=1, dtype=t)) for t in INTEGERS),
]
for a, b in PRODUCTS:
    rec.case("aten::mm.out", a, b)
    rec.case("aten::bmm.out", np.stack([a, a]), np.stack([b, b[::-1]]))
    rec.case("aten::linear.out", a, b.T)
rec.case("aten::bmm.out", floats(0, 2, 3), floats(0, 3, 2))
rec.case("aten::bmm.out", floats(3, 2, 4).transpose(1, 0, 2), floats(2, 5, 4, seed=1).transpose(0, 2, 1))

BIASES = [floats(4, seed=2), floats(1, seed=2), floats(2, 4, seed=2)]
for bias in BIASES:
    rec.case("aten::linear.out", floats(2, 3), floats(4, 3, seed=1), bias)
for x in (floats(3), floats(2, 3, 3), floats(2, 0, 3), floats(3, 2, 2, 3).transpose(2, 1, 0, 3), floats(0, 3)):
    rec.case("aten::linear.out", x, floats(4, 3, seed=1), BIASES[0])
rec.case("aten::linear.out", floats(2, 3), floats(3, seed=1))
rec.case(
    "aten::linear.out", integers(2, 3, dtype=np.int32), integers(4, 3, dtype=np.int32), integers(4, dtype=np.int32)
)

FACTORS = floats(2, 3), floats(3, 4, seed=1)
for added in (floats(2, 4), floats(4), floats(1, 4), floats(2, 1), np.array(2, np.float32)):
    rec.case("aten::addmm.out", added, *FACTORS)
for beta, alpha in ((0.5, 2.0), (0, 1), (1, 0), (-1.5, 3), (2, -1)):
    rec.case("aten::addmm.out", floats(2, 4), *FACTORS, beta=beta, alpha=alpha)
    rec.case("aten::addmm.out", np.full((2, 4), NAN, np.float32), *FACTORS, beta=beta, alpha=alpha)
rec.case("aten::addmm.out", floats(2, 4), floats(2, 0), floats(0, 4), beta=2)
rec.case("aten::addmm.out", integers(2, 2), integers(2, 3), integers(3, 2), beta=2.75, alpha=-1.5)
rec.case(
    "aten::addmm.out",
    integers(2, 2, dtype=np.int8),
    integers(2, 3, dtype=np.int8),
    integers(3, 2, dtype=np.int8),
    beta=3,
)

for dtype in HALVES:
    a, b = floats(3, 40, dtype=dtype), floats(40, 2, seed=1, dtype=dtype)
    rec.case("aten::mm.out", a, b, rtol=1e-2)
    rec.case("aten::bmm.out", a[None], b[None], rtol=1e-2)
    rec.case("aten::linear.out", a, b.T, floats(2, dtype=dtype), rtol=1e-2)
    rec.case("aten::addmm.out", floats(2, dtype=dtype), a, b, beta=0.5, alpha=2, rtol=1e-2)

for bias in (None, floats(4, seed=2)):
    x, weight = floats(2, 3), floats(4, 3, seed=1)
    product = (torch.from_numpy(x) @ torch.from_numpy(weight).T).numpy()
    result = product if bias is None else product + bias
    empty = np.zeros((2, 4), np.float32)
    rec.case(
        "aten::linear.scratch_example", x, weight, bias, out=empty, _scratch_tensor=empty,
        expected=[result], written={"out": result, "_scratch_tensor": product},
        source=f"torch {torch.__version__}, @ and +",
    )  # fmt: skip

EDGE_ROWS = np.array([[NAN, 1, 2], [INF, 0, 1], [0, 1, -1], [1, 1, 1]], np.float32)
for p in (0.0, 0.5, 1.0, 2.0, 3.0, INF):
    rec.case("aten::_cdist_forward.out", floats(3, 4), floats(2, 4, seed=1), p, None)
    rec.case("aten::_cdist_forward.out", EDGE_ROWS, EDGE_ROWS[2:], p, 2)
    rec.case("aten::_cdist_forward.out", floats(2, 1, 3, 4, dtype=DOUBLE), floats(3, 2, 4, seed=1, dtype=DOUBLE), p, 0)
    rec.case("aten::_pdist_forward.out", floats(4, 3), p)
    rec.case("aten::_pdist_forward.out", EDGE_ROWS, p)
    rec.case("aten::_pdist_forward.out", floats(3, 5, dtype=DOUBLE), p)
rec.case("aten::_cdist_forward.out", floats(2, 0), floats(3, 0), 2.0, 1)
rec.case("aten::_cdist_forward.out", floats(0, 3), floats(2, 3), 2.0, None)
for rows in (0, 1, 3):
    rec.case("aten::_pdist_forward.out", floats(rows, 0 if rows == 3 else 4))
rec.save()
