"""Requirements against what the corpus's own manifests and data files say, and against edited programs."""

import dataclasses
import json
from typing import Any

import pytest

import corpus_files
from program_edits import edited, program
from pteron.compat.backend_use import XNNPACK_FEATURES
from pteron.compat.features import CATALOGUE, dtype_since
from pteron.compat.requirements import Requirements, requirements
from pteron.format import schema
from pteron.format.flat_tensor import read_tensor_data
from pteron.format.program import read_program
from pteron.format.scalar_type import ScalarType
from pteron.ops import REGISTRY
from pteron.ops.registry import call_length

NEWEST = "1.5.1"


def needed(name: str, **changes: Any) -> Requirements:
    return requirements(edited(program(name), changes) if changes else program(name))


@pytest.mark.parametrize("release", corpus_files.releases())
def test_operators_and_backends_are_those_of_the_manifest(release: str) -> None:
    for case in corpus_files.cases(release):
        if not case.name.endswith(".pte"):
            continue
        found = requirements(read_program(case.read(), file=str(case)))
        names = {use.name for use in (*found.operators, *found.prim_ops)}
        # The manifest lists the operator tables, which name every operator once it is called.
        assert names == set(case.entry["operators"]), str(case)
        assert {use.id for use in found.backends} == set(case.backends), str(case)
        assert not any(use.problem for use in found.backends), str(case)
        assert {method.name for method in found.methods} == set(case.entry["methods"]), str(case)


@pytest.mark.parametrize("release", ["1.0.1", NEWEST])
def test_argument_counts_are_those_of_the_schemas(release: str) -> None:
    """Releases since 1.0 refuse any other count, so their own files have the counts of their schemas."""
    for case in corpus_files.operators(release):
        for use in requirements(read_program(case.read())).operators:
            operator = REGISTRY.get(use.name)
            assert operator is not None
            assert use.argument_count in {call_length(s) for s in (operator.schema, *operator.older)}, str(case)


def test_an_operator_use_says_how_it_is_called() -> None:
    [use] = needed("1.5.1/add.pte").operators
    assert use.name == "aten::add.out"
    assert use.argument_count == 5  # self, other, alpha, out, and out again as the result
    assert use.dtypes == (ScalarType.FLOAT,)
    assert use.dim_orders == ((0, 1),)
    assert use.kernel_keys == ("v1/6;0,1|6;0,1|6;0,1|6;0,1",)
    assert use.scalar_types == (ScalarType.LONG,)  # alpha
    assert use.place == "execution_plan[0].chains[0].instructions[0].instr_args"


def test_elements_of_lists_count_for_dtypes_but_not_for_kernel_keys() -> None:
    [use] = [u for u in needed("1.5.1/tensor_lists.pte").operators if u.name == "aten::cat.out"]
    lists = [key for key in use.kernel_keys if key.count("|") > 1]
    assert not lists  # out and the result only
    assert ScalarType.FLOAT in use.dtypes


@pytest.mark.parametrize(
    "name",
    [
        "1.5.1/external_constants_mlp.pte",
        "1.5.1/external_constants_tagged.pte",
        "1.5.1/external_constants_xnnpack.pte",
        "1.5.1/external_mutable_weights.pte",
        "0.6.0/external_constants_lenet.pte",
    ],
)
def test_external_keys_are_those_of_the_ptd_files(name: str) -> None:
    release, _, file = name.partition("/")
    case = next(case for case in corpus_files.models(release) if case.name == file)
    data = [read_tensor_data(raw) for raw in case.read_data()]
    found = requirements(program(name), data)
    entries = {key: entry for one in data for key, entry in one.entries.items()}
    wanted = {key.key: key for key in found.external_keys}
    assert wanted.keys() <= entries.keys()
    for key, want in wanted.items():
        if want.scalar_type is not None:
            assert (want.scalar_type, want.sizes) == (entries[key].scalar_type, entries[key].sizes)
            assert want.nbytes == len(entries[key].data)
    assert found.missing_keys == ()
    assert [use.layout for use in found.data] == [one.layout for one in data]
    assert requirements(program(name)).missing_keys == tuple(wanted)
    assert all(set(use.unused) <= entries.keys() - wanted.keys() for use in found.data)


def test_weights_of_a_delegate_that_are_elsewhere_are_external_keys() -> None:
    [first, *_] = needed("1.5.1/external_constants_xnnpack.pte").external_keys
    assert first.backend == "XnnpackBackend"
    assert first.scalar_type is None
    assert needed("1.5.1/xnnpack_mlp.pte").external_keys == ()


# feature -> (file that has it, edits), (file that has not)
def grown(buffers: tuple[schema.Buffer, ...]) -> tuple[schema.Buffer, ...]:
    """Constants of which the first is larger than its tensor."""
    return (buffers[0], schema.Buffer(memoryview(bytes(buffers[1].storage or b"") + bytes(16))), *buffers[2:])


