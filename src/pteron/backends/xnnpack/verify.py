"""Verification of a payload: rules beyond bounds, so that whoever runs it can rely on its indices and shapes.

The rules are those that XNNCompiler.cpp and XNNPACK's own ``xnn_define_*`` functions keep, the strictest of all
releases where they differ. The first broken rule raises ``FormatError`` with the field's path behind the delegate's.
"""

from __future__ import annotations

import math

from pteron.backends.xnnpack.node_rules import check_node
from pteron.backends.xnnpack.payload import NamedData, Payload
from pteron.backends.xnnpack.values import (
    XNN_INVALID_VALUE_ID,
    XNN_MAX_TENSOR_DIMS,
    XNN_VALUE_FLAG_EXTERNAL_INPUT,
    XNN_VALUE_FLAG_EXTERNAL_OUTPUT,
    PerChannelGroupQuant,
    PerChannelQuant,
    PerTensorQuant,
    PerTokenDynamicQuant,
    XNNDatatype,
    XNNQuantParams,
    XNNTensorValue,
    XValue,
)
from pteron.errors import LimitError

MAX_EXTERNS = 4096
"""Arguments of a delegate that runtimes since 1.3 accept."""

_D = XNNDatatype
_PLAIN = {
    _D.xnn_datatype_fp32,
    _D.xnn_datatype_fp16,
    _D.xnn_datatype_int32,
    _D.xnn_datatype_pfp32,
    _D.xnn_datatype_bf16,
}
_QUANTIZED: dict[type[XNNQuantParams], set[XNNDatatype]] = {
    PerTensorQuant: {_D.xnn_datatype_qint8, _D.xnn_datatype_quint8, _D.xnn_datatype_qint32},
    PerChannelQuant: {_D.xnn_datatype_qcint8, _D.xnn_datatype_qcint32, _D.xnn_datatype_qcint4},
    PerTokenDynamicQuant: {_D.xnn_datatype_qdint8, _D.xnn_datatype_qpint8},
    PerChannelGroupQuant: {_D.xnn_datatype_qbint4},
}
_ZERO_POINTS = {
    _D.xnn_datatype_qint8: (-128, 127),
    _D.xnn_datatype_quint8: (0, 255),
    _D.xnn_datatype_qint32: (0, 0),
}
_SMALLEST_NORMAL = 2.0**-126


def verify_payload(payload: Payload, named_data: NamedData | None = None) -> None:
    """Check a payload; raises ``FormatError`` (``LimitError`` for a tensor too large) at the first broken rule.

    With ``named_data`` constants in named data must be there and long enough: ``ExternalDataError`` where they are not.
    """
    graph = payload.graph
    if graph.xnodes is None or graph.xvalues is None:
        raise payload.fault("the graph has no nodes or no values", "xnodes" if graph.xnodes is None else "xvalues")
    if graph.num_externs > MAX_EXTERNS:
        raise payload.fault(f"{graph.num_externs:,} arguments; at most {MAX_EXTERNS} are possible", "num_externs")
    ids: set[int] = set()
    external: set[int] = set()
    for number, value in enumerate(graph.xvalues):
        path = f"xvalues[{number}].xvalue_union"
        tensor, path = _tensor(payload, value, path)
        _check_shape(payload, tensor, path)
        if tensor.id_out in ids or tensor.id_out == XNN_INVALID_VALUE_ID:
            raise payload.fault(f"value id {tensor.id_out} is taken", f"{path}.id_out")
        ids.add(tensor.id_out)
        _check_external(payload, tensor, external, path)
        _check_datatype(payload, value, tensor, path)
        if value.quant_params is not None:
            _check_quantization(payload, value.quant_params, tensor, f"xvalues[{number}].xvalue_union.quant_params")
    _check_constants(payload, named_data)
    _check_order(payload)
    for number, node in enumerate(graph.xnodes):
        if node.xnode_union is not None:
            check_node(payload, node.xnode_union, f"xnodes[{number}].xnode_union")


def _tensor(payload: Payload, value: XValue, path: str) -> tuple[XNNTensorValue, str]:
    tensor = value.tensor
    if tensor is None:
        raise payload.fault("a value without a tensor", path)
    return tensor, path if tensor is value.xvalue_union else f"{path}.tensor_value"


def _check_shape(payload: Payload, tensor: XNNTensorValue, path: str) -> None:
    dims = tensor.dims or ()
    if len(dims) != tensor.num_dims:
        raise payload.fault(f"{len(dims)} sizes for {tensor.num_dims} dimensions", f"{path}.dims")
    if len(dims) > XNN_MAX_TENSOR_DIMS:
        raise payload.fault(f"{len(dims)} dimensions; XNNPACK has at most {XNN_MAX_TENSOR_DIMS}", f"{path}.dims")
    if tensor.nbytes > payload.limits.max_tensor_bytes:
        raise payload.fault(
            f"a tensor of {tensor.nbytes:,} bytes; raise Limits.max_tensor_bytes to read it", f"{path}.dims", LimitError
        )


def _check_external(payload: Payload, tensor: XNNTensorValue, external: set[int], path: str) -> None:
    if tensor.flags == 0:
        return
    if tensor.flags not in (XNN_VALUE_FLAG_EXTERNAL_INPUT, XNN_VALUE_FLAG_EXTERNAL_OUTPUT):
        raise payload.fault(f"flags {tensor.flags:#x}; a value is an input (1), an output (2) or internal (0)", path)
    if tensor.constant_buffer_idx:
        raise payload.fault("a constant cannot be an argument of the delegate", f"{path}.flags")
    if tensor.external_id >= payload.graph.num_externs or tensor.external_id in external:
        raise payload.fault(
            f"argument {tensor.external_id} of {payload.graph.num_externs} does not exist or is taken",
            f"{path}.external_id",
        )
    external.add(tensor.external_id)


