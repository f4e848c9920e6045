"""A method's graph as the record of one ONNX graph: nodes, ports with their names, states, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pteron.errors import UnsupportedError
from pteron.format.method import Method
from pteron.graph.ir import Constant, Graph, Node, Operand, State, terminator_operands, values_in
from pteron.ops.lowering import Declined, Ref
from pteron.ops.lowering.builder import Builder, boundary
from pteron.ops.lowering.model_bytes import ELEMENT_TYPES, GraphRecord, ValueRecord, WeightRecord
from pteron.ops.promotion import Array
from pteron.ops.registry import Registry
from pteron.runtime.onnx_engine import availability
from pteron.runtime.onnx_engine.model import Lowerer, spec_of
from pteron.runtime.onnx_engine.partition import inputs_of, outputs_of
from pteron.runtime.onnx_engine.session import refusal
from pteron.runtime.onnx_export.interface import Names, Port, StatePort, renamed
from pteron.runtime.onnx_export.lower import Unstructured, WholeMethod, used_values

_DTYPES = {number: dtype.name for dtype, number in ELEMENT_TYPES.items()}

# How many operators a refusal names, and how many places of each.
_LISTED = 5
_PLACES = 3


@dataclass(frozen=True, slots=True)
class Exported:
    """A method as an ONNX graph.

    ``arrays`` are the weights that ``record`` only mentions, ``constants`` those of them that are the program's, both
    by name. ``left_out`` names outputs that the model does not have.
    """

    record: GraphRecord
    arrays: Mapping[str, Array]
    constants: Mapping[str, Constant]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[StatePort, ...]
    left_out: tuple[str, ...]


def export(graph: Graph, method: Method, operators: Registry, where: str) -> Exported:
    """The graph as a record; raises ``UnsupportedError`` with the operators that have no lowering and their places."""
    lowerer = Lowerer(operators, {c.value: c for c in graph.constants}, used_values(graph))
    try:
        whole = WholeMethod(graph, lowerer)
        _refuse_nodes(graph, {node: lowerer.refusal(node) for node in graph.nodes()}, where)
        values, states = whole.run()
    except Unstructured as reason:
        raise UnsupportedError(f"{where}: its control flow has {reason}, which no model made here can hold") from None
    except Declined as reason:
        raise UnsupportedError(f"{where}: no ONNX model can hold it: {reason}") from None
    _refuse_models(graph, lowerer, where)

    taken, names = Names(), dict[str, str]()
    infos = [info for info in method.inputs if info.kind == "tensor"]
    for value, info in zip(graph.inputs, infos, strict=True):
        names[f"v.{value.name}"] = taken.take(info.name)
    for state in graph.states:
        names[f"v.{state.value.name}"] = taken.take(state.value.name)
    given, left_out = _outputs(whole.builder, method, values, where)
    for label, (name, _) in given.items():
        names[label] = taken.take(name)
    for number, state in enumerate(graph.states):
        names[f"s.{number}"] = taken.take(f"{names[f'v.{state.value.name}']}_next")
    labelled = [(label, ref) for label, (_, ref) in given.items()]
    labelled += [(f"s.{number}", ref) for number, ref in enumerate(states)]

    builder = whole.builder
    record = builder.graph(labelled, method.name or "method")
    defaults = {f"v.{s.value.name}": _default(s) for s in graph.states}
    entries = [*graph.inputs, *(state.value for state in graph.states)]
    shapes = {f"v.{value.name}": spec_of(value).shape for value in entries}
    shapes.update((label, ref.shape) for label, ref in labelled)
    record = replace(
        record,
        inputs=[_shaped(port, names[port.name], shapes[port.name]) for port in record.inputs],
        outputs=[_shaped(port, names[port.name], shapes[port.name]) for port in record.outputs],
        weights=[*record.weights, *(_weight(name, data) for name, data in defaults.items() if data is not None)],
    )
    arrays = {**builder.arrays, **{name: data for name, data in defaults.items() if data is not None}}
    record = renamed(record, names, taken)
    bounds = {names[label]: shape for label, shape in shapes.items()}
    inputs = [_port(port, bounds[port.name]) for port in record.inputs]
    outputs = [_port(port, bounds[port.name]) for port in record.outputs]
    fed, kept = len(graph.inputs), len(given)
    return Exported(
        record,
        {names[name]: data for name, data in arrays.items()},
        {names[f"v.{c.value.name}"]: c for c in graph.constants if f"v.{c.value.name}" in builder.arrays},
        tuple(inputs[:fed]),
        tuple(outputs[:kept]),
        tuple(
            StatePort(
                port,
                following.name,
                "zeros" if defaults[f"v.{state.value.name}"] is None else "default",
                state.shared,
            )
            for port, following, state in zip(inputs[fed:], outputs[kept:], graph.states, strict=True)
        ),
        left_out,
    )


def _refuse_nodes(graph: Graph, refusals: Mapping[Node, str], where: str) -> None:
    """Raise ``UnsupportedError`` where nodes have no lowering, with the operators and where they are called."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for node, reason in refusals.items():
        if reason:
            grouped.setdefault((node.op, reason), []).append(node.source or f"result %{node.outputs[0].name}")
    if not grouped:
        return
    listed = []
    for (op, reason), places in list(grouped.items())[:_LISTED]:
        shown = [*places[:_PLACES], *([f"{len(places) - _PLACES} more"] if len(places) > _PLACES else [])]
        listed.append(f"{op} (at {' and '.join(shown)}: {reason})")
    rest = len(grouped) - _LISTED
    tail = f" and {rest} more operators" if rest > 0 else ""
    raise UnsupportedError(
        f"{where}: no ONNX model can hold {'; '.join(listed)}{tail}; `pteron run` runs it all the same"
    )


