"""Golden cases of grid sampling and pixel shuffling."""

import itertools

import numpy as np
from recorder import Recorder
from samples import BOOLS, HALVES, channels_last, floats, integers

rec = Recorder("vision")

SAMPLE = "aten::grid_sampler_2d.out"
SPECIAL = floats(1, 2, 4, 5)
SPECIAL[0, 0, 0, 0], SPECIAL[0, 1, 2, 2] = np.nan, np.inf
FAR = np.array([[np.nan, 0], [np.inf, 0.5], [0.25, -np.inf], [1e30, 0], [-1, 1], [1, -1]], np.float32).reshape(
    1, 2, 3, 2
)
for mode, padding, align_corners in itertools.product((0, 1, 2), (0, 1, 2), (False, True)):
    options = mode, padding, align_corners
    rec.case(SAMPLE, floats(2, 3, 4, 5), floats(2, 3, 4, 2, seed=1, low=-1.3, high=1.3), *options)
    rec.case(SAMPLE, channels_last(floats(1, 2, 3, 3)), floats(1, 2, 3, 2, seed=2, low=-4, high=4), *options)
    rec.case(SAMPLE, SPECIAL, floats(1, 2, 4, 2, seed=3, low=-1, high=1), *options)
    rec.case(SAMPLE, floats(1, 1, 4, 5), FAR, *options)
    rec.case(SAMPLE, floats(1, 1, 1, 4, dtype=np.float64), floats(1, 2, 2, 2, dtype=np.float64), *options, rtol=1e-12)
rec.case(SAMPLE, floats(0, 1, 3, 3), floats(0, 2, 2, 2), 0, 0, False)
rec.case(SAMPLE, floats(1, 2, 3, 3), floats(1, 0, 2, 2), 0, 0, False)
for dtype in HALVES:
    # Places that a half holds exactly: torch computes positions in the half type itself.
    grid = (integers(1, 3, 3, 2, low=-4, high=5) / 4).astype(dtype)
    rec.case(SAMPLE, floats(1, 2, 4, 4, dtype=dtype), grid, 0, 1, False, rtol=1e-2, atol=1e-2)

IMAGES = [
    floats(1, 8, 2, 4),
    channels_last(floats(2, 4, 4, 6)),
    floats(4, 2, 2),
    floats(2, 1, 4, 2, 4),
]
for op in ("aten::pixel_shuffle.out", "aten::pixel_unshuffle.out"):
    for x in IMAGES:
        rec.case(op, x, 2)
    rec.case(op, floats(9, 3, 6), 3)
    rec.case(op, floats(1, 2, 3), 1)
    rec.case(op, np.resize(BOOLS, (4, 2, 2)), 2)
    for dtype in (np.uint8, np.int64, *HALVES):
        rec.case(op, integers(4, 2, 2, dtype=dtype), 2)
# Not for pixel_unshuffle: torch hands an empty tensor back in the shape it came in.
rec.case("aten::pixel_shuffle.out", floats(0, 4, 2, 2), 2)
rec.save()
