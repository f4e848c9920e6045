"""New tensors: constants, ranges, and uninitialised ones (zeros here).

Sizes come from files that nobody vouches for. Constant tensors are therefore returned as one element broadcast to
the size, read-only, and take no memory until the caller stores them; ranges, which need memory, are capped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import check_shape
from pteron.ops.promotion import BOOL, FLOAT32, INT64, Array, DType, Scalar, cast, is_complex, is_floating
from pteron.ops.registry import operator
from pteron.ops.result_size import elements_allowed

# Elements of a tensor whose values are computed here, before its out tensor is looked at.
MAX_COMPUTED_ELEMENTS = 1 << 28

_OPTIONS = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"


def scalar_array(value: Scalar, dtype: DType) -> Array:
    """``value`` as a zero-dim array; refused where ``dtype`` cannot hold it, as c10's checked conversion does."""
    if dtype == BOOL or isinstance(value, bool):
        return np.asarray(bool(value) if dtype == BOOL else int(value)).astype(dtype)
    if is_floating(dtype) or is_complex(dtype):
        with np.errstate(over="ignore"):
            result = np.asarray(float(value)).astype(dtype)
        if math.isfinite(value) and not np.isfinite(result):
            raise KernelError(f"the value {value} does not fit {dtype.name}")
        return result
    limits = np.iinfo(dtype)
    # A negative value wraps in an unsigned type, as in c10.
    if not math.isfinite(value) or not min(limits.min, -limits.max) <= int(value) <= limits.max:
        raise KernelError(f"the value {value} does not fit {dtype.name}")
    return np.asarray(int(value) & int(limits.max) if limits.min == 0 else int(value)).astype(dtype)


def _filled(size: Sequence[int], value: Array) -> Array:
    return np.broadcast_to(value, check_shape(size))


def _default_dtype(*values: Scalar) -> DType:
    """The dtype that ATen infers from scalars."""
    if any(isinstance(value, float) for value in values):
        return FLOAT32
    return BOOL if all(isinstance(value, bool) for value in values) else INT64


@operator(f"aten::full(SymInt[] size, Scalar fill_value, *, {_OPTIONS}) -> Tensor", out="out")
def full(size: list[int], fill_value: Scalar, out_dtype: DType | None) -> Array:
    return _filled(size, scalar_array(fill_value, out_dtype or _default_dtype(fill_value)))


@operator(
    f"aten::full_like(Tensor self, Scalar fill_value, *, {_OPTIONS}, MemoryFormat? memory_format=None) -> Tensor",
    out="out",
)
def full_like(self: Array, fill_value: Scalar, out_dtype: DType | None) -> Array:
    return _filled(self.shape, scalar_array(fill_value, out_dtype or self.dtype))


@operator(f"aten::ones(SymInt[] size, *, {_OPTIONS}) -> Tensor", out="out")
def ones(size: list[int], out_dtype: DType | None) -> Array:
    return _filled(size, scalar_array(1, out_dtype or FLOAT32))


@operator(f"aten::zeros(SymInt[] size, *, {_OPTIONS}) -> Tensor", out="out")
def zeros(size: list[int], out_dtype: DType | None) -> Array:
    return _filled(size, scalar_array(0, out_dtype or FLOAT32))


@operator(
    f"aten::empty.memory_format(SymInt[] size, *, {_OPTIONS}, MemoryFormat? memory_format=None) -> Tensor", out="out"
)
def empty(size: list[int], out_dtype: DType | None) -> Array:
    return zeros(size, out_dtype)


@operator(f"aten::empty_permuted(SymInt[] size, int[] physical_layout, *, {_OPTIONS}) -> Tensor", out="out")
def empty_permuted(size: list[int], physical_layout: list[int], out_dtype: DType | None) -> Array:
    if sorted(physical_layout) != list(range(len(size))):
        raise KernelError(f"{physical_layout} is not an order of the dims of {size}")
    return zeros(size, out_dtype)


@operator(f"aten::scalar_tensor(Scalar s, *, {_OPTIONS}) -> Tensor", out="out")
def scalar_tensor(s: Scalar, out_dtype: DType | None) -> Array:
    return scalar_array(s, out_dtype or FLOAT32)


@operator("aten::fill.Scalar(Tensor self, Scalar value) -> Tensor", out="Scalar_out")
def fill_scalar(self: Array, value: Scalar) -> Array:
    return _filled(self.shape, scalar_array(value, self.dtype))


@operator("aten::fill.Tensor(Tensor self, Tensor value) -> Tensor", out="Tensor_out")
def fill_tensor(self: Array, value: Array) -> Array:
    if value.ndim:
        raise KernelError(f"fill takes a value of no dims, not shape {value.shape}")
    return _filled(self.shape, cast(value, self.dtype))


def _range_length(start: Scalar, end: Scalar, step: Scalar) -> int:
    if not (math.isfinite(start) and math.isfinite(end) and math.isfinite(step)):
        raise KernelError(f"a range from {start} to {end} in steps of {step} is not finite")
    if step == 0:
        raise KernelError("a range needs a step other than zero")
    if (end - start) * math.copysign(1, step) < 0:
        raise KernelError(f"a range from {start} to {end} does not go in steps of {step}")
    if all(isinstance(value, int) for value in (start, end, step)):
        length = int(-((start - end) // step))
    else:
        length = math.ceil((float(end) - float(start)) / float(step))
    allowed = elements_allowed(MAX_COMPUTED_ELEMENTS)
    if length > allowed:
        raise KernelError(f"a range of {length} elements is above the cap of {allowed}")
    return length


@operator(f"aten::arange.start_step(Scalar start, Scalar end, Scalar step=1, *, {_OPTIONS}) -> Tensor", out="start_out")
def arange_start(start: Scalar, end: Scalar, step: Scalar, out_dtype: DType | None) -> Array:
    # Never bool by itself: a range of bools is one of integers.
    dtype = out_dtype or _default_dtype(start, end, step, 0)
    if dtype == BOOL or is_complex(dtype):
        raise KernelError(f"a range cannot be {dtype.name}")
    length = _range_length(start, end, step)
    if not is_floating(dtype):
        # Integer results step in integers, fractions cut off; int64 also counts its elements so.
        start, end, step = int(start), int(end), int(step)
        if dtype == INT64:
            length = _range_length(start, end, step)
        values = np.arange(length, dtype=INT64) * step + start
    else:
        values = np.arange(length, dtype=np.float64) * float(step) + float(start)
    return cast(values, dtype)


@operator(f"aten::arange(Scalar end, *, {_OPTIONS}) -> Tensor", out="out")
def arange(end: Scalar, out_dtype: DType | None) -> Array:
    return arange_start(0, end, 1, out_dtype)
