"""expand: a payload as nodes of a graph.

    outputs = expand(payload, builder, inputs, constants)

Every node of a payload becomes functional ATen operators; which ones, the ``rules_*`` modules say. Values keep the
payload's own layout (NHWC): a convolution or pooling stands between two ``permute_copy``, which passes cancel.

Quantised values stay stored integers. A node that computes takes them through ``quantized_decomposed::dequantize_*``
and gives its result through ``quantize_per_tensor``; one that only moves elements moves the integers. Weights are
constants with a ``dequantize_per_channel`` behind them, those in blocks with one row per block. A value quantised at
run time is ``choose_qparams_per_token_asymmetric`` and ``quantize_per_token``. Fused ranges are ``clamp`` nodes.

Sizes follow from the inputs' types, as XNNPACK works them out at every call; the sizes that the payload declares are
upper bounds and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pteron.backends.xnnpack.constants import Constants
from pteron.backends.xnnpack.nodes import OutputMinMax, XNNNode, XNode
from pteron.backends.xnnpack.payload import Payload
from pteron.backends.xnnpack.quantization import (
    STORAGE,
    Dynamic,
    PerChannel,
    PerTensor,
    Quantization,
    integer_range,
)
from pteron.backends.xnnpack.values import PerTensorQuant, PerTokenDynamicQuant, XNNDatatype, XNNTensorValue
from pteron.errors import BackendError
from pteron.format.scalar_type import ScalarType
from pteron.graph.build import Builder
from pteron.graph.ir import Operand, ScalarKind, TensorType, Value, values_in

BACKEND_ID = "XnnpackBackend"
FLOATS = frozenset((ScalarType.FLOAT, ScalarType.HALF, ScalarType.BFLOAT16))

Rule = Callable[["Expansion", Any], None]
RULES: dict[type[XNNNode], Rule] = {}
F = TypeVar("F", bound=Rule)


def rule(*kinds: type[XNNNode]) -> Callable[[F], F]:
    """Register the decorated function: it appends what a node of these kinds does."""

    def register(function: F) -> F:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


def expand(payload: Payload, builder: Builder, inputs: Mapping[int, Value], constants: Constants) -> dict[int, Value]:
    """Append the payload's nodes; gives back the outputs by external id.

    ``inputs`` are tensors by external id, in the payload's own order of dimensions, of the element type that
    ``input_type`` gives. The payload must be one that ``verify_payload`` accepts. Raises ``BackendError`` for what
    Pteron does not run.
    """
    from pteron.backends.xnnpack import rules_elementwise, rules_layers, rules_shape  # noqa: F401 - they register

    expansion = Expansion(payload, builder, constants)
    for number, value in payload.values.items():
        tensor = value.tensor
        if tensor is not None and tensor.is_input:
            expansion.take_input(number, inputs[tensor.external_id])
    for number, node in enumerate(payload.graph.xnodes or ()):
        expansion.run(number, node)
    return {
        tensor.external_id: expansion.stored(number)
        for number, value in payload.values.items()
        if (tensor := value.tensor) is not None and tensor.is_output
    }


def storage_of(payload: Payload, tensor: XNNTensorValue) -> ScalarType:
    """The element type of a value in the graph; raises ``BackendError`` for a datatype that has none."""
    storage = STORAGE.get(tensor.datatype)
    if storage is None:
        raise refusal(payload, f"datatype {tensor.datatype.short}")
    return storage


def input_type(payload: Payload, tensor: XNNTensorValue, *, dynamic: bool) -> TensorType:
    """The type of an input or output at its upper bound."""
    return TensorType(storage_of(payload, tensor), tensor.dims or (), dynamic)


def refusal(payload: Payload, what: str) -> BackendError:
    """The error for something in a payload that Pteron does not run."""
    return BackendError(
        f"{payload.file}, {payload.path or 'delegate'}: the XNNPACK backend does not run {what} "
        f"(a payload of format {payload.format})",
        BACKEND_ID,
    )


class Expansion:
    """One payload while it is expanded: the graph's values of the payload's values, and helpers that append nodes."""

    def __init__(self, payload: Payload, builder: Builder, constants: Constants) -> None:
        self.payload = payload
        self.builder = builder
        self.constants = constants
        self.node: XNode | None = None
        self._stored: dict[int, Value] = {}
        self._real: dict[int, Value] = {}
        self._quantization: dict[int, Quantization | None] = {}
        self._sizes: dict[tuple[Value, int], Value] = {}
        self._source = builder.source

    def take_input(self, number: int, value: Value) -> None:
        """Bind an input; 0.1 wrote inputs that the runtime has to quantise first."""
        tensor = self.tensor(number)
        self._stored[number] = value
        if tensor.dq_datatype != XNNDatatype.xnn_datatype_invalid:
            self._stored[number] = self._quantize_dynamically(number, value, 1)
        elif isinstance(self.payload.values[number].quant_params, PerTokenDynamicQuant):
            raise self.refuse("an input that is quantised at run time outside of the delegate")

    def run(self, number: int, node: XNode) -> None:
        """Append what one node does."""
        found = RULES.get(type(node.xnode_union)) if node.xnode_union is not None else None
        if found is None:
            raise self.refuse(f"node {node.kind or 'without content'}")
        self.node = node
        prefix = f"{self._source}, " if self._source else ""
        self.builder.source = f"{prefix}{node.kind} {number}"
        found(self, node.xnode_union)
        self.builder.source = self._source

    def refuse(self, what: str) -> BackendError:
        """The error to raise for something that Pteron does not run."""
        return refusal(self.payload, what)

    def need(self, holds: bool, what: str) -> None:
        """Refuse a node whose tensors do not go together."""
        if not holds:
            raise self.refuse(f"{self.node.kind if self.node else 'a node'} with {what}")

    def refuse_flags(self, flags: int, known: int = 0) -> None:
        """Refuse flags that change results in a way that no exporter asks for."""
        self.need(not flags & ~known, f"flags {flags:#x}")

    # Values of the payload

    def tensor(self, number: int) -> XNNTensorValue:
        """The payload's record of a value."""
        tensor = self.payload.values[number].tensor
        assert tensor is not None
        return tensor

    def quantization(self, number: int) -> Quantization | None:
        """How a value is quantised, None for a plain one."""
        if number not in self._quantization:
            params = self.payload.values[number].quant_params
            if isinstance(params, PerTensorQuant):
                self._quantization[number] = PerTensor(params.scale, params.zero_point)
            elif params is None:
                self._quantization[number] = None
            else:
                self._quantization[number] = self.constants.per_channel(number)
        return self._quantization[number]

    def stored(self, number: int) -> Value:
        """A value as it is stored: integers where it is quantised."""
        value = self._stored.get(number)
        if value is None:
            value = self._stored[number] = self.constants.value(number, self.builder.graph)
        return value

    def real(self, number: int) -> Value:
        """A value as real numbers."""
        value = self._real.get(number)
        if value is None:
            stored = self.stored(number)
            value = self._real[number] = self.dequantize(stored, self.quantization(number))
        return value

    def real_permuted(self, number: int, dims: Sequence[int]) -> Value:
        """A value as real numbers with its dimensions in another order.

        Stored integers are turned, so that the dequantisation stands before the node that computes.
        """
        quantization = self.quantization(number)
        if isinstance(quantization, PerTensor):
            return self.dequantize(self.permute(self.stored(number), dims), quantization)
        return self.permute(self.real(number), dims)

    def define_permuted(self, number: int, value: Value, dims: Sequence[int]) -> None:
        """The value is this with its dimensions in another order, turned after it is quantised."""
        self.define(number, value)
        self.define_stored(number, self.permute(self.stored(number), dims))

    def define(self, number: int, value: Value) -> None:
        """The value is this: real numbers, quantised and converted as its record says."""
        quantization = self.quantization(number)
        storage = storage_of(self.payload, self.tensor(number))
        if quantization is None:
            self.define_stored(number, self.convert(value, storage))
            return
        self.need(isinstance(quantization, PerTensor), f"a result of {self.tensor(number).datatype.short}")
        assert isinstance(quantization, PerTensor)
        low, high = integer_range(storage)
        operands: dict[str, Operand] = {
            "input": self.convert(value, ScalarType.FLOAT),
            "scale": quantization.scale,
            "zero_point": quantization.zero_point,
            "quant_min": low,
            "quant_max": high,
            "dtype": int(storage),
        }
        self.define_stored(
            number, self.call("quantized_decomposed::quantize_per_tensor", operands, storage, _shape(value))
        )

    def define_stored(self, number: int, value: Value) -> None:
        """The value is this, as stored."""
        self._stored[number] = value

    def define_moved(self, number: int, source: int, move: Callable[[Value], Value]) -> None:
        """The value is the other's elements in other places: stored ones where both are stored alike."""
        if self.alike(number, source):
            self.define_stored(number, move(self.stored(source)))
        else:
            self.define(number, move(self.real(source)))

    def define_quantized(self, number: int, value: Value, num_nonbatch_dims: int) -> None:
        """The value is this, quantised at run time."""
        self.define_stored(number, self._quantize_dynamically(number, value, num_nonbatch_dims))

    def alike(self, *numbers: int) -> bool:
        """Whether values have one datatype and one quantisation, so that elements can go from one to the other."""
        datatypes = {self.tensor(n).datatype for n in numbers}
        kinds = [self.quantization(n) for n in numbers]
        return (
            len(datatypes) == 1
            and not any(isinstance(kind, Dynamic | PerChannel) for kind in kinds)
            and all(kind == kinds[0] for kind in kinds)
        )

    # Quantisation

    def dequantize(self, stored: Value, quantization: Quantization | None) -> Value:
        """Stored integers as float32."""
        if quantization is None:
            return stored
        storage = stored.tensor_type.scalar_type
        low, high = integer_range(storage)
        limits: dict[str, Operand] = {"quant_min": low, "quant_max": high, "dtype": int(storage)}
        shape = _shape(stored)
        match quantization:
            case PerTensor(scale, zero_point):
                operands: dict[str, Operand] = {"input": stored, "scale": scale, "zero_point": zero_point, **limits}
                return self.call(
                    "quantized_decomposed::dequantize_per_tensor", operands, ScalarType.FLOAT, _shape(stored)
                )
            case PerChannel(scales, axis):
                operands = {"input": stored, "scales": self.constants.array(scales, self.builder.graph)}
                operands |= {"zero_points": None, "axis": axis, **limits}
                real = self.call("quantized_decomposed::dequantize_per_channel", operands, ScalarType.FLOAT, shape)
                if not quantization.group_size:
                    return real
                rows = math.prod(shape) // self.constants.columns_of(stored)
                return self.view(real, [rows, self.constants.columns_of(stored)])
            case Dynamic(count, scales, zero_points):
                flat = self._tokens(stored, count)
                operands = {"input": flat, "scales": scales, "zero_points": zero_points, **limits}
                operands["output_dtype"] = int(ScalarType.FLOAT)
                real = self.call("quantized_decomposed::dequantize_per_token", operands, ScalarType.FLOAT, _shape(flat))
                return self.view(real, self.sizes(stored), shape) if flat is not stored else real

    def _quantize_dynamically(self, number: int, value: Value, num_nonbatch_dims: int) -> Value:
        self.need(num_nonbatch_dims > 0, "a quantisation of single elements")
        flat = self._tokens(value, num_nonbatch_dims)
        rows = (*_shape(flat)[:-1], 1)
        dynamic = flat.tensor_type.dynamic
        scales, zero_points = self.builder.node(
            "quantized_decomposed::choose_qparams_per_token_asymmetric",
            {"input": flat, "dtype": int(ScalarType.CHAR)},
            [TensorType(ScalarType.DOUBLE, rows, dynamic), TensorType(ScalarType.LONG, rows, dynamic)],
        )
        low, high = integer_range(ScalarType.CHAR)
        operands: dict[str, Operand] = {"input": flat, "scales": scales, "zero_points": zero_points}
        operands |= {"quant_min": low, "quant_max": high, "dtype": int(ScalarType.CHAR)}
        stored = self.call("quantized_decomposed::quantize_per_token", operands, ScalarType.CHAR, _shape(flat))
        self._quantization[number] = Dynamic(num_nonbatch_dims, scales, zero_points)
        return stored if flat is value else self.view(stored, self.sizes(value), _shape(value))

    def _tokens(self, value: Value, num_nonbatch_dims: int) -> Value:
        """The elements that share a scale as the last dimension."""
        if num_nonbatch_dims == 1:
            return value
        shape = _shape(value)
        batch = len(shape) - num_nonbatch_dims
        rows: list[Operand] = self.sizes(value)[:batch] or [1]
        return self.view(value, [*rows, -1], (*(shape[:batch] or (1,)), math.prod(shape[batch:])))

    # Nodes of the graph

    def call(self, op: str, operands: dict[str, Operand], scalar_type: ScalarType, shape: Sequence[int]) -> Value:
        """Append a node with one tensor result."""
        dynamic = any(
            value.type.dynamic
            for operand in operands.values()
            for value in values_in(operand)
            if isinstance(value.type, TensorType)
        )
        return self.builder.call(op, operands, TensorType(scalar_type, tuple(shape), dynamic))

    def convert(self, value: Value, scalar_type: ScalarType) -> Value:
        """The value in another element type."""
        if value.tensor_type.scalar_type == scalar_type:
            return value
        constant = self.constants.converted(value, scalar_type, self.builder.graph)
        if constant is not None:
            return constant
        return self.call("aten::_to_copy", {"self": value, "dtype": int(scalar_type)}, scalar_type, _shape(value))

    def permute(self, value: Value, dims: Sequence[int]) -> Value:
        """The value with its dimensions in another order."""
        if list(dims) == list(range(len(dims))):
            return value
        shape = _shape(value)
        return self.call(
            "aten::permute_copy",
            {"self": value, "dims": list(dims)},
            value.tensor_type.scalar_type,
            [shape[d] for d in dims],
        )

    def view(self, value: Value, size: Sequence[Operand], shape: Sequence[int] | None = None) -> Value:
        """The value under another shape: ``shape`` at the upper bound, ``size`` at run time."""
        if shape is None:
            shape = [s for s in size if isinstance(s, int)]
        if tuple(shape) == _shape(value) and not value.tensor_type.dynamic:
            return value
        return self.call("aten::view_copy", {"self": value, "size": list(size)}, value.tensor_type.scalar_type, shape)

    def sizes(self, value: Value) -> list[Operand]:
        """The value's sizes at run time."""
        type = value.tensor_type
        if not type.dynamic:
            return list(type.shape)
        return [self._size(value, dim) for dim in range(type.rank)]

    def _size(self, value: Value, dim: int) -> Value:
        known = self._sizes.get((value, dim))
        if known is None:
            kind: ScalarKind = "int"
            known = self.builder.call("aten::sym_size.int", {"self": value, "dim": dim}, kind)
            self._sizes[value, dim] = known
        return known

    def clamp(self, value: Value) -> Value:
        """The value within the node's fused range."""
        assert self.node is not None
        bounds = self.node.output_min_max
        return value if bounds is None else self.clamp_to(value, bounds)

    def clamp_is_idle(self) -> bool:
        """Whether the node has no fused range."""
        bounds = self.node and self.node.output_min_max
        return not bounds or (bounds.output_min, bounds.output_max) == (-math.inf, math.inf)

    def clamp_to(self, value: Value, bounds: OutputMinMax) -> Value:
        """The value within a range whose infinite ends are left away."""
        low = None if bounds.output_min == -math.inf else bounds.output_min
        high = None if bounds.output_max == math.inf else bounds.output_max
        if low is None and high is None:
            return value
        scalar_type = value.tensor_type.scalar_type
        return self.call("aten::clamp", {"self": value, "min": low, "max": high}, scalar_type, _shape(value))


def _shape(value: Value) -> tuple[int, ...]:
    return value.tensor_type.shape
