"""Cases of the operators that copy into a dim order."""

import executorch.exir.passes.dim_order_ops_registry  # noqa: F401
import numpy as np
import torch
from layouts import BF16, DTYPES, F16, F32, F64, channels_last, sample
from recorder import Recorder

from pteron.format.scalar_type import from_dtype

rec = Recorder("dim_order")

NCHW, NHWC = [0, 1, 2, 3], [0, 2, 3, 1]
plain, image = sample(2, 3, 2, 4), channels_last(sample(2, 3, 2, 4))
for x in (plain, image):
    for order in (NCHW, NHWC, None):
        rec.case("dim_order_ops::_to_dim_order_copy.out", x, dim_order=order, out_dtype=F32)
        rec.case("dim_order_ops::_to_dim_order_copy.out", x, dtype=5, dim_order=order, out_dtype=F16)
        rec.case("dim_order_ops::_clone_dim_order.out", x, dim_order=order)
values = np.array([0.0, -0.0, 1.5, 99.99, 0.25])
for dtype in DTYPES:
    number = int(from_dtype(dtype))
    rec.case("dim_order_ops::_to_dim_order_copy.out", values, dtype=number, dim_order=[0], out_dtype=dtype)
    rec.case("dim_order_ops::_to_dim_order_copy.out", values.astype(dtype), dtype=6, dim_order=[0], out_dtype=F32)
    rec.case("dim_order_ops::_clone_dim_order.out", values.astype(dtype), dim_order=[0])
    empty = torch.ops.dim_order_ops._empty_dim_order([2], dim_order=[0], dtype=getattr(torch, dtype.name))
    zeros = np.zeros(tuple(empty.shape), dtype)
    rec.case(
        "dim_order_ops::_empty_dim_order.out", [2], dim_order=[0], out_dtype=dtype, expected=[zeros], source="zeros"
    )
for x, order in ((sample(), []), (np.zeros((0, 2), np.float32), [0, 1])):
    rec.case("dim_order_ops::_to_dim_order_copy.out", x, dtype=7, dim_order=order, out_dtype=F64)
    rec.case("dim_order_ops::_clone_dim_order.out", x, dim_order=order)
for size, order, dtype in [([2, 3], [0, 1], F32), ([], [], F64), ([0, 3], [0, 1], BF16), ([1, 3, 2, 2], NHWC, F16)]:
    empty = torch.ops.dim_order_ops._empty_dim_order(size, dim_order=order)
    zeros = np.zeros(tuple(empty.shape), dtype)
    rec.case(
        "dim_order_ops::_empty_dim_order.out", size, dim_order=order, out_dtype=dtype, expected=[zeros], source="zeros"
    )
rec.save()
