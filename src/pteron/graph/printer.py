"""A graph as text."""

from __future__ import annotations

from pteron.graph.ir import Branch, Graph, Jump, Node, Operand, Return, Terminator, Value


def print_graph(graph: Graph) -> str:
    """The graph in the notation of :mod:`pteron.graph.ir`."""
    inputs = ", ".join(map(repr, graph.inputs))
    lines = [f"graph {graph.name}({inputs}) {{"]
    lines += [f"  constant {constant.value!r}" for constant in graph.constants]
    lines += [f"  state {state.value!r}" for state in graph.states]
    for block in graph.blocks:
        parameters = f"({', '.join(map(repr, block.parameters))})" if block.parameters else ""
        lines.append(f"{block.name}{parameters}:")
        lines += [f"  {print_node(node)}" for node in block.nodes]
        lines.append(f"  {print_terminator(block.terminator)}")
    return "\n".join([*lines, "}"])


def print_node(node: Node) -> str:
    """One node on one line."""
    arguments = ", ".join(f"{name}={print_operand(operand)}" for name, operand in node.operands.items())
    outputs = ", ".join(map(repr, node.outputs))
    return f"{outputs} = {node.op}({arguments})" if outputs else f"{node.op}({arguments})"


def print_operand(operand: Operand) -> str:
    """``%name`` for values, Python's notation for constants."""
    if isinstance(operand, Value):
        return f"%{operand.name}"
    if isinstance(operand, list):
        return f"[{', '.join(map(print_operand, operand))}]"
    return repr(operand)


def print_terminator(terminator: Terminator) -> str:
    match terminator:
        case Return():
            values = ", ".join(map(print_operand, terminator.values))
            states = ", ".join(map(print_operand, terminator.states))
            return f"return {values}" + (f" states {states}" if states else "")
        case Jump():
            return f"jump {_jump(terminator)}"
        case Branch():
            condition = print_operand(terminator.condition)
            return f"branch {condition} ? {_jump(terminator.if_true)} : {_jump(terminator.if_false)}"


def _jump(jump: Jump) -> str:
    arguments = ", ".join(map(print_operand, jump.arguments))
    return f"{jump.target.name}({arguments})" if arguments else jump.target.name
