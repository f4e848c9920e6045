"""Lowerings: embedding."""

from __future__ import annotations

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.registry import Declined, lowering


@lowering("aten::embedding")
def embedding(b: Builder, weight: Ref, indices: Ref) -> Ref:
    if weight.rank != 2 or indices.dtype.name not in ("int32", "int64"):
        raise Declined("no table, or no indices")
    return b.gather(weight, indices, 0)