def _check_datatype(payload: Payload, value: XValue, tensor: XNNTensorValue, path: str) -> None:
    params = value.quant_params
    if params is None and tensor is not value.xvalue_union:
        raise payload.fault("a quantised value without parameters", path.removesuffix(".tensor_value"))
    allowed = _PLAIN if params is None else _QUANTIZED[type(params)]
    if tensor.datatype not in allowed:
        kind = "a plain value" if params is None else type(params).__name__
        raise payload.fault(f"datatype {tensor.datatype.short} does not go with {kind}", f"{path}.datatype")
    if tensor.dq_datatype != XNNDatatype.xnn_datatype_invalid and (
        tensor.dq_datatype != XNNDatatype.xnn_datatype_qint8 or params is not None or not tensor.is_input
    ):
        raise payload.fault("only a plain input can be quantised at run time, and only to qint8", f"{path}.dq_datatype")


def _check_quantization(payload: Payload, params: XNNQuantParams, tensor: XNNTensorValue, path: str) -> None:
    dims = tensor.dims or ()
    if isinstance(params, PerTensorQuant):
        low, high = _ZERO_POINTS[tensor.datatype]
        if not low <= params.zero_point <= high:
            raise payload.fault(f"zero point {params.zero_point} is not in {low} … {high}", f"{path}.zero_point")
        _check_scales(payload, (params.scale,), f"{path}.scale")
    elif isinstance(params, PerTokenDynamicQuant):
        if not 0 <= params.num_nonbatch_dims <= len(dims):
            raise payload.fault(f"{params.num_nonbatch_dims} of {len(dims)} dimensions", f"{path}.num_nonbatch_dims")
        if tensor.constant_buffer_idx:
            raise payload.fault("a constant cannot be quantised at run time", path)
    elif isinstance(params, PerChannelGroupQuant):
        if len(dims) != 2 or params.group_size <= 0 or params.channel_dim != 0:
            raise payload.fault(f"blocks of {params.group_size} in a weight of {len(dims)} dimensions", path)
        _check_scale_count(payload, params, dims[0] * dims[1] // params.group_size, 2, path)
    else:
        if not 0 <= params.channel_dim < len(dims):
            raise payload.fault(f"channel dimension {params.channel_dim} of {len(dims)}", f"{path}.channel_dim")
        _check_scale_count(payload, params, dims[params.channel_dim], 4, path)


def _check_scale_count(
    payload: Payload, params: PerChannelQuant | PerChannelGroupQuant, count: int, itemsize: int, path: str
) -> None:
    if params.scale_buffer_idx == 0:
        scales = params.scale or ()
        if len(scales) != count:
            raise payload.fault(f"{len(scales)} scales where {count} are needed", f"{path}.scale")
        _check_scales(payload, scales, f"{path}.scale")
        return
    field = f"{path}.scale_buffer_idx"
    size = payload.constant_size(params.scale_buffer_idx, field)
    if params.num_scales != count or size < count * itemsize:
        raise payload.fault(f"{params.num_scales} scales in {size} bytes where {count} are needed", field)


def _check_scales(payload: Payload, scales: tuple[float, ...], path: str) -> None:
    for scale in scales:
        if not (math.isfinite(scale) and scale >= _SMALLEST_NORMAL):
            raise payload.fault(f"scale {scale!r} is not a positive normal number", path)


def _check_constants(payload: Payload, named_data: NamedData | None) -> None:
    for index, path in payload.constant_uses():
        size = payload.constant_size(index, path)
        if named_data is not None or not payload.is_named(index):
            payload.constant(index, named_data, path=path)
        if not path.endswith(".constant_buffer_idx"):
            continue
        tensor = (payload.graph.xvalues or ())[int(path[path.index("[") + 1 : path.index("]")])].tensor
        if tensor is not None and size < tensor.nbytes:
            raise payload.fault(f"constant {index} has {size:,} bytes, {tensor.nbytes:,} are needed", path)


def _check_order(payload: Payload) -> None:
    """Every value is known, made once, and made before it is taken."""
    made: set[int] = set()
    free: set[int] = set()
    for number, value in payload.values.items():
        tensor = value.tensor
        if tensor is not None and (tensor.is_input or tensor.constant_buffer_idx):
            made.add(number)
        else:
            free.add(number)
    for number, node in enumerate(payload.graph.xnodes or ()):
        kind = node.xnode_union
        path = f"xnodes[{number}].xnode_union"
        if kind is None:
            raise payload.fault("a node without content", path)
        for name in kind.reads:
            read = kind.id_of(name)
            if read not in made and not (read == XNN_INVALID_VALUE_ID and name in kind.optional):
                known = "nothing made it before" if read in free else "there is no such value"
                raise payload.fault(f"{node.kind} takes value {read}: {known}", f"{path}.{name}")
        for name in kind.writes:
            written = kind.id_of(name)
            if written not in free:
                known = "it is there already" if written in made else "there is no such value"
                raise payload.fault(f"{node.kind} makes value {written}: {known}", f"{path}.{name}")
            free.remove(written)
            made.add(written)
    for number, value in enumerate(payload.graph.xvalues or ()):
        if value.tensor is not None and value.tensor.is_output and value.tensor.id_out in free:
            raise payload.fault("nothing makes this output", f"xvalues[{number}]")
