"""Segment to ONNX model: the builder driven by graph nodes."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pteron.graph.ir import Constant, Node, Operand, TensorType, Value
from pteron.ops.invoke import default_value
from pteron.ops.lowering import Builder, Declined, Lowering, Ref, Spec, find_lowering
from pteron.ops.lowering.model_bytes import WeightRecord
from pteron.ops.promotion import Array
from pteron.ops.registry import Operator, Registry

_SCALARS = {"int": np.dtype(np.int64), "float": np.dtype(np.float64), "bool": np.dtype(np.bool_)}

# Nodes that write only what is new where their first input and their result share memory.
_IN_PLACE = frozenset({"ScatterND", "ScatterElements"})


@dataclass(frozen=True)
class SegmentModel:
    """One segment as a model.

    ``inputs`` and ``outputs`` are values of the graph under their names in the model. ``in_memory`` are weights that
    the session must be given by name; the others lie in ``files`` of the folder ``folder``. ``in_place`` maps names of
    outputs to the inputs whose memory they may overwrite. ``labels`` are graph nodes by the name of their ONNX nodes.
    Without ``prepack`` weights are read where they are mapped, and take no memory of their own.
    """

    bytes: bytes
    inputs: tuple[tuple[str, Value], ...]
    outputs: tuple[tuple[str, Value], ...]
    in_memory: Mapping[str, Array]
    folder: str
    files: tuple[Path, ...]
    in_place: Mapping[str, str]
    labels: Mapping[str, Node]
    prepack: bool = True


# Rows up to which a product reads a weight as it lies; packing it first would only cost a copy.
_FEW_ROWS = 4


def gains_by_packing(nodes: Iterable[Node]) -> bool:
    """Whether weights packed once make the nodes faster.

    Not for products with a few rows, as of a decoder's step. Nor for convolutions of floats: ONNX Runtime packs theirs
    when the model is optimised, if at all; only transposed ones turn theirs around.
    """
    for node in nodes:
        namespace, _, name = node.op.partition("::")
        if namespace not in ("aten", "dim_order_ops", "executorch_prim"):
            return True
        if name.startswith("convolution") and (name != "convolution" or node.operands["transposed"]):
            return True
        if name in ("mm", "bmm", "addmm", "linear"):
            shape = node.outputs[0].tensor_type.shape
            rows = shape[-2] if name == "bmm" else math.prod(shape[:-1])
            if rows > _FEW_ROWS:
                return True
    return False


def spec_of(value: Value, *, used: bool = True) -> Spec:
    """A value's type as the builder has it."""
    if isinstance(value.type, TensorType):
        return Spec(value.type.dtype, value.type.shape, value.type.dynamic, used)
    return Spec(_SCALARS[value.type], (), False, used)


class Lowerer:
    """Lowers nodes, in a segment or alone to see whether that is possible."""

    def __init__(self, operators: Registry, constants: Mapping[Value, Constant], used: AbstractSet[Value]) -> None:
        self._operators = operators
        self._constants = constants
        self._used = used

    def refusal(self, node: Node) -> str:
        """Why the node cannot be lowered, or an empty string."""
        builder = Builder()
        try:
            refs = {value: self.leaf(builder, value, f"v{i}") for i, value in enumerate(dict.fromkeys(node.inputs()))}
            self.lower(builder, node, refs)
        except Declined as declined:
            return str(declined)
        return ""

    def model(self, nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value]) -> SegmentModel:
        """The model of a segment.

        Raises :class:`Declined` with its node: what is known of the neighbours can speak against one that could be
        lowered alone.
        """
        builder = Builder()
        refs: dict[Value, Ref] = {}
        named: list[tuple[str, Value]] = []
        for value in inputs:
            name = f"v.{value.name}"
            refs[value] = self.leaf(builder, value, name)
            if value not in self._constants:
                named.append((name, value))
        labels: dict[str, Node] = {}
        for number, node in enumerate(nodes):
            start = len(builder.nodes)
            try:
                self.lower(builder, node, refs)
            except Declined as declined:
                declined.node = node
                raise
            labels[f"n{number}"] = node
            for part, record in enumerate(builder.nodes[start:]):
                record.name = f"n{number}.{part}"
        results = [(f"v.{value.name}", value) for value in outputs]
        place = _Files(self._constants, builder)
        content = builder.model([(name, refs[value]) for name, value in results])
        in_place = {}
        for name, _ in results:
            source = builder.overwrites(name, _IN_PLACE)
            if source:
                in_place[name] = source
        return SegmentModel(
            content,
            tuple(named),
            tuple(results),
            place.in_memory(),
            place.folder,
            tuple(place.files),
            in_place,
            labels,
            gains_by_packing(nodes),
        )

    def leaf(self, builder: Builder, value: Value, name: str) -> Ref:
        """A value that no node of the model makes: a weight, or an input of the model."""
        constant = self._constants.get(value)
        if constant is not None:
            return builder.weight(name, constant.data, spec_of(value).dtype)
        return builder.input(name, spec_of(value), scalar=not value.is_tensor)

    def lower(self, builder: Builder, node: Node, refs: dict[Value, Ref]) -> None:
        """Add a node, whose inputs ``refs`` has, and put its results there; raises :class:`Declined`."""
        entry, operator = self._entry(node)
        arguments: dict[str, Any] = dict(_defaults(operator))
        arguments.update((name, _operand(operand, refs)) for name, operand in node.operands.items())
        specs = [spec_of(value, used=value in self._used) for value in node.outputs]
        for value, ref in zip(node.outputs, builder.lower(entry, arguments, specs), strict=True):
            if ref is not None:
                ref.scalar = not value.is_tensor
                refs[value] = ref
            elif value in self._used:
                raise Declined("a result is used that the lowering does not give")

    def _entry(self, node: Node) -> tuple[Lowering, Operator]:
        operator = self._operators.by_functional(node.op)
        entry = find_lowering(node.op)
        if entry is None or operator is None:
            raise Declined("no lowering")
        if not operator.kernel.__module__.startswith("pteron.ops."):
            raise Declined("the operator's kernel is not Pteron's own")
        return entry, operator


