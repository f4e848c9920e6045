"""Golden cases of the normalisations."""

import ml_dtypes
import numpy as np
import torch
from recorder import Recorder

rec = Recorder("normalization")
rng = np.random.default_rng(4)
BF16 = ml_dtypes.bfloat16
NAN, INF = float("nan"), float("inf")
HALF = {"rtol": 2e-2, "atol": 5e-3}


def floats(*shape, dtype=np.float32):
    return np.asarray(rng.standard_normal(shape)).astype(dtype)


def positive(*shape, dtype=np.float32):
    return np.asarray(rng.uniform(0.5, 2, shape)).astype(dtype)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


image = channels_last(floats(2, 4, 3, 5))

for op in ("aten::_softmax.out", "aten::_log_softmax.out"):
    for dim in (0, 1, -1):
        rec.case(op, floats(2, 3, 4), dim, False)
    for dim in (1, 3):
        rec.case(op, image, dim, False)
    rec.case(op, floats(5, 4).T, -1, False)
    rec.case(op, np.array([[1, -INF, 2], [-INF, -INF, -INF], [1, INF, 2], [1, NAN, 2]], np.float32), 1, False)
    rec.case(op, np.array([1000, 1001, -1000], np.float32), 0, False)
    rec.case(op, floats(3, 9, dtype=np.float16), -1, False, **HALF)
    rec.case(op, floats(3, 9, dtype=BF16), 0, False, **HALF)
    rec.case(op, floats(3, 9, dtype=np.float64), -1, False)
    rec.case(op, floats(2, 0), 1, False)
    rec.case(op, floats(2, 0), 0, False)
    rec.case(op, floats(), -1, False)

norm = "aten::native_layer_norm.out"
rec.case(norm, floats(2, 3, 4), [4], floats(4), floats(4), 1e-5)
rec.case(norm, floats(2, 3, 4), [3, 4], None, None, 1e-5)
rec.case(norm, floats(2, 3, 4), [3, 4], floats(3, 4), None, 0.1)
rec.case(norm, floats(2, 3, 4), [2, 3, 4], None, floats(2, 3, 4), 1e-5)
rec.case(norm, floats(6), [6], floats(6), floats(6), 0.0)
rec.case(norm, image, [4, 3, 5], floats(4, 3, 5), None, 1e-5)
rec.case(norm, floats(5, 8).T, [5], floats(5), floats(5), 1e-5)
rec.case(norm, floats(2, 4) + np.float32(1000), [4], None, None, 1e-5, rtol=1e-3)
rec.case(norm, np.array([[1, NAN], [3, 3]], np.float32), [2], None, None, 1e-5)
rec.case(norm, floats(2, 16, dtype=np.float16), [16], floats(16, dtype=np.float16), None, 1e-5, **HALF)
rec.case(norm, floats(2, 16, dtype=BF16), [16], floats(16, dtype=BF16), floats(16, dtype=BF16), 1e-5, **HALF)
rec.case(norm, floats(2, 16, dtype=BF16), [16], floats(16), floats(16), 1e-5, **HALF)
rec.case(norm, floats(2, 4, dtype=np.float64), [4], floats(4, dtype=np.float64), None, 1e-5)
rec.case(norm, floats(2, 0), [0], None, None, 1e-5)
rec.case(norm, floats(0, 4), [4], floats(4), None, 1e-5)

norm = "aten::native_group_norm.out"
rec.case(norm, floats(2, 4, 3), floats(4), floats(4), 2, 4, 3, 2, 1e-5)
rec.case(norm, floats(2, 4, 3), None, None, 2, 4, 3, 1, 1e-5)
rec.case(norm, floats(2, 4, 3), floats(4), None, 2, 4, 3, 4, 0.1)
rec.case(norm, floats(2, 4), None, floats(4), 2, 4, 1, 2, 1e-5)
rec.case(norm, image, floats(4), floats(4), 2, 4, 15, 2, 1e-5)
rec.case(norm, floats(2, 4, 3, 2), floats(4), floats(4), 2, 4, 6, 2, 1e-5)
rec.case(norm, floats(2, 4, 9, dtype=np.float16), floats(4, dtype=np.float16), None, 2, 4, 9, 2, 1e-5, **HALF)
rec.case(norm, floats(2, 4, 9, dtype=BF16), floats(4), floats(4), 2, 4, 9, 2, 1e-5, **HALF)
rec.case(norm, floats(2, 4, 3, dtype=np.float64), None, None, 2, 4, 3, 2, 1e-5)
rec.case(norm, floats(0, 4, 3), floats(4), None, 0, 4, 3, 2, 1e-5)
rec.case(norm, floats(2, 4, 0), floats(4), None, 2, 4, 0, 2, 1e-5)

