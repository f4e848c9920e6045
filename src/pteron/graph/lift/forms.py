"""Forms: the same bytes of memory seen as tensors of other shapes and dim orders, in plain ATen operators."""

from __future__ import annotations

import math

from pteron.graph.build import Builder
from pteron.graph.ir import Operand, TensorType, Value


def same_bytes(a: TensorType, b: TensorType) -> bool:
    """Whether the elements of one static type lie in memory just as those of the other."""
    if a == b:
        return True
    if a.dynamic or b.dynamic or a.scalar_type != b.scalar_type or a.shape != b.shape:
        return False
    return _real_order(a) == _real_order(b)


def flat_form(builder: Builder, value: Value) -> Value:
    """A static tensor's elements in the order in which they lie in memory, as one dimension."""
    type = value.tensor_type
    order = _order(type)
    if _real_order(type) != sorted(_real_order(type)):
        stored = TensorType(type.scalar_type, tuple(type.shape[dim] for dim in order))
        value = builder.call("aten::permute_copy", {"self": value, "dims": list(order)}, stored)
    return builder.reshape(value, (math.prod(type.shape),))


def from_flat(builder: Builder, value: Value, type: TensorType) -> Value:
    """Static, contiguous or flat elements in memory order as a tensor of ``type``."""
    if not value.tensor_type.contiguous:
        value = flat_form(builder, value)
    order = _order(type)
    if _real_order(type) == sorted(_real_order(type)):
        return builder.reshape(value, type.shape)
    stored = builder.reshape(value, tuple(type.shape[dim] for dim in order))
    back: list[Operand] = [*sorted(range(type.rank), key=lambda dim: order[dim])]
    return builder.call("aten::permute_copy", {"self": stored, "dims": back}, type)


def _order(type: TensorType) -> tuple[int, ...]:
    return type.dim_order or tuple(range(type.rank))


def _real_order(type: TensorType) -> list[int]:
    """The dim order without dimensions of one element, which may stand anywhere."""
    return [dim for dim in _order(type) if type.shape[dim] != 1]
