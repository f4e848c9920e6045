"""Each rule of a payload, broken once; and every graph of these kinds unbroken."""

from __future__ import annotations

from typing import Any

import pytest

from pteron.backends.xnnpack import nodes as n
from pteron.backends.xnnpack.nodes import XNode
from pteron.backends.xnnpack.payload import read_payload
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
from pteron.backends.xnnpack.verify import verify_payload
from pteron.errors import FormatError
from xnnpack_payloads import INVALID, add_graph, bare, tensor

D = XNNDatatype
NODE = "xnodes[0].xnode_union"


def verify(graph: XNNGraph) -> None:
    verify_payload(read_payload(bare(graph), file="m.pte", path="d"))


def fault(graph: XNNGraph) -> tuple[str, str]:
    """The path and the problem of the first broken rule."""
    with pytest.raises(FormatError) as caught:
        verify(graph)
    assert caught.value.file == "m.pte"
    assert caught.value.path.startswith("d.")
    return caught.value.path[2:], caught.value.problem


def one(node: Any, x: tuple[int, ...], out: tuple[int, ...], *weights: tuple[int, ...]) -> XNNGraph:
    """One node from ``x`` (id 0) to ``out`` (id 1), with constants of those sizes as ids 2 …"""
    constants = [tensor(2 + i, *dims, constant_buffer_idx=1) for i, dims in enumerate(weights)]
    values = (tensor(0, *x, external=0, flags=1), tensor(1, *out, external=1, flags=2), *constants)
    zeros = (Buffer(memoryview(b"")), Buffer(memoryview(bytes(4096))))
    return add_graph(xnodes=(XNode(node),), xvalues=values, constant_buffer=zeros)


def weight(datatype: XNNDatatype, params: Any, *dims: int, index: int = 1) -> XNNGraph:
    """A graph whose value 1 is quantised."""
    raw = XNNTensorValue(datatype, len(dims), dims, index, INVALID, 0, 1)
    x, _, out = add_graph().xvalues or ()
    node = XNode(n.XNNConvert(0, 2))
    return add_graph(xnodes=(node,), xvalues=(x, XValue(XNNQuantizedTensorValue(raw, params)), out))


def inputs(*values: XValue) -> XNNGraph:
    return add_graph(xvalues=values)


def test_the_graph_that_is_broken_below_is_right() -> None:
    verify(add_graph())


X, C, OUT = add_graph().xvalues or ()


@pytest.mark.parametrize(
    ("graph", "path", "problem"),
    [
        (add_graph(xnodes=None), "xnodes", "the graph has no nodes or no values"),
        (add_graph(xvalues=None), "xvalues", "the graph has no nodes or no values"),
        (add_graph(num_externs=4097), "num_externs", "4,097 arguments; at most 4096 are possible"),
        (inputs(X, XValue(), OUT), "xvalues[1].xvalue_union", "a value without a tensor"),
        (inputs(X, XValue(XNNTensorValue(D.xnn_datatype_fp32, 2, (2,), id_out=1)), OUT),
         "xvalues[1].xvalue_union.dims", "1 sizes for 2 dimensions"),
        (inputs(X, tensor(1, 1, 1, 1, 1, 1, 1, 1), OUT),
         "xvalues[1].xvalue_union.dims", "7 dimensions; XNNPACK has at most 6"),
        (inputs(X, C, C, OUT), "xvalues[2].xvalue_union.id_out", "value id 1 is taken"),
        (inputs(X, C, tensor(INVALID, 1), OUT), "xvalues[2].xvalue_union.id_out", "value id 4294967295 is taken"),
        (inputs(X, C, tensor(2, 2, 3, external=1, flags=3)), "xvalues[2].xvalue_union", "flags 0x3; a value is"),
        (inputs(X, C, tensor(2, 2, 3, external=0, flags=2)),
         "xvalues[2].xvalue_union.external_id", "argument 0 of 2 does not exist or is taken"),
        (inputs(X, C, tensor(2, 2, 3, external=2, flags=2)),
         "xvalues[2].xvalue_union.external_id", "argument 2 of 2 does not exist or is taken"),
        (inputs(X, tensor(1, 2, 3, external=1, flags=1, constant_buffer_idx=1), OUT),
         "xvalues[1].xvalue_union.flags", "a constant cannot be an argument"),
        (inputs(X, XValue(XNNTensorValue(id_out=1)), OUT),
         "xvalues[1].xvalue_union.datatype", "datatype invalid does not go with a plain value"),
        (inputs(X, XValue(XNNTensorValue(D.xnn_datatype_qint8, id_out=1)), OUT),
         "xvalues[1].xvalue_union.datatype", "datatype qint8 does not go with a plain value"),
        (inputs(X, tensor(1, 2, 3, constant_buffer_idx=1, dq_datatype=D.xnn_datatype_qint8), OUT),
         "xvalues[1].xvalue_union.dq_datatype", "only a plain input can be quantised at run time"),
        (inputs(X, tensor(1, 2, 3, constant_buffer_idx=2), OUT),
         "xvalues[1].xvalue_union.constant_buffer_idx", "constant 2 does not exist (indices go up to 1)"),
        (inputs(X, tensor(1, 2, 4, constant_buffer_idx=1), OUT),
         "xvalues[1].xvalue_union.constant_buffer_idx", "constant 1 has 24 bytes, 32 are needed"),
    ],
)  # fmt: skip
def test_rules_of_values(graph: XNNGraph, path: str, problem: str) -> None:
    found = fault(graph)
    assert found[0] == path
    assert found[1].startswith(problem)