@functools.cache
def _defaults(operator: Operator) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for argument in operator.functional.arguments:
        value = None if argument.default is None else default_value(argument.default)
        values[argument.name] = [value] if argument.type.endswith("[]") and isinstance(value, int) else value
    return values


def _operand(operand: Operand, refs: Mapping[Value, Ref]) -> Any:
    if isinstance(operand, Value):
        return refs[operand]
    if isinstance(operand, list):
        return [_operand(item, refs) for item in operand]
    return operand


class _Files:
    """Points the weights that lie in a file as they are to their place there."""

    def __init__(self, constants: Mapping[Value, Constant], builder: Builder) -> None:
        self._builder = builder
        self.folder = ""
        self.files: list[Path] = []
        self._mapped: set[str] = set()
        self._paths: dict[str, Path | None] = {}
        by_name = {f"v.{value.name}": constant for value, constant in constants.items()}
        with contextlib.ExitStack() as opened:
            handles: dict[Path, BinaryIO] = {}
            for name in builder.arrays:
                constant = by_name.get(name)
                path = self._path(constant)
                if constant is None or path is None or (self.folder and str(path.parent) != self.folder):
                    continue
                try:
                    if path not in handles:
                        handles[path] = opened.enter_context(path.open("rb"))
                    if not lies_in(handles[path], constant):
                        continue
                except OSError:
                    continue
                self._map(name, path, constant.offset or 0)

    def _map(self, name: str, path: Path, offset: int) -> None:
        self.folder = str(path.parent)
        if path not in self.files:
            self.files.append(path)
        record = self._builder.weights[name]
        self._builder.weights[name] = WeightRecord(
            name, record.element_type, record.shape, None, path.name, offset, record.length
        )
        self._mapped.add(name)

    def _path(self, constant: Constant | None) -> Path | None:
        """The file that holds a constant's bytes in the order of its dimensions."""
        if constant is None or constant.offset is None or not constant.file or not constant.data.flags.c_contiguous:
            return None
        if constant.file not in self._paths:
            path = Path(constant.file)
            try:
                self._paths[constant.file] = path.resolve(strict=True) if path.is_file() else None
            except (OSError, ValueError):
                self._paths[constant.file] = None
        return self._paths[constant.file]

    def in_memory(self) -> dict[str, Array]:
        return {name: data for name, data in self._builder.arrays.items() if name not in self._mapped}


_SAMPLE = 256


def lies_in(file: BinaryIO, constant: Constant) -> bool:
    """Whether the file still begins and ends a constant as it did when the program was opened.

    The program sees the file that it opened; under its name there may be another by now.
    """
    data = constant.data.reshape(-1).view(np.uint8)
    for start in (0, max(len(data) - _SAMPLE, 0)):
        file.seek((constant.offset or 0) + start)
        if file.read(min(_SAMPLE, len(data))) != data[start : start + _SAMPLE].tobytes():
            return False
    return True
