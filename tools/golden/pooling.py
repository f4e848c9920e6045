"""Golden cases of pooling."""

import numpy as np
from recorder import Recorder
from samples import BF16, HALVES, channels_last, floats, integers

rec = Recorder("pooling")

MAX, BACK, MEAN, ADAPTIVE = (
    f"aten::{name}"
    for name in (
        "max_pool2d_with_indices.out",
        "max_pool2d_with_indices_backward.grad_input",
        "avg_pool2d.out",
        "_adaptive_avg_pool2d.out",
    )
)
SPECIAL = floats(1, 1, 6, 7)
SPECIAL[0, 0, :3, :3] = -np.inf
SPECIAL[0, 0, 1, 5], SPECIAL[0, 0, 2, 5], SPECIAL[0, 0, 4, 4], SPECIAL[0, 0, 5, 0] = np.nan, np.nan, np.inf, np.nan
TIES = np.round(floats(1, 2, 7, 6, low=0, high=2)).astype(np.float32)
INPUTS = [floats(1, 2, 6, 7), channels_last(floats(2, 3, 6, 5)), floats(2, 6, 6), floats(0, 2, 5, 5), SPECIAL, TIES]

# kernel, stride, padding, dilation, ceil_mode
MAX_OPTIONS = [
    ([2, 2],),
    ([2, 2], [2, 2], [0, 0], [1, 1], True),
    ([3, 3], [2, 2], [1, 1]),
    ([3, 2], [1, 2], [1, 0], [2, 1]),
    ([3, 3], [2, 1], [1, 1], [1, 2], True),
    ([3], [2], [1]),
]
for x in INPUTS:
    for options in MAX_OPTIONS:
        rec.case(MAX, x, *options)
    kernel, stride, padding, dilation, ceil_mode = MAX_OPTIONS[4]
    rec.case(MAX, x, kernel, stride, padding, dilation, ceil_mode)
    made = [rec.arrays[r["tensor"]] for r in rec.cases[-1]["results"]]
    grad = floats(*made[0].shape, seed=1)
    rec.case(BACK, grad, x, kernel, stride, padding, dilation, ceil_mode, made[1])
for dtype in (np.uint8, np.int8, np.int16, np.int32, np.int64, np.float64, *HALVES):
    x = (
        floats(1, 2, 5, 6, dtype=dtype)
        if np.dtype(dtype).kind == "f" or dtype == BF16
        else integers(1, 2, 5, 6, dtype=dtype)
    )
    rec.case(MAX, x, [3, 3], [2, 2], [1, 1])
    indices = rec.arrays[rec.cases[-1]["results"][1]["tensor"]]
    if dtype in (np.float64, *HALVES):
        grad = np.round(floats(*indices.shape, seed=1)).astype(dtype)
        rec.case(BACK, grad, x, [3, 3], [2, 2], [1, 1], [1, 1], False, indices)

# kernel, stride, padding, ceil_mode, count_include_pad, divisor_override
MEAN_OPTIONS = [
    ([2, 2],),
    ([3, 3], [2, 2], [1, 1], True, False),
    ([3, 3], [2, 2], [1, 1], True, True),
    ([2, 3], [1, 2], [1, 0], False, True, 3),
    ([3, 2], [2, 1], [1, 1], False, False, -2),
    ([5, 5], [1, 1]),
    ([2], [3], [1], True),
]
for x in INPUTS[:5]:
    for options in MEAN_OPTIONS:
        rec.case(MEAN, x, *options)
rec.case(MEAN, integers(1, 2, 5, 5), [2, 2])
rec.case(MEAN, integers(1, 2, 5, 5), [3, 3], [2, 2], [1, 1], True, False)
rec.case(MEAN, integers(1, 2, 5, 5), [2, 2], [1, 1], [0, 0], False, True, -3)

SIZES = ([1, 1], [2, 3], [6, 4], [9, 13], [0, 2], [3])
for x in INPUTS[:5]:
    for size in SIZES[:5]:
        rec.case(ADAPTIVE, x, size)
for dtype in (np.float64, *HALVES):
    x, exact = floats(1, 2, 5, 6, dtype=dtype), dtype is np.float64
    rec.case(MEAN, x, [3, 3], [2, 2], [1, 1], rtol=1e-13 if exact else 1e-2)
    rec.case(ADAPTIVE, x, [2, 4], rtol=1e-13 if exact else 1e-2)
rec.save()
