"""Rules of single nodes: their lists must fit the tensors that they take and make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.nodes import XNNNode
from pteron.backends.xnnpack.payload import Payload
from pteron.backends.xnnpack.values import XNN_INVALID_VALUE_ID


def check_node(payload: Payload, node: XNNNode, path: str) -> None:
    """Check one node of a payload whose value ids are known to be right; raises ``FormatError``."""
    rule = _RULES.get(type(node))
    if rule:
        rule(payload, node, path)


def _rank(payload: Payload, number: int) -> int:
    tensor = payload.values[number].tensor
    return len(tensor.dims or ()) if tensor else 0


def _channels(payload: Payload, number: int, *, dim: int = 0) -> int:
    tensor = payload.values[number].tensor
    return (tensor.dims or ())[dim] if tensor else 0


def _lists(**ranks: bool) -> Callable[[Payload, Any, str], None]:
    """Lists with one entry per dimension of the input (True) or of the output (False)."""

    def check(payload: Payload, node: Any, path: str) -> None:
        for name, of_input in ranks.items():
            entries = getattr(node, name) or ()
            wanted = _rank(payload, node.input_id if of_input else node.output_id)
            declared = getattr(node, "num_dims", len(entries))
            if not len(entries) == wanted == declared:
                raise payload.fault(
                    f"{len(entries)} entries, {declared} declared, for a tensor of {wanted} dimensions",
                    f"{path}.{name}",
                )

    return check


def _transpose(payload: Payload, node: nodes.XNNStaticTranspose, path: str) -> None:
    _lists(perm=True)(payload, node, path)
    if sorted(node.perm or ()) != list(range(node.num_dims)):
        raise payload.fault(f"{node.perm} is no permutation", f"{path}.perm")


def _reshape(payload: Payload, node: nodes.XNNStaticReshape, path: str) -> None:
    _lists(new_shape=False)(payload, node, path)
    if (node.new_shape or ()).count(0) > 1:
        raise payload.fault(f"{node.new_shape} leaves more than one size open", f"{path}.new_shape")


def _concatenate(payload: Payload, node: nodes.XNNCat, path: str) -> None:
    rank = _rank(payload, node.output_id)
    for name in node.reads:
        if _rank(payload, node.id_of(name)) != rank:
            raise payload.fault(f"another rank than the result's {rank} dimensions", f"{path}.{name}")
    if node.axis >= rank:
        raise payload.fault(f"axis {node.axis} of {rank} dimensions", f"{path}.axis")


def _spatial(payload: Payload, node: Any, path: str) -> None:
    """Convolutions and pooling work on rank 4, and no window or step is 0."""
    for name in (node.reads[0], *node.writes):
        if _rank(payload, node.id_of(name)) != 4:
            raise payload.fault("a tensor of other than 4 dimensions", f"{path}.{name}")
    for name in _WINDOWS:
        if name.startswith("dilation") and isinstance(node, nodes.XNNAvgPooling2d):
            continue  # exporters write 0 there: averages have no dilation
        if getattr(node, name, 1) == 0:
            raise payload.fault("0 is not possible", f"{path}.{name}")


_WINDOWS = (
    "kernel_height",
    "kernel_width",
    "subsampling_height",
    "subsampling_width",
    "dilation_height",
    "dilation_width",
    "pooling_height",
    "pooling_width",
    "stride_height",
    "stride_width",
    "groups",
    "group_input_channels",
    "group_output_channels",
)


def _convolution(payload: Payload, node: nodes.XNNNodeConv, path: str) -> None:
    _spatial(payload, node, path)
    if _rank(payload, node.filter_id) != 4:
        raise payload.fault("a filter of other than 4 dimensions", f"{path}.filter_id")
    depthwise = isinstance(node, nodes.XNNDepthwiseConv2d)
    _bias(payload, node, _channels(payload, node.filter_id, dim=3 if depthwise else 0), path)


def _fully_connected(payload: Payload, node: nodes.XNNFullyConnected, path: str) -> None:
    if _rank(payload, node.filter_id) != 2:
        raise payload.fault("a filter of other than 2 dimensions", f"{path}.filter_id")
    _bias(payload, node, _channels(payload, node.filter_id, dim=node.flags & TRANSPOSE_WEIGHTS), path)


def _bias(payload: Payload, node: Any, channels: int, path: str) -> None:
    if node.bias_id == XNN_INVALID_VALUE_ID:
        return
    if _rank(payload, node.bias_id) != 1 or _channels(payload, node.bias_id) != channels:
        raise payload.fault(f"the bias does not have the filter's {channels} output channels", f"{path}.bias_id")


TRANSPOSE_WEIGHTS = 1
"""Flag of XNNFullyConnected (XNN_FLAG_TRANSPOSE_WEIGHTS): the filter is (input, output)."""

_RULES: dict[type[XNNNode], Callable[[Payload, Any, str], None]] = {
    nodes.XNNStaticTranspose: _transpose,
    nodes.XNNStaticReshape: _reshape,
    nodes.XNNStaticSlice: _lists(offsets=True, sizes=True),
    nodes.XNNStaticConstantPad: _lists(pre_paddings=True, post_paddings=True),
    nodes.XNNConcatenate2: _concatenate,
    nodes.XNNConcatenate3: _concatenate,
    nodes.XNNConcatenate4: _concatenate,
    nodes.XNNConcatenate5: _concatenate,
    nodes.XNNConv2d: _convolution,
    nodes.XNNDepthwiseConv2d: _convolution,
    nodes.XNNConvTranspose2d: _convolution,
    nodes.XNNFullyConnected: _fully_connected,
    nodes.XNNAvgPooling2d: _spatial,
    nodes.XNNMaxPooling2d: _spatial,
    nodes.XNNArgMaxPooling2d: _spatial,
}
