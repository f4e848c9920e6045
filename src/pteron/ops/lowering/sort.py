"""Lowerings: sorting and searching."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.comparison import truth
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import INT64, is_floating


@lowering("aten::topk")
def topk(
    b: Builder, self: Ref, k: int, dim: int, largest: bool, sorted: bool, out: Sequence[Spec]
) -> tuple[Ref, Ref | None]:
    if out[1].used or is_floating(self.dtype):
        raise Declined("the order of equal elements and of NaN is the runtime's own")
    if not self.rank:
        raise Declined("a tensor of no dimensions")
    (x,) = operands(b, self, dtype=self.dtype)
    values, _ = b.ops("TopK", x, b.ints([k]), dtypes=[x.dtype, INT64], axis=dim, largest=int(largest), sorted=1)
    return finish(b, values, self.dtype), None


@lowering("aten::nonzero")
def nonzero(b: Builder, self: Ref, out: Sequence[Spec]) -> Ref:
    if not self.rank or not out[0].dynamic:
        raise Declined("a tensor of no dimensions, or a number of results that is declared")
    places = b.op("NonZero", truth(b, self), dtype=INT64)
    return b.op("Transpose", places, dtype=INT64, shape=out[0].shape, dynamic=True, perm=[1, 0])
