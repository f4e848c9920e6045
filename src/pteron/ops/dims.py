"""Rules about dimensions and shapes that every family shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import Array
from pteron.ops.result_size import elements_allowed

MAX_ELEMENTS = 1 << 31
"""Elements of one result: sizes come from files that nobody vouches for."""


def wrap_dim(dim: int, ndim: int) -> int:
    """``dim`` counted from the front; a zero-dim tensor has the dims -1 and 0, as in ATen."""
    count = max(ndim, 1)
    if not -count <= dim < count:
        raise KernelError(f"dimension {dim} is out of range for a tensor of {ndim} dimensions")
    return dim % count


def wrap_dims(dims: Iterable[int], ndim: int) -> list[int]:
    """Every one of ``dims`` counted from the front, none of them twice."""
    wrapped = [wrap_dim(dim, ndim) for dim in dims]
    if len(set(wrapped)) != len(wrapped):
        raise KernelError(f"the dimensions {wrapped} name one of them twice")
    return wrapped


def require_dims(x: Array, what: str) -> None:
    """Refuse a zero-dim tensor."""
    if x.ndim == 0:
        raise KernelError(f"{what} needs a tensor of at least one dimension")


def check_shape(size: Sequence[int]) -> tuple[int, ...]:
    """``size`` as a shape; negative sizes and absurd numbers of elements are refused."""
    if min(size, default=0) < 0:
        raise KernelError(f"the shape {list(size)} has a negative size")
    allowed = elements_allowed(MAX_ELEMENTS)
    if math.prod(size) > allowed:
        raise KernelError(f"the shape {list(size)} has more than {allowed} elements")
    return tuple(size)


def broadcast(x: Array, shape: Sequence[int], what: str = "tensor") -> Array:
    """``x`` as a read-only view of ``shape``; refused where its shape does not broadcast to it."""
    target = check_shape(shape)
    extra = len(target) - x.ndim
    if extra < 0 or any(s not in (1, t) for s, t in zip(x.shape, target[extra:], strict=True)):
        raise KernelError(f"a {what} of shape {list(x.shape)} does not broadcast to {list(target)}")
    return np.broadcast_to(x, target)


def common_shape(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that all of ``shapes`` broadcast to."""
    try:
        return check_shape(np.broadcast_shapes(*map(tuple, shapes)))
    except ValueError:
        raise KernelError(f"the shapes {[list(s) for s in shapes]} do not broadcast together") from None
