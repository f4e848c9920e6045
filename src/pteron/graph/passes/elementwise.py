"""Operators that compute each element from the elements at the same place, with broadcasting."""

from __future__ import annotations

from pteron.graph.ir import Node, Value

_UNARY = """
    abs acos acosh asin asinh atan atanh bitwise_not ceil cos cosh elu erf exp expm1 floor gelu hardtanh isinf isnan
    leaky_relu log log10 log1p log2 logical_not logit neg reciprocal relu round rsqrt sigmoid sign sin sinh sqrt tan
    tanh trunc clamp clone alias_copy detach_copy lift_fresh_copy _to_copy
    add.Scalar div.Scalar div.Scalar_mode fmod.Scalar mul.Scalar pow.Tensor_Scalar remainder.Scalar rsub.Scalar
    sub.Scalar eq.Scalar ge.Scalar gt.Scalar le.Scalar lt.Scalar ne.Scalar
    bitwise_and.Scalar bitwise_or.Scalar bitwise_xor.Scalar bitwise_left_shift.Tensor_Scalar
    bitwise_right_shift.Tensor_Scalar
"""
_BINARY = """
    add.Tensor atan2 div.Tensor div.Tensor_mode floor_divide fmod.Tensor maximum minimum mul.Tensor remainder.Tensor
    sub.Tensor eq.Tensor ge.Tensor gt.Tensor le.Tensor lt.Tensor ne.Tensor logical_and logical_or logical_xor
    bitwise_and.Tensor bitwise_or.Tensor bitwise_xor.Tensor bitwise_left_shift.Tensor bitwise_right_shift.Tensor
"""

BROADCAST: dict[str, tuple[str, ...]] = {
    **{f"aten::{name}": ("self",) for name in _UNARY.split()},
    **{f"aten::{name}": ("self", "other") for name in _BINARY.split()},
    "aten::pow.Tensor_Tensor": ("self", "exponent"),
    "aten::where.self": ("condition", "self", "other"),
    "quantized_decomposed::quantize_per_tensor": ("input",),
    "quantized_decomposed::dequantize_per_tensor": ("input",),
}
"""Names of the tensor operands that are broadcast together, by operator."""


def broadcast_operands(node: Node) -> dict[str, Value] | None:
    """The tensors that an elementwise node broadcasts together, by argument; None for any other node."""
    names = BROADCAST.get(node.op)
    if names is None or len(node.outputs) != 1:
        return None
    found = {name: operand for name in names if isinstance(operand := node.operands.get(name), Value)}
    return found if len(found) == len(names) else None
