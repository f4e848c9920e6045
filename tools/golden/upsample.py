"""Golden cases of resampling."""

import numpy as np
from recorder import Recorder
from samples import HALVES, channels_last, floats, integers

rec = Recorder("upsample")

NEAREST, LINEAR, ANTIALIASED = (
    "aten::upsample_nearest2d.vec_out",
    "aten::upsample_bilinear2d.vec_out",
    "aten::_upsample_bilinear2d_aa.out",
)
SPECIAL = floats(1, 1, 4, 5)
SPECIAL[0, 0, 1, 1], SPECIAL[0, 0, 3, 4], SPECIAL[0, 0, 0, 3] = np.nan, np.inf, -np.inf
IMAGES = [floats(1, 2, 4, 5), channels_last(floats(2, 3, 4, 5)), floats(0, 1, 4, 5), SPECIAL]
SIZES = [[8, 10], [7, 3], [4, 9], [2, 2], [1, 6]]
SCALES = [[2.0, 2.0], [1.5, 0.6], [2.3, 3.1]]

for x in IMAGES:
    for size, scales in [(s, None) for s in SIZES] + [(None, s) for s in SCALES]:
        rec.case(NEAREST, x, size, scales)
        for align_corners in (False, True):
            rec.case(LINEAR, x, size, align_corners, scales)
    for size in SIZES:
        for align_corners in (False, True):
            rec.case(ANTIALIASED, x, size, align_corners)
    for scales in SCALES:
        size = [int(n * s) for n, s in zip(x.shape[2:], scales, strict=True)]
        rec.case(ANTIALIASED, x, size, False, *scales)
rec.case(LINEAR, floats(1, 1, 1, 1), [3, 2], True, None)
rec.case(ANTIALIASED, floats(1, 1, 23, 19), [3, 4], False)
for dtype in (np.float64, *HALVES, np.uint8):
    x = integers(1, 3, 5, 6, low=0, high=256, dtype=dtype) if dtype is np.uint8 else floats(1, 3, 5, 6, dtype=dtype)
    close = {"rtol": 1e-13, "atol": 1e-13} if dtype is np.float64 else {"rtol": 1e-2, "atol": 1e-2}
    for size in ([9, 7], [10, 12], [3, 4]):
        rec.case(NEAREST, x, size, None)
        for align_corners in (False, True):
            rec.case(LINEAR, x, size, align_corners, None, **close)
            if dtype not in HALVES:
                rec.case(ANTIALIASED, x, size, align_corners, **close)
rec.save()
