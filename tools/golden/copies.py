"""Cases of the operators that copy and convert. (A module named ``copy`` here would hide Python's own.)"""

import executorch.exir.passes._device_copy_ops_registry  # noqa: F401
import numpy as np
from layouts import BF16, DTYPES, F16, F32, F64, channels_last, sample
from recorder import Recorder

from pteron.format.scalar_type import from_dtype

rec = Recorder("copy")

image = channels_last(sample(2, 3, 2, 4))
for op in ("alias_copy", "detach_copy", "lift_fresh_copy", "clone"):
    for seed, dtype in enumerate((F32, *DTYPES)):
        rec.case(f"aten::{op}.out", sample(2, 3, dtype=dtype, seed=seed))
    for x in (sample(), np.zeros((0, 2), np.float32), image):
        rec.case(f"aten::{op}.out", x)
for op in ("_h2d_copy", "_d2h_copy"):
    for x in (sample(2, 3), sample(), sample(3, dtype=BF16), sample(3, dtype="int64"), np.zeros((0, 2), bool), image):
        rec.case(f"et_copy::{op}.out", x)

# Values that every target dtype can hold, or that its conversion from the source leaves defined.
exact = np.array([0.0, -0.0, 1.5, 2.5, 99.99, 0.25, 127.0])
for source in (F32, *DTYPES):
    for target in (F32, *DTYPES):
        x = exact.astype(source)
        rec.case("aten::_to_copy.out", x, dtype=int(from_dtype(target)), out_dtype=target)
        if source != target:
            rec.case("aten::copy.out", np.zeros(7, target), x)
rec.case("aten::_to_copy.out", np.array([-1.9, -0.5, -128, -1]), dtype=1, out_dtype=np.int8)
rec.case("aten::_to_copy.out", np.array([-1, 300, -300, 65537]), dtype=0, out_dtype=np.uint8)
rec.case("aten::_to_copy.out", np.array([2**40 + 5, -1, 2**31]), dtype=3, out_dtype=np.int32)
rec.case("aten::_to_copy.out", np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 5], F32), dtype=11, out_dtype=bool)
rec.case("aten::_to_copy.out", np.array([np.nan, np.inf, 1e39, -1e300, 65520, 65519, 1e-8]), dtype=5, out_dtype=F16)
rec.case(
    "aten::_to_copy.out", np.array([np.nan, -np.inf, 1e39, 3.4e38, 1.00390625, 1.01171875]), dtype=15, out_dtype=BF16
)
rec.case("aten::_to_copy.out", np.array([1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-11]), dtype=5, out_dtype=F16)
rec.case("aten::_to_copy.out", np.array([2**24 + 1, 2**53 + 1, -(2**63)]), dtype=6, out_dtype=F32)
rec.case("aten::_to_copy.out", sample(), dtype=4, out_dtype=np.int64)
rec.case("aten::_to_copy.out", np.zeros((0, 3), np.float32), dtype=4, out_dtype=np.int64)
rec.case("aten::_to_copy.out", image, dtype=5, out_dtype=F16, memory_format=None)
rec.case("aten::_to_copy.out", sample(2, 2), out_dtype=F32)

for x, source in [
    (sample(2, 3), sample(3, seed=1)),
    (sample(2, 3), sample(2, 1, seed=1)),
    (sample(2, 3), sample(seed=1)),
    (sample(), sample(seed=1)),
    (np.zeros((0, 3), np.float32), sample(1, 3)),
    (image, sample(3, 1, 1, seed=4)),
    (sample(2, 3, 2, 4, seed=6), image),
    (np.zeros(3, np.int32), np.array([1.9, -1.9, 2.0])),
    (np.zeros(3, BF16), sample(3)),
    (np.zeros((2, 2), bool), sample(2, 2, dtype=F64)),
]:
    rec.case("aten::copy.out", x, source)
    rec.case("aten::copy_", x, source)
rec.save()
