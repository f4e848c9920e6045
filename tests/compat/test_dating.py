"""Dating: each rule on real files, the range for every file of the corpus, and overriding it."""

import dataclasses
from collections.abc import Iterator
from functools import cache

import pytest

import corpus_files
from program_edits import edited, program
from pteron.compat.dating import ProducedBy, date, minor
from pteron.compat.dating_rules import MINORS, RULES
from pteron.compat.fingerprints import Writer, writer_of
from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.bundled_program import read_bundled_program
from pteron.format.program import Program, read_program
from pteron.format.schema import TensorDataLocation
from pteron.format.write import write_program


@cache
def dated(release: str) -> list[tuple[str, ProducedBy]]:
    return [(name, date(p)) for name, p in programs(release)]


def programs(release: str) -> Iterator[tuple[str, Program]]:
    """Every program of a release: files, and those inside of bundles."""
    for name in corpus_files.names(release):
        yield name, read_program(corpus_files.read(release, name), file=f"{release}/{name}")
    for name in corpus_files.names(release, ".bpte"):
        yield name, read_bundled_program(corpus_files.read(release, name)).program


@pytest.mark.parametrize("release", corpus_files.releases())
def test_the_true_release_is_always_in_the_range(release: str) -> None:
    found = dated(release)
    assert len(found) > 90
    assert [name for name, range_ in found if not range_.contains(release)] == []
    assert not any(range_.contradictory for _, range_ in found)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_no_single_hard_rule_excludes_the_true_release(release: str) -> None:
    """Stronger than the range: not even one piece of evidence that another one hides is wrong."""
    wrong = [
        (name, item.rule)
        for name, range_ in dated(release)
        for item in range_.evidence
        if item.hard and minor(release) not in item.releases
    ]
    assert wrong == []


# rule -> a file where it fires (release/name, or a way to make one), one where it does not
EXAMPLES: dict[str, tuple[str, str]] = {
    "constant-segment": ("0.2.1/add.pte", ""),
    "no-constant-segment": ("0.3.0/add.pte", "0.4.0/add.pte"),
    "inline-constants": ("0.3.0/mlp_cfg_constant_segment_off.pte", "0.3.0/mlp.pte"),
    "placeholder": ("0.4.0/add.pte", "0.3.0/add.pte"),
    "header-24": ("0.7.0/mlp.pte", "1.0.1/mlp.pte"),
    "header-32": ("1.0.1/mlp.pte", "0.7.0/mlp.pte"),
    "flatc": ("1.1.0/add.pte", "1.2.0/add.pte"),
    "generated-classes": ("1.2.0/add.pte", "1.1.0/add.pte"),
    "initial-state": ("0.4.0/training_xor.pte", "0.4.0/add.pte"),
    "external-tensor": ("0.6.0/external_constants_mlp.pte", "0.6.0/mlp.pte"),
    "external-planned": ("0.6.0/external_mutable_weights.pte", "0.6.0/external_constants_mlp.pte"),
    "named-data": ("0.6.0/xnnpack_mlp.pte", "0.5.0/xnnpack_mlp.pte"),
    "tensor-name": ("0.7.0/mutable_buffer_names.pte", "0.7.0/mutable_counter.pte"),
    "getter-two-buffers": ("0.2.1/constant_methods_simple.pte", "0.3.0/constant_methods_simple.pte"),
    "getter-one-buffer": ("0.3.0/constant_methods_simple.pte", "0.2.1/constant_methods_simple.pte"),
    "integer-loop": ("0.3.0/map_model.pte", "0.4.0/map_model.pte"),
    "operators-0.3": ("0.3.0/views.pte", "0.2.1/views.pte"),
    "operators-1.0": ("1.0.1/copy_cache.pte", "0.7.0/copy_cache.pte"),
    "copy-to-new-value": ("1.2.0/mutable_counter.pte", "1.3.1/mutable_counter.pte"),
    "copy-to-buffer": ("1.3.1/mutable_counter.pte", "1.2.0/mutable_counter.pte"),
    "static-map": ("1.0.1/map_model.pte", "1.1.0/map_model.pte"),
    "plan-by-size": ("0.6.0/add.pte", "0.5.0/add.pte"),
    "plan-by-graph": ("0.5.0/add.pte", "0.6.0/add.pte"),
    "plan-padded": ("0.6.0/xnnpack_mlp.pte", "0.5.0/xnnpack_mlp.pte"),
    "plan-unpadded": ("0.5.0/xnnpack_mlp.pte", "0.6.0/xnnpack_mlp.pte"),
    "xnnpack-region": ("0.5.0/xnnpack_mlp.pte", "0.6.0/xnnpack_mlp.pte"),
    "xnnpack-named": ("0.6.0/xnnpack_mlp.pte", "0.5.0/xnnpack_mlp.pte"),
    "xnnpack-scales-inline": ("0.6.0/xnnpack_int8_linear.pte", "0.7.0/xnnpack_int8_linear.pte"),
    "xnnpack-scales-constant": ("0.7.0/xnnpack_int8_linear.pte", "0.6.0/xnnpack_int8_linear.pte"),
    "xnnpack-scales-by-hash": ("1.0.1/xnnpack_int8_linear.pte", "1.1.0/xnnpack_int8_linear.pte"),
    "xnnpack-scales-marked": ("1.1.0/xnnpack_int8_linear.pte", "1.0.1/xnnpack_int8_linear.pte"),
    "xnnpack-weights-by-name": ("1.2.0/xnnpack_mlp.pte", "1.3.1/xnnpack_mlp.pte"),
    "xnnpack-weights-by-hash": ("1.3.1/xnnpack_mlp.pte", "1.2.0/xnnpack_mlp.pte"),
    "backends-0.6": ("1.2.0/other_backends/arm_tosa_add.pte", "1.2.0/add.pte"),
    "segments-coarse": ("0.3.0/xnnpack_mixed.pte", "0.4.0/xnnpack_mixed.pte"),
    "segments-fine": ("0.4.0/mlp.pte", "0.3.0/mlp.pte"),
    "delegate-inline": ("0.2.1/xnnpack_mlp.pte", "0.3.0/xnnpack_mlp.pte"),
    "delegate-segment": ("0.3.0/xnnpack_mlp.pte", "0.2.1/xnnpack_mlp.pte"),
    "no-dim-order": ("0.4.0/mutable_counter.pte", "0.5.0/mutable_counter.pte"),
    "dim-order": ("0.5.0/mutable_counter.pte", "0.4.0/mutable_counter.pte"),
    "clone-without-dim-order": ("0.7.0/copy_cache.pte", "1.0.1/copy_cache.pte"),
    "slice-open": ("0.7.0/views.pte", "0.6.0/views.pte"),
}


