"""Lowerings: distances between rows, by their differences as the kernels take them."""

from __future__ import annotations

import math

import numpy as np

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, INT64, is_floating

# Differences held at a time; the kernels take one block of rows after the other.
_DIFFERENCES = 1 << 22


def _check(x: Ref, p: float, differences: int) -> None:
    if not is_floating(x.dtype) or isinstance(p, Ref) or not p >= 0:
        raise Declined("rows that are not floating, or a norm that is negative or no constant")
    if not 0 < differences <= _DIFFERENCES:
        raise Declined("no differences, or more than are held at a time")


def _norm(b: Builder, difference: Ref, p: float, *, ignore_nan: bool) -> Ref:
    """The p-norm over the last dimension."""
    dtype = difference.dtype

    def total(x: Ref) -> Ref:
        return b.op("ReduceSum", x, b.ints([-1]), dtype=dtype, keepdims=0)

    size = b.op("Abs", difference, dtype=dtype)
    if p == 0:
        # NaN counts as NaN, and every other difference as one.
        none = b.op("Equal", size, b.const(0, dtype), dtype=BOOL)
        count = b.op("Where", none, b.const(0, dtype), b.const(1, dtype), dtype=dtype)
        return total(b.op("Where", b.op("IsNaN", size, dtype=BOOL), size, count, dtype=dtype))
    if p == 1:
        return total(size)
    if p == 2:
        return b.op("Sqrt", total(b.op("Mul", size, size, dtype=dtype)), dtype=dtype)
    if math.isinf(p):
        nan = b.op("IsNaN", size, dtype=BOOL)
        known = b.op("Where", nan, b.const(0, dtype), size, dtype=dtype)
        largest = b.op("ReduceMax", known, b.ints([-1]), dtype=dtype, keepdims=0)
        if ignore_nan:
            return largest
        # A sum that is NaN where one of them is, and else nothing.
        lost = total(b.op("Where", nan, size, b.const(0, dtype), dtype=dtype))
        return b.op("Add", largest, lost, dtype=dtype)
    powers = total(b.op("Pow", size, b.const(p, dtype), dtype=dtype))
    return b.op("Pow", powers, b.const(1 / p, dtype), dtype=dtype)


@lowering("aten::_cdist_forward")
def cdist_forward(b: Builder, x1: Ref, x2: Ref, p: float, compute_mode: int | None) -> Ref:
    if x1.dynamic or x2.dynamic or min(x1.rank, x2.rank) < 2 or x1.dtype != x2.dtype or x1.shape[-1] != x2.shape[-1]:
        raise Declined("rows that do not fit, or of sizes that are not constants")
    if compute_mode not in (None, 0, 1, 2):
        raise Declined("a compute_mode that there is not")
    batch = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    _check(x1, p, math.prod((*batch, x1.shape[-2], x2.shape[-2], x1.shape[-1])))
    first, second = operands(b, x1, x2, dtype=x1.dtype)
    rows = b.op("Unsqueeze", first, b.ints([-2]), dtype=first.dtype)
    columns = b.op("Unsqueeze", second, b.ints([-3]), dtype=first.dtype)
    apart = b.op("Sub", rows, columns, dtype=first.dtype)
    return finish(b, _norm(b, apart, p, ignore_nan=True), x1.dtype)


@lowering("aten::_pdist_forward")
def pdist_forward(b: Builder, self: Ref, p: float) -> Ref:
    if self.dynamic or self.rank != 2:
        raise Declined("no matrix, or sizes that are not constants")
    rows, width = self.shape
    _check(self, p, rows * (rows - 1) // 2 * width)
    (x,) = operands(b, self, dtype=self.dtype)
    first, second = (b.gather(x, b.const(index, INT64), 0) for index in np.triu_indices(rows, 1))
    return finish(b, _norm(b, b.op("Sub", first, second, dtype=x.dtype), p, ignore_nan=False), self.dtype)
