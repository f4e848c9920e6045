"""Delegates written out in operators, where the target lacks their backend or does not take their payload."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from packaging.version import Version

from pteron.backends.xnnpack.backend import arguments
from pteron.backends.xnnpack.constants import Constants
from pteron.backends.xnnpack.expand import expand, storage_of
from pteron.backends.xnnpack.payload import NamedData, Payload, read_payload
from pteron.backends.xnnpack.releases import needs
from pteron.backends.xnnpack.verify import verify_payload
from pteron.compat.facts import minor_of
from pteron.compat.fault_search import every_fault_use
from pteron.compat.migrate.operators import spliced
from pteron.compat.migrate.payload import named_data, without_unused_data
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import XNNPACK, Profile
from pteron.errors import BackendError, PteronError, UnsupportedError
from pteron.format import schema
from pteron.format.program import Program
from pteron.format.relocate import without_unused_segments
from pteron.format.schema import DelegateCall, InstructionArguments
from pteron.graph.evaluate import run_node
from pteron.graph.ir import Graph, Node, Operand, Return, TensorType, Value, replaced, values_in
from pteron.graph.passes import common, no_ops, run_passes, transposes, views
from pteron.graph.splice import Piece

_SOLVES = ("PT-BE-001", "PT-BE-002", "PT-BE-004", "PT-BE-005", "PT-BE-006", "PT-BE-008", "PT-OP-008", "PT-OP-009")
_PASSES = (no_ops.run, views.run, common.run, transposes.run)
_MAX_FOLDED_BYTES = 1 << 31


@step("expand-delegates", solves=_SOLVES, layout_only=False)
def expanded(subject: Subject, profile: Profile) -> Rewritten | None:
    """Write XNNPACK delegates out in operators, where the target cannot run them."""
    blobs = named_data(subject)
    faulty = _faulty(subject.program, profile)
    chosen: set[int] = set()

    def make(piece: Piece, instruction: InstructionArguments) -> Mapping[int, Value] | None:
        if not isinstance(instruction, DelegateCall) or instruction.delegate_index >= len(piece.edit.delegates):
            return None
        delegate = piece.edit.delegates[instruction.delegate_index]
        if delegate.id != XNNPACK:
            return None
        place = f"{piece.place.partition(', ')[2]}.delegates[{instruction.delegate_index}]"
        payload = read_payload(subject.program.payload(delegate, place), file=subject.program.file, path=place)
        if place not in faulty and not _beyond(payload, profile):
            return None
        chosen.add(len(chosen))
        return expand_call(piece, instruction, payload, blobs)

    try:
        program = spliced(subject, make)
    except BackendError as error:
        raise UnsupportedError(str(error)) from error
    if not chosen:
        return None
    program = without_unused_data(without_unused_segments(_without_unused_payloads(program)))
    return dataclasses.replace(subject, program=program), f"wrote {len(chosen)} XNNPACK delegates out in operators"


def _beyond(payload: Payload, profile: Profile) -> bool:
    """Whether the target's XNNPACK cannot run the payload, wherever its constants are."""
    support = profile.backends.get(XNNPACK)
    if support is None or not support.available:
        return True
    kinds, datatypes = set(payload.node_kinds), {datatype.short for datatype in payload.datatypes}
    if support.node_types is not None and not kinds <= support.node_types:
        return True
    if support.datatypes is not None and not datatypes <= support.datatypes:
        return True
    if profile.release is None:
        return False
    release = minor_of(profile.release)
    return any(
        (need.until and release > minor_of(Version(need.until)))
        or (need.path.startswith("xnodes") and release < minor_of(Version(need.since)))
        for need in needs(payload)
    )


def _faulty(program: Program, profile: Profile) -> set[str]:
    """Places of delegates that run into a certain fault of the target's XNNPACK."""
    held = {id(fault) for fault in profile.faults}
    uses = (use for use in every_fault_use(program) if use.operator.startswith("XNN"))
    return {use.place for use in uses if id(use.fault) in held and use.fault.certain}


def expand_call(piece: Piece, call: DelegateCall, payload: Payload, blobs: NamedData) -> Mapping[int, Value]:
    """What the delegate writes, by the plan's values; its nodes are appended to the piece.

    Raises ``UnsupportedError`` for arguments that cannot be brought into the payload's layout, ``BackendError`` for a
    payload that Pteron does not run.
    """
    verify_payload(payload, blobs)
    args = call.args or ()
    inputs: dict[int, Value] = {}
    for tensor in arguments(payload, outputs=False):
        index = _argument(piece, args, tensor.external_id)
        value = piece.read(index)
        assert isinstance(value, Value)
        if value.tensor_type.rank == 0 and tensor.dims == (1,):
            value = piece.builder.reshape(value, (1,))
        if value.tensor_type.scalar_type != storage_of(payload, tensor):
            raise UnsupportedError(f"{piece.place}: argument {tensor.external_id} is {value.tensor_type}")
        inputs[tensor.external_id] = value
    results = expand(payload, piece.builder, inputs, Constants(payload, blobs))
    found: dict[int, Value] = {}
    for position, value in results.items():
        index = _argument(piece, args, position)
        if piece.type(index).rank == 0 and value.tensor_type.shape == (1,):
            value = piece.builder.reshape(value, ())
        found[index] = value
    return _tidied(piece.graph, found)


