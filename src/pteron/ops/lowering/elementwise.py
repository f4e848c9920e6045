"""What the elementwise lowerings share: result dtypes as the kernels have them, and operands in a dtype to compute in.

ONNX Runtime computes in float32, float64, int32 and int64 everywhere; narrower integers go through int32, whose low
bits are theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pteron.ops.elementwise import result_dtype as kernel_result_dtype
from pteron.ops.lowering.builder import Builder, Ref, carrier, scalar_kind
from pteron.ops.lowering.registry import Declined
from pteron.ops.promotion import BOOL, FLOAT32, DType, compute_dtype

INT32 = np.dtype(np.int32)
Operand = Ref | int | float | bool

_NARROW = frozenset({"int8", "int16", "uint8"})


def result_dtype(*operands: Operand) -> DType:
    """The dtype of an elementwise result (:func:`pteron.ops.elementwise.result_dtype`)."""
    return kernel_result_dtype(*map(_sample, operands))


def _sample(operand: Operand) -> Any:
    """Something of the operand's dtype and rank without elements of its own."""
    if not isinstance(operand, Ref):
        return operand
    if operand.scalar:
        return scalar_kind(operand.dtype)(0)
    return np.empty((0,) if operand.rank else (), operand.dtype)


def work_dtype(dtype: DType) -> DType:
    """The dtype to compute results of ``dtype`` in; raises Declined where ONNX Runtime has none."""
    if dtype == BOOL or dtype.name in _NARROW:
        return INT32
    if dtype.kind == "u" or dtype.kind == "c":
        raise Declined(f"ONNX Runtime does not compute with {dtype.name}")
    return carrier(dtype)


def operands(b: Builder, *values: Operand, dtype: DType, round_scalars: bool = False) -> list[Ref]:
    """The operands converted to ``dtype``, in the dtype that it is computed in."""
    work = work_dtype(dtype)
    scalar_dtype = dtype if round_scalars else compute_dtype(dtype)
    made = []
    for value in values:
        if isinstance(value, Ref):
            made.append(widened(b, b.cast(value, scalar_dtype if value.scalar else dtype), work))
        else:
            with np.errstate(all="ignore"):
                array = np.array(value).astype(scalar_dtype)
            made.append(b.const(array.astype(work)))
    return made


def widened(b: Builder, x: Ref, work: DType) -> Ref:
    """``x`` in the dtype that it is computed in; the values stay the same."""
    return b.cast(x, work) if carrier(x.dtype) != work else as_work(x, work)


def as_work(x: Ref, work: DType) -> Ref:
    """``x`` seen as what it is carried as."""
    return x if x.dtype == work else Ref(x.name, work, x.shape, x.dynamic, x.scalar, x.data, x.producer)


def finish(b: Builder, result: Ref, dtype: DType) -> Ref:
    """A result of the work dtype as ``dtype``."""
    if carrier(dtype) == result.dtype:
        return b.round(result, dtype)
    return b.cast(result, dtype)


def floating(dtype: DType) -> DType:
    """The dtype that a floating function of ``dtype`` gives."""
    return FLOAT32 if dtype.kind in "iub" else dtype


def integral(dtype: DType) -> bool:
    return dtype.kind in "iu"
