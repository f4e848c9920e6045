"""Common nodes: of several nodes in a block that compute the same, the first is kept."""

from __future__ import annotations

from collections.abc import Hashable

from pteron.graph.ir import Graph, Node, Operand, Value
from pteron.graph.passes.rewrite import substitute
from pteron.ops.registry import REGISTRY


def run(graph: Graph) -> bool:
    """Let users of a repeated node use its first copy; random operators and delegates are left alone."""
    new: dict[Value, Operand] = {}
    for block in graph.blocks:
        first: dict[Hashable, Node] = {}
        kept = []
        for node in block.nodes:
            known = first.setdefault(_key(node, new), node) if is_pure(node) else node
            if known is node:
                kept.append(node)
            else:
                new.update(zip(node.outputs, known.outputs, strict=True))
        block.nodes = kept
    substitute(graph, new)
    return bool(new)


def is_pure(node: Node) -> bool:
    """Whether a node's results depend on its operands alone."""
    operator = REGISTRY.by_functional(node.op)
    return operator is not None and "rng" not in operator.parameters


def _key(node: Node, new: dict[Value, Operand]) -> Hashable:
    operands = tuple((name, _frozen(operand, new)) for name, operand in sorted(node.operands.items()))
    return node.op, operands, tuple(value.type for value in node.outputs)


def _frozen(operand: Operand, new: dict[Value, Operand]) -> Hashable:
    if isinstance(operand, list):
        return tuple(_frozen(item, new) for item in operand)
    if isinstance(operand, Value):
        return new.get(operand, operand)  # type: ignore[return-value]
    # 1, 1.0 and True are equal and mean different things, as do the zeros; the text tells them apart.
    return repr(operand)
