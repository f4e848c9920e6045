"""Operators that pad a tensor; a negative pad crops. Pads are listed from the last dimension, before and after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.conversion import fill_value
from pteron.ops.dims import check_shape
from pteron.ops.indexing import take
from pteron.ops.promotion import Array, Scalar
from pteron.ops.registry import operator


@operator("aten::constant_pad_nd(Tensor self, SymInt[] pad, Scalar value=0) -> Tensor", out="out")
def constant_pad_nd(self: Array, pad: list[int], value: Scalar) -> Array:
    if len(pad) % 2 or len(pad) > 2 * self.ndim:
        raise KernelError(f"{len(pad)} pads do not go with {self.ndim} dimensions")
    padded = len(pad) // 2
    pads = [(0, 0)] * (self.ndim - padded) + [(pad[2 * i], pad[2 * i + 1]) for i in reversed(range(padded))]
    kept: tuple[Any, ...] = tuple(
        slice(max(-before, 0), size + min(after, 0)) for size, (before, after) in zip(self.shape, pads, strict=True)
    )
    if any(part.start > part.stop for part in kept):
        raise KernelError(f"the pads {pad} crop more than the shape {list(self.shape)} has")
    inner = self[(*kept, ...)]
    if max(pad, default=0) <= 0:
        return inner
    shape = [n + max(before, 0) + max(after, 0) for n, (before, after) in zip(inner.shape, pads, strict=True)]
    result = np.full(check_shape(shape), fill_value(value, self.dtype), self.dtype)
    result[tuple(slice(max(b, 0), max(b, 0) + n) for n, (b, _) in zip(inner.shape, pads, strict=True))] = inner
    return result


def _reflected(at: Array, size: int) -> Array:
    """Positions mirrored at both borders, which are not repeated."""
    mirrored: Array = (size - 1) - np.abs((size - 1) - np.abs(at))
    return mirrored


def _replicated(at: Array, size: int) -> Array:
    """Positions moved to the border that they lie beyond."""
    return np.clip(at, 0, size - 1)


def _by_position(spatial: int, source: Callable[[Array, int], Array], reflects: bool) -> Callable[..., Array]:
    """A kernel that pads the last ``spatial`` dimensions with elements of the tensor itself."""

    def pad(self: Array, padding: list[int]) -> Array:
        first = self.ndim - spatial
        if len(padding) != 2 * spatial or first not in (1, 2) or 0 in self.shape[first - 1 :]:
            raise KernelError(
                f"{len(padding)} pads on a tensor of shape {list(self.shape)}: {2 * spatial} are needed, and "
                f"{spatial + 1} or {spatial + 2} dimensions of which only the batch may be empty"
            )
        shape = list(self.shape)
        for axis in range(first, self.ndim):
            before, after = padding[2 * (self.ndim - 1 - axis) :][:2]
            if reflects and max(before, after) >= self.shape[axis]:
                raise KernelError(f"pads {before} and {after} must be less than the dimension's {self.shape[axis]}")
            shape[axis] += before + after
            if shape[axis] < 1:
                raise KernelError(f"pads {before} and {after} leave nothing of a dimension of {self.shape[axis]}")
        check_shape(shape)
        result = self
        for axis in range(first, self.ndim):
            before = padding[2 * (self.ndim - 1 - axis)]
            if shape[axis] != self.shape[axis] or before:
                at = np.arange(-before, shape[axis] - before)
                result = take(result, source(at, self.shape[axis]), axis)
        return result

    return pad


for _n in (1, 2, 3):
    for _name, _source in (("reflection", _reflected), ("replication", _replicated)):
        operator(f"aten::{_name}_pad{_n}d(Tensor self, SymInt[{2 * _n}] padding) -> Tensor", out="out")(
            _by_position(_n, _source, _name == "reflection")
        )
