"""XNNPACK payloads for older runtimes: held to the original, to the exporters of that time and to the engine."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.backends.xnnpack.payload import Payload, read_payload
from pteron.backends.xnnpack.values import PerChannelGroupQuant, PerChannelQuant
from pteron.migration import plan


def payloads(data: bytes) -> list[Payload]:
    program = pteron.open(data)
    return [
        read_payload(program.payload(delegate))
        for record in program.root.execution_plan or ()
        for delegate in record.delegates or ()
    ]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("xnnpack_lenet.pte", "0.5.0"),
        ("xnnpack_int8_convnet.pte", "0.5.0"),
        ("xnnpack_int8_linear.pte", "0.6.0"),
        ("xnnpack_dynamic_quant_linear.pte", "0.3.0"),
        ("xnnpack_shared_weights_methods.pte", "0.4.0"),
        ("bundled_xnnpack.bpte", "0.5.0"),
    ],
)
def test_weights_move_into_the_payload(name: str, target: str) -> None:
    original = corpus_files.read("1.5.1", name)
    migrated = plan(original, target)
    assert migrated.plan.possible, migrated.plan.obstacles
    assert migrated.checked().exact
    image = pteron.open(migrated.image)
    assert image.root.named_data is None or target == "0.6.0"
    for before, after in zip(payloads(original), payloads(migrated.image), strict=True):
        assert after.node_kinds == before.node_kinds
        assert target == "0.6.0" or not after.named_keys
        for value in after.graph.xvalues or ():
            if isinstance(value.quant_params, PerChannelQuant | PerChannelGroupQuant):
                assert value.quant_params.scale
                assert value.quant_params.scale_buffer_idx == 0


def test_constants_are_the_same_bytes() -> None:
    original = pteron.open(corpus_files.read("1.5.1", "xnnpack_lenet.pte"))
    migrated = pteron.migrate(corpus_files.read("1.5.1", "xnnpack_lenet.pte"), "0.5.0")
    (before,) = payloads(corpus_files.read("1.5.1", "xnnpack_lenet.pte"))
    (after,) = payloads(migrated)
    found = 0
    for number, value in before.values.items():
        tensor = value.tensor
        assert tensor is not None
        if tensor.constant_buffer_idx:
            moved = after.values[number].tensor
            assert moved is not None
            assert after.constant(moved.constant_buffer_idx) == before.constant(
                tensor.constant_buffer_idx, original.named_data
            )
            found += 1
    assert found == 8


def test_laid_out_as_the_exporter_of_that_time() -> None:
    (after,) = payloads(pteron.migrate(corpus_files.read("1.5.1", "xnnpack_lenet.pte"), "0.5.0"))
    theirs = payloads(corpus_files.read("0.5.0", "xnnpack_lenet.pte"))
    sizes = {entry.size for payload in theirs for entry in payload.graph.constant_data or ()}
    assert {entry.size for entry in after.graph.constant_data or ()} == sizes
    assert all(entry.offset % 16 == 0 for entry in after.graph.constant_data or ())
    assert after.header is not None
    assert after.header.flatbuffer_offset == theirs[0].header.flatbuffer_offset  # type: ignore[union-attr]


def test_outputs_stay_what_eager_pytorch_gave() -> None:
    case = next(c for c in corpus_files.cases("1.5.1") if c.name == "xnnpack_int8_convnet.pte")
    module = pteron.load(pteron.migrate(case.read(), "0.5.0"), engine="reference")
    for call in case.calls():
        for found, expected in zip(module[call.method](*call.inputs), call.outputs, strict=True):
            np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=case.atol)
