"""Unsigned: carries quantized int8 activations as uint8, every integer greater by 128.

Integer kernels on x86 multiply *unsigned* activations by signed weights. A value goes over when all that touches it
can: it is quantized from floats, moved about, cut or pooled, and dequantized again. The floats stay the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import Graph, Node, TensorType, Value
from pteron.graph.passes.quantization import MOVES, PER_TENSOR
from pteron.graph.passes.rewrite import Uses

_DEQUANTIZE = "quantized_decomposed::dequantize_per_tensor"
_OFFSET = 128
_KEEPS = MOVES | {"aten::cat", "aten::clamp", "aten::max_pool2d_with_indices"}
"""Operators whose first result holds integers of their operands, in the operands' own order."""

# Arguments that are quantized integers themselves.
_SHIFTED = {
    PER_TENSOR: ("zero_point", "quant_min", "quant_max"),
    _DEQUANTIZE: ("zero_point", "quant_min", "quant_max"),
    "aten::clamp": ("min", "max"),
}


def run(graph: Graph) -> bool:
    """Carry what can be as uint8; whether anything was."""
    uses = Uses(graph)
    values = {node.outputs[0] for node in graph.nodes() if node.outputs and _is_int8(node.outputs[0])}

    def able(value: Value) -> bool:
        node = value.producer
        assert node is not None
        made = _constant_arguments(node) and (node.op == PER_TENSOR or (node.op in _KEEPS and _all(node, values)))
        users = uses.nodes(value)
        return made and value not in uses.at_ends and all(_reads(user, values) for user in users)

    _shrink(values, able)
    touched = [node for node in graph.nodes() if values.intersection((*node.inputs(), *node.outputs))]
    for value in values:
        value.type = replace(value.tensor_type, scalar_type=ScalarType.BYTE)
    for node in touched:
        for name in _SHIFTED.get(node.op, ()):
            given = node.operands.get(name)
            if isinstance(given, int | float):
                node.operands[name] = given + _OFFSET
        if "dtype" in node.operands and node.op in _SHIFTED:
            node.operands["dtype"] = int(ScalarType.BYTE)
    return bool(values)


def _shrink(values: set[Value], able: Callable[[Value], bool]) -> None:
    """Take out what is not able, until all that is left is."""
    while True:
        unable = {value for value in values if not able(value)}
        if not unable:
            return
        values -= unable


def _reads(node: Node, values: Iterable[Value]) -> bool:
    """Whether a user takes uint8 as well."""
    if node.op == _DEQUANTIZE:
        return _constant_arguments(node)
    return node.op in _KEEPS and node.outputs[0] in values


def _all(node: Node, values: set[Value]) -> bool:
    tensors = [value for value in node.inputs() if value.is_tensor]
    return bool(tensors) and values.issuperset(tensors)


def _constant_arguments(node: Node) -> bool:
    if node.op == _DEQUANTIZE and node.operands.get("dtype") != int(ScalarType.CHAR):
        return False
    return all(isinstance(node.operands.get(name), int | float | None) for name in _SHIFTED.get(node.op, ()))


def _is_int8(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.scalar_type == ScalarType.CHAR
