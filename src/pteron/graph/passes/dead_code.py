"""Dead code: takes away what neither an output nor a needed state depends on.

Delegates are kept, whose handles may have state of their own, and so is all that decides which way a block ends.
"""

from __future__ import annotations

from pteron.graph.ir import Block, Branch, Graph, Jump, Return, Value, values_in


def run(graph: Graph) -> bool:
    """Remove unreachable blocks, nodes without use, and parameters, constants and states that nothing needs."""
    changed = _drop_unreachable(graph)
    live = _live(graph)
    for block in graph.blocks:
        kept = [n for n in block.nodes if n.op.startswith("delegate::") or any(v in live for v in n.outputs)]
        changed |= len(kept) < len(block.nodes)
        block.nodes = kept
    changed |= _drop_parameters(graph, live)
    changed |= _drop_states(graph, live)
    constants = [constant for constant in graph.constants if constant.value in live]
    changed |= len(constants) < len(graph.constants)
    graph.constants = constants
    return changed


def jumps_of(block: Block) -> tuple[Jump, ...]:
    """The jumps that end a block."""
    match block.terminator:
        case Jump() as jump:
            return (jump,)
        case Branch(if_true=if_true, if_false=if_false):
            return (if_true, if_false)
        case _:
            return ()


def _drop_unreachable(graph: Graph) -> bool:
    reached: set[Block] = set()
    pending = [graph.entry]
    while pending:
        block = pending.pop()
        if block not in reached:
            reached.add(block)
            pending += [jump.target for jump in jumps_of(block)]
    changed = len(reached) < len(graph.blocks)
    graph.blocks = [block for block in graph.blocks if block in reached]
    return changed


def _live(graph: Graph) -> set[Value]:
    parameters = {p: (block, i) for block in graph.blocks for i, p in enumerate(block.parameters)}
    states = {state.value: i for i, state in enumerate(graph.states)}
    before: dict[Block, list[Jump]] = {block: [] for block in graph.blocks}
    ends: list[Return] = []
    pending: list[Value] = []
    for block in graph.blocks:
        for jump in jumps_of(block):
            before[jump.target].append(jump)
        match block.terminator:
            case Return() as end:
                ends.append(end)
                pending += [v for operand in end.values for v in values_in(operand)]
                for state, operand in zip(graph.states, end.states, strict=True):
                    pending += values_in(operand) if state.shared else ()
            case Branch(condition=condition):
                pending += values_in(condition)
            case _:
                pass
        for node in block.nodes:
            if node.op.startswith("delegate::"):
                pending += node.inputs()
    live: set[Value] = set()
    while pending:
        value = pending.pop()
        if value in live:
            continue
        live.add(value)
        if value.producer is not None:
            pending += value.producer.inputs()
        elif value in parameters:
            block, position = parameters[value]
            pending += [v for jump in before[block] for v in values_in(jump.arguments[position])]
        elif value in states:
            pending += [v for end in ends for v in values_in(end.states[states[value]])]
    return live


def _drop_parameters(graph: Graph, live: set[Value]) -> bool:
    changed = False
    keep = {block: [p in live for p in block.parameters] for block in graph.blocks}
    for block in graph.blocks:
        for jump in jumps_of(block):
            jump.arguments = [a for a, kept in zip(jump.arguments, keep[jump.target], strict=True) if kept]
    for block in graph.blocks:
        changed |= not all(keep[block])
        block.parameters = [p for p, kept in zip(block.parameters, keep[block], strict=True) if kept]
    return changed


def _drop_states(graph: Graph, live: set[Value]) -> bool:
    keep = [state.shared or state.value in live for state in graph.states]
    for block in graph.blocks:
        if isinstance(block.terminator, Return):
            states = block.terminator.states
            block.terminator.states = [state for state, kept in zip(states, keep, strict=True) if kept]
    graph.states = [state for state, kept in zip(graph.states, keep, strict=True) if kept]
    return not all(keep)
