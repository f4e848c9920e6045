"""Every rule of the catalogue fires where it should and not on a near miss."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from judging import changed, dated, on, told, with_backend, with_feature, with_operator, without_data
from program_edits import program
from pteron.backends.xnnpack.releases import Need
from pteron.compat.case import Case, examine
from pteron.compat.history import make_history
from pteron.compat.profile import Profile, build_profile, load_profile, profile_for
from pteron.compat.promises import Promise, known_promises
from pteron.compat.rules import RULES
from pteron.compat.verdict import Status, Verdict
from pteron.format import schema
from pteron.format.scalar_type import ScalarType
from pteron.format.verify.rules import RULES as FORMAT_RULES
from pteron.report.explanation import explanation

Judged = Callable[[], Verdict]
SUBGRAPH = "0.6.0/xnnpack_mlp.pte"
EXTERNAL = "1.5.1/external_constants_mlp.pte"
MPS = "0.3.0/other_backends/mps_mlp.pte"


def unknown_field() -> Case:
    newer = program("1.5.1/add.pte").replace(unknown_fields=frozenset({("Program", 99)}))
    return examine(newer)


def oversized() -> Case:
    def longer(buffers: tuple[schema.Buffer, ...]) -> tuple[schema.Buffer, ...]:
        grown = schema.Buffer(memoryview(bytes(buffers[1].storage or b"") + bytes(16)))
        return (buffers[0], grown, *buffers[2:])

    return changed("0.2.1/mlp_cfg_constant_segment_off.pte", {"constant_buffer": longer})


def selected(keys: dict[str, frozenset[str]] | None = None, release: str = "1.5.1") -> Profile:
    profile = profile_for(release)
    return dataclasses.replace(profile, title="a selective build", kernel_keys=keys or {})


def without_release(operators: dict[str, frozenset[int] | None]) -> Profile:
    return Profile("a build of nobody knows what", None, operators, {}, {})


def linking(backend: str, release: str, **fields: object) -> Profile:
    """A build with all operator libraries and one backend."""
    profile = build_profile(f"build of {release}", Version(release), profile_for(release).libraries, {backend: True})
    if fields:
        support = dataclasses.replace(profile.backends[backend], **fields)
        profile = dataclasses.replace(profile, backends={backend: support})
    return profile


def renamed(identifier: str) -> Case:
    return with_backend("0.5.0/xnnpack_mlp.pte", id=identifier, format="unknown", problem="")


def aoti(producer: str) -> Case:
    case = with_backend("1.5.1/xnnpack_mlp.pte", id="CudaBackend", format="aoti", problem="")
    return dataclasses.replace(case, producers=(Version(producer),))


def called_otherwise(file: str) -> Case:
    return with_operator(file, "aten::add.out", argument_count=4)


def static_nonzero(dynamism: int) -> Case:
    return changed(
        "1.5.1/nonzero_unbounded.pte",
        {
            "values[1].val.shape_dynamism": schema.TensorShapeDynamism(dynamism),
            "values[1].val.dim_order": (0, 1),
        },
    )


def custom_promise(runtimes: str) -> list[Promise]:
    builtin = known_promises().promises
    example = next(promise for promise in builtin if promise.subject == "operator")
    own = dataclasses.replace(
        example, id="acme", owner="Acme", names=frozenset({"acme::*"}), runtimes=SpecifierSet(runtimes)
    )
    return [own, *builtin]


def custom_operator() -> Case:
    return with_operator("1.4.1/add.pte", "aten::add.out", name="acme::add.out")


def attention() -> Case:
    """A payload with the node that 0.2 to 0.5 wrote for attention."""
    need = Need("node XNNScaledDotProductAttention", "0.2.0", "0.6.0", "xnodes[0]")
    return with_backend("0.5.0/xnnpack_mlp.pte", node_types=("XNNScaledDotProductAttention",), needs=(need,))


def prim_op(name: str) -> Case:
    return with_operator("1.5.1/map_model.pte", "executorch_prim::eq.Scalar", name=name, argument_count=2)


def half_sum() -> Case:
    return with_operator("1.2.0/ops/sum_dim.0.pte", "aten::sum.IntList_out", dtypes=(ScalarType.HALF,))


SLOW = make_history({"1.1": date(2026, 1, 1), "1.2": date(2026, 4, 1), "1.3": date(2026, 12, 1)})

# rule -> (fires, near miss)
CASES: dict[str, tuple[Judged, Judged]] = {
    "PT-FM-001": (lambda: on(told("0.2.1/add.pte"), "1.3.1"), lambda: on(told("0.2.1/add.pte"), "1.2.0")),
    "PT-FM-002": (
        lambda: on(told("1.5.1/initialized_mutable_buffer.pte"), "0.3.0"),
        lambda: on(told("1.5.1/initialized_mutable_buffer.pte"), "0.4.0"),
    ),
    "PT-FM-003": (lambda: on(told(EXTERNAL), "0.5.0"), lambda: on(told(EXTERNAL), "0.6.0")),
    "PT-FM-004": (
        lambda: on(with_feature("1.5.1/add.pte", "value.new", "1.4.0"), "1.3.1"),
        lambda: on(with_feature("1.5.1/add.pte", "value.new", "1.4.0"), "1.4.1"),
    ),
    "PT-FM-005": (lambda: on(told(SUBGRAPH), "0.5.0"), lambda: on(told(SUBGRAPH), "0.6.0")),
    "PT-FM-006": (lambda: on(unknown_field(), "1.5.1"), lambda: on(told("1.5.1/add.pte"), "1.5.1")),
    "PT-FM-007": (
        lambda: on(told("0.6.0/external_constants_mlp.pte"), "0.7.0"),
        lambda: on(told("0.6.0/external_constants_mlp.pte"), "0.6.0"),
    ),
    "PT-FM-008": (lambda: on(without_data(EXTERNAL), "1.5.1"), lambda: on(told(EXTERNAL), "1.5.1")),
    "PT-FM-009": (lambda: on(told(EXTERNAL), "0.5.0"), lambda: on(told(EXTERNAL), "0.7.0")),
    "PT-FM-010": (lambda: on(told("1.5.1/map_model.pte"), "1.3.1"), lambda: on(told("1.5.1/map_model.pte"), "1.2.0")),
    "PT-FM-011": (
        lambda: on(changed("1.5.1/mlp.pte", {"plan.outputs": (99,)}), "1.5.1"),
        lambda: on(told("1.5.1/mlp.pte"), "1.5.1"),
    ),
    "PT-FM-012": (
        lambda: on(told("0.5.0/copy_cache.pte"), "0.5.0"),
        lambda: on(told("0.6.0/copy_cache.pte"), "0.6.0"),
    ),
    "PT-FM-013": (lambda: on(oversized(), "1.1.0"), lambda: on(oversized(), "1.2.0")),
    "PT-FM-014": (
        lambda: on(told("1.5.1/add.pte"), without_release({"aten::add.out": None})),
        lambda: on(told("1.5.1/add.pte"), "1.5.1"),
    ),
    "PT-FM-015": (
        lambda: on(with_feature("1.5.1/add.pte", "device.tensor", "1.3.0"), "1.2.0"),
        lambda: on(with_feature("1.5.1/add.pte", "device.tensor", "1.3.0"), "1.3.1"),
    ),
    "PT-FM-016": (
        lambda: on(told("1.1.0/channels_last_input.pte"), "1.5.1"),
        lambda: on(told("1.2.0/channels_last_input.pte"), "1.5.1"),
    ),
    "PT-FM-017": (
        lambda: on(told("1.1.0/channels_last_input.pte", "1.1", "1.2"), "1.5.1"),
        lambda: on(told("1.1.0/channels_last_input.pte", "1.2", "1.3"), "1.5.1"),
    ),
    "PT-OP-001": (
        lambda: on(told("1.5.1/grid_sample.pte"), "1.0.1"),
        lambda: on(told("1.5.1/grid_sample.pte"), "1.1.0"),
    ),
    "PT-OP-002": (
        lambda: on(told("1.5.1/portable_quantized_convnet.pte"), profile_for("1.5.1", libraries=False)),
        lambda: on(told("1.5.1/portable_quantized_convnet.pte"), profile_for("1.5.1")),
    ),
    "PT-OP-003": (lambda: on(custom_operator(), "1.5.1"), lambda: on(told("1.5.1/add.pte"), "1.5.1")),
    "PT-OP-004": (lambda: on(told("1.5.1/sort.pte"), "1.5.1"), lambda: on(told("1.5.1/topk.pte"), "1.5.1")),
    "PT-OP-005": (
        lambda: on(called_otherwise("1.5.1/add.pte"), "1.0.1"),
        lambda: on(told("1.5.1/add.pte"), "1.0.1"),
    ),
    "PT-OP-006": (
        lambda: on(called_otherwise("1.5.1/add.pte"), "0.7.0"),
        lambda: on(called_otherwise("1.5.1/add.pte"), "1.0.1"),
    ),
    "PT-OP-007": (
        lambda: on(told("1.5.1/add.pte"), selected({"aten::add.out": frozenset({"v1/4;0,1|4;0,1|4;0,1|4;0,1"})})),
        lambda: on(told("1.5.1/add.pte"), selected()),
    ),
    "PT-OP-008": (
        lambda: on(told("0.6.0/ops/copy.2.pte"), "0.7.0"),
        lambda: on(told("0.6.0/ops/copy.2.pte"), "1.0.1"),
    ),
    "PT-OP-009": (lambda: on(told("0.4.0/gru.pte"), "0.5.0"), lambda: on(told("0.4.0/gru.pte"), "1.0.1")),
    "PT-OP-010": (lambda: on(static_nonzero(0), "1.5.1"), lambda: on(static_nonzero(1), "1.5.1")),
    "PT-OP-011": (
        lambda: on(told("1.5.1/add.pte"), without_release({"aten::add.out": None})),
        lambda: on(told("1.5.1/add.pte"), without_release({"aten::add.out": frozenset({5})})),
    ),
    "PT-OP-012": (lambda: on(half_sum(), "1.4.1"), lambda: on(half_sum(), "1.3.1")),
    "PT-OP-013": (
        lambda: on(prim_op("executorch_prim::sym_not.Scalar"), "1.3.1"),
        lambda: on(prim_op("executorch_prim::sym_not.Scalar"), "1.4.1"),
    ),
    "PT-OP-014": (lambda: on(told("0.6.0/half_bf16.pte"), "0.5.0"), lambda: on(told("0.6.0/half_bf16.pte"), "0.6.0")),
    "PT-OP-015": (lambda: on(told("1.5.1/ops/sign.1.pte"), "1.5.1"), lambda: on(told("1.5.1/ops/abs.0.pte"), "1.5.1")),
    "PT-BE-001": (
        lambda: on(told("1.5.1/xnnpack_mlp.pte"), linking("VulkanBackend", "1.5.1")),
        lambda: on(told("1.5.1/xnnpack_mlp.pte"), "1.5.1"),
    ),
    "PT-BE-002": (
        lambda: on(renamed("OpenvinoBackend"), "1.5.1"),
        lambda: on(renamed("OpenvinoBackend"), linking("OpenvinoBackend", "1.5.1")),
    ),
    "PT-BE-003": (lambda: on(renamed("ArmBackend"), "0.6.0"), lambda: on(renamed("ArmBackend"), "0.5.0")),
    "PT-BE-004": (
        lambda: on(told(SUBGRAPH), linking("XnnpackBackend", "0.6.0", payloads=frozenset({"XN00"}))),
        lambda: on(told(SUBGRAPH), linking("XnnpackBackend", "0.6.0")),
    ),
    "PT-BE-005": (
        lambda: on(told("0.4.0/xnnpack_attention.pte"), "0.3.0"),
        lambda: on(told("0.4.0/xnnpack_attention.pte"), "0.4.0"),
    ),
    "PT-BE-006": (
        lambda: on(attention(), "0.7.0"),
        lambda: on(attention(), "0.6.0"),
    ),
    "PT-BE-007": (lambda: on(told(SUBGRAPH), "0.5.0"), lambda: on(told(SUBGRAPH), "0.6.0")),
    "PT-BE-008": (
        lambda: on(with_backend(SUBGRAPH, max_rank=7), "0.6.0"),
        lambda: on(with_backend(SUBGRAPH, max_rank=6), "0.6.0"),
    ),
    "PT-BE-009": (
        lambda: on(with_backend(SUBGRAPH, problem="it ends in the middle"), "0.6.0"),
        lambda: on(told(SUBGRAPH), "0.6.0"),
    ),
    "PT-BE-010": (
        lambda: on(told("1.5.1/other_backends/vulkan_add.pte"), linking("VulkanBackend", "1.5.1")),
        lambda: on(told("1.5.1/xnnpack_mlp.pte"), "1.5.1"),
    ),
    "PT-BE-011": (
        lambda: on(told(MPS), linking("MPSBackend", "0.4.0")),
        lambda: on(told(MPS, "0.4.0"), linking("MPSBackend", "0.4.0")),
    ),
    "PT-BE-012": (
        lambda: on(told(MPS, "0.3", "0.4"), linking("MPSBackend", "0.4.0")),
        lambda: on(told(MPS, "0.4", "0.5"), linking("MPSBackend", "0.5.0")),
    ),
    "PT-BE-013": (
        lambda: on(aoti("1.4.1"), linking("CudaBackend", "1.3.1")),
        lambda: on(aoti("1.3.1"), linking("CudaBackend", "1.4.1")),
    ),
    "PT-DI-001": (
        lambda: on(told("1.2.0/add_scalar_tensor.pte"), "1.2.0"),
        lambda: on(told("1.2.0/add_scalar_tensor.pte"), linking("XnnpackBackend", "1.2.0")),
    ),
    "PT-DI-002": (lambda: on(told("1.5.1/none_input.pte"), "0.7.0"), lambda: on(told("1.5.1/none_input.pte"), "1.0.1")),
    "PT-DI-003": (lambda: on(told(EXTERNAL), "0.7.0"), lambda: on(told(EXTERNAL), "1.0.1")),
    "PT-PR-001": (lambda: on(told("1.2.0/add.pte"), "1.3.1"), lambda: on(told("1.2.0/add.pte"), "1.4.1")),
    "PT-PR-002": (lambda: on(told("0.3.0/add.pte"), "0.4.0"), lambda: on(told("0.4.0/add.pte"), "0.5.0")),
    "PT-PR-003": (lambda: on(told("1.2.0/add.pte"), "1.4.1"), lambda: on(told("1.2.0/add.pte"), "1.3.1")),
    "PT-PR-004": (
        lambda: on(told("1.2.0/add.pte", "1.1", "1.2"), "1.3.1"),
        lambda: on(told("1.2.0/add.pte", "1.1", "1.2"), "1.2.0"),
    ),
    "PT-PR-005": (lambda: on(told("1.3.1/add.pte"), "1.2.0"), lambda: on(told("1.3.1/add.pte"), "1.3.1")),
    "PT-PR-006": (
        lambda: on(told("1.4.1/ops/bitwise_left_shift.0.pte"), "1.5.1"),
        lambda: on(told("1.4.1/add.pte"), "1.5.1"),
    ),
    "PT-PR-007": (
        lambda: on(aoti("1.5.1"), linking("CudaBackend", "1.5.1")),
        lambda: on(told("1.5.1/xnnpack_mlp.pte"), "1.5.1"),
    ),
    "PT-PR-008": (lambda: on(told("1.5.1/map_model.pte"), "1.5.1"), lambda: on(told("1.5.1/add.pte"), "1.5.1")),
    "PT-PR-009": (lambda: on(told(EXTERNAL), "1.5.1"), lambda: on(told("1.5.1/mlp.pte"), "1.5.1")),
    "PT-PR-010": (
        lambda: on(custom_operator(), "1.5.1", promises=custom_promise("<1.5")),
        lambda: on(custom_operator(), "1.5.1", promises=custom_promise("<2")),
    ),
    "PT-PR-011": (
        lambda: on(told("1.2.0/add.pte"), "1.3.1", history=SLOW),
        lambda: on(told("1.2.0/add.pte"), "1.3.1"),
    ),
}


@pytest.mark.parametrize("rule", sorted(CASES))
def test_fires_and_does_not(rule: str) -> None:
    fires, near_miss = CASES[rule]
    found = [reason for reason in fires().reasons if reason.rule == rule]
    assert found
    for reason in found:
        assert reason.status is RULES[rule].gives
        assert reason.sentence.endswith((".", ")", ":")), reason.sentence
        assert "{" not in reason.sentence
        assert reason.evidence
        assert all(reason.evidence)
    assert rule not in near_miss().rules


def test_every_rule_is_tested() -> None:
    others = ("test_lock.py", "test_judge_evidence.py")
    texts = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in others)
    assert set(CASES) | set(re.findall(r"PT-(?:LK|EV)-\d{3}", texts)) == set(RULES)


def test_names_and_ids_are_one_of_a_kind() -> None:
    names = [rule.name for rule in (*RULES.values(), *FORMAT_RULES.values())]
    assert len(names) == len(set(names))
    for rule in RULES.values():
        assert re.fullmatch(r"PT-(FM|OP|BE|DI|PR|EV|LK)-\d{3}", rule.id)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.name)
        assert rule.gives in (None, Status.CONDITIONAL, Status.INCOMPATIBLE)
        assert rule.meaning.endswith(".")
        assert rule.source


@pytest.mark.parametrize("rule", sorted(RULES))
def test_explain_knows_every_rule(rule: str) -> None:
    found = explanation(rule)
    assert found is not None
    assert found["id"] == rule
    assert found["meaning"] == RULES[rule].meaning
    assert (explanation(RULES[rule].name) or {})["id"] == rule


def test_a_profile_from_selected_operators(tmp_path: Path) -> None:
    path = tmp_path / "selected_operators.yaml"
    path.write_text("operators:\n  aten::add.out: {}\n", encoding="utf-8")
    verdict = on(told("1.5.1/add.pte"), load_profile(path))
    assert verdict.status is Status.CONDITIONAL
    assert "PT-FM-014" in verdict.rules
    missing = on(told("1.5.1/mlp.pte"), load_profile(path))
    assert missing.status is Status.INCOMPATIBLE


def test_dating_decides_nothing_about_facts() -> None:
    """Facts are the same whoever made the file, where no rule asks for the producer."""
    for runtime in ("0.5.0", "1.5.1"):
        of_told, of_dated = on(told(SUBGRAPH), runtime), on(dated(SUBGRAPH), runtime)
        assert [r for r in of_told.rules if "-PR-" not in r] == [r for r in of_dated.rules if "-PR-" not in r]
