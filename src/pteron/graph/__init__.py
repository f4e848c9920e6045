"""The graph in the middle: SSA over functional ATen operators, with arrows in (lift) and out (engines, emit)."""

from pteron.graph.ir import Block, Branch, Constant, Graph, Jump, Node, Operand, Return, State, TensorType, Value

__all__ = [
    "Block",
    "Branch",
    "Constant",
    "Graph",
    "Jump",
    "Node",
    "Operand",
    "Return",
    "State",
    "TensorType",
    "Value",
]