FEATURES: dict[str, tuple[tuple[str, dict[str, Any]], str]] = {
    "header.none": (("0.2.1/add.pte", {}), "0.2.1/mlp.pte"),
    "header.24": (("0.7.0/mlp.pte", {}), "1.0.1/mlp.pte"),
    "header.32": (("1.0.1/mlp.pte", {}), "0.7.0/mlp.pte"),
    "constants.inline": (("0.2.1/mlp_cfg_constant_segment_off.pte", {}), "0.2.1/mlp.pte"),
    "constants.no_segment": (("0.3.0/add.pte", {}), "0.4.0/add.pte"),
    "constants.segment": (("0.2.1/mlp.pte", {}), "0.4.0/add.pte"),
    "constants.placeholder": (("0.4.0/add.pte", {}), "0.3.0/add.pte"),
    "state.initial": (("1.5.1/initialized_mutable_buffer.pte", {}), "1.5.1/mlp.pte"),
    "memory.offset_high": (
        ("1.5.1/add.pte", {"values[0].val.allocation_info.memory_offset_high": 1}),
        "1.5.1/add.pte",
    ),
    "external.tensor": (("0.6.0/external_constants_mlp.pte", {}), "0.6.0/mlp.pte"),
    "external.planned": (("0.6.0/external_mutable_weights.pte", {}), "0.6.0/external_constants_mlp.pte"),
    "named_data": (("0.6.0/xnnpack_mlp.pte", {}), "0.5.0/xnnpack_mlp.pte"),
    "named_data.with_external": (
        ("1.5.1/external_constants_mlp.pte", {"named_data": (schema.NamedData("k", 0),)}),
        "1.5.1/external_constants_mlp.pte",
    ),
    "tensor.name": (("0.7.0/mutable_buffer_names.pte", {}), "0.7.0/mutable_counter.pte"),
    "memory.forgotten": (("0.2.1/map_model.pte", {}), "0.4.0/map_model.pte"),
    "device.tensor": (
        (
            "1.5.1/add.pte",
            {"values[0].val.extra_tensor_info": schema.ExtraTensorInfo(device_type=schema.DeviceType.CUDA)},
        ),
        "1.5.1/add.pte",
    ),
    "device.memory": (
        (
            "1.5.1/add.pte",
            {"plan.non_const_buffer_device": (schema.NonConstBufferDevice(1, schema.DeviceType.CUDA, 0),)},
        ),
        "1.5.1/add.pte",
    ),
    "delegate.inline": (("1.5.1/xnnpack_inline_delegate.pte", {}), "1.5.1/xnnpack_mlp.pte"),
    "delegate.segment": (("1.5.1/xnnpack_mlp.pte", {}), "1.5.1/xnnpack_inline_delegate.pte"),
    "shape.dynamic": (("1.5.1/dynamic_mlp.pte", {}), "1.5.1/mlp.pte"),
    "shape.unbound": (
        ("1.5.1/add.pte", {"values[0].val.shape_dynamism": schema.TensorShapeDynamism.DYNAMIC_UNBOUND}),
        "1.5.1/dynamic_mlp.pte",
    ),
    "tensor.storage_offset": (("1.5.1/add.pte", {"values[0].val.storage_offset": 1}), "1.5.1/add.pte"),
    "control.jump": (("1.5.1/cond_model.pte", {}), "1.5.1/mlp.pte"),
    "control.loop": (("1.5.1/map_model.pte", {}), "1.5.1/cond_model.pte"),
    "control.move": (("1.5.1/cond_model.pte", {}), "1.5.1/map_model.pte"),
    "control.free": (
        ("1.5.1/add.pte", {"code": lambda code: (*code, schema.Instruction(schema.FreeCall(0)))}),
        "1.5.1/add.pte",
    ),
    "list.tensor": (("1.5.1/tensor_lists.pte", {}), "1.5.1/add.pte"),
    "list.optional_tensor": (("1.5.1/optional_index_lists.pte", {}), "1.5.1/tensor_lists.pte"),
    "value.string": (("1.5.1/activations.pte", {}), "1.5.1/add.pte"),
    "stacktrace": (("1.5.1/mlp_cfg_stacktrace.pte", {}), "1.5.1/mlp.pte"),
    "constants.inline_oversized": (
        ("0.2.1/mlp_cfg_constant_segment_off.pte", {"constant_buffer": grown}),
        "0.2.1/mlp_cfg_constant_segment_off.pte",
    ),
    "constants.dim_order": (("1.5.1/channels_last_input.pte", {}), "1.5.1/lenet.pte"),
    "rank.high": (
        ("1.5.1/add.pte", {"values[0].val.sizes": (1,) * 17, "values[0].val.dim_order": tuple(range(17))}),
        "1.5.1/large_rank.pte",
    ),
}


@pytest.mark.parametrize("identifier", FEATURES)
def test_every_feature_is_seen_where_it_is_and_nowhere_else(identifier: str) -> None:
    (name, changes), other = FEATURES[identifier]
    found = needed(name, **changes).feature(identifier)
    assert found is not None
    assert found.since == CATALOGUE[identifier][1]
    assert found.place
    assert needed(other).feature(identifier) is None