norm = "aten::_native_batch_norm_legit_no_training.out"
for x in (floats(2, 3, 4), floats(2, 3), channels_last(floats(2, 3, 4, 5)), floats(0, 3, 2), floats(1, 3, 2, 2, 2)):
    rec.case(norm, x, floats(3), floats(3), floats(3), positive(3), 0.1, 1e-5)
rec.case(norm, floats(2, 3, 4), None, None, floats(3), positive(3), 0.1, 1e-3)
rec.case(norm, floats(2, 3, 4), floats(3), None, floats(3), positive(3), 0.1, 1e-5)
rec.case(norm, floats(2, 3), None, floats(3), floats(3), np.array([0, -1, NAN], np.float32), 0.1, 1e-5)
for dtype in (np.float16, BF16):
    given = [f(3, dtype=dtype) for f in (floats, floats, floats, positive)]
    rec.case(norm, floats(2, 3, 4, dtype=dtype), *given, 0.1, 1e-5, **HALF)
    given = [f(3) for f in (floats, floats, floats, positive)]
    rec.case(norm, floats(2, 3, 4, dtype=dtype), *given, 0.1, 1e-5, **HALF)
given = [f(3, dtype=np.float64) for f in (floats, floats, floats, positive)]
rec.case(norm, floats(2, 3, 4, dtype=np.float64), *given, 0.1, 1e-5)

norm = "aten::_native_batch_norm_legit.no_stats_out"
for x in (floats(2, 3, 4), floats(3, 3), channels_last(floats(2, 3, 4, 5)), floats(1, 3, 2)):
    rec.case(norm, x, floats(3), floats(3), True, 0.1, 1e-5)
rec.case(norm, floats(2, 3, 4), None, None, True, 0.1, 1e-3)
rec.case(norm, floats(2, 3, 4, dtype=np.float16), None, None, True, 0.1, 1e-5, **HALF)
rec.case(norm, floats(2, 3, 4, dtype=BF16), floats(3), floats(3), True, 0.1, 1e-5, **HALF)
rec.case(norm, floats(2, 3, 4, dtype=np.float64), None, None, True, 0.1, 1e-5)


def with_running_statistics(x, weight, bias, mean, var, training, momentum, eps):
    """ATen changes the running statistics; the recorded ones must be those of before."""
    tensors = [None if a is None else torch.from_numpy(a.copy()) for a in (x, weight, bias, mean, var)]
    results = torch.ops.aten._native_batch_norm_legit(*tensors, training, momentum, eps)
    rec.case(
        "aten::_native_batch_norm_legit.out",
        *(x, weight, bias, mean, var, training, momentum, eps),
        expected=[r.contiguous().numpy() for r in results],
        source=f"torch {torch.__version__}",
        **(HALF if x.dtype == np.float16 else {}),
    )


for training in (True, False):
    with_running_statistics(floats(2, 3, 4), floats(3), floats(3), floats(3), positive(3), training, 0.1, 1e-5)
    with_running_statistics(floats(4, 3), None, None, floats(3), positive(3), training, 0.5, 1e-3)
    half = floats(2, 3, 4, dtype=np.float16)
    with_running_statistics(half, None, None, floats(3), positive(3), training, 0.1, 1e-5)
    with_running_statistics(floats(1, 3, 2, 2), None, floats(3), floats(3), positive(3), training, 0.1, 1e-5)

rec.save()