@pytest.mark.parametrize(
    ("graph", "path", "problem"),
    [
        (weight(D.xnn_datatype_qint8, None, 2, 3), "", "a quantised value without parameters"),
        (weight(D.xnn_datatype_fp32, PerTensorQuant(1.0), 2, 3),
         ".tensor_value.datatype", "datatype fp32 does not go with PerTensorQuant"),
        (weight(D.xnn_datatype_qint8, PerTensorQuant(1.0, 128), 2, 3),
         ".quant_params.zero_point", "zero point 128 is not in -128 … 127"),
        (weight(D.xnn_datatype_quint8, PerTensorQuant(1.0, -1), 2, 3),
         ".quant_params.zero_point", "zero point -1 is not in 0 … 255"),
        (weight(D.xnn_datatype_qint8, PerTensorQuant(0.0), 2, 3),
         ".quant_params.scale", "scale 0.0 is not a positive normal number"),
        (weight(D.xnn_datatype_qint8, PerTensorQuant(float("nan")), 2, 3),
         ".quant_params.scale", "scale nan is not a positive normal number"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant((1.0, float("inf"))), 2, 3),
         ".quant_params.scale", "scale inf is not a positive normal number"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant((1.0, 1.0), 2), 2, 3),
         ".quant_params.channel_dim", "channel dimension 2 of 2"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant((1.0, 1.0), -1), 2, 3),
         ".quant_params.channel_dim", "channel dimension -1 of 2"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant((1.0,), 0), 2, 3),
         ".quant_params.scale", "1 scales where 2 are needed"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant(None, 0, 1, 3), 2, 3),
         ".quant_params.scale_buffer_idx", "3 scales in 24 bytes where 2 are needed"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant(None, 0, 1, 7), 7, 3),
         ".quant_params.scale_buffer_idx", "7 scales in 24 bytes where 7 are needed"),
        (weight(D.xnn_datatype_qcint8, PerChannelQuant(None, 0, 9, 2), 2, 3),
         ".quant_params.scale_buffer_idx", "constant 9 does not exist"),
        (weight(D.xnn_datatype_qdint8, PerTokenDynamicQuant(3), 2, 3, index=0),
         ".quant_params.num_nonbatch_dims", "3 of 2 dimensions"),
        (weight(D.xnn_datatype_qdint8, PerTokenDynamicQuant(1), 2, 3),
         ".quant_params", "a constant cannot be quantised at run time"),
        (weight(D.xnn_datatype_qbint4, PerChannelGroupQuant((1.0,), 0, 0), 1, 32),
         ".quant_params", "blocks of 0 in a weight of 2 dimensions"),
        (weight(D.xnn_datatype_qbint4, PerChannelGroupQuant((1.0,), 0, 32), 32),
         ".quant_params", "blocks of 32 in a weight of 1 dimensions"),
        (weight(D.xnn_datatype_qbint4, PerChannelGroupQuant((1.0,), 0, 32), 1, 64),
         ".quant_params.scale", "1 scales where 2 are needed"),
        (weight(D.xnn_datatype_qcint4, PerChannelQuant((1.0,) * 7, 0), 7, 7),
         ".tensor_value.constant_buffer_idx", "constant 1 has 24 bytes, 28 are needed"),
    ],
)  # fmt: skip
def test_rules_of_quantisation(graph: XNNGraph, path: str, problem: str) -> None:
    found = fault(graph)
    assert found[0] == f"xvalues[1].xvalue_union{path}"
    assert found[1].startswith(problem)


