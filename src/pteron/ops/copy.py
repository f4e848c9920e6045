"""Operators that copy a tensor, converting its elements where the dtype differs.

Memory formats are the out tensor's affair: the results here have the right elements in logical order.
"""

from __future__ import annotations

from pteron.ops.conversion import convert
from pteron.ops.dims import broadcast
from pteron.ops.promotion import Array, DType
from pteron.ops.registry import operator


@operator("aten::alias_copy(Tensor self) -> Tensor", out="out")
@operator("aten::detach_copy(Tensor self) -> Tensor", out="out")
@operator("aten::lift_fresh_copy(Tensor self) -> Tensor", out="out")
@operator("aten::clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor", out="out")
# Between host and device; here both are the same memory.
@operator("et_copy::_h2d_copy(Tensor self) -> Tensor", out="out")
@operator("et_copy::_d2h_copy(Tensor self) -> Tensor", out="out")
def same(self: Array) -> Array:
    return self


@operator(
    "aten::_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
    "bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    out="out",
)
def to_copy(self: Array, out_dtype: DType | None) -> Array:
    return convert(self, self.dtype if out_dtype is None else out_dtype)


@operator("aten::copy(Tensor self, Tensor src, bool non_blocking=False) -> Tensor", out="out")
def copy(self: Array, src: Array) -> Array:
    return broadcast(convert(src, self.dtype), self.shape, "source")


@operator("aten::copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)")
def copy_(self: Array, src: Array) -> Array:
    self[...] = copy(self, src)
    return self
