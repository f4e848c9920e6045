"""Which runtimes know all of a payload, on graphs with one special thing each."""

from __future__ import annotations

from typing import Any

import pytest

from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.nodes import XNode
from pteron.backends.xnnpack.payload import read_payload
from pteron.backends.xnnpack.releases import runtimes, version
from pteron.backends.xnnpack.schema import ConstantDataOffset
from pteron.backends.xnnpack.values import (
    PerChannelGroupQuant,
    PerChannelQuant,
    PerTokenDynamicQuant,
    XNNDatatype,
    XNNQuantizedTensorValue,
    XNNTensorValue,
    XValue,
)
from xnnpack_payloads import add_graph, bare, headered, tensor

D = XNNDatatype
NAMED = (ConstantDataOffset(named_key=""), ConstantDataOffset(2**64 - 1, 24, "w"), ConstantDataOffset(0, 24, "s"))
REGION = (ConstantDataOffset(), ConstantDataOffset(0, 24), ConstantDataOffset(0, 24))


def node(record: Any) -> dict[str, Any]:
    return {"xnodes": (XNode(record),)}


def value(record: XValue, *others: XValue) -> dict[str, Any]:
    return {"xvalues": (record, *others)}


def quantized(datatype: XNNDatatype, params: Any) -> dict[str, Any]:
    return value(XValue(XNNQuantizedTensorValue(XNNTensorValue(datatype, constant_buffer_idx=0), params)))


@pytest.mark.parametrize(
    ("changes", "first", "last", "what"),
    [
        ({}, "0.1.0", "", ""),
        (node(nodes.XNNScaledDotProductAttention()), "0.2.0", "0.6.0", "node XNNScaledDotProductAttention"),
        (node(nodes.XNNBatchMatrixMultiply()), "0.4.0", "", "node XNNBatchMatrixMultiply"),
        (node(nodes.XNNConcatenate5()), "0.6.0", "", "node XNNConcatenate5"),
        (node(nodes.XNNConcatenate4(input5_id=0xFFFFFFFF)), "0.1.0", "", ""),
        (node(nodes.XNNGelu()), "0.7.0", "", "node XNNGelu"),
        (node(nodes.XNNSin()), "1.1.0", "", "node XNNSin"),
        (node(nodes.XNNCopy()), "1.1.0", "", "node XNNCopy"),
        (node(nodes.XNNCos()), "1.1.0", "", "node XNNCos"),
        (value(tensor(0, dq_datatype=D.xnn_datatype_qint8)), "0.1.0", "", ""),
        (value(XValue(XNNTensorValue(D.xnn_datatype_bf16))), "0.7.0", "", "datatype bf16"),
        (quantized(D.xnn_datatype_qcint4, PerChannelQuant((1.0,))), "0.2.0", "", "datatype qcint4"),
        (quantized(D.xnn_datatype_qcint8, PerChannelQuant((1.0,), 0, 0, 1)), "0.1.0", "", ""),
        (quantized(D.xnn_datatype_qdint8, PerTokenDynamicQuant(1)), "0.2.0", "", "activations quantised per token"),
        (quantized(D.xnn_datatype_qbint4, PerChannelGroupQuant((), 0, 32, (1,))), "0.4.0", "0.6.0",
         "PerChannelGroupQuant.scale_bf16"),
    ],
)  # fmt: skip
def test_what_a_bare_xn00_payload_needs(changes: dict[str, Any], first: str, last: str, what: str) -> None:
    judged = runtimes(read_payload(bare(add_graph(**changes))))
    assert (judged.first, judged.last) == (first, last)
    assert what in ({need.what for need in judged.needs} or {""})
    assert all(need.since != "0.1.0" for need in judged.needs)


@pytest.mark.parametrize(
    ("entries", "params", "first", "what"),
    [
        (REGION, PerChannelQuant((1.0,)), "0.2.0", "constants behind the flatbuffer"),
        (NAMED, PerChannelQuant((1.0,)), "0.6.0", "constants in named data"),
        (NAMED, PerChannelQuant((), 0, 2, 6), "0.7.0", "scales per channel in a constant"),
        (NAMED, PerChannelGroupQuant((), 0, 32, None, 2, 6), "0.7.0", "scales per block in a constant"),
        (REGION, PerChannelQuant((), 0, 2, 6), "1.0.0", "scales in the payload's own constants"),
    ],
)
def test_what_constants_need(entries: tuple[ConstantDataOffset, ...], params: Any, first: str, what: str) -> None:
    weight = XNNTensorValue(D.xnn_datatype_qcint8, constant_buffer_idx=1)
    graph = add_graph(constant_data=entries, xvalues=(XValue(XNNQuantizedTensorValue(weight, params)),))
    judged = runtimes(read_payload(headered(graph, bytes(24))))
    assert judged.first == first
    newest = {need.what for need in judged.needs if need.since == first}
    assert what in newest
    assert {need.what for need in judged.needs} >= {"format XN01", "an XH00 header"}


def test_a_placeholder_with_an_empty_key_needs_nothing() -> None:
    entries = (ConstantDataOffset(named_key=""),)
    graph = add_graph(constant_data=entries, xvalues=(tensor(0, 2),))
    assert runtimes(read_payload(headered(graph))).first == "0.2.0"


def test_needs_say_where_the_first_use_is() -> None:
    graph = add_graph(xnodes=(XNode(nodes.XNNAdd()), XNode(nodes.XNNSin()), XNode(nodes.XNNSin())))
    (need,) = runtimes(read_payload(bare(graph))).needs
    assert need.path == "xnodes[1].xnode_union"


def test_releases_within() -> None:
    attention = runtimes(read_payload(bare(add_graph(**node(nodes.XNNScaledDotProductAttention())))))
    assert [r for r in ("0.1.0", "0.2.0", "0.2.1", "0.6.0", "0.6.1", "0.7.0", "1.5.1") if r in attention] == [
        "0.2.0", "0.2.1", "0.6.0", "0.6.1",
    ]  # fmt: skip
    assert "1.10.0" in runtimes(read_payload(bare(add_graph(**node(nodes.XNNCos())))))
    assert version("0.10.1") > version("0.9.2")
