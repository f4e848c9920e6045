"""Writes an ONNX ModelProto: the few messages of onnx.proto3 that a lowered graph needs.

Importing the ``onnx`` package costs more than opening a session, so the wire format (varints and length-delimited
fields) is written here. Field numbers: onnx/onnx.proto3 of ONNX 1.16 (IR version 10).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, Union

import ml_dtypes
import numpy as np

from pteron.ops.promotion import Array, DType
from pteron.version import __version__

IR_VERSION = 10
OPSET = 21
MICROSOFT = "com.microsoft"

# TensorProto.DataType by dtype.
ELEMENT_TYPES: dict[DType, int] = {
    np.dtype(np.float32): 1,
    np.dtype(np.uint8): 2,
    np.dtype(np.int8): 3,
    np.dtype(np.uint16): 4,
    np.dtype(np.int16): 5,
    np.dtype(np.int32): 6,
    np.dtype(np.int64): 7,
    np.dtype(np.bool_): 9,
    np.dtype(np.float16): 10,
    np.dtype(np.float64): 11,
    np.dtype(np.uint32): 12,
    np.dtype(np.uint64): 13,
    np.dtype(ml_dtypes.bfloat16): 16,
    np.dtype(ml_dtypes.int4): 22,
}

Attribute: TypeAlias = Union[int, float, str, Sequence[int], Sequence[float], Array, "GraphRecord"]

# Weights from so many bytes on are parts of their own, and never copied while a model is encoded.
_LARGE = 1 << 16


@dataclass(slots=True)
class NodeRecord:
    """One ONNX node; empty strings are absent inputs."""

    op_type: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    name: str = ""

    def branches(self) -> list[GraphRecord]:
        """The graphs among the attributes."""
        return [attribute for attribute in self.attributes.values() if isinstance(attribute, GraphRecord)]

    def reads(self) -> Iterator[str]:
        """The names that the node reads, those that its branches take from around it included."""
        yield from self.inputs
        for branch in self.branches():
            made = {name for node in branch.nodes for name in node.outputs}
            yield from (name for node in branch.nodes for name in node.reads() if name not in made)


@dataclass(frozen=True, slots=True)
class ValueRecord:
    """A graph input or output: dimensions are numbers or the names of symbolic ones; None says nothing of the shape."""

    name: str
    element_type: int
    shape: tuple[int | str, ...] | None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class WeightRecord:
    """An initializer. ``data`` is written into the model; without it only type and shape are, for data that lies
    ``offset`` bytes into the file ``location`` (or that is handed to the session by name)."""

    name: str
    element_type: int
    shape: tuple[int, ...]
    data: bytes | memoryview | None
    location: str = ""
    offset: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True)
class GraphRecord:
    """A graph: of a model, or the branch of an ``If`` node, which has no inputs and sees the names around it.

    ``known`` are values inside whose types are said.
    """

    nodes: Sequence[NodeRecord]
    inputs: Sequence[ValueRecord]
    outputs: Sequence[ValueRecord]
    weights: Sequence[WeightRecord]
    name: str = "graph"
    doc: str = ""
    known: Sequence[ValueRecord] = ()

    def every_node(self) -> Iterator[NodeRecord]:
        """The nodes, and those of the branches inside of them."""
        for node in self.nodes:
            yield node
            for branch in node.branches():
                yield from branch.every_node()


def encode_model(graph: GraphRecord, metadata: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """The bytes of a ModelProto."""
    return b"".join(model_parts(graph, metadata))


def model_parts(
    graph: GraphRecord, metadata: Mapping[str, str] = MappingProxyType({})
) -> list[bytes | bytearray | memoryview]:
    """The bytes of a ModelProto in parts, of which large weights are some; ``metadata`` are ``metadata_props``."""
    content = _graph(graph)
    head, tail = bytearray(), bytearray()
    _number(head, 1, IR_VERSION)
    _text(head, 2, "pteron")
    _text(head, 3, __version__)
    _tag(head, 7, sum(map(len, content)))
    for domain, version in opsets(graph).items():
        opset = bytearray()
        _text(opset, 1, domain)
        _number(opset, 2, version)
        _message(tail, 8, opset)
    for key, value in metadata.items():
        _message(tail, 14, _entry(key, value))
    return [head, *content, tail]


def opsets(graph: GraphRecord) -> dict[str, int]:
    """The versions of the operator sets that the graph's nodes are from."""
    contrib = any(node.domain == MICROSOFT for node in graph.every_node())
    return {"": OPSET, **({MICROSOFT: 1} if contrib else {})}


