"""Sorting and searching: sort, topk, bucketize, nonzero.

NaN counts as the greatest value. Sorting is stable in both directions; of equal elements topk picks those that the
runtime's C++ library picks (:mod:`pteron.ops.selection`).
"""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import wrap_dim
from pteron.ops.promotion import BOOL, INT64, Array, is_complex, widen
from pteron.ops.registry import operator
from pteron.ops.selection import pick

# Rows longer than this get equal elements in their given order; following the library is a loop in Python.
_MAX_SETTLED = 1 << 16


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Indices that sort ``x``, equal elements in their given order."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Back to front twice: once to have equal elements in their given order, once for the direction.
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(backwards, axis))


def _comparable(x: Array) -> Array:
    if is_complex(x.dtype):
        raise KernelError(f"{x.dtype.name} cannot be sorted, it has no order")
    return widen(np.atleast_1d(x))


def _pick(self: Array, order: Array, axis: int) -> tuple[Array, Array]:
    """The elements at ``order`` and their indices; zero-dim for a zero-dim tensor."""
    order = order.astype(INT64, copy=False)
    values = np.take_along_axis(np.atleast_1d(self), order, axis)
    return (values, order) if self.ndim else (values.reshape(()), order.reshape(()))


@operator("aten::sort(Tensor self, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)", out="values")
def sort(self: Array, dim: int, descending: bool) -> tuple[Array, Array]:
    axis = wrap_dim(dim, self.ndim)
    return _pick(self, _order(_comparable(self), axis, descending), axis)


@operator(
    "aten::topk(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True)"
    " -> (Tensor values, Tensor indices)",
    out="values",
)
def topk(self: Array, k: int, dim: int, largest: bool, sorted: bool) -> tuple[Array, Array]:
    axis = wrap_dim(dim, self.ndim)
    if self.dtype == BOOL:
        raise KernelError("topk is not defined for bool")
    x = _comparable(self)
    length = x.shape[axis]
    if not 0 <= k <= length:
        raise KernelError(f"topk of {k} elements from a dim of {length}")
    if not self.ndim:
        k = 1
    rows = np.moveaxis(x, axis, -1)
    order = _greatest(rows, k) if largest else _order(rows, -1, False)[..., :k]
    if k:
        _settle(rows, order, largest, sorted)
    return _pick(self, np.moveaxis(order, -1, axis), axis)


def _greatest(rows: Array, k: int) -> Array:
    """Indices of the ``k`` greatest elements of each row, greatest first."""
    length = rows.shape[-1]
    if not 0 < 4 * k < length:
        return _order(rows, -1, True)[..., :k]
    candidates = np.sort(np.argpartition(rows, length - k, axis=-1)[..., length - k :], axis=-1)
    return np.take_along_axis(candidates, _order(np.take_along_axis(rows, candidates, -1), -1, True), -1)


def _settle(rows: Array, order: Array, largest: bool, ordered: bool) -> None:
    """Replace the indices of rows whose answer is open (equal elements, or no order asked for) by the library's."""
    k, length = order.shape[-1], rows.shape[-1]
    if length > _MAX_SETTLED:
        return
    found = np.take_along_axis(rows, order, -1)
    last = found[..., -1:]
    same = (rows == last) | (np.isnan(rows) & np.isnan(last))
    open_rows = same.sum(-1) > 1
    if k > 1:
        pairs = (found[..., 1:] == found[..., :-1]) | (np.isnan(found[..., 1:]) & np.isnan(found[..., :-1]))
        open_rows |= pairs.any(-1)
    if not ordered and 64 * k > length:
        open_rows[...] = True
    for place in map(tuple, np.argwhere(open_rows)):
        keys = np.unique(rows[place], return_inverse=True)[1].reshape(-1)
        order[place] = pick((-keys if largest else keys).tolist(), k, ordered)


@operator(
    "aten::bucketize.Tensor(Tensor self, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
    out="Tensor_out",
)
def bucketize(self: Array, boundaries: Array, out_int32: bool, right: bool) -> Array:
    if boundaries.ndim != 1:
        raise KernelError(f"bucket boundaries must have one dim, not shape {boundaries.shape}")
    if is_complex(self.dtype) or is_complex(boundaries.dtype):
        raise KernelError("complex numbers have no order to put them into buckets by")
    buckets = np.searchsorted(widen(boundaries), widen(self), side="right" if right else "left")
    return np.asarray(buckets).astype(np.int32 if out_int32 else np.int64, copy=False)


@operator("aten::nonzero(Tensor self) -> Tensor", out="out")
def nonzero(self: Array) -> Array:
    return np.argwhere(widen(self)).astype(INT64, copy=False)
