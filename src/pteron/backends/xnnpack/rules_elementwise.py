"""Rules: elementwise nodes of one and two tensors, and conversions."""

from __future__ import annotations

import numpy as np

from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.expand import FLOATS, Expansion, rule
from pteron.backends.xnnpack.values import PerTokenDynamicQuant
from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import Operand, Value

_UNARY: dict[type[nodes.XNNNode], str] = {
    nodes.XNNAbs: "aten::abs",
    nodes.XNNCeiling: "aten::ceil",
    nodes.XNNCos: "aten::cos",
    nodes.XNNExp: "aten::exp",
    nodes.XNNFloor: "aten::floor",
    nodes.XNNGelu: "aten::gelu",
    nodes.XNNLog: "aten::log",
    nodes.XNNNegate: "aten::neg",
    nodes.XNNReciprocalSquareRoot: "aten::rsqrt",
    nodes.XNNSigmoid: "aten::sigmoid",
    nodes.XNNSin: "aten::sin",
    nodes.XNNSquareRoot: "aten::sqrt",
    nodes.XNNTanh: "aten::tanh",
}
_BINARY: dict[type[nodes.XNNNode], str] = {
    nodes.XNNAdd: "aten::add.Tensor",
    nodes.XNNDiv: "aten::div.Tensor",
    nodes.XNNMaximum: "aten::maximum",
    nodes.XNNMinimum: "aten::minimum",
    nodes.XNNMultiply: "aten::mul.Tensor",
    nodes.XNNSubtract: "aten::sub.Tensor",
}


def elementwise(x: Expansion, op: str, value: Value, **operands: Operand) -> Value:
    """A node whose result has the type of its tensor ``self``."""
    type = value.tensor_type
    return x.call(op, {"self": value, **operands}, type.scalar_type, type.shape)


def binary(x: Expansion, op: str, a: Value, b: Value) -> Value:
    """A node of two tensors that are broadcast; the result has the first one's element type."""
    try:
        shape = np.broadcast_shapes(a.tensor_type.shape, b.tensor_type.shape)
    except ValueError:
        raise x.refuse(f"{op} of shapes {a.tensor_type.shape} and {b.tensor_type.shape}") from None
    x.need(a.tensor_type.scalar_type == b.tensor_type.scalar_type, "two element types")
    return x.call(op, {"self": a, "other": b}, a.tensor_type.scalar_type, shape)


@rule(*_UNARY)
def unary(x: Expansion, node: nodes.XNNNode1x1) -> None:
    value = x.real(node.input_id)
    if value.tensor_type.scalar_type not in FLOATS:
        x.need(isinstance(node, nodes.XNNAbs | nodes.XNNNegate), "integers")
    x.define(node.output_id, elementwise(x, _UNARY[type(node)], value))


@rule(nodes.XNNSquare)
def square(x: Expansion, node: nodes.XNNSquare) -> None:
    value = x.real(node.input_id)
    x.define(node.output_id, binary(x, "aten::mul.Tensor", value, value))


@rule(nodes.XNNClamp)
def clamp(x: Expansion, node: nodes.XNNClamp) -> None:
    x.define(node.output_id, x.clamp(x.real(node.input_id)))


@rule(nodes.XNNHardswish)
def hardswish(x: Expansion, node: nodes.XNNHardswish) -> None:
    value = x.real(node.input_id)
    shifted = elementwise(x, "aten::add.Scalar", value, other=3.0)
    gate = elementwise(x, "aten::clamp", shifted, min=0.0, max=6.0)
    sixth = elementwise(x, "aten::div.Scalar", value, other=6.0)
    x.define(node.output_id, binary(x, "aten::mul.Tensor", sixth, gate))


@rule(nodes.XNNLeakyReLU)
def leaky_relu(x: Expansion, node: nodes.XNNLeakyReLU) -> None:
    value = x.real(node.input_id)
    x.define(node.output_id, elementwise(x, "aten::leaky_relu", value, negative_slope=node.negative_slope))


@rule(nodes.XNNELU)
def elu(x: Expansion, node: nodes.XNNELU) -> None:
    x.define(node.output_id, elementwise(x, "aten::elu", x.real(node.input_id), alpha=node.alpha))


@rule(*_BINARY)
def arithmetic(x: Expansion, node: nodes.XNNNode2x1) -> None:
    result = binary(x, _BINARY[type(node)], x.real(node.input1_id), x.real(node.input2_id))
    x.define(node.output_id, x.clamp(result))


@rule(nodes.XNNPReLU)
def prelu(x: Expansion, node: nodes.XNNPReLU) -> None:
    """Negative elements times the slope, which is broadcast along the last dimension, the channels."""
    value, slope = x.real(node.input1_id), x.real(node.input2_id)
    scaled = binary(x, "aten::mul.Tensor", value, x.convert(slope, value.tensor_type.scalar_type))
    type = scaled.tensor_type
    negative = x.call("aten::lt.Scalar", {"self": value, "other": 0.0}, ScalarType.BOOL, value.tensor_type.shape)
    chosen: dict[str, Operand] = {"condition": negative, "self": scaled, "other": value}
    x.define(node.output_id, x.call("aten::where.self", chosen, type.scalar_type, type.shape))


@rule(nodes.XNNConvert)
def convert(x: Expansion, node: nodes.XNNConvert) -> None:
    params = x.payload.values[node.output_id].quant_params
    value = x.real(node.input_id)
    if isinstance(params, PerTokenDynamicQuant):
        x.define_quantized(node.output_id, value, params.num_nonbatch_dims)
    else:
        x.define(node.output_id, value)


@rule(nodes.XNNCopy)
def copy(x: Expansion, node: nodes.XNNCopy) -> None:
    x.define_moved(node.output_id, node.input_id, lambda value: value)
