"""Every break in ExecuTorch's history that is known fires a named rule, on a real file or on one built to have it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from packaging.version import Version

from judging import changed, on, told, with_backend, with_feature, with_operator
from pteron.backends.xnnpack.releases import Need
from pteron.compat.case import Case
from pteron.compat.profile import Profile, build_profile, profile_for
from pteron.compat.verdict import Status, Verdict
from pteron.format import schema
from pteron.format.scalar_type import ScalarType

VULKAN = "1.5.1/other_backends/vulkan_add.pte"
MPS = "0.3.0/other_backends/mps_mlp.pte"


def linking(backend: str, release: str) -> Profile:
    return build_profile("a build", Version(release), profile_for(release).libraries, {backend: True})


def other(identifier: str, producer: str) -> Case:
    case = with_backend("0.5.0/xnnpack_mlp.pte", id=identifier, format="unknown", version="")
    return dataclasses.replace(case, producers=(Version(producer),))


def oversized() -> Case:
    def longer(buffers: tuple[schema.Buffer, ...]) -> tuple[schema.Buffer, ...]:
        grown = schema.Buffer(memoryview(bytes(buffers[1].storage or b"") + bytes(64)))
        return (buffers[0], grown, *buffers[2:])

    return changed("0.2.1/mlp_cfg_constant_segment_off.pte", {"constant_buffer": longer})


def dequantize(arguments: int) -> Case:
    name = "quantized_decomposed::dequantize_per_tensor.out"
    return with_operator("1.5.1/portable_quantized_convnet.pte", name, argument_count=arguments)


def node(name: str, since: str, until: str = "") -> Case:
    need = Need(f"node {name}", since, until, "xnodes[0]")
    return with_backend("0.5.0/xnnpack_mlp.pte", node_types=(name,), needs=(need,))


def half(file: str, operator: str, dtype: str) -> Case:
    return with_operator(file, operator, dtypes=(ScalarType[dtype],))


BREAKS: dict[str, tuple[str, Callable[[], Verdict]]] = {
    "the .ptd layout changed between 0.6 and 0.7": (
        "PT-FM-007",
        lambda: on(told("0.6.0/external_constants_lenet.pte"), "1.5.1"),
    ),
    "a newer .ptd on 0.6": ("PT-FM-007", lambda: on(told("1.5.1/external_constants_lenet.pte"), "0.6.0")),
    "inline constants on CMake builds since 1.3": ("PT-FM-001", lambda: on(told("0.3.0/add.pte"), "1.3.1")),
    "inline constants larger than their tensor, 0.2 to 1.1": ("PT-FM-013", lambda: on(oversized(), "0.2.1")),
    "the Ethos-U backend was renamed in 0.6": ("PT-BE-003", lambda: on(other("ArmBackend", "0.5.0"), "0.6.0")),
    "and a newer file looks for the new name": ("PT-BE-003", lambda: on(other("EthosUBackend", "0.6.0"), "0.5.0")),
    "XNNPACK's attention node was removed in 0.7": (
        "PT-BE-006",
        lambda: on(node("XNNScaledDotProductAttention", "0.2.0", "0.6.0"), "0.7.0"),
    ),
    "dequantize_per_tensor got another argument in 0.2": ("PT-OP-006", lambda: on(dequantize(8), "0.2.1")),
    "and is compared since 1.0": ("PT-OP-005", lambda: on(dequantize(8), "1.0.1")),
    "half sums are accumulated in float32 since 1.4": (
        "PT-OP-012",
        lambda: on(half("1.2.0/ops/sum_dim.0.pte", "aten::sum.IntList_out", "BFLOAT16"), "1.4.1"),
    ),
    "half softmax as well": (
        "PT-OP-012",
        lambda: on(half("1.2.0/ops/softmax.0.pte", "aten::_softmax.out", "HALF"), "1.4.1"),
    ),
    "layer_norm in float32 since 1.3": (
        "PT-OP-012",
        lambda: on(half("1.2.0/ops/native_layer_norm.0.pte", "aten::native_layer_norm.out", "DOUBLE"), "1.3.1"),
    ),
    "at most 16 dimensions since 1.0": (
        "PT-FM-002",
        lambda: on(with_feature("0.7.0/add.pte", "rank.high", ""), "1.0.1"),
    ),
    "value indices are checked": (
        "PT-FM-011",
        lambda: on(changed("1.2.0/mlp.pte", {"plan.inputs": (999,)}), "1.3.1"),
    ),
    "at most ten million instructions since 1.3": ("PT-FM-010", lambda: on(told("1.2.0/map_model.pte"), "1.3.1")),
    "Vulkan payloads changed in 0.2": (
        "PT-BE-011",
        lambda: on(told(VULKAN, "0.1"), linking("VulkanBackend", "0.2.1")),
    ),
    "Vulkan payloads changed in 0.3": (
        "PT-BE-011",
        lambda: on(told(VULKAN, "0.2.1"), linking("VulkanBackend", "0.3.0")),
    ),
    "MPS payloads changed in 0.3": ("PT-BE-011", lambda: on(told(MPS, "0.2.1"), linking("MPSBackend", "0.3.0"))),
    "MPS payloads changed in 0.4": ("PT-BE-011", lambda: on(told(MPS), linking("MPSBackend", "0.4.0"))),
    "XNNPACK weights in named data since 0.6": ("PT-BE-007", lambda: on(told("0.6.0/xnnpack_mlp.pte"), "0.5.0")),
    "XNNPACK scales as constants since 0.7": (
        "PT-BE-007",
        lambda: on(told("0.7.0/xnnpack_int8_linear.pte"), "0.6.0"),
    ),
    "XNNPACK nodes of 1.1": ("PT-BE-005", lambda: on(node("XNNSin", "1.1.0"), "1.0.1")),
    "AOTInductor payloads name their blobs by hash since 1.4": (
        "PT-BE-013",
        lambda: on(other("CudaBackend", "1.4.1"), linking("CudaBackend", "1.3.1")),
    ),
    "initial state of mutable buffers since 0.4": (
        "PT-FM-002",
        lambda: on(told("1.5.1/initialized_mutable_buffer.pte"), "0.3.0"),
    ),
    "external tensors since 0.6": ("PT-FM-003", lambda: on(told("1.5.1/external_constants_mlp.pte"), "0.5.0")),
    "named data beside a .ptd on 0.7": (
        "PT-FM-002",
        lambda: on(with_feature("1.5.1/add.pte", "named_data.with_external", "1.0.0"), "0.7.0"),
    ),
}

REMARKS = {"PT-FM-010", "PT-OP-012"}


@pytest.mark.parametrize("break_", list(BREAKS))
def test_it_is_found(break_: str) -> None:
    rule, judged = BREAKS[break_]
    verdict = judged()
    assert rule in verdict.rules
    if rule not in REMARKS:
        assert verdict.status in (Status.INCOMPATIBLE, Status.BROKEN)


def test_the_minimum_was_broken_where_the_policy_names_it() -> None:
    """Between neighbours since 0.4, where the policy speaks of what broke: broken, not merely incompatible."""
    renamed = on(other("ArmBackend", "0.5.0"), "0.6.0")
    assert renamed.status is Status.BROKEN
    # The policy does not speak of .ptd files.
    assert on(told("0.6.0/external_constants_lenet.pte"), "0.7.0").status is Status.INCOMPATIBLE
    # Two releases apart, or before the policy.
    assert on(node("XNNScaledDotProductAttention", "0.2.0", "0.6.0"), "0.7.0").status is Status.INCOMPATIBLE
    assert on(told(MPS), linking("MPSBackend", "0.4.0")).status is Status.INCOMPATIBLE
