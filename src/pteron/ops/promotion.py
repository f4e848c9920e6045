"""Type promotion, as c10 does it, over NumPy dtypes.

Source: c10's ``promoteTypes`` table (13 × 13), and ExecuTorch's ``promote_type_with_scalar``
(kernels/portable/cpu/scalar_utils.h). Half and bfloat16 arithmetic is done in float32 and rounded once at the end
(:func:`widen`).
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from pteron.errors import KernelError

Array = NDArray[Any]
DType = np.dtype[Any]
Scalar = int | float | bool

BFLOAT16: DType = np.dtype(ml_dtypes.bfloat16)
FLOAT16: DType = np.dtype(np.float16)
FLOAT32: DType = np.dtype(np.float32)
FLOAT64: DType = np.dtype(np.float64)
INT64: DType = np.dtype(np.int64)
BOOL: DType = np.dtype(np.bool_)


def is_floating(dtype: DType) -> bool:
    """Real floating point, bfloat16 and float8 included."""
    return dtype.kind == "f" or dtype == BFLOAT16 or dtype.name.startswith("float8")


def is_complex(dtype: DType) -> bool:
    return dtype.kind == "c"


def is_integral(dtype: DType, *, include_bool: bool = False) -> bool:
    return dtype.kind in "iu" or (include_bool and dtype.kind == "b")


def is_reduced(dtype: DType) -> bool:
    """Half or bfloat16: types whose arithmetic is done in float32."""
    return dtype in (FLOAT16, BFLOAT16)


@functools.cache
def _promote_two(a: DType, b: DType) -> DType:
    if a == b:
        return a
    if {a, b} == {FLOAT16, BFLOAT16}:
        return FLOAT32
    for x, y in ((a, b), (b, a)):
        if x.kind == "b":
            return y
        if is_floating(x) and is_integral(y):
            return x
        if x == BFLOAT16 and is_complex(y):
            return y
        if x == BFLOAT16 and is_floating(y):
            return y
        if is_complex(x) and not is_complex(y):
            return np.dtype(np.complex128) if y == FLOAT64 else x
    if a.name in ("uint16", "uint32", "uint64") or b.name in ("uint16", "uint32", "uint64"):
        raise KernelError(f"no type promotion is defined between {a.name} and {b.name}")
    return np.promote_types(a, b)


def promote(*dtypes: DType) -> DType:
    """The common dtype of tensors; raises KernelError for pairs that c10 refuses."""
    return functools.reduce(_promote_two, dtypes)


def promote_scalar(dtype: DType, scalar: Scalar) -> DType:
    """The common dtype of a tensor and a Python scalar."""
    if isinstance(scalar, bool) or is_complex(dtype):
        return dtype
    if isinstance(scalar, int):
        return INT64 if dtype == BOOL else dtype
    return dtype if is_floating(dtype) else FLOAT32


def float_dtype(dtype: DType) -> DType:
    """``dtype`` if it is floating or complex, else float32 (torch's default dtype)."""
    return dtype if is_floating(dtype) or is_complex(dtype) else FLOAT32


def compute_dtype(dtype: DType) -> DType:
    """The dtype in which arithmetic on ``dtype`` is done: float32 for half and bfloat16, else itself."""
    return FLOAT32 if is_reduced(dtype) else dtype


def widen(x: Array) -> Array:
    """``x`` in its compute dtype; not copied where that is its own."""
    return x.astype(FLOAT32) if is_reduced(x.dtype) else x


def cast(x: Array, dtype: DType) -> Array:
    """``x`` as ``dtype``; not copied where it is that already.

    Float to integer truncates towards zero, and out-of-range values wrap as C's conversion does on the usual targets.
    """
    if x.dtype == dtype:
        return x
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def check_cast(source: DType, target: DType, what: str = "result") -> None:
    """Refuse what c10's ``canCast`` refuses: complex to real, floating to integral, anything but bool to bool."""
    if (
        (is_complex(source) and not is_complex(target))
        or (is_floating(source) and is_integral(target, include_bool=True))
        or (source != BOOL and target == BOOL)
    ):
        raise KernelError(f"a {what} of {source.name} cannot be stored as {target.name}")
