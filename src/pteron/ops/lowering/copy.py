"""Lowerings: copies. Memory formats and dim orders are the boundary's affair, as for the kernels."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.registry import lowering


@lowering(
    "aten::alias_copy",
    "aten::detach_copy",
    "aten::lift_fresh_copy",
    "aten::clone",
    "et_copy::_h2d_copy",
    "et_copy::_d2h_copy",
    "dim_order_ops::_clone_dim_order",
)
def same(b: Builder, self: Ref) -> Ref:
    return self


@lowering("llama::fallback")
def fallback(b: Builder, input: Ref) -> Ref:
    return input


@lowering("aten::_to_copy", "dim_order_ops::_to_dim_order_copy")
def to_copy(b: Builder, self: Ref, out: Sequence[Spec]) -> Ref:
    return b.cast(self, out[0].dtype)


@lowering("aten::copy", "aten::copy_")
def copy(b: Builder, self: Ref, src: Ref, out: Sequence[Spec]) -> Ref:
    source = b.cast(src, self.dtype)
    if not (self.dynamic or src.dynamic) and source.shape == self.shape:
        return source
    return b.op("Expand", source, b.dims(self), dtype=self.dtype, shape=self.shape, dynamic=self.dynamic)
