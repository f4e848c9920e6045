"""Optimised models read back, and their nodes led back to those that they do the work of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

import corpus_files
import pteron
from pteron.runtime.onnx_engine.optimised import ReadNode, origins, read_nodes


def node(name: str, op_type: str, inputs: str, outputs: str) -> ReadNode:
    return ReadNode(name, op_type, tuple(inputs.split()), tuple(outputs.split()))


@pytest.mark.parametrize("name", ["lenet.pte", "xnnpack_int8_convnet.pte", "activations.pte", "cond_model.pte"])
def test_nodes_are_read_as_the_onnx_package_reads_them(tmp_path: Path, name: str) -> None:
    written = pteron.to_onnx(corpus_files.read("1.5.1", name), tmp_path / "m.onnx")
    expected = [
        ReadNode(n.name, n.op_type, tuple(n.input), tuple(n.output)) for n in onnx.load(written.path).graph.node
    ]
    assert read_nodes(written.path.read_bytes()) == expected


CONV_RELU_POOL = [
    node("n0.0", "Conv", "v.x v.w v.b", "t1"),
    node("n1.0", "Relu", "t1", "t2"),
    node("n2.0", "MaxPool", "t2", "t3"),
    node("n3.0", "Conv", "t3 v.w2 v.b2", "t4"),
    node("n4.0", "Clip", "t4 c1 c2", "t5"),
]


@pytest.mark.parametrize(
    ("original", "optimised", "expected"),
    [
        pytest.param(
            CONV_RELU_POOL,
            CONV_RELU_POOL,
            {"n0.0": ("n0",), "n1.0": ("n1",), "n2.0": ("n2",), "n3.0": ("n3",), "n4.0": ("n4",)},
            id="nothing was changed",
        ),
        pytest.param(
            CONV_RELU_POOL,
            [
                node("t2_nchwc", "Conv", "v.x reorder reorder_token_0", "reorder_token_1"),
                node("ReorderOutput", "ReorderOutput", "reorder_token_1", "t2"),
                node("n2.0", "MaxPool", "t2", "t3"),
                node("t5_nchwc", "Conv", "t3 reorder_token_2 reorder_token_3", "reorder_token_4"),
                node("ReorderOutput_token_5", "ReorderOutput", "reorder_token_4", "t5"),
            ],
            {
                "t2_nchwc": ("n0", "n1"),
                "ReorderOutput": (),
                "n2.0": ("n2",),
                "t5_nchwc": ("n3", "n4"),
                "ReorderOutput_token_5": (),
            },
            id="convolutions in blocks of channels take what follows",
        ),
        pytest.param(
            [node("n0.0", "Conv", "v.x v.w", "t1"), node("n1.0", "Clip", "t1 c1 c2", "t2")]
            + [node("n2.0", "Conv", "t2 v.w2", "t3"), node("n3.0", "Clip", "t3 c1 c2", "t4")],
            [node("t2_nchwc", "Conv", "v.x r", "r1"), node("t4_nchwc", "Conv", "r1 r2", "r3")]
            + [node("ReorderOutput", "ReorderOutput", "r3", "t4")],
            {"t2_nchwc": ("n0", "n1"), "t4_nchwc": ("n2", "n3"), "ReorderOutput": ()},
            id="one after the other without values of the original between them",
        ),
        pytest.param(
            [node("n0.0", "Gemm", "v.x v.w v.b", "t1"), node("n1.0", "Relu", "t1", "t2")],
            [node("fused n0.0", "FusedGemm", "v.x v.w v.b", "t2")],
            {"fused n0.0": ("n0", "n1")},
            id="an activation in a product",
        ),
        pytest.param(
            [node("n0.0", "QLinearConv", "v.x c0 c1", "t1"), node("n1.0", "DequantizeLinear", "t1 c2 c3", "t2")],
            [
                node("Transpose", "Transpose", "v.x", "Transpose_out0"),
                node("n0.0_token_1", "QLinearConv", "Transpose_out0 c0 c1", "n0.0"),
                node("Transpose_token_3", "Transpose", "n0.0", "t1"),
                node("n1.0", "DequantizeLinear", "t1 c2 c3", "t2"),
            ],
            {"Transpose": (), "n0.0_token_1": ("n0",), "Transpose_token_3": (), "n1.0": ("n1",)},
            id="channels last",
        ),
        pytest.param(
            [node("n0.0", "Transpose", "v.w", "t1"), node("n1.0", "MatMul", "v.x t1", "t2")],
            [node("n1.0", "MatMul", "v.x t1", "t2")],
            {"n1.0": ("n1",)},
            id="what is folded is no work of a call",
        ),
    ],
)
def test_origins(original: list[ReadNode], optimised: list[ReadNode], expected: dict[str, Any]) -> None:
    assert origins(original, optimised, {"v.x"}) == expected


@pytest.mark.parametrize("name", ["lenet.pte", "mobile_block.pte", "xnnpack_attention.pte", "gru.pte", "kv_cache.pte"])
def test_every_node_of_the_original_is_some_nodes_work(tmp_path: Path, name: str) -> None:
    """In real optimised models no work is lost, and none is counted twice."""
    written = pteron.to_onnx(corpus_files.read("1.5.1", name), tmp_path / "m.onnx")
    model = onnx.load(written.path)
    for number, each in enumerate(model.graph.node):
        each.name = f"n{number}.0"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "o.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    before, after = read_nodes(model.SerializeToString()), read_nodes((tmp_path / "o.onnx").read_bytes())
    inputs = {value.name for value in model.graph.input}
    found = origins(before, after, inputs)
    covered = [label for labels in found.values() for label in labels]
    assert len(covered) == len(set(covered))
    live = set(inputs)
    for each in before:
        if any(value in live for value in each.inputs):
            live.update(each.outputs)
    # What ONNX Runtime computes once for several equal nodes, or leaves away as it changes nothing, has no node.
    gone = {each.label for each in before if live.intersection(each.outputs)} - set(covered)
    kept = {value for each in after for value in each.outputs}
    for each in before:
        if each.label in gone:
            assert not kept.intersection(each.outputs), each
    assert len(gone) <= len(before) // 4
