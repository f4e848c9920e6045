"""Golden cases of the scans."""

import ml_dtypes
import numpy as np
from recorder import Recorder

rec = Recorder("scan")
rng = np.random.default_rng(2)


def floats(*shape, dtype=np.float32):
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


op = "aten::cumsum.out"
image = np.ascontiguousarray(floats(2, 4, 5, 3)).transpose(0, 3, 1, 2)
for dim in (0, 1, -1, -2):
    rec.case(op, floats(3, 5, 2), dim)
for dim in (1, 3):
    rec.case(op, image, dim)
rec.case(op, np.array([1, float("inf"), 2, float("-inf"), 3], np.float32), 0)
rec.case(op, np.array([1, float("nan"), 2], np.float32), -1)
for dtype in (np.int8, np.uint8, np.int32, np.int64, np.bool_):
    rec.case(op, rng.integers(0, 100, (3, 4)).astype(dtype), 1)
rec.case(op, floats(3, 4, dtype=np.float64), 0)
rec.case(op, floats(2, 30, dtype=np.float16), 1, rtol=1e-2, atol=1e-2)
rec.case(op, floats(2, 30, dtype=ml_dtypes.bfloat16), 1, rtol=2e-2, atol=2e-2)
rec.case(op, np.full(3, 60000, np.float16), 0)
rec.case(op, np.array([1.7, -2.9, 1.7], np.float32), 0, dtype=4)
rec.case(op, rng.integers(0, 255, 9).astype(np.uint8), 0, dtype=0)
rec.case(op, rng.integers(0, 9, (2, 3)), 0, dtype=6)
rec.case(op, floats(2, 3), 1, dtype=7)
rec.case(op, floats(2, 0), 1)
rec.case(op, floats(2, 0), 0)
rec.case(op, floats(), 0)
rec.case(op, np.array(3, np.int8), -1)
rec.case(op, floats(6, 4)[::2].T, 1)

rec.save()
