"""ATen's advanced indexing, and the checks on index tensors that every indexing operator makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import check_shape, common_shape
from pteron.ops.promotion import BOOL, Array

_UINT8 = np.dtype(np.uint8)


def check_index(index: Array, what: str) -> None:
    """Refuse an index tensor that is neither int32 nor int64."""
    if index.dtype not in (np.int32, np.int64):
        raise KernelError(f"{what} takes int32 or int64 indices, not {index.dtype.name}")


def check_range(index: Array, size: int, *, low: int = 0) -> bool:
    """Refuse indices outside ``[low, size)``; True if any is negative."""
    if index.size == 0:
        return False
    smallest, largest = int(index.min()), int(index.max())
    if smallest < low or largest >= size:
        bad = smallest if smallest < low else largest
        raise KernelError(f"index {bad} is out of range for a dimension of {size}")
    return smallest < 0


def take(x: Array, index: Array, axis: int) -> Array:
    """``x`` along ``axis`` at indices known to be in ``[0, size)``; the index's dimensions replace the axis."""
    if x.flags.c_contiguous and x.size and index.ndim:
        # With mode "raise" NumPy would go through a buffer; take would copy all of a strided array.
        return np.take(x, index, axis, mode="clip")
    before: tuple[Any, ...] = (slice(None),) * axis
    picked: Array = x[(*before, index, ...)]
    return picked


@dataclass(frozen=True, slots=True)
class Address:
    """Where ``x[indices]`` lies.

    ``view`` is ``x`` with the indexed dimensions first, ``positions`` the index into those (wrapped and checked, unless
    the result has no elements), ``shape`` the one they broadcast to, and ``place`` the result's dimension where that
    shape goes: among the rest where the indices are adjacent, else in front.
    """

    view: Array
    dims: tuple[int, ...]
    positions: tuple[Array, ...]
    shape: tuple[int, ...]
    place: int

    @property
    def result_shape(self) -> tuple[int, ...]:
        rest = self.view.shape[len(self.dims) :]
        return (*rest[: self.place], *self.shape, *rest[self.place :])

    @property
    def key(self) -> tuple[Any, ...]:
        """What to index ``view`` with; the ellipsis makes a zero-dim result an array."""
        return (*self.positions, ...)

    def to_result(self, picked: Array) -> Array:
        """``picked``, whose index dimensions come first, with those where the result has them."""
        count = len(self.shape)
        end = count + self.place
        return picked.transpose([*range(count, end), *range(count), *range(end, picked.ndim)])

    def from_result(self, values: Array) -> Array:
        """The other way round."""
        count = len(self.shape)
        end = self.place + count
        return values.transpose([*range(self.place, end), *range(self.place), *range(end, values.ndim)])

    def linear(self) -> Array:
        """For each element of the index dimensions and then the rest, its place in a contiguous ``view``."""
        sizes = self.view.shape[: len(self.dims)]
        rest = int(np.prod(self.view.shape[len(self.dims) :], dtype=np.int64))
        lead = np.zeros(self.shape, np.int64)
        for position, size in zip(self.positions, sizes, strict=True):
            lead = lead * size + position
        return lead.reshape(-1, 1) * rest + np.arange(rest)


def address(x: Array, indices: Sequence[Array | None]) -> Address:
    """Resolve a list of index tensors: masks to positions, negative ones wrapped, all checked."""
    expanded = _expand(x, indices)
    dims = tuple(d for d, index in enumerate(expanded) if index is not None)
    found = [index for index in expanded if index is not None]
    shape = common_shape(*(index.shape for index in found))
    rest = [d for d in range(x.ndim) if d not in dims]
    place = dims[0] if dims and dims[-1] - dims[0] + 1 == len(dims) else 0
    where = Address(x.transpose([*dims, *rest]), dims, tuple(found), shape, place)
    if 0 in check_shape(where.result_shape):
        # ATen looks at no index then, but for indices into nothing.
        if 0 not in shape and any(x.shape[d] == 0 for d in dims):
            raise KernelError(f"an index is out of range for a tensor of shape {list(x.shape)}")
        return where
    return replace(where, positions=tuple(_wrap(index, x.shape[d]) for index, d in zip(found, dims, strict=True)))


def _expand(x: Array, indices: Sequence[Array | None]) -> list[Array | None]:
    expanded: list[Array | None] = []
    for index in indices:
        at = len(expanded)
        if index is None:
            expanded.append(None)
        elif index.dtype in (BOOL, _UINT8):
            if index.ndim == 0 or index.shape != x.shape[at : at + index.ndim]:
                raise KernelError(f"a mask of shape {list(index.shape)} does not match {list(x.shape)} at {at}")
            expanded.extend(index.nonzero())
        else:
            check_index(index, "indexing by anything but a mask")
            expanded.append(index)
    if len(expanded) > x.ndim:
        raise KernelError(f"{len(expanded)} indices are too many for a tensor of {x.ndim} dimensions")
    return expanded


def _wrap(index: Array, size: int) -> Array:
    return np.where(index < 0, index + size, index) if check_range(index, size, low=-size) else index
