"""The geometry of sliding windows: what convolution and pooling have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pteron.errors import KernelError
from pteron.ops.result_size import elements_allowed

# No result or padded input may have more elements: a file can ask for any padding, stride or scale.
MAX_ELEMENTS = 1 << 28


def check_volume(shape: Sequence[int], what: str = "result") -> None:
    """Refuse shapes with negative or absurd sizes before anything of that size is allocated."""
    if any(size < 0 for size in shape):
        raise KernelError(f"the {what} would have the shape {list(shape)}, which has a negative size")
    allowed = elements_allowed(MAX_ELEMENTS)
    if math.prod(shape) > allowed:
        raise KernelError(f"the {what} would have {math.prod(shape)} elements, more than the {allowed} allowed")


def per_dim(values: Sequence[int], rank: int, name: str, least: int) -> tuple[int, ...]:
    """``values`` for ``rank`` spatial dimensions; a single value stands for all of them."""
    if len(values) not in (1, rank):
        raise KernelError(f"{name} has {len(values)} values, but there are {rank} spatial dimensions")
    if any(value < least for value in values):
        raise KernelError(f"{name} is {list(values)}, but every value must be at least {least}")
    return tuple(values) if len(values) == rank else tuple(values) * rank


def extent(kernel: int, dilation: int) -> int:
    """How many input elements a dilated kernel spans."""
    return dilation * (kernel - 1) + 1


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False) -> int:
    """How many windows fit; with ``ceil_mode`` also one that starts inside the input or its left padding."""
    room = size + 2 * padding - extent(kernel, dilation)
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def tap_range(offset: int, stride: int, size: int, count: int) -> tuple[int, int]:
    """The range of windows ``i`` in ``[0, count)`` for which ``i * stride + offset`` lies in ``[0, size)``."""
    low = max(0, -(offset // stride))
    high = min(count, (size - 1 - offset) // stride + 1)
    return low, max(low, high)