def _refuse_models(graph: Graph, lowerer: Lowerer, where: str) -> None:
    """Raise ``UnsupportedError`` where ONNX Runtime has no kernel for what a node became."""
    if availability.problem():
        return
    for block in graph.blocks:
        if not block.nodes:
            continue
        ends = {value for operand in terminator_operands(block.terminator) for value in values_in(operand)}
        results = outputs_of(block.nodes, ends)
        if not results:
            continue
        model = lowerer.model(block.nodes, inputs_of(block.nodes), results)
        found = refusal(model)
        if found is not None:
            node = model.labels.get(found.label)
            _refuse_nodes(graph, {node or block.nodes[0]: f"ONNX Runtime refuses it: {found}"}, where)


def _outputs(
    builder: Builder, method: Method, values: list[Operand | Ref], where: str
) -> tuple[dict[str, tuple[str, Ref]], tuple[str, ...]]:
    """The outputs of a model by label, with the names wanted; and those that it cannot have: None and text."""
    given: dict[str, tuple[str, Ref]] = {}
    left_out = []
    for info, value in zip(method.outputs, values, strict=True):
        if value is None or isinstance(value, str):
            left_out.append(info.name)
            continue
        if isinstance(value, list) and not all(isinstance(item, int | float) for item in value):
            raise UnsupportedError(f"{where}: no ONNX model can hold output {info.name}, a {info.kind}")
        ref = value if isinstance(value, Ref) else builder.const(np.asarray(value))
        given[f"o.{len(given)}"] = info.name, ref
    return given, tuple(left_out)


def _default(state: State) -> Array | None:
    """What a state's input is when nothing is given; None for zeros, which would only take room in the file."""
    if state.initial is None or not np.any(np.asarray(state.initial)):
        return None
    content: Array = np.asarray(state.initial)
    return content.astype(boundary(spec_of(state.value).dtype), copy=False)


def _weight(name: str, data: Array) -> WeightRecord:
    return WeightRecord(name, ELEMENT_TYPES[data.dtype], data.shape, None, "", 0, data.nbytes)


def _shaped(port: ValueRecord, name: str, bound: tuple[int, ...]) -> ValueRecord:
    """The port with a name for each dimension that may vary, and what it may be at most in words."""
    shape = port.shape
    if shape is not None and all(isinstance(size, int) for size in shape):
        return port
    named = tuple(f"{name}_dim{i}" for i in range(len(bound)))
    return replace(port, shape=named, doc=f"at most [{', '.join(map(str, bound))}]")


def _port(port: ValueRecord, bound: tuple[int, ...]) -> Port:
    return Port(port.name, _DTYPES[port.element_type], port.shape or (), bound)
