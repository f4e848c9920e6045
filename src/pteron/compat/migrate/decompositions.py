"""Operators in terms of others that older releases have: elementwise ones, reductions, order.

A decomposition takes the expression to write to and the operands by the schema's names, and gives the results. It
raises ``UnsupportedError`` for calls that it does not cover.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pteron.compat.migrate.expression import Expression, shape
from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import Operand, Value

Decomposition = Callable[..., Sequence[Value]]
DECOMPOSITIONS: dict[str, Decomposition] = {}
"""By the functional operator's name."""

INTEGERS = frozenset("iub")


def decomposition(*names: str) -> Callable[[Decomposition], Decomposition]:
    """Register the decorated function for functional operators of these names."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS.update(dict.fromkeys(names, function))
        return function

    return register


def need_float(e: Expression, x: Value) -> None:
    """Refuse integers."""
    if x.tensor_type.dtype.kind in INTEGERS:
        raise e.refuse("the decomposition is for floating point")


@decomposition("aten::elu")
def elu(e: Expression, self: Value, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> list[Value]:
    inner = e.mul(self, float(input_scale)) if input_scale != 1 else self
    negative = e.mul(e.unary("aten::expm1", inner), float(alpha) * float(scale))
    positive = e.mul(self, float(scale)) if scale != 1 else self
    return [e.where(e.compare("aten::gt", self, 0), positive, negative)]


@decomposition("aten::max")
def max_all(e: Expression, self: Value) -> list[Value]:
    return [e.call("aten::amax", {"self": self, "dim": [], "keepdim": False}, ())]


@decomposition("aten::min")
def min_all(e: Expression, self: Value) -> list[Value]:
    return [e.call("aten::amin", {"self": self, "dim": [], "keepdim": False}, ())]


def reduced(sizes: Sequence[int], dim: Sequence[int] | None, keepdim: bool) -> tuple[int, ...]:
    """The sizes after a reduction over ``dim`` (None or none: all)."""
    dims = {d % len(sizes) for d in dim} if dim and sizes else set(range(len(sizes)))
    if keepdim:
        return tuple(1 if d in dims else size for d, size in enumerate(sizes))
    return tuple(size for d, size in enumerate(sizes) if d not in dims)


@decomposition("aten::mean")
def mean_all(e: Expression, self: Value, dtype: int | None = None) -> list[Value]:
    result = ScalarType(dtype) if dtype is not None else self.tensor_type.scalar_type
    operands: dict[str, Any] = {"self": self, "dim": [], "keepdim": False, "dtype": dtype}
    return [e.call("aten::mean.dim", operands, (), result)]


@decomposition("aten::var_mean.correction")
def var_mean(
    e: Expression, self: Value, dim: Any = None, correction: float | None = None, keepdim: bool = False
) -> list[Value]:
    dims = [dim] if isinstance(dim, int) else dim
    sizes = reduced(shape(self), dims, keepdim)
    operands: dict[str, Any] = {"self": self, "dim": dims, "keepdim": keepdim}
    variance = e.call("aten::var.correction", {**operands, "correction": correction}, sizes)
    return [variance, e.call("aten::mean.dim", {**operands, "dtype": None}, sizes)]


@decomposition("aten::linalg_vector_norm")
def vector_norm(
    e: Expression, self: Value, ord: float = 2, dim: Any = None, keepdim: bool = False, dtype: int | None = None
) -> list[Value]:
    need_float(e, self)
    x = e.to(self, ScalarType(dtype)) if dtype is not None else self
    dims = [dim] if isinstance(dim, int) else dim or list(range(len(shape(x))))
    sizes = reduced(shape(x), dims, keepdim)
    operands: dict[str, Any] = {"dim": dims, "keepdim": keepdim}
    if math.isinf(ord):
        op = "aten::amax" if ord > 0 else "aten::amin"
        return [e.call(op, {"self": e.unary("aten::abs", x), **operands}, sizes)]
    if ord not in (1, 2):
        raise e.refuse(f"a norm of order {ord} has no decomposition")
    powers = e.mul(x, x) if ord == 2 else e.unary("aten::abs", x)
    total = e.call("aten::sum.dim_IntList", {"self": powers, **operands, "dtype": None}, sizes)
    return [e.unary("aten::sqrt", total) if ord == 2 else total]


@decomposition("aten::linear")
def linear(e: Expression, input: Value, weight: Value, bias: Value | None = None) -> list[Value]:
    columns, rows = shape(weight)
    turned = e.call("aten::t_copy", {"self": weight}, (rows, columns))
    sizes = shape(input)
    flat = input
    if len(sizes) != 2:
        flat = e.call("aten::view_copy", {"self": input, "size": [-1, rows]}, (math.prod(sizes[:-1]), rows))
    result = (math.prod(sizes[:-1]), columns)
    if bias is None:
        product = e.call("aten::mm", {"self": flat, "mat2": turned}, result)
    else:
        product = e.call("aten::addmm", {"self": bias, "mat1": flat, "mat2": turned}, result)
    if len(sizes) == 2:
        return [product]
    wanted: list[Operand] = [*sizes[:-1], columns]
    if input.tensor_type.dynamic:
        wanted[:-1] = [
            e.builder.call("aten::sym_size.int", {"self": input, "dim": dim}, "int") for dim in range(len(sizes) - 1)
        ]
    return [e.call("aten::view_copy", {"self": product, "size": wanted}, (*sizes[:-1], columns))]


@decomposition("aten::bitwise_left_shift.Tensor", "aten::bitwise_right_shift.Tensor")
def shift(e: Expression, self: Value, other: Value, *, op: str) -> list[Value]:
    # Integer powers of two go through float64 in the kernels, which holds each of them exactly.
    two = e.constant(np.asarray(2, self.tensor_type.dtype))
    sizes = np.broadcast_shapes(shape(self), shape(other))
    power = e.call("aten::pow.Tensor_Tensor", {"self": two, "exponent": other}, shape(other))
    if "left" in op:
        return [e.mul(self, power)]
    return [e.call("aten::floor_divide", {"self": self, "other": power}, sizes)]


@decomposition("aten::bucketize.Tensor")
def bucketize(
    e: Expression, self: Value, boundaries: Value, out_int32: bool = False, right: bool = False
) -> list[Value]:
    e.static(self, boundaries)
    # Optimized comparisons of 0.5 and 0.6 do not broadcast.
    sizes = (*shape(self), *shape(boundaries))
    column, row = e.expand(e.view(self, [*shape(self), 1]), sizes), e.expand(boundaries, sizes)
    # How many boundaries lie below; NaN is above all, so the others are counted and taken away.
    above = e.compare("aten::lt" if right else "aten::le", column, row)
    below = e.unary("aten::logical_not", above, ScalarType.BOOL)
    count = e.total(e.to(below, ScalarType.LONG), -1)
    return [e.to(count, ScalarType.INT if out_int32 else ScalarType.LONG)]


@decomposition("aten::sort")
def sort(e: Expression, self: Value, dim: int = -1, descending: bool = False) -> list[Value]:
    if not shape(self):
        raise e.refuse("sort of a tensor without dimensions has no decomposition")
    e.static(self)
    size = shape(self)[dim]
    return e.builder.node(
        "aten::topk",
        {"self": self, "k": size, "dim": dim, "largest": descending, "sorted": True},
        [self.tensor_type, type(self.tensor_type)(ScalarType.LONG, shape(self))],
    )


@decomposition("aten::topk")
def topk(e: Expression, self: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[Value]:
    """The largest element, k times over, each struck out with what is less than all."""
    need_float(e, self)
    e.static(self)
    if not shape(self) or not 0 < k <= 64:
        raise e.refuse(f"topk of {k} elements has no decomposition")
    axis = dim % len(shape(self))
    sizes = tuple(1 if d == axis else n for d, n in enumerate(shape(self)))
    numbers = np.arange(shape(self)[axis]).reshape([-1 if d == axis else 1 for d in range(len(shape(self)))])
    positions = e.constant(numbers.astype(np.int64))
    out = e.constant(np.asarray(-np.inf if largest else np.inf, self.tensor_type.dtype))
    values, indices, left = [], [], self
    for number in range(k):
        value, index = e.builder.node(
            "aten::max.dim" if largest else "aten::min.dim",
            {"self": left, "dim": axis, "keepdim": True},
            [
                type(self.tensor_type)(self.tensor_type.scalar_type, sizes),
                type(self.tensor_type)(ScalarType.LONG, sizes),
            ],
        )
        values.append(value)
        indices.append(index)
        if number + 1 < k:
            struck = e.compare("aten::eq", positions, index)
            left = e.where(struck, out, left)
    return [e.cat(values, axis), e.cat(indices, axis)]


@decomposition("aten::_conj_physical")
def conj_physical(e: Expression, self: Value) -> list[Value]:
    if self.tensor_type.dtype.kind == "c":
        raise e.refuse("complex conjugation has no decomposition")
    return [e.call("aten::clone", {"self": self}, shape(self))]


@decomposition("aten::add.Scalar")
def add_scalar(
    e: Expression, self: Value, other: float | int | bool, alpha: float | int = 1, *, result: ScalarType
) -> list[Value]:
    """The tensor converted to the result's type first, as kernels that do not convert take it."""
    if self.tensor_type.scalar_type == result:
        raise e.refuse("a sum that keeps its element type has no decomposition")
    number = other * alpha
    return [e.add(e.to(self, result), int(number) if result.dtype.kind in INTEGERS else float(number))]


