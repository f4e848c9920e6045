"""Profiles of the official wheels, and what they say of features, limits and inputs."""

import dataclasses

import pytest
from packaging.version import Version

from pteron.backends.xnnpack.values import SCHEMA as XNNPACK
from pteron.compat.profile import PYTHON, build_profile, load_profile, profile_for, releases
from pteron.compat.requirements import ArgumentUse, MethodUse
from pteron.errors import UnsupportedError
from pteron.format.scalar_type import ScalarType


def test_quantized_operators_are_in_the_wheel_or_beside_it_or_missing() -> None:
    operator = "quantized_decomposed::add.out"
    with_libraries = [str(r) for r in releases() if profile_for(r).has_operator(operator)]
    without = [str(r) for r in releases() if profile_for(r, libraries=False).has_operator(operator)]
    assert "0.2.1" not in with_libraries
    assert without == ["0.3.0"]
    assert set(with_libraries) == {str(r) for r in releases()} - {"0.2.1"}


@pytest.mark.parametrize(
    ("operator", "first"),
    [
        ("dim_order_ops::_to_dim_order_copy.out", "0.3.0"),
        ("aten::topk.values", "0.4.0"),
        ("dim_order_ops::_clone_dim_order.out", "1.0.1"),
        ("aten::grid_sampler_2d.out", "1.1.0"),
        ("executorch_prim::sym_ite.Scalar", "1.4.1"),
        ("llama::gated_delta_rule.out", "1.5.1"),
        ("aten::add.out", "0.2.1"),
    ],
)
def test_the_first_release_of_an_operator(operator: str, first: str) -> None:
    assert str(next(r for r in releases() if profile_for(r).has_operator(operator))) == first
    assert profile_for("1.5").argument_counts(operator)


def test_argument_counts() -> None:
    profile = profile_for("1.5.1")
    assert profile.argument_counts("aten::add.out") == {5}  # self, other, alpha, out, and out again
    assert profile.argument_counts("aten::sort.values") == frozenset()
    assert profile.argument_counts("executorch_prim::add.Scalar") == {3}
    assert not profile.has_operator("my::op.out")


def test_linear_is_missing_where_only_portable_kernels_are_linked() -> None:
    assert not profile_for("0.4").has_operator("aten::linear.out")
    assert profile_for("0.5").has_operator("aten::linear.out")
    assert "optimized" not in profile_for("0.4").libraries


def test_a_release_without_facts_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"no facts about ExecuTorch 7\.0"):
        profile_for("7.0")


def test_constants_without_a_segment() -> None:
    for release in releases():
        row = profile_for(release).support("constants.no_segment")
        if release < Version("1.3"):
            assert row is None
        else:
            assert row is not None
            assert (row.outcome, row.error) == ("refused", 0x23)
    buck = dataclasses.replace(profile_for("1.5"), build="buck")
    assert buck.support("constants.no_segment") is None


def test_overrides_come_first() -> None:
    profile = dataclasses.replace(profile_for("1.5"), overrides={"constants.no_segment": True, "named_data": False})
    allowed, denied = profile.support("constants.no_segment"), profile.support("named_data")
    assert allowed is not None
    assert denied is not None
    assert (allowed.outcome, denied.outcome) == ("accepted", "refused")


@pytest.mark.parametrize(
    ("feature", "release", "outcome"),
    [
        ("xnnpack.constants.named", "0.5", "misread"),
        ("xnnpack.constants.named", "0.6", None),
        ("xnnpack.scales.constant", "0.6", "misread"),
        ("xnnpack.scales.constant", "0.7", None),
        ("ptd.0.6", "0.6", None),
        ("ptd.0.6", "0.7", "misread"),
        ("ptd.0.7", "0.6", "misread"),
        ("named_data", "0.5", "ignored"),
        ("named_data.with_external", "0.7", "refused"),
        ("named_data.with_external", "1.0", None),
        ("external.tensor", "0.5", "misread"),
        ("state.initial", "0.3", "refused"),
        ("rank.high", "0.7", "accepted"),
        ("rank.high", "1.0", "refused"),
        ("device.memory", "1.2", "ignored"),
        ("shape.unbound", "1.5", "refused"),
    ],
)
def test_features(feature: str, release: str, outcome: str | None) -> None:
    row = profile_for(release).support(feature)
    assert (row.outcome if row is not None else None) == outcome


