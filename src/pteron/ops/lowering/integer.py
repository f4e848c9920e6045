"""Integer kernels: what ONNX Runtime computes between ``dequantize`` and ``quantize`` without going through floats.

Kernels and their arguments: ONNX's QLinearConv and QLinearMatMul; QGemm, QLinearAdd and QLinearMul of ONNX Runtime's
contrib operators. They add products up in int32 and scale the sum once, as XNNPACK does. The float nodes that they take
the place of stay behind without a reader, and are left out of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.model_bytes import ELEMENT_TYPES, MICROSOFT, NodeRecord
from pteron.ops.promotion import FLOAT32, INT64, Array

_Rule: TypeAlias = "Callable[[Builder, NodeRecord, Affine], Ref | None]"

_INT8, _UINT8, _INT32 = (np.dtype(name) for name in ("int8", "uint8", "int32"))


@dataclass(frozen=True, slots=True)
class Affine:
    """A scale, and a zero point of the integers' own dtype."""

    scale: Ref
    zero: Ref


@dataclass(frozen=True, slots=True)
class Integers:
    """An operand as it was before it was dequantized, by names of the model."""

    name: str
    scale: str
    zero: str
    scales: Array
    zeros: Array
    axis: int

    @property
    def per_tensor(self) -> bool:
        return self.scales.size == 1


def quantized(b: Builder, x: Ref, to: Affine) -> Ref | None:
    """``x`` quantized by the integer kernel that computes it; None where there is none, or it would not pay."""
    node = b.maker(x.name)
    shape: NodeRecord | None = None
    if node is not None and node.op_type == "Reshape":
        inner = b.maker(node.inputs[0])
        if inner is not None and inner.op_type in ("Gemm", "MatMul"):
            node, shape = inner, node
    rule = _RULES.get(node.op_type) if node is not None and not node.domain else None
    if node is None or rule is None or to.zero.dtype != _UINT8:
        return None
    result = rule(b, node, to)
    if result is None or shape is None:
        return result
    return b.op("Reshape", result, Ref(shape.inputs[1], INT64), dtype=result.dtype, **_attributes(shape))


def _conv(b: Builder, node: NodeRecord, to: Affine) -> Ref | None:
    x, weight = integers(b, node.inputs[0]), integers(b, node.inputs[1])
    if x is None or weight is None or not _is_input(x) or not is_weight(weight, axis=0):
        return None
    bias = _bias(b, node.inputs[2:], x, weight)
    if bias is None:
        return None
    names = [x.name, x.scale, x.zero, weight.name, weight.scale, weight.zero]
    return b.op("QLinearConv", *by_name(names), to.scale, to.zero, *bias, dtype=to.zero.dtype, **_attributes(node))


def _conv_transpose(b: Builder, node: NodeRecord, to: Affine) -> Ref | None:
    """A transposed convolution whose windows do not overlap: one of kernel 1, whose channels then go side by side."""
    given = _attributes(node)
    kernel = given["kernel_shape"]
    plain = not any(given["pads"]) and not any(given["output_padding"]) and set(given["dilations"]) == {1}
    if len(kernel) != 2 or kernel[0] != kernel[1] or kernel != given["strides"] or not plain or given["group"] != 1:
        return None
    x, weight = integers(b, node.inputs[0]), integers(b, node.inputs[1])
    if x is None or weight is None or not _is_input(x) or not is_weight(weight, axis=1):
        return None
    bias = _bias(b, node.inputs[2:], x, weight)
    data, size = b.content(weight.name), b.static_shape(x.name)
    summand = b.content(bias[0].name) if bias else None
    if bias is None or data is None or size is None or (bias and summand is None):
        return None
    side, (batch, _, high, wide), out = kernel[0], size, data.shape[1]
    # From (in, out, side, side) to (side * side * out, in, 1, 1).
    rows = np.ascontiguousarray(data.transpose(2, 3, 1, 0)).reshape(-1, data.shape[0], 1, 1)
    scales, zeros = (p if p.size == 1 else np.tile(p, side * side) for p in (weight.scales, weight.zeros))
    tiled = [] if summand is None else [b.const(np.tile(summand, side * side))]
    # Channels last, where what belongs side by side lies together; the outer permutations meet those of neighbours.
    last = b.op("Transpose", *by_name([x.name]), dtype=_UINT8, perm=[0, 2, 3, 1])
    operands = [last, *by_name([x.scale, x.zero]), b.const(rows), b.const(scales), b.const(zeros), to.scale, to.zero]
    attributes: dict[str, Any] = {"kernel_shape": [1, 1], "channels_last": 1}
    y = b.op("QLinearConv", *operands, *tiled, dtype=_UINT8, domain=MICROSOFT, **attributes)
    split = b.op("Reshape", y, b.ints([batch, high, wide, side, side * out]), dtype=_UINT8)
    woven = b.op("Transpose", split, dtype=_UINT8, perm=[0, 1, 3, 2, 4])
    whole = b.op("Reshape", woven, b.ints([batch, side * high, side * wide, out]), dtype=_UINT8)
    return b.op("Transpose", whole, dtype=_UINT8, perm=[0, 3, 1, 2])