def quantized_layer() -> XNNGraph:
    """Convert x to qdint8, layer with a qcint4 filter of 6 × 7: rows of 3.5 bytes take 4."""
    dynamic = XNNTensorValue(D.xnn_datatype_qdint8, 2, (2, 7), 0, INVALID, 0, 1)
    rows = XNNTensorValue(D.xnn_datatype_qcint4, 2, (6, 7), 1, INVALID, 0, 2)
    return add_graph(
        xnodes=(XNode(n.XNNConvert(0, 1)), XNode(n.XNNFullyConnected(1, 2, INVALID, 3))),
        xvalues=(
            tensor(0, 2, 7, external=0, flags=1),
            XValue(XNNQuantizedTensorValue(dynamic, PerTokenDynamicQuant(1))),
            XValue(XNNQuantizedTensorValue(rows, PerChannelQuant((1.0,) * 6, 0))),
            tensor(3, 2, 6, external=1, flags=2),
        ),
    )


def test_a_four_bit_row_ends_on_a_full_byte() -> None:
    verify(quantized_layer())


@pytest.mark.parametrize(
    ("nodes", "path", "problem"),
    [
        ((XNode(),), NODE, "a node without content"),
        ((XNode(n.XNNAdd(0, 5, 2)),), f"{NODE}.input2_id", "XNNAdd takes value 5: there is no such value"),
        ((XNode(n.XNNAdd(INVALID, 1, 2)),), f"{NODE}.input1_id", "XNNAdd takes value 4294967295: there is no such"),
        ((XNode(n.XNNAdd(0, 2, 2)),), f"{NODE}.input2_id", "XNNAdd takes value 2: nothing made it before"),
        ((XNode(n.XNNAdd(0, 1, 9)),), f"{NODE}.output_id", "XNNAdd makes value 9: there is no such value"),
        ((XNode(n.XNNAdd(0, 1, 0)),), f"{NODE}.output_id", "XNNAdd makes value 0: it is there already"),
        ((XNode(n.XNNAdd(0, 1, 1)),), f"{NODE}.output_id", "XNNAdd makes value 1: it is there already"),
        ((XNode(n.XNNAdd(0, 1, 2)),) * 2, "xnodes[1].xnode_union.output_id", "XNNAdd makes value 2: it is there"),
        ((), "xvalues[2]", "nothing makes this output"),
    ],
)  # fmt: skip
def test_rules_of_ids(nodes: tuple[XNode, ...], path: str, problem: str) -> None:
    found = fault(add_graph(xnodes=nodes))
    assert found[0] == path
    assert found[1].startswith(problem)


CONV = {
    "kernel_height": 1,
    "kernel_width": 1,
    "subsampling_height": 1,
    "subsampling_width": 1,
    "dilation_height": 1,
    "dilation_width": 1,
    "group_input_channels": 1,
    "group_output_channels": 1,
    "groups": 1,
}
WIRES = {"input1_id": 0, "output_id": 1, "filter_id": 2, "bias_id": 3}
POOL = {"pooling_height": 2, "pooling_width": 2, "stride_height": 2, "stride_width": 2}


@pytest.mark.parametrize(
    "graph",
    [
        one(n.XNNStaticTranspose(3, (2, 0, 1), 0, 1), (1, 2, 3), (3, 1, 2)),
        one(n.XNNStaticReshape(1, (0,), 0, 1), (2, 3), (6,)),
        one(n.XNNStaticSlice(2, (0, 1), (2, 2), 0, 1), (2, 3), (2, 2)),
        one(n.XNNStaticConstantPad((1, 0), (0, 1), 0.0, 0, 1), (2, 3), (3, 4)),
        one(n.XNNConcatenate2(1, 0, 2, output_id=1), (2, 3), (2, 4), (2, 1)),
        one(n.XNNConv2d(**CONV, **WIRES), (1, 4, 4, 3), (1, 4, 4, 8), (8, 1, 1, 3), (8,)),
        one(n.XNNDepthwiseConv2d(**CONV, **WIRES), (1, 4, 4, 3), (1, 4, 4, 3), (1, 1, 1, 3), (3,)),
        one(n.XNNConvTranspose2d(**CONV, **WIRES), (1, 4, 4, 3), (1, 4, 4, 8), (8, 1, 1, 3), (8,)),
        one(n.XNNConv2d(**CONV, **(WIRES | {"bias_id": INVALID})), (1, 4, 4, 3), (1, 4, 4, 8), (8, 1, 1, 3)),
        one(n.XNNFullyConnected(0, 2, 3, 1), (2, 3), (2, 4), (4, 3), (4,)),
        one(n.XNNFullyConnected(0, 2, 3, 1, flags=1), (2, 3), (2, 4), (3, 4), (4,)),
        one(n.XNNAvgPooling2d(**POOL, input_id=0, output_id=1), (1, 4, 4, 3), (1, 2, 2, 3)),
        one(n.XNNMaxPooling2d(**POOL, dilation_height=1, dilation_width=1, input_id=0, output_id=1),
            (1, 4, 4, 3), (1, 2, 2, 3)),
    ],
)  # fmt: skip
def test_nodes_that_fit_their_tensors(graph: XNNGraph) -> None:
    verify(graph)