def built() -> dict[str, Program]:
    """Programs for rules that no file of the corpus fires."""
    delegated = program("1.5.1/xnnpack_mlp.pte")
    delegate = delegated.root.execution_plan[0].delegates[0]  # type: ignore[index]
    call = delegated.root.execution_plan[0].chains[0].instructions[-1]  # type: ignore[index]
    extra = schema.ExtraTensorInfo(device_type=schema.DeviceType.CUDA, location=TensorDataLocation.SEGMENT)
    device = (schema.NonConstBufferDevice(1, schema.DeviceType.CUDA, 0),)

    def renamed(name: str, overload: str) -> Program:
        return edited(program("1.5.1/add.pte"), {"plan.operators[0]": schema.Operator(name, overload)})

    def rehomed(backend: str) -> Program:
        return edited(delegated, {"plan.delegates[0].id": backend})

    two_methods = {"execution_plan": lambda plans: (*plans, dataclasses.replace(plans[0], name="again"))}
    return {
        "unknown-field": delegated.replace(unknown_fields=frozenset({("Program", 8)})),
        "offset-high": edited(program("1.5.1/add.pte"), {"values[0].val.allocation_info.memory_offset_high": 1}),
        "device-tensor": edited(program("1.5.1/add.pte"), {"values[0].val.extra_tensor_info": extra}),
        "device-memory": edited(program("1.5.1/add.pte"), {"plan.non_const_buffer_device": device}),
        "operators-0.4": renamed("executorch_prim::mod", "Scalar"),
        "operators-0.5": renamed("executorch_prim::round", "Scalar"),
        "operators-0.7": renamed("llama::custom_quantized_sdpa", "out"),
        "operators-1.4": renamed("executorch_prim::sym_ite", "Scalar"),
        "delegate-shared": edited(delegated, {"code": lambda code: (*code, call)}),
        "payload-repeated": edited(delegated, {"plan.delegates": (delegate, delegate)}),
        "payload-shared": edited(delegated, two_methods),
        "backends-0.4": rehomed("NeuropilotBackend"),
        "backends-0.7": rehomed("OpenvinoBackend"),
        "backends-1.0": rehomed("EnnBackend"),
        "backends-1.1": rehomed("CudaBackend"),
        "backends-1.3": rehomed("MLXBackend"),
        "arm-backend": rehomed("ArmBackend"),
    }


