"""Where a program runs into known faults, whatever the runtime: judged against a profile by its release."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pteron.backends.xnnpack import schema as xnn
from pteron.backends.xnnpack.header import read_header
from pteron.compat.conditions import CALL_CONDITIONS, NODE_CONDITIONS, Call, NodeUse
from pteron.compat.faults import Fault, faults
from pteron.compat.profile import XNNPACK
from pteron.errors import FormatError
from pteron.format import schema
from pteron.format.flatbuffer import read_root
from pteron.format.program import Program


@dataclass(frozen=True, slots=True)
class FaultUse:
    """A fault whose condition a program meets, with the field path of the first call or delegate that does."""

    fault: Fault
    operator: str
    place: str


def fault_uses(program: Program) -> tuple[FaultUse, ...]:
    """Every known fault, of every release, whose condition the program meets, each once.

    A build has those of them that are among its :attr:`pteron.compat.profile.Profile.faults`. Payloads that cannot be
    read have none.
    """
    found: dict[tuple[int, str], FaultUse] = {}
    for use in every_fault_use(program):
        found.setdefault((id(use.fault), use.operator), use)
    return tuple(found.values())


def every_fault_use(program: Program) -> Iterator[FaultUse]:
    """Like :func:`fault_uses`, with every call and delegate that meets a fault's condition."""
    for operator, place, fault in _matches(program):
        yield FaultUse(fault, operator, place)


def _matches(program: Program) -> Iterator[tuple[str, str, Fault]]:
    by_name: dict[str, list[Fault]] = {}
    for fault in faults():
        for name in fault.operators:
            by_name.setdefault(name, []).append(fault)
    for plan_index, plan in enumerate(program.root.execution_plan or ()):
        path = f"execution_plan[{plan_index}]"
        for call, place in _calls(plan, path, by_name):
            for fault in by_name[call.operator]:
                if CALL_CONDITIONS[fault.condition](call, fault.parameters):
                    yield call.operator, place, fault
        for index, delegate in enumerate(plan.delegates or ()):
            if delegate.id == XNNPACK:
                place = f"{path}.delegates[{index}]"
                for use in _nodes(program, delegate, place):
                    name = type(use.node).__name__
                    for fault in by_name.get(name, ()):
                        if NODE_CONDITIONS[fault.condition](use, fault.parameters):
                            yield name, place, fault


def _calls(plan: schema.ExecutionPlan, path: str, by_name: dict[str, list[Fault]]) -> Iterator[tuple[Call, str]]:
    names = [operator.qualified_name for operator in plan.operators or ()]
    if not by_name.keys() & set(names):
        return
    values = plan.values or ()
    for chain_index, chain in enumerate(plan.chains or ()):
        for index, instruction in enumerate(chain.instructions or ()):
            call = instruction.instr_args
            if not isinstance(call, schema.KernelCall) or not 0 <= call.op_index < len(names):
                continue
            if names[call.op_index] in by_name:
                arguments: tuple[Any, ...] = tuple(
                    values[i].val if 0 <= i < len(values) else None for i in call.args or ()
                )
                place = f"{path}.chains[{chain_index}].instructions[{index}].instr_args"
                yield Call(names[call.op_index], arguments, values), place


def _nodes(program: Program, delegate: schema.BackendDelegate, place: str) -> Iterator[NodeUse]:
    try:
        payload = program.payload(delegate, place)
        header = read_header(payload, file=program.file, path=f"{place}.processed")
        if header is not None:
            payload = payload[header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size]
        graph, _ = read_root(payload, xnn.SCHEMA, xnn.ROOT, file=program.file)
    except FormatError:
        # What cannot be read is the payload's own problem, reported with what the file requires.
        return
    tensors = {value.tensor.id_out: value.tensor for value in graph.xvalues or () if value.tensor is not None}
    for node in graph.xnodes or ():
        if node.xnode_union is not None:
            yield NodeUse(node.xnode_union, tensors)