def test_no_feature_is_left_without_an_example() -> None:
    # A header longer than today's is one no file has yet.
    assert CATALOGUE.keys() - FEATURES.keys() == {"header.longer"}
    longer = dataclasses.replace(program("1.5.1/mlp.pte").header, length=40)  # type: ignore[type-var]
    assert requirements(program("1.5.1/mlp.pte").replace(header=longer)).feature("header.longer")


def test_fields_of_newer_releases_and_dtypes_are_features() -> None:
    newer = program("1.5.1/add.pte").replace(unknown_fields=frozenset({("Program", 8)}))
    assert requirements(newer).feature("unknown.Program.8").since == ""  # type: ignore[union-attr]
    half = needed("1.5.1/half_bf16.pte")
    assert half.feature("dtype.half").since == "0.2.0"  # type: ignore[union-attr]
    assert half.feature("dtype.bfloat16").since == "0.3.0"  # type: ignore[union-attr]
    assert dtype_since(ScalarType.COMPLEX_FLOAT) == "0.6.0"
    assert dtype_since(ScalarType.UINT16) == "0.5.0"
    assert dtype_since(ScalarType.FLOAT) == "0.1.0"


def test_xnnpack_payloads_are_looked_into() -> None:
    [use] = needed("1.5.1/xnnpack_int8_linear.pte").backends
    assert (use.format, use.container) == ("XN01", "XH00")
    assert use.node_types == ("XNNConvert", "XNNFullyConnected")
    assert use.datatypes == ("fp32", "qcint32", "qcint8", "qint8")
    assert set(use.features) == {"constants.named", "quant.per_channel", "scales.constant"}
    assert set(use.features) <= XNNPACK_FEATURES.keys()
    assert [need.since for need in use.needs][:1] == ["0.7.0"]
    [old] = needed("0.5.0/xnnpack_int8_linear.pte").backends
    assert set(old.features) == {"constants.region", "quant.per_channel", "scales.inline"}
    assert old.named_keys == ()


def test_other_backends_are_identified() -> None:
    [use] = needed("1.5.1/other_backends/vulkan_add.pte").backends
    assert (use.id, use.format) == ("VulkanBackend", "VK00")


def test_a_damaged_payload_is_said_to_be_damaged() -> None:
    good = program("1.5.1/xnnpack_mlp.pte")
    index = good.root.execution_plan[0].delegates[0].processed.index  # type: ignore[index,union-attr]
    data = [memoryview(b"\0" * 64) if i == index else d for i, d in enumerate(good.segment_data)]
    [use] = requirements(good.replace(segment_data=tuple(data))).backends
    assert "not that of an XNNPACK payload" in use.problem
    [gone] = needed("1.5.1/xnnpack_mlp.pte", **{"plan.delegates[0].processed.index": 99}).backends
    assert "segment 99 does not exist" in gone.problem


@pytest.mark.parametrize(
    ("name", "role", "index", "kind", "traits"),
    [
        ("channels_last_input.pte", "input", 0, "tensor", ("channels_last",)),
        ("scalar_inputs.pte", "input", 2, "float", ()),
        ("none_input.pte", "input", 1, "none", ()),
        ("empty_tensor.pte", "input", 0, "tensor", ("empty",)),
        ("cond_model.pte", "input", 0, "tensor", ("zero_dim",)),
        ("dynamic_mlp.pte", "input", 0, "tensor", ("dynamic",)),
        ("mlp_cfg_no_input_alloc.pte", "input", 0, "tensor", ("caller_memory",)),
        ("mlp_cfg_no_output_alloc.pte", "output", 0, "tensor", ("caller_memory",)),
        ("return_input_and_const.pte", "output", 3, "tensor", ("constant",)),
    ],
)
def test_arguments_say_what_may_give_trouble(name: str, role: str, index: int, kind: str, traits: tuple[str]) -> None:
    found = needed(f"{NEWEST}/{name}")
    [argument] = [a for a in found.arguments if a.role == role and a.index == index and a.method == "forward"]
    assert argument.kind == kind
    assert argument.traits == traits
    assert (argument in found.caller_sets) == ("caller_memory" in traits)


def test_the_document_is_plain_json() -> None:
    found = needed("1.5.1/xnnpack_mixed.pte")
    document = json.loads(json.dumps(found.to_dict()))
    assert document["schema"] == "pteron.requirements/1"
    assert document.keys() - {"schema"} == {field.name for field in dataclasses.fields(found)}
    assert document["operators"][0]["dtypes"] == ["float32"]
    assert document["max_rank"] == found.max_rank


def test_indices_out_of_range_are_no_trouble() -> None:
    strange = needed("1.5.1/add.pte", **{"code[0].op_index": 99, "code[0].args": (0, 99, -1)})
    assert [use.name for use in strange.operators] == [""]
    assert needed("1.5.1/add.pte", **{"plan.inputs": (77,)}).arguments[0].kind == "invalid"