def _argument(piece: Piece, args: tuple[int, ...], position: int) -> int:
    """The plan's tensor that stands for an argument, its dimensions in the order of memory, as XNNPACK sees it."""
    if position >= len(args) or not isinstance(piece.edit.val(args[position]), schema.Tensor):
        raise UnsupportedError(f"{piece.place}: the payload has a tensor {position}, the call has none")
    index = piece.edit.as_stored(args[position])
    if index is None:
        raise UnsupportedError(
            f"{piece.place}: argument {position} has a dim order of its own, and is dynamic or not memory planned"
        )
    return index


def _tidied(graph: Graph, found: dict[int, Value]) -> dict[int, Value]:
    """Fold what depends on constants alone, and take out transposes that cancel."""
    graph.inputs = [value for value in _free(graph) if value.is_tensor]
    end = Return(list(found.values()))
    graph.entry.terminator = end
    _fold(graph)
    run_passes(graph, _PASSES)
    end_values = graph.entry.terminator
    assert isinstance(end_values, Return)
    tidied: dict[int, Value] = {}
    for index, operand in zip(found, end_values.values, strict=True):
        assert isinstance(operand, Value)
        tidied[index] = operand
    return tidied


def _free(graph: Graph) -> list[Value]:
    """Values that nodes use and nothing in the graph defines."""
    defined = {value for node in graph.nodes() for value in node.outputs}
    defined.update(constant.value for constant in graph.constants)
    used: dict[Value, None] = {}
    for node in graph.nodes():
        used.update(dict.fromkeys(value for value in node.inputs() if value not in defined))
    return list(used)


def _fold(graph: Graph) -> None:
    constants = {constant.value: constant.data for constant in graph.constants}
    known: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.entry.nodes:
        for old in list(node.inputs()):
            if old in known:
                node.replace_input(old, known[old])
        folded = _folded(node, constants)
        if folded is None:
            kept.append(node)
            continue
        type = node.output.tensor_type
        folded.flags.writeable = False
        known[node.output] = graph.constant(folded, TensorType(type.scalar_type, folded.shape), "folded")
        constants[known[node.output]] = folded
    graph.entry.nodes = kept
    end = graph.entry.terminator
    assert isinstance(end, Return)
    end.values = [_replaced(operand, known) for operand in end.values]


def _replaced(operand: Operand, known: dict[Value, Value]) -> Operand:
    for value in list(values_in(operand)):
        if value in known:
            operand = replaced(operand, value, known[value])
    return operand


def _folded(node: Node, constants: Mapping[Value, np.ndarray]) -> np.ndarray | None:
    """The only result of a node of constants; None for any other node."""
    inputs = list(node.inputs())
    if not inputs or len(node.outputs) != 1 or not node.output.is_tensor or any(v not in constants for v in inputs):
        return None
    if node.output.tensor_type.nbytes > _MAX_FOLDED_BYTES:
        return None
    operands = {name: _content(operand, constants) for name, operand in node.operands.items()}
    try:
        (result,) = run_node(node, operands)
    except PteronError:
        return None
    return np.ascontiguousarray(result).reshape(result.shape)


def _content(operand: Operand, constants: Mapping[Value, np.ndarray]) -> object:
    if isinstance(operand, Value):
        return constants[operand]
    if isinstance(operand, list):
        return [_content(item, constants) for item in operand]
    return operand


def _without_unused_payloads(program: Program) -> Program:
    """The program without inline payloads that no delegate uses any more."""
    inline = program.root.backend_delegate_data
    if not inline:
        return program
    used = sorted(
        {
            delegate.processed.index
            for plan in program.root.execution_plan or ()
            for delegate in plan.delegates or ()
            if delegate.processed is not None and delegate.processed.location is schema.DataLocation.INLINE
        }
    )
    numbers = {old: new for new, old in enumerate(used)}
    plans = []
    for plan in program.root.execution_plan or ():
        delegates = tuple(_renumbered(delegate, numbers) for delegate in plan.delegates or ())
        plans.append(dataclasses.replace(plan, delegates=delegates))
    kept = tuple(inline[index] for index in used if index < len(inline))
    root = dataclasses.replace(program.root, execution_plan=tuple(plans), backend_delegate_data=kept)
    return program.replace(root=root)


def _renumbered(delegate: schema.BackendDelegate, numbers: dict[int, int]) -> schema.BackendDelegate:
    processed = delegate.processed
    if processed is None or processed.location is not schema.DataLocation.INLINE:
        return delegate
    return dataclasses.replace(delegate, processed=dataclasses.replace(processed, index=numbers[processed.index]))
