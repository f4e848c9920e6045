"""Lowerings: new tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pteron.ops import creation as kernels
from pteron.ops.creation import scalar_array
from pteron.ops.lowering.builder import Builder, Ref, Size, Spec, carrier
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import FLOAT64, INT64

_INLINE_RANGE = 1 << 16


def _filled(b: Builder, sizes: Sequence[Size], value: Any, spec: Spec) -> Ref:
    if isinstance(value, Ref):
        number = b.cast(value, spec.dtype)
    else:
        number = b.const(scalar_array(value, spec.dtype))
    return b.op("Expand", number, b.ints(sizes), dtype=spec.dtype, shape=spec.shape, dynamic=spec.dynamic)


@lowering("aten::full")
def full(b: Builder, size: Sequence[Size], fill_value: Any, out: Sequence[Spec]) -> Ref:
    return _filled(b, size, fill_value, out[0])


@lowering("aten::ones")
def ones(b: Builder, size: Sequence[Size], out: Sequence[Spec]) -> Ref:
    return _filled(b, size, 1, out[0])


@lowering("aten::zeros", "aten::empty.memory_format", "aten::empty_permuted", "dim_order_ops::_empty_dim_order")
def zeros(b: Builder, size: Sequence[Size], out: Sequence[Spec]) -> Ref:
    return _filled(b, size, 0, out[0])


def _like(b: Builder, self: Ref, value: Any, spec: Spec) -> Ref:
    if isinstance(value, Ref):
        number = b.cast(value, spec.dtype)
    else:
        number = b.const(scalar_array(value, spec.dtype))
    return b.op("Expand", number, b.dims(self), dtype=spec.dtype, shape=spec.shape, dynamic=spec.dynamic)


@lowering("aten::full_like")
def full_like(b: Builder, self: Ref, fill_value: Any, out: Sequence[Spec]) -> Ref:
    return _like(b, self, fill_value, out[0])


@lowering("aten::fill.Scalar")
def fill_scalar(b: Builder, self: Ref, value: Any, out: Sequence[Spec]) -> Ref:
    return _like(b, self, value, out[0])


@lowering("aten::fill.Tensor")
def fill_tensor(b: Builder, self: Ref, value: Ref, out: Sequence[Spec]) -> Ref:
    if value.rank:
        raise Declined("a value that has dimensions")
    return _like(b, self, value, out[0])


@lowering("aten::scalar_tensor")
def scalar_tensor(b: Builder, s: Any, out: Sequence[Spec]) -> Ref:
    return b.cast(s, out[0].dtype) if isinstance(s, Ref) else b.const(scalar_array(s, out[0].dtype))


@lowering("aten::arange")
def arange(b: Builder, end: Any, out: Sequence[Spec]) -> Ref:
    return arange_start(b, 0, end, 1, out)


@lowering("aten::arange.start_step")
def arange_start(b: Builder, start: Any, end: Any, step: Any, out: Sequence[Spec]) -> Ref:
    dtype = out[0].dtype
    given = (start, end, step)
    if not any(isinstance(v, Ref) for v in given):
        if not step or not abs((end - start) / step) <= _INLINE_RANGE:
            raise Declined("a range of many elements")
        values = kernels.arange_start(start, end, step, dtype)
        if values.size > _INLINE_RANGE:
            raise Declined("a range of many elements")
        return b.const(np.asarray(values, dtype))
    if any(isinstance(v, float) or (isinstance(v, Ref) and v.dtype == FLOAT64) for v in given):
        raise Declined("a range of floats whose bounds are not constants")
    bounds = [b.cast(v, INT64) if isinstance(v, Ref) else b.const(int(v), INT64) for v in given]
    carrier(dtype)
    return b.cast(b.op("Range", *bounds, dtype=INT64, dynamic=True), dtype)
