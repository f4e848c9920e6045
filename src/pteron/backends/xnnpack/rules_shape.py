"""Rules: nodes that move elements: transposes, reshapes, slices, concatenations, pads; and resizing of images."""

from __future__ import annotations

import math

from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.expand import FLOATS, Expansion, rule
from pteron.backends.xnnpack.quantization import PerTensor, integer_range
from pteron.graph.ir import Operand, Value

ALIGN_CORNERS = 8
NCHW = (0, 3, 1, 2)
NHWC = (0, 2, 3, 1)


@rule(nodes.XNNStaticTranspose)
def transpose(x: Expansion, node: nodes.XNNStaticTranspose) -> None:
    x.define_moved(node.output_id, node.input_id, lambda value: x.permute(value, node.perm or ()))


@rule(nodes.XNNStaticReshape)
def reshape(x: Expansion, node: nodes.XNNStaticReshape) -> None:
    new_shape = node.new_shape or ()

    def move(value: Value) -> Value:
        count = math.prod(value.tensor_type.shape)
        known = math.prod(size for size in new_shape if size)
        fits = count % known == 0 if 0 in new_shape else count == known or value.tensor_type.dynamic
        x.need(fits, f"{count} elements for the shape {list(new_shape)}")
        size: list[Operand] = [s or -1 for s in new_shape]
        return x.view(value, size, [s or count // known for s in new_shape])

    x.define_moved(node.output_id, node.input_id, move)


@rule(nodes.XNNStaticSlice)
def slice_(x: Expansion, node: nodes.XNNStaticSlice) -> None:
    """A size of 0 goes to the end; what lies beyond the end is left away, as the runtime does."""

    def move(value: Value) -> Value:
        for dim, (start, size) in enumerate(zip(node.offsets or (), node.sizes or (), strict=True)):
            shape = value.tensor_type.shape
            end = start + size if size else shape[dim]
            if start == 0 and (not size or (end >= shape[dim] and not value.tensor_type.dynamic)):
                continue
            kept = list(shape)
            kept[dim] = max(min(end, shape[dim]) - start, 0)
            operands: dict[str, Operand] = {"self": value, "dim": dim, "start": start, "end": end if size else None}
            value = x.call("aten::slice_copy.Tensor", operands, value.tensor_type.scalar_type, kept)
        return value

    x.define_moved(node.output_id, node.input_id, move)


@rule(
    nodes.XNNConcatenate2,
    nodes.XNNConcatenate3,
    nodes.XNNConcatenate4,
    nodes.XNNConcatenate5,
)
def concatenate(x: Expansion, node: nodes.XNNCat) -> None:
    alike = x.alike(node.output_id, *node.inputs)
    parts = [x.stored(number) if alike else x.real(number) for number in node.inputs]
    shape = list(parts[0].tensor_type.shape)
    for part in parts[1:]:
        other = list(part.tensor_type.shape)
        shape[node.axis] += other[node.axis]
        other[node.axis] = shape[node.axis]
        x.need(other == shape, f"a part of shape {list(part.tensor_type.shape)}")
    operands: dict[str, Operand] = {"tensors": list(parts), "dim": node.axis}
    result = x.call("aten::cat", operands, parts[0].tensor_type.scalar_type, shape)
    if alike:
        x.define_stored(node.output_id, result)
    else:
        x.define(node.output_id, result)


@rule(nodes.XNNStaticConstantPad)
def constant_pad(x: Expansion, node: nodes.XNNStaticConstantPad) -> None:
    quantization = x.quantization(node.output_id)
    before, after = node.pre_paddings or (), node.post_paddings or ()
    x.need(
        len(before) == len(after) == len(x.stored(node.input_id).tensor_type.shape),
        "pads for another number of dimensions",
    )
    number: float | int = node.padding_value
    if isinstance(quantization, PerTensor) and x.alike(node.output_id, node.input_id):
        low, high = integer_range(x.stored(node.input_id).tensor_type.scalar_type)
        number = min(max(round(number / quantization.scale) + quantization.zero_point, low), high)
    x.define_moved(node.output_id, node.input_id, lambda value: pad(x, value, before, after, number))


def pad(x: Expansion, value: Value, before: tuple[int, ...], after: tuple[int, ...], number: float | int) -> Value:
    """``number`` around a value, ``before`` and ``after`` it in each dimension."""
    if not any(before) and not any(after):
        return value
    if value.tensor_type.scalar_type not in FLOATS:
        number = int(number)
    pads: list[Operand] = []
    for first, last in zip(reversed(before), reversed(after), strict=True):
        pads += [first, last]
    while len(pads) > 2 and pads[-2:] == [0, 0]:
        del pads[-2:]
    shape = [b + size + a for b, size, a in zip(before, value.tensor_type.shape, after, strict=True)]
    operands: dict[str, Operand] = {"self": value, "pad": pads, "value": number}
    return x.call("aten::constant_pad_nd", operands, value.tensor_type.scalar_type, shape)


@rule(nodes.XNNStaticResizeBilinear2D)
def resize_bilinear(x: Expansion, node: nodes.XNNStaticResizeBilinear2D) -> None:
    x.refuse_flags(node.flags, ALIGN_CORNERS)
    value = x.real_permuted(node.input_id, NCHW)
    size: list[Operand] = [node.new_height, node.new_width]
    operands: dict[str, Operand] = {
        "input": value,
        "output_size": size,
        "align_corners": bool(node.flags & ALIGN_CORNERS),
        "scale_factors": None,
    }
    type = value.tensor_type
    shape = (*type.shape[:2], node.new_height, node.new_width)
    resized = x.call("aten::upsample_bilinear2d.vec", operands, type.scalar_type, shape)
    x.define_permuted(node.output_id, resized, NHWC)
