"""No-ops: takes away nodes whose result has the very elements of an operand."""

from __future__ import annotations

from pteron.graph.ir import Graph, Node, Operand, Value
from pteron.graph.passes.rewrite import integers, moves_elements, permutation, same_order, substitute

COPIES = frozenset(
    (
        "aten::_to_copy",
        "aten::alias_copy",
        "aten::clone",
        "aten::detach_copy",
        "aten::lift_fresh_copy",
        "dim_order_ops::_clone_dim_order",
        "dim_order_ops::_to_dim_order_copy",
        "et_copy::_d2h_copy",
        "et_copy::_h2d_copy",
    )
)
"""Operators that change the element type or the memory layout, if anything."""

# Operators that do nothing where the static shape stays the same.
_SAME_SHAPE = frozenset(
    (
        "aten::expand_copy",
        "aten::slice_copy.Tensor",
        "aten::squeeze_copy.dim",
        "aten::squeeze_copy.dims",
        "aten::view_copy",
    )
)


def run(graph: Graph) -> bool:
    """Use the operand instead; where a result leaves the block in another memory layout, it is left as it is."""
    everywhere: dict[Value, Operand] = {}
    inside: dict[Value, Operand] = {}
    for block in graph.blocks:
        for node in block.nodes:
            source = _unchanged(node)
            if source is None:
                continue
            alike = same_order(source.tensor_type, node.output.tensor_type)
            (everywhere if alike else inside)[node.output] = source
    changed = bool(everywhere) or any(value in inside for node in graph.nodes() for value in node.inputs())
    substitute(graph, {**inside, **everywhere}, ends=False)
    substitute(graph, everywhere)
    for block in graph.blocks:
        block.nodes = [node for node in block.nodes if not any(value in everywhere for value in node.outputs)]
    return changed


def _unchanged(node: Node) -> Value | None:
    """The operand whose elements the node's only output has, in the same shape; None where there is none."""
    if node.op == "aten::cat":
        tensors = node.operands["tensors"]
        if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], Value):
            return None
        return tensors[0] if tensors[0].type == node.output.type else None
    source = moves_elements(node)
    if source is None:
        return None
    given, result = source.tensor_type, node.output.tensor_type
    if node.op in COPIES:
        # A result that is declared static although its source is not would be an error at run time.
        return None if given.dynamic and not result.dynamic else source
    dims = permutation(node)
    if dims is not None:
        return source if dims == tuple(range(len(dims))) else None
    if node.op == "aten::constant_pad_nd":
        return None if any(integers(node.operands["pad"]) or [1]) else source
    static = not given.dynamic and not result.dynamic
    if node.op in _SAME_SHAPE and static and given.shape == result.shape:
        return source if node.op != "aten::slice_copy.Tensor" or node.operands.get("step", 1) == 1 else None
    if node.op == "aten::expand_copy" and given.rank == result.rank and integers(node.operands["size"]):
        return source if set(integers(node.operands["size"]) or ()) == {-1} else None
    return None
