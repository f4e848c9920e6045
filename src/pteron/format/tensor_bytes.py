"""The bytes of a tensor ⇄ a NumPy array, by sizes and dim order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.scalar_type import ScalarType


def layout_problem(
    scalar_type: ScalarType,
    sizes: Sequence[int] | None,
    dim_order: Sequence[int] | None,
    nbytes: int,
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """Why a tensor of that layout cannot be stored in ``nbytes`` bytes; empty where it can.

    ``dim_order`` lists dimensions from outermost to innermost.
    """
    if sizes is None or dim_order is None:
        return f"a tensor has no {'sizes' if sizes is None else 'dim_order'}"
    if len(sizes) > limits.max_rank:
        return f"a tensor has {len(sizes)} dimensions, more than Limits.max_rank = {limits.max_rank}"
    if any(size < 0 for size in sizes):
        return f"a tensor has a negative size: {list(sizes)}"
    if sorted(dim_order) != list(range(len(sizes))):
        return f"dim_order {list(dim_order)} is no permutation of {len(sizes)} dimensions"
    needed = math.prod(sizes) * scalar_type.itemsize
    if needed > nbytes:
        return f"{scalar_type.torch_name}{list(sizes)} takes {needed:,} bytes, there are {nbytes:,}"
    return ""


def tensor_array(
    data: memoryview, scalar_type: ScalarType, sizes: Sequence[int], dim_order: Sequence[int]
) -> np.ndarray[Any, np.dtype[Any]]:
    """A view of the bytes as an array of shape ``sizes`` with the strides of ``dim_order``.

    The layout must be one that :func:`layout_problem` accepts; bytes after the tensor are left out. The view is
    read-only where ``data`` is, and need not be aligned.
    """
    count = math.prod(sizes)
    flat = np.frombuffer(data[: count * scalar_type.itemsize], dtype=scalar_type.dtype)
    stored = flat.reshape([sizes[dim] for dim in dim_order])
    return stored.transpose(np.argsort(np.asarray(dim_order, dtype=np.intp)))


def dim_order_of(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The dim order whose packed strides the array has; the contiguous one for any other array.

    Dimensions of one element may stand anywhere, so ties go to the order of the dimensions.
    """
    contiguous = tuple(range(array.ndim))
    if array.flags.c_contiguous or array.size == 0:
        return contiguous
    order = tuple(sorted(contiguous, key=lambda dim: (-array.strides[dim], dim)))
    return order if array.transpose(order).flags.c_contiguous else contiguous


def array_bytes(array: np.ndarray[Any, Any], dim_order: Sequence[int]) -> memoryview:
    """The array's elements as bytes in the order that ``dim_order`` says; a view where they already lie so."""
    stored = np.ascontiguousarray(array.transpose(dim_order))
    return stored.reshape(-1).view(np.uint8).data
