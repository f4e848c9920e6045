"""Lowerings: sorting and searching."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pteron.ops.dims import wrap_dim
from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.comparison import truth
from pteron.ops.lowering.elementwise import INT32, finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, INT64, is_floating


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


@lowering("aten::sort")
def sort(b: Builder, self: Ref, dim: int, descending: bool, out: Sequence[Spec]) -> tuple[Ref, Ref]:
    """TopK of all elements, which has equal ones in their given order in both directions."""
    if self.dynamic or not self.rank or 0 in self.shape or isinstance(descending, Ref):
        raise Declined("a tensor of no dimensions or elements, or sizes that are not constants")
    axis = wrap_dim(dim, self.rank)
    count = b.ints([self.shape[axis]])

    def ordered(x: Ref) -> tuple[Ref, Ref]:
        values, order = b.ops("TopK", x, count, dtypes=[x.dtype, INT64], axis=axis, largest=int(descending), sorted=1)
        return values, order

    (x,) = operands(b, self, dtype=self.dtype)
    if not is_floating(self.dtype):
        values, order = ordered(x)
        return finish(b, values, self.dtype), order
    # NaN is greater than everything: sorted as infinity first, then by whether it is one.
    nan = b.op("IsNaN", x, dtype=BOOL)
    _, first = ordered(b.op("Where", nan, b.const(np.array(np.inf, x.dtype)), x, dtype=x.dtype))
    lost = b.op("GatherElements", b.cast(nan, INT32), first, dtype=INT32, axis=axis)
    _, second = ordered(lost)
    order = b.op("GatherElements", first, second, dtype=INT64, axis=axis)
    values = b.op("GatherElements", x, order, dtype=x.dtype, axis=axis)
    return finish(b, values, self.dtype), order


@lowering("aten::nonzero")
def nonzero(b: Builder, self: Ref, out: Sequence[Spec]) -> Ref:
    if not self.rank or not out[0].dynamic:
        raise Declined("a tensor of no dimensions, or a number of results that is declared")
    places = b.op("NonZero", truth(b, self), dtype=INT64)
    return b.op("Transpose", places, dtype=INT64, shape=out[0].shape, dynamic=True, perm=[1, 0])
