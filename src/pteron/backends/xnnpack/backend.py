"""The backend: payloads of ``XnnpackBackend`` on the reference kernels, and as nodes of a lifted graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pteron.backends.identify import identify_payload
from pteron.backends.interface import DelegateContext, DelegateTensor, PayloadInfo
from pteron.backends.xnnpack.constants import Constants
from pteron.backends.xnnpack.expand import BACKEND_ID, expand, input_type, storage_of
from pteron.backends.xnnpack.payload import NamedData, Payload, read_payload
from pteron.backends.xnnpack.run import CompiledGraph
from pteron.backends.xnnpack.values import XNNTensorValue
from pteron.backends.xnnpack.verify import verify_payload
from pteron.errors import ExecutionError
from pteron.format.program import Program
from pteron.graph.build import Builder
from pteron.graph.ir import Block, Graph, Return, TensorType, Value

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry
    from pteron.graph.lift import DelegateSite, Expand

Array = NDArray[Any]


class XnnpackBackend:
    """XNNPACK payloads of every release, on NumPy."""

    id = BACKEND_ID

    def is_available(self) -> bool:
        return True

    def identify(self, payload: memoryview) -> PayloadInfo:
        """What the payload is, told from its header."""
        return identify_payload(BACKEND_ID, payload)

    def init(self, payload: memoryview, context: DelegateContext) -> XnnpackHandle:
        """Prepare a payload.

        Raises ``FormatError`` for a damaged one, ``ExternalDataError`` where a .ptd file is missing, ``BackendError``
        for what Pteron does not run.
        """
        read = read_payload(payload, file=context.file, path=f"method {context.method!r}, delegate")
        verify_payload(read, context.named_data)
        return XnnpackHandle(read, context.named_data)

    def expander(self, program: Program, external: Mapping[str, TensorEntry]) -> Expand:
        """What ``pteron.graph.lift.lift`` takes to expand the program's payloads; see :func:`expander`."""
        return expander(program, external)


class XnnpackHandle:
    """One payload, expanded once; it keeps no state between calls."""

    def __init__(self, payload: Payload, named_data: NamedData) -> None:
        self._inputs = arguments(payload, outputs=False)
        self._outputs = arguments(payload, outputs=True)
        self.graph = payload_graph(payload, named_data)
        self._dtypes = [value.tensor_type.dtype for value in self.graph.inputs]
        self._run = CompiledGraph(self.graph)

    def execute(self, args: Sequence[DelegateTensor | int | float | bool | str | None]) -> None:
        """Run once; the tensors of ``args`` are those that the payload numbers by external id."""
        given = []
        for tensor, dtype in zip(self._inputs, self._dtypes, strict=True):
            argument = _tensor(args, tensor)
            array = argument.array
            if array is not None and array.ndim == 0 and tensor.dims == (1,):
                array = array.reshape(1)  # exporters declare scalars so
            elif array is not None:
                array = _turned(array, argument.dim_order)
            if array is None or array.dtype != dtype or array.ndim != len(tensor.dims or ()):
                found = "no data" if array is None else f"{array.dtype.name}{list(array.shape)}"
                raise ExecutionError(
                    f"argument {tensor.external_id} of the delegate is {found}, "
                    f"the payload takes {dtype.name} of {len(tensor.dims or ())} dimensions"
                )
            given.append(array)
        for tensor, result in zip(self._outputs, self._run(given), strict=True):
            argument = _tensor(args, tensor)
            order = argument.dim_order
            if not order and result.shape == (1,):
                result = result.reshape(())
            elif len(order) == result.ndim and order != tuple(range(result.ndim)):
                result = result.transpose(np.argsort(order))
            argument.store(result)

    def reset(self) -> None:
        """Nothing to do: there is no state."""


def payload_graph(payload: Payload, named_data: NamedData) -> Graph:
    """A verified payload as a graph of its own: its inputs, then its outputs, in order of their external ids.

    Sizes are dynamic, as the runtime takes those of every call. Raises ``BackendError`` for what Pteron does not run.
    """
    graph = Graph(payload.path or "payload")
    block = Block("block0")
    graph.blocks.append(block)
    inputs: dict[int, Value] = {}
    for tensor in arguments(payload, outputs=False):
        value = graph.value(input_type(payload, tensor, dynamic=True), f"in{tensor.external_id}")
        graph.inputs.append(value)
        inputs[tensor.external_id] = value
    results = expand(payload, Builder(graph, block), inputs, Constants(payload, named_data))
    block.terminator = Return([results[key] for key in sorted(results)])
    return graph


