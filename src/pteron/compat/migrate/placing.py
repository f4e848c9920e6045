"""Decompositions of operators that place elements: by index, by mask, by the order of a memory, by bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pteron.compat.migrate.decompositions import decomposition, need_float
from pteron.compat.migrate.expression import Expression, shape
from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import TensorType, Value


@decomposition("aten::max_pool2d_with_indices_backward")
def max_pool2d_backward(e: Expression, grad_output: Value, self: Value, indices: Value) -> list[Value]:
    """Every gradient added to the element of its plane that ``indices`` names; -1 names none."""
    need_float(e, self)
    e.static(grad_output, self, indices)
    plane, count = math.prod(shape(self)[-2:]), math.prod(shape(grad_output)[-2:])
    planes = math.prod(shape(self)[:-2])
    named = e.view(indices, [planes, count])
    mask = e.to(e.compare("aten::ge", named, 0), self.tensor_type.scalar_type)
    first = e.constant(np.repeat(np.arange(planes) * plane, count).reshape(planes, count))
    places = e.view(e.add(e.limited(named, 0), first), [planes * count])
    values = e.view(e.mul(e.view(grad_output, [planes, count]), mask), [planes * count])
    zeros = e.constant(np.zeros(planes * plane, self.tensor_type.dtype))
    return [e.view(e.put(zeros, places, values, accumulate=True), shape(self))]


@decomposition("aten::masked_scatter")
def masked_scatter(e: Expression, self: Value, mask: Value, source: Value) -> list[Value]:
    e.static(self, mask, source)
    sizes = np.broadcast_shapes(shape(self), shape(mask))
    count = math.prod(sizes)
    if not count or not math.prod(shape(source)):
        raise e.refuse("masked_scatter without elements has no decomposition")
    chosen = e.view(e.expand(mask, sizes), [count])
    number = e.to(chosen, ScalarType.LONG)
    order = e.call("aten::cumsum", {"self": number, "dim": 0, "dtype": None}, [count], ScalarType.LONG)
    # Before the first chosen place the count is -1; what is taken there is not used.
    taken = e.at(e.view(source, [math.prod(shape(source))]), e.limited(e.sub(order, 1), 0))
    return [e.view(e.where(chosen, taken, e.view(e.expand(self, sizes), [count])), sizes)]


@decomposition("aten::masked_select")
def masked_select(e: Expression, self: Value, mask: Value) -> list[Value]:
    e.static(self, mask)
    sizes = np.broadcast_shapes(shape(self), shape(mask))
    count = math.prod(sizes)
    if not count:
        raise e.refuse("masked_select without elements has no decomposition")
    chosen = e.view(e.expand(mask, sizes), [count])
    places = e.builder.call("aten::nonzero", {"self": chosen}, TensorType(ScalarType.LONG, (count, 1), True))
    flat = e.view(e.expand(self, sizes), [count])
    found = e.call("aten::index.Tensor", {"self": flat, "indices": [places]}, (count, 1))
    return [e.call("aten::view_copy", {"self": found, "size": [-1]}, (count,))]


@decomposition("aten::constant_pad_nd")
def constant_pad_nd(e: Expression, self: Value, pad: Sequence[int], value: float | int | bool = 0) -> list[Value]:
    """Crop first, then pad with what is left of the numbers."""
    if min(pad, default=0) >= 0:
        raise e.refuse("padding has no decomposition")
    e.static(self)
    x = self
    for number in range(len(pad) // 2):
        axis = len(shape(self)) - 1 - number
        start, end = max(-pad[2 * number], 0), shape(x)[axis] - max(-pad[2 * number + 1], 0)
        if start or end != shape(x)[axis]:
            sizes = [*shape(x)[:axis], end - start, *shape(x)[axis + 1 :]]
            if end <= start:
                raise e.refuse("padding that crops everything has no decomposition")
            operands: dict[str, Any] = {"self": x, "dim": axis, "start": start, "end": end, "step": 1}
            x = e.call("aten::slice_copy.Tensor", operands, sizes)
    return [padded(e, x, [max(number, 0) for number in pad], value)]


def padded(e: Expression, x: Value, pad: Sequence[int], value: float | int | bool = 0) -> Value:
    """More elements around the last dimensions, two numbers for each of them, last one first."""
    if not any(pad):
        return e.call("aten::clone", {"self": x}, shape(x))
    sizes = list(shape(x))
    for number in range(len(pad) // 2):
        sizes[-1 - number] += pad[2 * number] + pad[2 * number + 1]
    return e.call("aten::constant_pad_nd", {"self": x, "pad": list(pad), "value": value}, sizes)


@decomposition("aten::convolution")
def transposed_convolution(
    e: Expression,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> list[Value]:
    """A plain convolution over the input with zeros between its elements, with the kernel turned round."""
    spatial = len(shape(input)) - 2
    if not transposed or spatial not in (1, 2):
        raise e.refuse("this convolution has no decomposition")
    e.static(input, weight)
    strides, pads, steps, more = (_each(numbers, spatial) for numbers in (stride, padding, dilation, output_padding))
    x = input
    for d in range(spatial):
        x = _spread(e, x, 2 + d, strides[d])
    around: list[int] = []
    for d in reversed(range(spatial)):
        reach = steps[d] * (shape(weight)[2 + d] - 1) - pads[d]
        # The spread input ends with the zeros after its last element.
        around += [reach, reach + more[d] - (strides[d] - 1)]
    x = constant_pad_nd(e, x, around)[0] if min(around) < 0 else padded(e, x, around)
    kernel = weight
    for d in range(spatial):
        kernel = e.take(kernel, 2 + d, np.arange(shape(weight)[2 + d])[::-1])
    inputs, outputs, *window = shape(weight)
    parts = e.permute(e.view(kernel, [groups, inputs // groups, outputs, *window]), [0, 2, 1, *range(3, 3 + spatial)])
    kernel = e.view(parts, [groups * outputs, inputs // groups, *window])
    ones, none = [1] * spatial, [0] * spatial
    sizes = [
        shape(x)[0],
        groups * outputs,
        *(shape(x)[2 + d] - steps[d] * (window[d] - 1) for d in range(spatial)),
    ]
    operands: dict[str, Any] = {"input": x, "weight": kernel, "bias": bias, "stride": ones, "padding": none}
    operands |= {"dilation": steps, "transposed": False, "output_padding": none, "groups": groups}
    return [e.call("aten::convolution", operands, sizes)]


def _each(numbers: Sequence[int], count: int) -> list[int]:
    return list(numbers) * count if len(numbers) == 1 else list(numbers)


def _spread(e: Expression, x: Value, axis: int, step: int) -> Value:
    """Zeros between the elements of a dimension, and after the last one."""
    if step == 1:
        return x
    before, size, after = shape(x)[:axis], shape(x)[axis], math.prod(shape(x)[axis + 1 :])
    rows = e.view(x, [math.prod(before) * size, 1, after])
    wide = padded(e, rows, [0, 0, 0, step - 1])
    return e.view(wide, [*before, size * step, *shape(x)[axis + 1 :]])


@decomposition("quantized_decomposed::embedding_4bit", "quantized_decomposed::embedding_4bit.dtype")
def embedding_4bit(
    e: Expression,
    weight: Value,
    weight_scales: Value,
    weight_zero_points: Value | None,
    indices: Value,
    dtype: int | ScalarType | None = None,
) -> list[Value]:
    """The rows looked up, their bytes taken apart, each group of columns scaled."""
    e.static(weight, indices)
    count, columns = math.prod(shape(indices)), 2 * shape(weight)[-1]
    flat = e.view(indices, [count])
    rows = e.to(e.at(weight, flat), ScalarType.FLOAT)
    high = e.unary("aten::floor", e.mul(rows, 1 / 16))
    low = e.sub(rows, e.mul(high, 16.0))
    pair = [e.view(half, [count, columns // 2, 1]) for half in (high, low)]
    groups = shape(weight_scales)[1] if len(shape(weight_scales)) == 2 else 1
    numbers = e.sub(e.view(e.cat(pair, 2), [count, groups, columns // groups]), 8.0)

    def of_rows(parameter: Value) -> Value:
        found = e.at(e.view(parameter, [shape(weight)[0], groups]), flat)
        return e.expand(e.view(e.to(found, ScalarType.FLOAT), [count, groups, 1]), shape(numbers))

    if weight_zero_points is not None:
        numbers = e.sub(numbers, of_rows(weight_zero_points))
    real = e.view(e.mul(numbers, of_rows(weight_scales)), [*shape(indices), columns])
    wanted = weight_scales.tensor_type.scalar_type if dtype is None else ScalarType(dtype)
    return [e.to(e.to(real, weight_scales.tensor_type.scalar_type), wanted)]


@decomposition("aten::repeat_interleave.Tensor")
def repeat_interleave(e: Expression, repeats: Value, output_size: int | None = None) -> list[Value]:
    """For each place of the result, how many of the elements end before it."""
    e.static(repeats)
    if not output_size or not shape(repeats)[0]:
        raise e.refuse("repeat_interleave without a size of the result has no decomposition")
    wide = (output_size, shape(repeats)[0])
    ends = e.call(
        "aten::cumsum", {"self": repeats, "dim": 0, "dtype": int(ScalarType.LONG)}, shape(repeats), ScalarType.LONG
    )
    places = e.constant(np.arange(output_size).reshape(-1, 1))
    over = e.compare("aten::le", e.expand(ends, wide), e.expand(places, wide))
    return [e.to(e.total(e.to(over, ScalarType.LONG), -1), repeats.tensor_type.scalar_type)]
