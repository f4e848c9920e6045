"""What every elementwise operator shares: the dtype of its result and its operands in the dtype it computes in.

The result dtype is c10's ``result_type``: tensors with dimensions decide first, then zero-dim tensors, then Python
scalars; a lower rank counts only where it is of a higher category (bool, integer, floating, complex). ExecuTorch's
kernels promote zero-dim tensors like any other and cast to the out tensor, whose dtype is this one.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT64,
    Array,
    DType,
    Scalar,
    cast,
    compute_dtype,
    is_complex,
    is_floating,
    promote,
    widen,
)
from pteron.ops.result_size import elements_allowed

# A result that broadcasting makes larger than both operands and than this is refused before it is allocated.
MAX_BROADCAST_BYTES = 1 << 32


def result_dtype(*operands: Array | Scalar) -> DType:
    """The dtype of an elementwise result; raises KernelError for pairs that c10 refuses to promote."""
    first = operands[0]
    if isinstance(first, np.ndarray) and all(isinstance(x, np.ndarray) and x.dtype == first.dtype for x in operands):
        return check_dtype(first.dtype)
    ranks: list[DType | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, np.ndarray):
            rank, dtype = int(operand.ndim == 0), operand.dtype
        else:
            rank, dtype = 2, _scalar_dtype(operand)
        known = ranks[rank]
        ranks[rank] = dtype if known is None or known == dtype else promote(known, dtype)
    return check_dtype(_outrank(ranks[0], _outrank(ranks[1], ranks[2])) or BOOL)


def _scalar_dtype(scalar: Scalar) -> DType:
    if isinstance(scalar, bool):
        return BOOL
    return INT64 if isinstance(scalar, int) else FLOAT32


def _outrank(higher: DType | None, lower: DType | None) -> DType | None:
    if higher is None or lower is None or higher == lower:
        return higher or lower
    if is_complex(lower) and is_floating(higher):
        return np.dtype(np.complex128 if higher == FLOAT64 else np.complex64)
    if is_complex(higher) or is_floating(higher):
        return higher
    if higher == BOOL or is_floating(lower) or is_complex(lower):
        return promote(higher, lower)
    return higher


def check_dtype(
    dtype: DType,
    name: str = "",
    *,
    boolean: bool = True,
    integral: bool = True,
    real: bool = True,
    complex: bool = True,
) -> DType:
    """``dtype``, if the operator ``name`` takes it; raises KernelError for a category that is False, and for float8."""
    kind = _category(dtype)
    if (
        kind == "float8"
        or (kind == "boolean" and not boolean)
        or (kind == "integral" and not integral)
        or (kind == "real" and not real)
        or (kind == "complex" and not complex)
    ):
        raise KernelError(f"{name or 'an elementwise operator'} is not defined for {dtype.name}")
    return dtype


@functools.cache
def _category(dtype: DType) -> str:
    if dtype.name.startswith("float8"):
        return "float8"
    return {"b": "boolean", "i": "integral", "u": "integral", "c": "complex"}.get(dtype.kind, "real")


def operands(*values: Array | Scalar, dtype: DType, round_scalars: bool = False) -> list[Array]:
    """The operands in the compute dtype of ``dtype``; raises KernelError when their shapes do not broadcast.

    Scalars enter half and bfloat16 arithmetic as float32, or rounded to ``dtype`` first where ``round_scalars``.
    """
    check_broadcast(*values, itemsize=dtype.itemsize)
    scalar_dtype = dtype if round_scalars else compute_dtype(dtype)
    return [
        widen(cast(value, dtype) if isinstance(value, np.ndarray) else cast(np.array(value), scalar_dtype))
        for value in values
    ]


def check_broadcast(*values: Array | Scalar, itemsize: int = 1) -> None:
    """Raise KernelError when the shapes do not broadcast, or blow up to an absurd size."""
    shapes = {value.shape for value in values if isinstance(value, np.ndarray)}
    if len(shapes) < 2:
        return
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise KernelError(f"shapes {', '.join(map(str, sorted(shapes)))} do not broadcast together") from None
    size = itemsize
    for extent in shape:
        size *= extent
    if size > elements_allowed(MAX_BROADCAST_BYTES // itemsize) * itemsize and shape not in shapes:
        raise KernelError(f"shapes {', '.join(map(str, sorted(shapes)))} broadcast to {size} bytes")


def finish(result: Any, dtype: DType) -> Array:
    """A NumPy result (a scalar, for zero-dim operands) as an array of ``dtype``."""
    return cast(np.asarray(result), dtype)


@functools.cache
def _largest(dtype: DType) -> float:
    return float(np.nextafter(np.array(np.inf, dtype), np.array(0, dtype)))


def bound(value: Scalar, dtype: DType) -> Array:
    """A clamp's bound as a zero-dim array of ``dtype``; raises KernelError when it cannot be written so.

    ExecuTorch refuses integers out of range as well; eager PyTorch lets them wrap.
    """
    if is_floating(dtype):
        limit = _largest(dtype)
        fits = not math.isfinite(value) or -limit <= value <= limit
    else:
        limits = np.iinfo(dtype)
        fits = math.isfinite(value) and limits.min <= int(value) <= limits.max
    if not fits:
        raise KernelError(f"the bound {value} is out of the range of {dtype.name}")
    return np.array(value).astype(dtype)
