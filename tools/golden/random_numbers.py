"""Golden cases of the random operators: what of them is not random. (Not random.py: torch imports that name.)"""

import ml_dtypes
import numpy as np
from recorder import Recorder

rec = Recorder("random")
BF16 = ml_dtypes.bfloat16
x = np.random.default_rng(5).standard_normal((2, 3)).astype(np.float32)

for op in ("aten::rand.out", "aten::randn.out"):
    rec.case(op, [0])
    for number, dtype in ((5, np.float16), (7, np.float64), (15, BF16)):
        rec.case(op, [2, 0, 3], dtype=number, out_dtype=dtype)

for dtype in (np.float32, np.float16, BF16, np.float64):
    rec.case("aten::native_dropout.out", x.astype(dtype), 0.5, False)
    rec.case("aten::native_dropout.out", x.astype(dtype), 0.0, True)
    rec.case("aten::native_dropout.out", x.astype(dtype), 1.0, None)
rec.case("aten::native_dropout.out", np.array([1, np.inf, np.nan], np.float32), 1.0, True)
rec.case("aten::native_dropout.out", np.arange(4), 0.5, False)
rec.case("aten::native_dropout.out", np.array(2, np.float32), 0.0, True)

rec.save()
