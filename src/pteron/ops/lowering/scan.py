"""Lowerings: running sums."""

from __future__ import annotations

from pteron.ops.dims import wrap_dim
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.reduction import sum_dtype
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, INT64


@lowering("aten::cumsum")
def cumsum(b: Builder, self: Ref, dim: int, dtype: int | None) -> Ref:
    result = sum_dtype(self, dtype)
    if result == BOOL:
        raise Declined("a running sum of bool")
    (x,) = operands(b, self, dtype=result)
    if self.rank:
        x = b.op("CumSum", x, b.const(wrap_dim(dim, self.rank), INT64), dtype=x.dtype)
    return finish(b, x, result)
