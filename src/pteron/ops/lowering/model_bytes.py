"""Writes an ONNX ModelProto: the few messages of onnx.proto3 that a lowered graph needs.

Importing the ``onnx`` package costs more than opening a session, so the wire format (varints and length-delimited
fields) is written here. Field numbers: onnx/onnx.proto3 of ONNX 1.16 (IR version 10).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np

from pteron.ops.promotion import Array, DType

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

Attribute = int | float | str | Sequence[int] | Sequence[float] | Array


@dataclass(slots=True)
class NodeRecord:
    """One ONNX node; empty strings are absent inputs."""

    op_type: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ValueRecord:
    """A graph input or output: dimensions are numbers or the names of symbolic ones; None says nothing of the shape."""

    name: str
    element_type: int
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True, slots=True)
class WeightRecord:
    """An initializer. ``data`` is written into the model; without it only type and shape are, for data that lies
    ``offset`` bytes into the file ``location`` (or that is handed to the session by name)."""

    name: str
    element_type: int
    shape: tuple[int, ...]
    data: bytes | None
    location: str = ""
    offset: int = 0
    length: int = 0


def encode_model(
    nodes: Iterable[NodeRecord],
    inputs: Iterable[ValueRecord],
    outputs: Iterable[ValueRecord],
    weights: Iterable[WeightRecord],
    name: str = "graph",
) -> bytes:
    """The bytes of a ModelProto."""
    graph = bytearray()
    for node in nodes:
        _message(graph, 1, _node(node))
    _text(graph, 2, name)
    for weight in weights:
        _message(graph, 5, _weight(weight))
    for value in inputs:
        _message(graph, 11, _value(value))
    for value in outputs:
        _message(graph, 12, _value(value))
    model = bytearray()
    _number(model, 1, IR_VERSION)
    _text(model, 2, "pteron")
    _message(model, 7, graph)
    for domain, version in (("", OPSET), (MICROSOFT, 1)):
        opset = bytearray()
        _text(opset, 1, domain)
        _number(opset, 2, version)
        _message(model, 8, opset)
    return bytes(model)


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


def _message(out: bytearray, number: int, content: bytes | bytearray) -> None:
    _varint(out, number << 3 | 2)
    _varint(out, len(content))
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
        _message(out, 5, _weight(weight_of("", value)))
        kind = 4
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
    out = bytearray()
    for size in weight.shape:
        _number(out, 1, size)
    _number(out, 2, weight.element_type)
    _text(out, 8, weight.name)
    if weight.data is not None:
        _message(out, 9, weight.data)
        return out
    entries = {"location": weight.location, "offset": str(weight.offset), "length": str(weight.length)}
    for key, value in entries.items():
        entry = bytearray()
        _text(entry, 1, key)
        _text(entry, 2, value)
        _message(out, 13, entry)
    _number(out, 14, 1)
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
    return out