@decomposition("aten::cumsum")
def cumsum(e: Expression, self: Value, *, result: ScalarType) -> list[Value]:
    """Of a tensor without dimensions: the one element."""
    if shape(self):
        raise e.refuse("cumsum along a dimension has no decomposition")
    return [e.call("aten::clone", {"self": e.to(self, result)}, ())]


@decomposition("aten::native_dropout")
def native_dropout(e: Expression, input: Value, p: float, train: bool | None = None) -> list[Value]:
    if train and p:
        raise e.refuse("dropout while training is random and has no decomposition")
    ones = e.constant(np.ones(shape(input), np.bool_))
    e.static(input)
    return [e.call("aten::clone", {"self": input}, shape(input)), e.call("aten::clone", {"self": ones}, shape(input))]


@decomposition("aten::empty_permuted")
def empty_permuted(
    e: Expression, size: Sequence[int], physical_layout: Sequence[int], *, dtype: ScalarType
) -> list[Value]:
    # What it holds is not defined, so zeros will do; the memory order is that of the tensor that takes them.
    return [e.call("aten::full", {"size": list(size), "fill_value": 0}, list(size), dtype)]


@decomposition("quantized_decomposed::quantize_per_tensor")
def quantize_per_tensor(
    e: Expression, input: Value, scale: float, zero_point: int, quant_min: int, quant_max: int, dtype: int
) -> list[Value]:
    rounded = e.unary("aten::round", e.mul(input, 1.0 / scale))
    limited = e.clamp(e.add(rounded, float(zero_point)), float(quant_min), float(quant_max))
    return [e.to(limited, ScalarType(dtype))]


@decomposition("quantized_decomposed::dequantize_per_tensor")
def dequantize_per_tensor(
    e: Expression,
    input: Value,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
    dtype: int,
    out_dtype: int | None = None,
) -> list[Value]:
    real = ScalarType(out_dtype) if out_dtype is not None else ScalarType.FLOAT
    return [e.mul(e.sub(e.to(input, real), float(zero_point)), float(scale))]