@pytest.mark.parametrize(
    ("graph", "field", "problem"),
    [
        (one(n.XNNStaticTranspose(2, (1, 0), 0, 1), (1, 2, 3), (3, 1, 2)), "perm", "2 entries, 2 declared, for a"),
        (one(n.XNNStaticTranspose(3, (2, 0, 0), 0, 1), (1, 2, 3), (3, 1, 2)), "perm", "(2, 0, 0) is no permutation"),
        (one(n.XNNStaticTranspose(3, (3, 0, 1), 0, 1), (1, 2, 3), (3, 1, 2)), "perm", "(3, 0, 1) is no permutation"),
        (one(n.XNNStaticReshape(2, (6,), 0, 1), (2, 3), (6,)), "new_shape", "1 entries, 2 declared, for"),
        (one(n.XNNStaticReshape(2, (0, 0), 0, 1), (2, 3), (3, 2)), "new_shape", "(0, 0) leaves more"),
        (one(n.XNNStaticSlice(2, (0, 1), (2,), 0, 1), (2, 3), (2, 2)), "sizes", "1 entries, 2 declared"),
        (one(n.XNNStaticConstantPad((1, 0), None, 0.0, 0, 1), (2, 3), (3, 4)), "post_paddings", "0 entries"),
        (one(n.XNNConcatenate2(2, 0, 2, output_id=1), (2, 3), (2, 4), (2, 1)), "axis", "axis 2 of 2 dimensions"),
        (one(n.XNNConcatenate2(0, 0, 2, output_id=1), (2, 3), (2, 4), (2,)), "input2_id", "another rank"),
        (one(n.XNNConv2d(**CONV, **WIRES), (4, 4, 3), (1, 4, 4, 8), (8, 1, 1, 3), (8,)), "input1_id", "a tensor of"),
        (one(n.XNNConv2d(**CONV, **WIRES), (1, 4, 4, 3), (1, 4, 4, 8), (8, 3), (8,)), "filter_id", "a filter of"),
        (one(n.XNNConv2d(**CONV, **WIRES), (1, 4, 4, 3), (1, 4, 4, 8), (8, 1, 1, 3), (3,)), "bias_id", "the bias does"),
        (one(n.XNNConv2d(**(CONV | {"groups": 0}), **WIRES), (1, 4, 4, 3), (1, 4, 4, 8), (8, 1, 1, 3), (8,)),
         "groups", "0 is not possible"),
        (one(n.XNNDepthwiseConv2d(**CONV, **WIRES), (1, 4, 4, 3), (1, 4, 4, 3), (1, 1, 1, 3), (1,)),
         "bias_id", "the bias does not have the filter's 3 output channels"),
        (one(n.XNNFullyConnected(0, 2, 3, 1), (2, 3), (2, 4), (4, 3), (3,)), "bias_id", "the bias does"),
        (one(n.XNNFullyConnected(0, 2, 3, 1, flags=1), (2, 3), (2, 4), (3, 4), (3,)), "bias_id", "the bias does"),
        (one(n.XNNFullyConnected(0, 2, INVALID, 1), (2, 3), (2, 4), (4, 3, 1)), "filter_id", "a filter of"),
        (one(n.XNNMaxPooling2d(**POOL, input_id=0, output_id=1), (1, 4, 4, 3), (1, 2, 2, 3)),
         "dilation_height", "0 is not possible"),
        (one(n.XNNAvgPooling2d(**POOL, input_id=0, output_id=1), (1, 4, 4, 3), (12,)), "output_id", "a tensor of"),
    ],
)  # fmt: skip
def test_rules_of_nodes(graph: XNNGraph, field: str, problem: str) -> None:
    found = fault(graph)
    assert found[0] == f"{NODE}.{field}"
    assert found[1].startswith(problem)
