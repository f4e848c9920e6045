"""Expression: writes nodes in the words of a decomposition, working out the types of results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.errors import UnsupportedError
from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.graph.build import Builder
from pteron.graph.ir import Operand, TensorType, Value, values_in


class Expression:
    """Appends nodes to a builder; every method gives the value of what it appended."""

    def __init__(self, builder: Builder, place: str) -> None:
        self.builder, self.place = builder, place

    def refuse(self, what: str) -> UnsupportedError:
        """The error to raise for a call that has no decomposition."""
        return UnsupportedError(f"{self.place}: {what}")

    def static(self, *values: Value) -> None:
        """Refuse tensors whose sizes may change at run time, where a decomposition needs to know them."""
        for value in values:
            if value.tensor_type.dynamic:
                raise self.refuse("the tensors' sizes change at run time, and the decomposition is for fixed ones")

    def call(
        self, op: str, operands: dict[str, Operand], shape: Sequence[int], dtype: ScalarType | None = None
    ) -> Value:
        """A call of any operator with one tensor result; the dtype is that of its first tensor by default."""
        tensors = [value for operand in operands.values() for value in values_in(operand) if value.is_tensor]
        dynamic = any(value.tensor_type.dynamic for value in tensors)
        chosen = tensors[0].tensor_type.scalar_type if dtype is None else dtype
        return self.builder.call(op, operands, TensorType(chosen, tuple(shape), dynamic))

    def unary(self, op: str, x: Value, dtype: ScalarType | None = None) -> Value:
        """An operator that works element by element on ``self``."""
        return self.call(op, {"self": x}, shape(x), dtype)

    def binary(self, op: str, x: Value, y: Value | int | float, dtype: ScalarType | None = None) -> Value:
        """``aten::add`` of two tensors, or of a tensor and a number; sizes are broadcast."""
        if isinstance(y, Value):
            sizes = np.broadcast_shapes(shape(x), shape(y))
            return self.call(f"{op}.Tensor", {"self": x, "other": y}, sizes, dtype)
        return self.call(f"{op}.Scalar", {"self": x, "other": y}, shape(x), dtype)

    def add(self, x: Value, y: Value | int | float) -> Value:
        return self.binary("aten::add", x, y)

    def sub(self, x: Value, y: Value | int | float) -> Value:
        return self.binary("aten::sub", x, y)

    def mul(self, x: Value, y: Value | int | float) -> Value:
        return self.binary("aten::mul", x, y)

    def compare(self, op: str, x: Value, y: Value | int | float) -> Value:
        """``aten::lt`` and its like."""
        return self.binary(op, x, y, ScalarType.BOOL)

    def where(self, condition: Value, x: Value, y: Value) -> Value:
        sizes = np.broadcast_shapes(shape(condition), shape(x), shape(y))
        operands: dict[str, Operand] = {"condition": condition, "self": x, "other": y}
        return self.call("aten::where.self", operands, sizes, x.tensor_type.scalar_type)

    def clamp(self, x: Value, low: float | None, high: float | None) -> Value:
        return self.call("aten::clamp", {"self": x, "min": low, "max": high}, shape(x))

    def limited(self, x: Value, low: int) -> Value:
        """Integers, none of them below ``low``."""
        return self.call("aten::clamp", {"self": x, "min": low, "max": None}, shape(x))

    def to(self, x: Value, dtype: ScalarType) -> Value:
        """The elements converted."""
        if x.tensor_type.scalar_type == dtype:
            return x
        return self.call("aten::_to_copy", {"self": x, "dtype": int(dtype)}, shape(x), dtype)

    def view(self, x: Value, sizes: Sequence[int]) -> Value:
        return self.call("aten::view_copy", {"self": x, "size": list(sizes)}, sizes)

    def permute(self, x: Value, dims: Sequence[int]) -> Value:
        return self.call("aten::permute_copy", {"self": x, "dims": list(dims)}, [shape(x)[d] for d in dims])

    def cat(self, parts: Sequence[Value], dim: int) -> Value:
        sizes = list(shape(parts[0]))
        sizes[dim] = sum(shape(part)[dim] for part in parts)
        return self.call("aten::cat", {"tensors": list(parts), "dim": dim}, sizes)

    def expand(self, x: Value, sizes: Sequence[int]) -> Value:
        """The elements repeated along dimensions of size 1, and along new ones in front."""
        if shape(x) == tuple(sizes):
            return x
        return self.call("aten::expand_copy", {"self": x, "size": list(sizes)}, sizes)

    def total(self, x: Value, dim: int) -> Value:
        """The sum along one dimension, which goes away; int64 for integers and bools."""
        axis = dim % len(shape(x))
        result = ScalarType.LONG if x.tensor_type.dtype.kind in "biu" else None
        operands: dict[str, Operand] = {"self": x, "dim": [dim], "keepdim": False, "dtype": None}
        sizes = [size for d, size in enumerate(shape(x)) if d != axis]
        return self.call("aten::sum.dim_IntList", operands, sizes, result)

    def put(self, flat: Value, places: Value, values: Value, *, accumulate: bool = False) -> Value:
        """A vector with other elements at some places, or with something added to them."""
        operands: dict[str, Operand] = {"self": flat, "indices": [places], "values": values, "accumulate": accumulate}
        return self.call("aten::index_put", operands, shape(flat))

    def take(self, x: Value, dim: int, indices: NDArray[Any]) -> Value:
        """Rows of a dimension, by constant indices."""
        sizes = list(shape(x))
        sizes[dim] = len(indices)
        operands: dict[str, Operand] = {"self": x, "dim": dim, "index": self.constant(indices.astype(np.int64))}
        return self.call("aten::index_select", operands, sizes)

    def at(self, flat: Value, index: Value) -> Value:
        """Elements (or rows) of the first dimension, by a tensor of indices."""
        sizes = (*shape(index), *shape(flat)[1:])
        return self.call("aten::index.Tensor", {"self": flat, "indices": [index]}, sizes)

    def matmul(self, x: Value, matrix: NDArray[Any]) -> Value:
        """The last dimension multiplied by a constant matrix."""
        *rows, columns = shape(x)
        weight = self.constant(matrix.astype(x.tensor_type.dtype))
        flat = self.view(x, [math.prod(rows), columns])
        product = self.call("aten::mm", {"self": flat, "mat2": weight}, [math.prod(rows), matrix.shape[1]])
        return self.view(product, [*rows, matrix.shape[1]])

    def constant(self, array: NDArray[Any]) -> Value:
        """An array as a constant."""
        data = np.ascontiguousarray(array).reshape(array.shape)
        data.flags.writeable = False
        return self.builder.graph.constant(data, TensorType(from_dtype(data.dtype), data.shape))


def shape(value: Value) -> tuple[int, ...]:
    """The upper bound of a tensor's sizes."""
    return value.tensor_type.shape