def _gemm(b: Builder, node: NodeRecord, to: Affine) -> Ref | None:
    """A product with a weight, as of ``linear``."""
    given = node.attributes
    if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0 or given.get("transA", 0):
        return None
    x, weight = integers(b, node.inputs[0], through_reshape=True), integers(b, node.inputs[1])
    turned = int(bool(given.get("transB", 0)))
    if x is None or weight is None or not _is_input(x) or not is_weight(weight, axis=0 if turned else 1):
        return None
    bias = _bias(b, node.inputs[2:], x, weight)
    if bias is None:
        return None
    flat = _as_matrix(b, node.inputs[0], x)
    given_refs = [flat, *by_name([x.scale, x.zero, weight.name, weight.scale, weight.zero])]
    last: list[Ref | None] = [*bias] if bias else [None]
    return b.op(
        "QGemm", *given_refs, *last, to.scale, to.zero, dtype=to.zero.dtype, domain=MICROSOFT, alpha=1.0, transB=turned
    )


def _as_matrix(b: Builder, name: str, x: Integers) -> Ref:
    """The integers in the shape that the float factor has."""
    reshape = b.maker(name)
    if reshape is None or reshape.op_type != "Reshape":
        return Ref(x.name, _UINT8)
    return b.op("Reshape", Ref(x.name, _UINT8), Ref(reshape.inputs[1], INT64), dtype=_UINT8, **_attributes(reshape))


def _pair(op_type: str) -> _Rule:
    def rule(b: Builder, node: NodeRecord, to: Affine) -> Ref | None:
        left, right = (_unsigned(b, integers(b, name)) for name in node.inputs)
        if left is None or right is None or not left.per_tensor or not right.per_tensor:
            return None
        names = [left.name, left.scale, left.zero, right.name, right.scale, right.zero]
        return b.op(op_type, *by_name(names), to.scale, to.zero, dtype=_UINT8, domain=MICROSOFT)

    return rule


_RULES: dict[str, _Rule] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "Add": _pair("QLinearAdd"),
    "Mul": _pair("QLinearMul"),
}


def integers(b: Builder, name: str, *, through_reshape: bool = False) -> Integers | None:
    """The integers that an operand was dequantized from, by scales that are constants."""
    node = b.maker(name)
    if through_reshape and node is not None and node.op_type == "Reshape":
        node = b.maker(node.inputs[0])
    if node is None or node.op_type != "DequantizeLinear" or node.domain:
        return None
    source, scale, zero = (*node.inputs, "")[:3]
    scales = b.content(scale)
    axis = node.attributes.get("axis", 1)
    if scales is None or not isinstance(axis, int):
        return None
    zeros = b.content(zero) if zero else np.zeros(scales.shape, _INT8)
    if zeros is None:
        return None
    return Integers(source, scale, zero or b.const(zeros).name, scales, zeros, axis)


def _unsigned(b: Builder, x: Integers | None) -> Integers | None:
    """The operand as uint8; a constant of int8 is raised by 128."""
    if x is None or x.zeros.dtype == _UINT8:
        return x
    data = b.content(x.name)
    if data is None or data.dtype != _INT8 or x.zeros.dtype != _INT8:
        return None
    raised = b.const(data.view(_UINT8) ^ np.uint8(128))
    zeros = x.zeros.view(_UINT8) ^ np.uint8(128)
    return Integers(raised.name, x.scale, b.const(zeros).name, x.scales, zeros, x.axis)


def _is_input(x: Integers) -> bool:
    return x.per_tensor and x.zeros.dtype == _UINT8


def is_weight(weight: Integers, axis: int) -> bool:
    """Whether a kernel takes the weight: scales for the tensor or along ``axis``, and one zero point for all."""
    alike = not weight.zeros.size or bool((weight.zeros == weight.zeros.flat[0]).all())
    return alike and weight.zeros.dtype in (_INT8, _UINT8) and (weight.per_tensor or weight.axis == axis)


def dequantized_bias(b: Builder, stored: Ref, scales: Ref) -> Ref:
    """int32 as floats; ``scales`` broadcast against them.

    Not by DequantizeLinear: ONNX Runtime would put the integers into kernels without a look at their scale.
    """
    wide = b.op("Cast", stored, dtype=FLOAT32, to=ELEMENT_TYPES[FLOAT32])
    return b.op("Mul", wide, scales, dtype=FLOAT32)


def _bias(b: Builder, names: list[str], x: Integers, weight: Integers) -> list[Ref] | None:
    """The integers of the bias, none where there is no bias; None where its scale is not that of the products."""
    if not any(names):
        return []
    product = b.maker(names[0])
    cast = b.maker(product.inputs[0]) if product is not None and product.op_type == "Mul" else None
    if product is None or cast is None or cast.op_type != "Cast" or b.dtype(cast.inputs[0]) != _INT32:
        return None
    scales = b.content(product.inputs[1])
    products = x.scales.reshape(()) * weight.scales.reshape(-1)
    if scales is None or not np.allclose(scales.reshape(-1), products, rtol=1e-5, atol=0):
        return None
    return by_name([cast.inputs[0]])


def _attributes(node: NodeRecord) -> dict[str, Any]:
    return dict(node.attributes)


def by_name(names: list[str]) -> list[Ref]:
    """Values of the model by name alone, as operands."""
    return [Ref(name, _UINT8) for name in names]