def fired(found: ProducedBy) -> set[str]:
    return {item.rule for item in found.evidence}


@pytest.mark.parametrize("rule", EXAMPLES)
def test_rules_fire_on_real_files(rule: str) -> None:
    yes, no = EXAMPLES[rule]
    assert rule in fired(date(program(yes)))
    if no:
        assert rule not in fired(date(program(no)))


@pytest.mark.parametrize("rule", built())
def test_rules_fire_on_built_files(rule: str) -> None:
    assert rule in fired(date(built()[rule]))
    assert not {rule} & (fired(date(program("1.5.1/xnnpack_mlp.pte"))) | fired(date(program("1.5.1/add.pte"))))


def test_inline_constants_of_a_payload_are_0_1s() -> None:
    rule = next(rule for rule in RULES if rule.id == "xnnpack-inline")
    assert rule.releases == {"0.1"}


def test_every_rule_has_an_example() -> None:
    # No release in the corpus wrote constants into an XNNPACK payload's flatbuffer: 0.1 alone did.
    assert {rule.id for rule in RULES} == {*EXAMPLES, *built(), "xnnpack-inline"}
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_the_writer_is_told_from_the_order_of_fields(release: str) -> None:
    expected = Writer.FLATC if MINORS.index(minor(release)) < MINORS.index("1.2") else Writer.GENERATED_CLASSES
    for name in ("add.pte", "mlp.pte", "multi_method.pte"):
        assert writer_of(program(f"{release}/{name}")) is expected
        again = read_program(write_program(program(f"{release}/{name}")))
        assert writer_of(again) is Writer.OTHER


def test_a_file_written_again_is_dated_by_its_content_only() -> None:
    again = date(read_program(write_program(program("0.4.0/mutable_counter.pte"))))
    assert again.contains("0.4.0")
    assert not fired(again) & {rule.id for rule in RULES if rule.layout}


def test_a_contradiction_is_said_and_answered_by_content() -> None:
    mixed = edited(program("0.4.0/add.pte"), {"named_data": (schema.NamedData("k", 0),)})
    mixed = edited(mixed, {"plan.operators[0]": schema.Operator("executorch_prim::sym_ite", "Scalar")})
    found = date(mixed)
    assert found.contradictory
    assert found.contains("1.4.0")


def test_a_release_that_is_given_decides() -> None:
    found = date(program("0.4.0/add.pte"), produced_by="1.2.0")
    assert found.releases == ("1.2",)
    assert found.source == "given"
    assert not found.contains("1.3.0")
    assert not found.open_end


@pytest.mark.parametrize("text", ["newest", "", "1.x"])
def test_what_is_no_release_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError, match="no ExecuTorch release"):
        date(program("0.4.0/add.pte"), produced_by=text)


def test_patch_releases_and_newer_ones() -> None:
    found = date(program("1.5.1/add.pte"))
    assert found.first == "1.2"
    assert found.last == "1.5"
    assert found.open_end
    assert str(found) == "1.2 to 1.5 or later"
    assert found.contains("1.3.0")
    assert found.contains("1.3.1rc2")
    assert found.contains("1.6.0")
    assert found.contains("2.0")
    assert not found.contains("1.1.0")
    assert not date(program("1.2.0/xnnpack_mlp.pte")).contains("1.6.0")


def test_the_document_names_all_evidence() -> None:
    found = date(program("1.0.1/xnnpack_int8_linear.pte"))
    document = found.to_dict()
    assert document["releases"] == ["1.0"]
    assert [item["rule"] for item in document["evidence"]] == [item.rule for item in found.evidence]
    assert all(set(item["releases"]) <= set(MINORS) for item in document["evidence"])


def test_default_configuration_only_makes_releases_likely() -> None:
    found = date(program("0.3.0/mlp_cfg_segment_alignment_64.pte"))
    assert found.contains("0.3.0")
    assert "0.3" not in found.likely
    assert set(found.likely) < set(found.releases)
