"""Runs payloads made by hand: XNNPACK's records in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pteron.backends.interface import DelegateContext
from pteron.backends.xnnpack.backend import XnnpackBackend
from pteron.backends.xnnpack.nodes import OutputMinMax, XNNNode, XNode
from pteron.backends.xnnpack.schema import Buffer, XNNGraph
from pteron.backends.xnnpack.values import (
    PerChannelGroupQuant,
    PerChannelQuant,
    PerTensorQuant,
    PerTokenDynamicQuant,
    XNNDatatype,
    XNNQuantizedTensorValue,
    XNNTensorValue,
    XValue,
)
from pteron.format.scalar_type import from_dtype
from pteron.format.schema import TensorShapeDynamism
from pteron.runtime.tensor import Tensor
from xnnpack_payloads import bare

INVALID = 0xFFFFFFFF
Quant = PerChannelGroupQuant | PerChannelQuant | PerTensorQuant | PerTokenDynamicQuant


class Graphs:
    """A payload under construction; values are numbered as they are added."""

    def __init__(self) -> None:
        self.values: list[XValue] = []
        self.nodes: list[XNode] = []
        self.buffers = [Buffer(memoryview(b""))]
        self.externs = 0

    def input(self, datatype: str, *dims: int, quant: Quant | None = None, **more: Any) -> int:
        return self._external(datatype, dims, quant, 1, more)

    def output(self, datatype: str, *dims: int, quant: Quant | None = None) -> int:
        return self._external(datatype, dims, quant, 2, {})

    def inner(self, datatype: str, *dims: int, quant: Quant | None = None) -> int:
        return self._value(datatype, dims, quant)

    def constant(
        self, datatype: str, array: np.ndarray[Any, Any], quant: Quant | None = None, dims: tuple[int, ...] = ()
    ) -> int:
        self.buffers.append(Buffer(memoryview(array.tobytes())))
        return self._value(datatype, dims or array.shape, quant, constant_buffer_idx=len(self.buffers) - 1)

    def node(self, node: XNNNode, low: float | None = None, high: float | None = None) -> None:
        bounds = None if low is None or high is None else OutputMinMax(low, high)
        self.nodes.append(XNode(node, output_min_max=bounds))

    def payload(self) -> memoryview:
        """As 0.1 wrote it: constants in the flatbuffer."""
        graph = XNNGraph("0", tuple(self.nodes), tuple(self.values), self.externs, constant_buffer=tuple(self.buffers))
        return bare(graph)

    def _external(
        self, datatype: str, dims: tuple[int, ...], quant: Quant | None, flags: int, more: Mapping[str, Any]
    ) -> int:
        number = self._value(datatype, dims, quant, external_id=self.externs, flags=flags, **more)
        self.externs += 1
        return number

    def _value(self, datatype: str, dims: tuple[int, ...], quant: Quant | None, **more: Any) -> int:
        number = len(self.values)
        kind = XNNDatatype[f"xnn_datatype_{datatype}"]
        tensor = XNNTensorValue(kind, len(dims), dims, id_out=number)
        tensor = replace(tensor, **({"external_id": INVALID} | more))
        self.values.append(XValue(tensor if quant is None else XNNQuantizedTensorValue(tensor, quant)))
        return number


def argument(array: np.ndarray[Any, Any], dim_order: Sequence[int] | None = None) -> Tensor:
    """A delegate's argument that holds the array; the dim order says how it lies in memory."""
    order = tuple(range(array.ndim)) if dim_order is None else tuple(dim_order)
    tensor = Tensor(from_dtype(array.dtype), array.shape, order, TensorShapeDynamism.DYNAMIC_BOUND)
    tensor.bind(np.zeros(max(array.nbytes, 1), np.uint8))
    tensor.store(array)
    return tensor


def run(payload: memoryview, *args: Tensor, named_data: Mapping[str, memoryview] | None = None) -> None:
    """Load the payload and run it once."""
    handle = XnnpackBackend().init(payload, DelegateContext("forward", "made.pte", {}, named_data or {}))
    handle.execute(args)


def results(graph: Graphs, *inputs: np.ndarray[Any, Any], outputs: Sequence[np.ndarray[Any, Any]]) -> list[Any]:
    """Run with these inputs; ``outputs`` give shapes and dtypes of the results."""
    outs = [argument(array) for array in outputs]
    run(graph.payload(), *map(argument, inputs), *outs)
    return [out.array for out in outs]
