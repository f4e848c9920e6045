"""Constants: a payload's weights and scales as constants of a graph, views into the file wherever they can be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.backends.xnnpack.payload import NamedData, Payload
from pteron.backends.xnnpack.quantization import FOUR_BITS, STORAGE, PerChannel, block_scales, unpack_four_bits
from pteron.backends.xnnpack.values import PerChannelGroupQuant, PerChannelQuant
from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.graph.ir import Graph, TensorType, Value


@dataclass
class Constants:
    """Where a payload's constants are: ``named_data`` blobs by key, ``files`` the names of the .ptd files by key.

    The bytes of every other constant are in the payload's file.
    """

    payload: Payload
    named_data: NamedData
    files: Mapping[str, str] = field(default_factory=dict)
    _arrays: dict[int, Value] = field(default_factory=dict)
    _columns: dict[Value, int] = field(default_factory=dict)
    _data: dict[Value, NDArray[Any]] = field(default_factory=dict)
    _converted: dict[tuple[Value, ScalarType], Value] = field(default_factory=dict)

    def value(self, number: int, graph: Graph) -> Value:
        """The constant that a value of the payload is; four-bit weights are unpacked, those in blocks one row each."""
        record = self.payload.values[number]
        tensor = record.tensor
        assert tensor is not None
        dims = tensor.dims or ()
        data = self.payload.constant(tensor.constant_buffer_idx, self.named_data)
        if tensor.datatype in FOUR_BITS:
            array: NDArray[Any] = unpack_four_bits(data, math.prod(dims[:-1]), dims[-1]).reshape(dims)
            params = record.quant_params
            if isinstance(params, PerChannelGroupQuant):
                array = array.reshape(-1, params.group_size)
            value = self._new(array, graph, f"xnn{number}")
            self._columns[value] = dims[-1]
            return value
        storage = STORAGE[tensor.datatype]
        array = np.frombuffer(data[: math.prod(dims) * storage.itemsize], storage.dtype).reshape(dims)
        entries = self.payload.graph.constant_data or ()
        key = entries[tensor.constant_buffer_idx].named_key if self.payload.header else None
        file = self.files.get(key, self.payload.file) if key else self.payload.file
        return self._new(array, graph, f"xnn{number}", file=file, offset=_offset(data))

    def per_channel(self, number: int) -> PerChannel | None:
        """The scales of a weight or bias quantised per channel or block; None for any other value."""
        record = self.payload.values[number]
        params = record.quant_params
        if not isinstance(params, PerChannelQuant | PerChannelGroupQuant):
            return None
        blocks = isinstance(params, PerChannelGroupQuant)
        scales: NDArray[Any] = np.asarray(params.scale or (), np.float32)
        if params.scale_buffer_idx:
            data = self.payload.constant(params.scale_buffer_idx, self.named_data)
            width = np.uint16 if blocks else np.float32
            scales = np.frombuffer(data, np.uint8).view(width)[: params.num_scales]
        if isinstance(params, PerChannelGroupQuant):
            return PerChannel(block_scales(scales), 0, params.group_size)
        return PerChannel(scales, params.channel_dim)

    def columns_of(self, stored: Value) -> int:
        """Elements in a row of a weight that is stored one row per block."""
        return self._columns[stored]

    def array(self, array: NDArray[Any], graph: Graph) -> Value:
        """An array as a constant, once."""
        known = self._arrays.get(id(array))
        if known is None:
            known = self._arrays[id(array)] = self._new(array, graph, "scales")
        return known

    def converted(self, value: Value, scalar_type: ScalarType, graph: Graph) -> Value | None:
        """A constant in another element type, None for a value that is no constant of the payload."""
        data = self._data.get(value)
        if data is None:
            return None
        known = self._converted.get((value, scalar_type))
        if known is None:
            known = self._new(data.astype(scalar_type.dtype), graph, value.name)
            self._converted[value, scalar_type] = known
        return known

    def _new(self, array: NDArray[Any], graph: Graph, name: str, **place: Any) -> Value:
        if array.flags.writeable:
            array.flags.writeable = False
        value = graph.constant(array, TensorType(from_dtype(array.dtype), array.shape), name, **place)
        self._data[value] = array
        return value


def _offset(data: memoryview) -> int | None:
    """Where a view starts in the buffer that it is a view of."""
    try:
        whole = np.frombuffer(data.obj, np.uint8)  # type: ignore[call-overload]
    except (TypeError, ValueError, BufferError):
        return None
    start = np.frombuffer(data, np.uint8).__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return int(start) if 0 <= start <= whole.nbytes - data.nbytes else None