def expander(
    program: Program, external: Mapping[str, TensorEntry]
) -> Callable[[DelegateSite], dict[int, Value] | None]:
    """What ``pteron.graph.lift.lift`` takes to expand XNNPACK payloads; other backends' delegates stay nodes.

    ``external`` are the entries of the .ptd files. Raises what ``XnnpackBackend.init`` does.
    """
    named = dict(program.named_data) | {key: entry.data for key, entry in external.items()}
    files = {key: entry.file for key, entry in external.items()}

    def expand_site(site: DelegateSite) -> dict[int, Value] | None:
        if site.backend_id != BACKEND_ID:
            return None
        payload = read_payload(site.payload, file=program.file, path=f"delegate {site.index}")
        verify_payload(payload, named)
        return _expand_in_line(payload, site, Constants(payload, named, files))

    return expand_site


def arguments(payload: Payload, *, outputs: bool) -> list[XNNTensorValue]:
    """The payload's inputs or outputs, in order of their external ids."""
    tensors = (value.tensor for value in payload.values.values())
    chosen = [t for t in tensors if t is not None and (t.is_output if outputs else t.is_input)]
    return sorted(chosen, key=lambda tensor: tensor.external_id)


def _expand_in_line(payload: Payload, site: DelegateSite, constants: Constants) -> dict[int, Value]:
    builder = site.builder
    inputs: dict[int, Value] = {}
    for tensor in (*arguments(payload, outputs=False), *arguments(payload, outputs=True)):
        if tensor.external_id >= len(site.args):
            raise site.unsupported(f"the payload has an argument {tensor.external_id}, the call has none")
    for tensor in arguments(payload, outputs=False):
        value = site.read(tensor.external_id)
        if not isinstance(value, Value) or not value.is_tensor:
            raise site.unsupported(f"argument {tensor.external_id} is no tensor")
        if value.tensor_type.rank == 0 and tensor.dims == (1,):
            value = builder.reshape(value, (1,))
        type = value.tensor_type
        if type.scalar_type != storage_of(payload, tensor) or type.rank != len(tensor.dims or ()):
            raise site.unsupported(f"argument {tensor.external_id} is {type}")
        inputs[tensor.external_id] = _physical(builder, value)
    results = expand(payload, builder, inputs, constants)
    for position, value in results.items():
        if position >= len(site.args):
            raise site.unsupported(f"the payload has an argument {position}, the call has none")
        out = site.type(position)
        if out is not None and out.rank == 0 and value.tensor_type.shape == (1,):
            results[position] = builder.reshape(value, ())
        elif out is not None and not out.contiguous and out.rank == value.tensor_type.rank:
            dims = [int(dim) for dim in np.argsort(out.dim_order)]
            shape = tuple(value.tensor_type.shape[dim] for dim in dims)
            turned = TensorType(value.tensor_type.scalar_type, shape, value.tensor_type.dynamic)
            results[position] = builder.call("aten::permute_copy", {"self": value, "dims": list(dims)}, turned)
    return results


def _physical(builder: Builder, value: Value) -> Value:
    """The value with its dimensions in the order in which they lie in memory, which is how XNNPACK sees it."""
    type = value.tensor_type
    if type.contiguous:
        return value
    shape = tuple(type.shape[dim] for dim in type.dim_order)
    turned = TensorType(type.scalar_type, shape, type.dynamic)
    return builder.call("aten::permute_copy", {"self": value, "dims": list(type.dim_order)}, turned)


def _tensor(args: Sequence[DelegateTensor | int | float | bool | str | None], tensor: XNNTensorValue) -> DelegateTensor:
    """The argument with the value's external id; raises ``ExecutionError`` where there is no tensor."""
    argument = args[tensor.external_id] if tensor.external_id < len(args) else None
    if argument is None or isinstance(argument, int | float | str):
        raise ExecutionError(f"argument {tensor.external_id} of the delegate must be a tensor")
    return argument


def _turned(array: Array, dim_order: tuple[int, ...]) -> Array:
    return array if dim_order == tuple(range(array.ndim)) else array.transpose(dim_order)
