"""Tensor: a typed, resizable window on memory, as the runtime's TensorImpl is one.

Sizes may shrink within what the file declared (its upper bound), never change in rank; strides follow from sizes and
dim order; the data pointer may be replaced (inputs, ``et_view``) or dropped (``FreeCall``).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.errors import KernelError
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import TensorShapeDynamism
from pteron.ops.promotion import check_cast

Array = NDArray[Any]
Bytes = NDArray[np.uint8]


def strides_of(sizes: tuple[int, ...], dim_order: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in bytes of dense memory whose dimensions lie in ``dim_order``, outermost first."""
    strides = [itemsize] * len(sizes)
    step = itemsize
    for dim in reversed(dim_order):
        strides[dim] = step
        step *= max(sizes[dim], 1)
    return tuple(strides)


def dense_view(memory: Bytes, dtype: np.dtype[Any], sizes: tuple[int, ...], dim_order: tuple[int, ...]) -> Array:
    """The start of ``memory`` seen as an array of the sizes and dim order given; raises ``KernelError``."""
    try:
        view: Array = np.ndarray(sizes, dtype, memory, 0, strides_of(sizes, dim_order, dtype.itemsize))
    except ValueError:  # empty, with dimensions whose product is beyond 64 bits
        raise KernelError(f"sizes {list(sizes)} are beyond what an array can have") from None
    return view


_BLOCK = 32
_BLOCKED_BYTES = 1 << 15


def copy_into(target: Array, source: Array) -> None:
    """Copy elements, converting the dtype where it differs; transposed copies go block by block.

    NumPy walks a transposed source row by row of the target, which touches a cache line for every element; taking
    the target's fastest dimension in blocks reuses each line and halves the time for weight matrices.
    """
    if target.ndim > 1 and target.nbytes >= _BLOCKED_BYTES and target.flags.c_contiguous:
        length = target.shape[-1]
        if length > _BLOCK and source.strides[-1] >= 64:
            for start in range(0, length, _BLOCK):
                part = slice(start, start + _BLOCK)
                np.copyto(target[..., part], source[..., part], casting="unsafe")
            return
    np.copyto(target, source, casting="unsafe")


class Tensor:
    """One tensor of a running method.

    ``array`` is the NumPy view of its current data, or None while it has none; ``memory`` is the bytes behind it.
    """

    __slots__ = ("array", "bound", "capacity", "dim_order", "dtype", "dynamism", "memory", "scalar_type", "sizes")

    def __init__(
        self,
        scalar_type: ScalarType,
        sizes: tuple[int, ...],
        dim_order: tuple[int, ...],
        dynamism: TensorShapeDynamism = TensorShapeDynamism.STATIC,
    ) -> None:
        self.scalar_type = scalar_type
        self.dtype = scalar_type.dtype
        self.sizes = sizes
        self.bound = sizes
        self.capacity = math.prod(sizes)
        self.dim_order = dim_order
        self.dynamism = dynamism
        self.memory: Bytes | None = None
        self.array: Array | None = None

    @property
    def nbytes(self) -> int:
        """Bytes at the upper bound."""
        return self.capacity * self.dtype.itemsize

    def bind(self, memory: Bytes | None) -> None:
        """Take new memory as data, at the current sizes; None drops it."""
        self.memory = memory
        self._view()

    def resize(self, sizes: tuple[int, ...]) -> None:
        """Change the sizes within what the tensor allows; raises ``KernelError``."""
        if sizes == self.sizes:
            return
        if len(sizes) != len(self.sizes):
            raise KernelError(f"a result of shape {list(sizes)} does not fit a tensor of rank {len(self.sizes)}")
        if self.dynamism == TensorShapeDynamism.STATIC:
            raise KernelError(f"a result of shape {list(sizes)} does not fit a static tensor of {list(self.sizes)}")
        if self.dynamism == TensorShapeDynamism.DYNAMIC_BOUND and math.prod(sizes) > self.capacity:
            raise KernelError(f"a result of shape {list(sizes)} exceeds the upper bound {list(self.bound)}")
        self.sizes = sizes
        self._view()

    def store(self, result: Any) -> None:
        """Put a kernel's result here: resize, convert, copy; raises ``KernelError`` where that is not allowed."""
        result = np.asarray(result)
        if result.shape != self.sizes:
            self.resize(result.shape)
        if result.dtype != self.dtype:
            check_cast(result.dtype, self.dtype)
        if self.array is None:
            # Unbounded tensors, and results that exporters up to 0.3 left out of the memory plan.
            self.bind(np.zeros(max(result.size, self.capacity) * self.dtype.itemsize, np.uint8))
        assert self.array is not None
        copy_into(self.array, result)

    def alias(self, other: Tensor, sizes: tuple[int, ...]) -> None:
        """Share the data of another tensor under these sizes (``et_view``)."""
        self.resize(sizes)
        self.bind(other.memory)

    def _view(self) -> None:
        memory = self.memory
        if memory is None:
            self.array = None
            return
        if self.dynamism == TensorShapeDynamism.DYNAMIC_UNBOUND:
            needed = math.prod(self.sizes) * self.dtype.itemsize
            if needed > len(memory):
                self.memory = memory = np.zeros(needed, np.uint8)
        self.array = dense_view(memory, self.dtype, self.sizes, self.dim_order)