def _graph(graph: GraphRecord) -> list[bytes | bytearray | memoryview]:
    parts: list[bytes | bytearray | memoryview] = []
    out = bytearray()
    for node in graph.nodes:
        _message(out, 1, _node(node))
    _text(out, 2, graph.name)
    for weight in graph.weights:
        content = _weight(weight)
        if weight.data is None or len(weight.data) < _LARGE:
            if weight.data is not None:
                _message(content, 9, weight.data)
            _message(out, 5, content)
            continue
        _tag(content, 9, len(weight.data))
        _tag(out, 5, len(content) + len(weight.data))
        parts += [out + content, weight.data]
        out = bytearray()
    if graph.doc:
        _text(out, 10, graph.doc)
    for value in graph.inputs:
        _message(out, 11, _value(value))
    for value in graph.outputs:
        _message(out, 12, _value(value))
    for value in graph.known:
        _message(out, 13, _value(value))
    return [*parts, out]


def _varint(out: bytearray, value: int) -> None:
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _number(out: bytearray, number: int, value: int) -> None:
    _varint(out, number << 3)
    _varint(out, value)


def _float(out: bytearray, number: int, value: float) -> None:
    _varint(out, number << 3 | 5)
    out += struct.pack("<f", value)


def _tag(out: bytearray, number: int, length: int) -> None:
    """Begin a field of so many bytes."""
    _varint(out, number << 3 | 2)
    _varint(out, length)


def _message(out: bytearray, number: int, content: bytes | bytearray | memoryview) -> None:
    _tag(out, number, len(content))
    out += content


def _text(out: bytearray, number: int, value: str) -> None:
    _message(out, number, value.encode())


def _node(node: NodeRecord) -> bytearray:
    out = bytearray()
    for name in node.inputs:
        _text(out, 1, name)
    for name in node.outputs:
        _text(out, 2, name)
    _text(out, 3, node.name)
    _text(out, 4, node.op_type)
    for name, value in node.attributes.items():
        _message(out, 5, _attribute(name, value))
    if node.domain:
        _text(out, 7, node.domain)
    return out


def _attribute(name: str, value: Attribute) -> bytearray:
    out = bytearray()
    _text(out, 1, name)
    if isinstance(value, np.ndarray):
        tensor = _weight(weight_of("", value))
        _message(tensor, 9, np.ascontiguousarray(value).tobytes())
        _message(out, 5, tensor)
        kind = 4
    elif isinstance(value, GraphRecord):
        _message(out, 6, b"".join(_graph(value)))
        kind = 5
    elif isinstance(value, str):
        _text(out, 4, value)
        kind = 3
    elif isinstance(value, int):
        _number(out, 3, int(value))
        kind = 2
    elif isinstance(value, float):
        _float(out, 2, value)
        kind = 1
    elif any(isinstance(item, float) for item in value):
        for item in value:
            _float(out, 7, float(item))
        kind = 6
    else:
        for item in value:
            _number(out, 8, int(item))
        kind = 7
    _number(out, 20, kind)
    return out


def weight_of(name: str, data: Array) -> WeightRecord:
    """An array as an initializer written into the model."""
    return WeightRecord(name, ELEMENT_TYPES[data.dtype], data.shape, np.ascontiguousarray(data).tobytes())


def _weight(weight: WeightRecord) -> bytearray:
    """A TensorProto up to its data."""
    out = bytearray()
    for size in weight.shape:
        _number(out, 1, size)
    _number(out, 2, weight.element_type)
    _text(out, 8, weight.name)
    if weight.data is not None:
        return out
    entries = {"location": weight.location, "offset": str(weight.offset), "length": str(weight.length)}
    for key, value in entries.items():
        _message(out, 13, _entry(key, value))
    _number(out, 14, 1)
    return out


def _entry(key: str, value: str) -> bytearray:
    out = bytearray()
    _text(out, 1, key)
    _text(out, 2, value)
    return out


def _value(value: ValueRecord) -> bytearray:
    tensor = bytearray()
    _number(tensor, 1, value.element_type)
    if value.shape is not None:
        shape = bytearray()
        for size in value.shape:
            dim = bytearray()
            if isinstance(size, str):
                _text(dim, 2, size)
            else:
                _number(dim, 1, size)
            _message(shape, 1, dim)
        _message(tensor, 2, shape)
    kind = bytearray()
    _message(kind, 1, tensor)
    out = bytearray()
    _text(out, 1, value.name)
    _message(out, 2, kind)
    if value.doc:
        _text(out, 3, value.doc)
    return out
