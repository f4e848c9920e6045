"""Golden cases of convolution and its gradients."""

import numpy as np
from recorder import Recorder
from samples import HALVES, channels_last, floats, integers

rec = Recorder("convolution")

# input, weight, bias?, stride, padding, dilation, transposed, output_padding, groups
CALLS = [
    ((1, 2, 5, 5), (3, 2, 3, 3), True, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
    ((2, 4, 6, 5), (4, 2, 3, 2), False, [2, 1], [0, 1], [1, 2], False, [0, 0], 2),
    ((2, 3, 4, 5), (4, 3, 1, 1), True, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
    ((1, 3, 5, 5), (2, 3, 1, 1), True, [2, 2], [0, 0], [1, 1], False, [0, 0], 1),
    ((1, 3, 5, 5), (2, 3, 1, 1), True, [1, 1], [1, 2], [1, 1], False, [0, 0], 1),
    ((1, 4, 7, 6), (4, 1, 3, 3), True, [2, 2], [1, 1], [1, 1], False, [0, 0], 4),
    ((1, 3, 7, 6), (6, 1, 3, 3), False, [1, 1], [2, 2], [2, 2], False, [0, 0], 3),
    ((1, 3, 8, 8), (2, 3, 7, 5), False, [2, 2], [3, 3], [1, 1], False, [0, 0], 1),
    ((1, 2, 5, 5), (3, 2, 2, 2), True, [2], [1], [1], False, [0], 1),
    ((0, 2, 5, 5), (3, 2, 3, 3), True, [1, 1], [1, 1], [1, 1], False, [0, 0], 1),
    ((1, 3, 4, 4), (3, 2, 3, 3), True, [2, 2], [1, 1], [1, 1], True, [1, 1], 1),
    ((2, 4, 3, 4), (4, 3, 2, 3), True, [2, 3], [0, 1], [1, 1], True, [0, 2], 2),
    ((1, 4, 3, 3), (4, 1, 3, 3), False, [1, 1], [1, 1], [2, 2], True, [0, 1], 4),
    ((1, 3, 3, 3), (3, 2, 1, 1), True, [1, 1], [0, 0], [1, 1], True, [0, 0], 1),
    ((1, 2, 7), (3, 2, 3), True, [1], [1], [1], False, [0], 1),
    ((2, 4, 6), (4, 1, 3), False, [2], [0], [1], False, [0], 4),
    ((2, 4, 5), (4, 2, 3), True, [2], [1], [1], True, [1], 2),
    ((1, 2, 4, 3, 5), (2, 2, 2, 3, 3), True, [1, 2, 1], [1, 1, 0], [1, 1, 2], False, [0, 0, 0], 1),
    ((1, 2, 2, 3, 2), (2, 3, 2, 2, 2), False, [2, 1, 2], [0, 1, 0], [1, 1, 1], True, [0, 0, 1], 1),
]
for shape, kernel, biased, *options in CALLS:
    transposed, groups = options[3], options[5]
    outputs = kernel[1] * groups if transposed else kernel[0]
    layouts = [lambda x: x, channels_last] if len(shape) == 4 else [lambda x: x]
    for layout in layouts:
        x, weight = layout(floats(*shape)), layout(floats(*kernel, seed=1))
        bias = floats(outputs, seed=2) if biased else None
        rec.case("aten::convolution.out", x, weight, bias, *options)
    if 0 in shape:
        continue
    made = rec.cases[-1]["results"][0]["tensor"]
    grad = floats(*rec.arrays[made].shape, seed=3)
    for mask in ([True, True, True], [True, False, False]) if shape[0] == 2 else ([True, True, False],):
        sizes = [outputs] if mask[2] else None
        rec.case("aten::convolution_backward.out", grad, x, weight, sizes, *options, mask)

PLAIN = [1, 1], [1, 1], [1, 1], False, [0, 0], 1
TURNED = [2, 2], [1, 1], [1, 1], True, [1, 0], 1
for options in (PLAIN, TURNED):
    for dtype in HALVES:
        x, weight = floats(1, 3, 5, 4, dtype=dtype), floats(3, 3, 3, 3, seed=1, dtype=dtype)
        rec.case("aten::convolution.out", x, weight, floats(3, seed=2, dtype=dtype), *options, rtol=1e-2, atol=1e-2)
    double = [floats(*s, seed=n, dtype=np.float64) for n, s in enumerate([(1, 3, 5, 4), (3, 3, 3, 3), (3,)])]
    rec.case("aten::convolution.out", *double, *options, rtol=1e-13, atol=1e-13)
    grad = floats(*rec.arrays[rec.cases[-1]["results"][0]["tensor"]].shape, seed=4, dtype=np.float64)
    rec.case(
        "aten::convolution_backward.out", grad, *double[:2], [3], *options, [True, True, True], rtol=1e-13, atol=1e-13
    )
    large = integers(1, 3, 5, 4, low=2**60, high=2**61), integers(3, 3, 3, 3, seed=1), integers(3, seed=2)
    rec.case("aten::convolution.out", *large, *options)
    rec.case("aten::convolution.out", large[0] >> 50, *large[1:], *options)
for dtype in (np.uint8, np.int8, np.int16, np.int32):
    x, weight = integers(1, 3, 5, 4, dtype=dtype), integers(3, 3, 3, 3, seed=1, dtype=dtype)
    rec.case("aten::convolution.out", x, weight, integers(3, seed=2, dtype=dtype), *PLAIN)
special = floats(1, 2, 4, 4)
special[0, 0, 1, 1], special[0, 1, 3, 3], special[0, 1, 0, 3] = np.nan, np.inf, -np.inf
rec.case("aten::convolution.out", special, floats(2, 2, 2, 2), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)
rec.save()
