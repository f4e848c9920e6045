"""Writing payloads: records and constants → the bytes that a release's runtime reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from pteron.backends.xnnpack.header import ALIGNMENT, LENGTH, XNNHeader
from pteron.backends.xnnpack.payload import NamedData, Payload
from pteron.backends.xnnpack.schema import SCHEMA, XN01, ConstantDataOffset, XNNGraph
from pteron.backends.xnnpack.values import (
    PerChannelGroupQuant,
    PerChannelQuant,
    XNNQuantizedTensorValue,
    XNNTensorValue,
    XValue,
)
from pteron.format.encode import encode
from pteron.format.relocate import align_up


def write_payload(graph: XNNGraph, region: bytes = b"", *, file: str = "<payload>") -> bytes:
    """A payload of format XN01: header, flatbuffer, constant region, each at a multiple of 16 bytes.

    ``graph.constant_data`` says where in ``region`` each constant is. Raises ``FormatError`` for records that cannot
    be stored.
    """
    flatbuffer = encode(graph, SCHEMA, identifier=XN01, file=file).data
    start = align_up(LENGTH, ALIGNMENT)
    end = align_up(start + len(flatbuffer), ALIGNMENT)
    header = XNNHeader(start, len(flatbuffer), end, len(region)).pack()
    return header.ljust(start, b"\0") + bytes(flatbuffer).ljust(end - start, b"\0") + region


def self_contained(payload: Payload, named_data: NamedData, *, inline_scales: bool) -> bytes:
    """The payload with every constant that its values use in its own region, as exporters wrote up to 0.5.

    ``inline_scales`` also puts scales of weights back into the flatbuffer, where runtimes up to 0.6 look for them;
    bfloat16 scales of blocks are written as float32, which the runtimes turn back into the same bfloat16. Constants
    that values share stay shared. Raises ``ExternalDataError`` where a constant is not in ``named_data``.
    """
    region = bytearray()
    entries = [ConstantDataOffset()]
    numbers: dict[int, int] = {0: 0}

    def moved(index: int) -> int:
        if index not in numbers:
            data = payload.constant(index, named_data)
            region.extend(bytes(align_up(len(region), ALIGNMENT) - len(region)))
            numbers[index] = len(entries)
            entries.append(ConstantDataOffset(len(region), len(data)))
            region.extend(data)
        return numbers[index]

    values = []
    for value in payload.graph.xvalues or ():
        union = value.xvalue_union
        if isinstance(union, XNNTensorValue):
            union = dataclasses.replace(union, constant_buffer_idx=moved(union.constant_buffer_idx))
        elif isinstance(union, XNNQuantizedTensorValue):
            tensor, params = union.tensor_value, union.quant_params
            if tensor is not None:
                tensor = dataclasses.replace(tensor, constant_buffer_idx=moved(tensor.constant_buffer_idx))
            if isinstance(params, PerChannelQuant | PerChannelGroupQuant) and params.scale_buffer_idx:
                changes: Mapping[str, Any] = (
                    {"scale": _scales(payload, params, named_data), "scale_buffer_idx": 0, "num_scales": 0}
                    if inline_scales
                    else {"scale_buffer_idx": moved(params.scale_buffer_idx)}
                )
                params = dataclasses.replace(params, **changes)
            union = XNNQuantizedTensorValue(tensor, params)
        values.append(XValue(union))
    graph = dataclasses.replace(
        payload.graph, xvalues=tuple(values), constant_buffer=None, constant_data=tuple(entries)
    )
    return write_payload(graph, bytes(region), file=payload.file)


def _scales(
    payload: Payload, params: PerChannelQuant | PerChannelGroupQuant, named_data: NamedData
) -> tuple[float, ...]:
    blocks = isinstance(params, PerChannelGroupQuant)
    dtype = np.dtype(ml_dtypes.bfloat16 if blocks else np.float32)
    data = payload.constant(params.scale_buffer_idx, named_data)
    stored = np.frombuffer(data, np.uint8)[: params.num_scales * dtype.itemsize].view(dtype)
    return tuple(float(scale) for scale in stored.astype(np.float32))