def test_limits_start_with_their_release() -> None:
    assert profile_for("0.7").limit("tensor.rank") is None
    assert profile_for("1.0").limits["tensor.rank"].value == 16
    assert "method.instructions" not in profile_for("1.2").limits
    assert profile_for("1.3").limits["method.instructions"].value == 10_000_000
    assert not profile_for("0.7").checks_argument_counts
    assert profile_for("1.0").checks_argument_counts


def test_fields_are_known_since_their_declaration_says() -> None:
    assert profile_for("0.5").knows_field("Program", "named_data") is False
    assert profile_for("0.6").knows_field("Program", "named_data") is True
    assert profile_for("0.6").knows_field("PerChannelGroupQuant", "scale_bf16", XNNPACK) is True
    assert profile_for("0.7").knows_field("PerChannelGroupQuant", "scale_bf16", XNNPACK) is False
    with pytest.raises(KeyError):
        profile_for("0.6").knows_field("Program", "no_such_field")


METHOD = MethodUse("forward", 1, (64,), "execution_plan[0]")
NO_MEMORY = MethodUse("forward", 1, (0,), "execution_plan[0]")


def argument(*traits: str, kind: str = "tensor", dtype: str = "FLOAT", role: str = "input") -> ArgumentUse:
    scalar_type = ScalarType[dtype] if kind == "tensor" else None
    return ArgumentUse("forward", role, 0, "in0", kind, scalar_type, (), (), traits, "execution_plan[0].inputs[0]")


@pytest.mark.parametrize(
    ("given", "method", "last"),
    [
        (argument("zero_dim"), METHOD, "1.2.0"),
        (argument(kind="float"), METHOD, "1.2.0"),
        (argument("channels_last"), METHOD, "0.6.0"),
        (argument("empty"), NO_MEMORY, "0.7.0"),
        (argument("empty", "caller_memory"), METHOD, "0.7.0"),
        (argument("empty"), METHOD, None),
        (argument(kind="none"), METHOD, "0.7.0"),
        (argument(dtype="SHORT"), METHOD, "0.2.1"),
        (argument(dtype="BFLOAT16", role="output"), METHOD, "0.4.0"),
        (argument("zero_dim", role="output"), METHOD, None),
        (argument(), METHOD, None),
        (argument(kind="int"), METHOD, None),
    ],
)
def test_the_last_release_that_cannot_take_an_input(given: ArgumentUse, method: MethodUse, last: str | None) -> None:
    refusing = [str(r) for r in releases() if any(row.matches(given, method) for row in profile_for(r).input_limits)]
    assert (refusing[-1] if refusing else None) == last
    # Nothing comes back once it works.
    assert refusing == [str(r) for r in releases()][: len(refusing)]


def test_other_distributions_have_only_the_limits_of_the_runtime() -> None:
    device = build_profile("device", Version("0.5.0"), ["portable"], {})
    assert {row.distribution for row in device.input_limits} == {""}
    assert {row.distribution for row in profile_for("0.5").input_limits} == {"", PYTHON}
    assert "topk.python" not in {fault.id for fault in device.faults}


def test_float_types_that_kernels_refuse() -> None:
    assert profile_for("0.5").refused_dtypes("aten::abs.out") == {ScalarType.HALF, ScalarType.BFLOAT16}
    assert profile_for("0.6").refused_dtypes("aten::abs.out") == frozenset()
    assert profile_for("0.5").refused_dtypes("aten::mul.out") == frozenset()
    assert profile_for("0.5").refused_dtypes("my::op.out") == frozenset()
    # Where the optimized kernel takes the portable one's place, it is the one that counts.
    portable = build_profile("portable kernels", Version("0.5.0"), ["portable"], {})
    assert portable.refused_dtypes("aten::sub.out") == frozenset()
    assert profile_for("0.5").refused_dtypes("aten::sub.out") == {ScalarType.BFLOAT16}


def test_backends() -> None:
    profile = profile_for("1.5")
    assert profile.backends["XnnpackBackend"].available
    assert not profile.backends["OpenvinoBackend"].available
    assert profile.backends["QnnBackend"].payloads is None
    assert "VulkanBackend" not in profile.backends
    assert load_profile.__doc__
