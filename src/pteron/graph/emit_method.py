"""emit_method: a whole graph as an execution plan, the way back from lifting a method.

Values, operators and the memory plan are made anew. Everything is planned into one buffer, inputs and outputs too, as
exporters do by default; a state has memory of its own for as long as the program is loaded, which no other method has.
"""

from __future__ import annotations

import dataclasses

from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.schema import Chain, ExecutionPlan, Instruction
from pteron.graph.constant_pool import ConstantPool
from pteron.graph.emit import Emitter
from pteron.graph.ir import Graph, Return, Value
from pteron.graph.plan_edit import PlanEdit
from pteron.ops.registry import REGISTRY, Registry


def emit_method(graph: Graph, pool: ConstantPool, *, operators: Registry = REGISTRY) -> ExecutionPlan:
    """The execution plan of a graph of one block; ``pool`` takes its constants.

    Several methods may share a pool, and then share equal weights. Raises ``UnsupportedError`` for a graph with jumps,
    with state that starts from anything but zeros, with delegates, or with outputs that are no tensors.
    """
    end = graph.entry.terminator
    if len(graph.blocks) > 1 or not isinstance(end, Return):
        raise UnsupportedError(f"method {graph.name!r}: a graph with jumps cannot be written as a program")
    edit = PlanEdit(ExecutionPlan(name=graph.name, delegates=()))
    emitter = Emitter(edit, graph, pool, f"method {graph.name!r}", operators)
    inputs = [emitter.temporary(value, 0) for value in graph.inputs]
    states = []
    for state in graph.states:
        if state.initial is not None or not state.value.is_tensor:
            raise UnsupportedError(f"method {graph.name!r}: state %{state.value.name} starts from data")
        states.append(emitter.temporary(state.value, 0))
    emitter.nodes(graph.nodes())
    outputs: list[tuple[Value, int]] = []
    for operand in end.values:
        if not isinstance(operand, Value) or not operand.is_tensor:
            raise UnsupportedError(f"method {graph.name!r}: output {operand!r} is no tensor")
        outputs.append((operand, emitter.index(operand)))
    _leave_states(graph, end, emitter)
    last = len(emitter.instructions)
    for value, _ in outputs:
        emitter.keep(value, last, last)
    for state in graph.states:
        emitter.keep(state.value, 0, last)
    emitter.plan(start=0)
    plan = edit.finish()
    chain = Chain(inputs=(), outputs=(), instructions=tuple(map(Instruction, emitter.instructions)), stacktrace=None)
    return dataclasses.replace(
        plan,
        container_meta_type=schema.ContainerMetadata("", ""),
        inputs=tuple(inputs),
        outputs=tuple(index for _, index in outputs),
        chains=(chain,),
        operators=tuple(edit.operators),
        delegates=(),
    )


def _leave_states(graph: Graph, end: Return, emitter: Emitter) -> None:
    """Copy what each state is left with into its memory, where that is another value."""
    kept = [value for value in end.values if isinstance(value, Value)]
    changed = [
        (state.value, new) for state, new in zip(graph.states, end.states, strict=True) if new is not state.value
    ]
    overwritten = {state for state, _ in changed}
    for place, new in changed:
        if new in overwritten or place in kept:
            raise UnsupportedError(f"method {graph.name!r}: %{place.name} is overwritten while it is still needed")
        emitter.copy(new, emitter.index(place))
