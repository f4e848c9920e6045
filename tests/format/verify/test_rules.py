"""Every rule fires on a file that breaks it and on no other."""

from typing import Any

import pytest

from program_edits import edited, full_path, program
from pteron.format import schema as s
from pteron.format.limits import Limits
from pteron.format.scalar_type import ScalarType
from pteron.format.verify import RULES, Finding, Severity, verify_program
from pteron.ops import REGISTRY
from pteron.ops.registry import call_length

MLP = "1.5.1/mlp.pte"
INLINE = "0.2.1/mlp_cfg_constant_segment_off.pte"
TRAINING = "1.5.1/training_xor.pte"
XNNPACK = "1.5.1/xnnpack_mlp.pte"
DEMO_INLINE = "0.2.1/demo_backend.pte"
DEMO = "1.5.1/demo_backend.pte"
LISTS = "1.5.1/tensor_lists.pte"
OPTIONAL = "1.5.1/optional_index_lists.pte"
COND = "1.5.1/cond_model.pte"
EXTERNAL = "1.5.1/external_constants_lenet.pte"
ADD = "1.5.1/add.pte"


def arity(name: str) -> frozenset[int] | None:
    operator = REGISTRY.get(name)
    return None if operator is None else frozenset(call_length(x) for x in (operator.schema, *operator.older))


def instruction(args: Any) -> Any:
    """Put an instruction before all others."""
    return lambda old: (s.Instruction(args), *old)


def twice(old: Any) -> Any:
    return (*old, old[0])


# Rule, file, changed fields, the finding's path (short forms as in program_edits) and a part of its message.
CASES: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("PT-VF-001", ADD, {"execution_plan": ()}, "execution_plan", "no methods"),
    ("PT-VF-001", ADD, {"execution_plan": None}, "execution_plan", "no methods"),
    ("PT-VF-002", ADD, {"plan.name": None}, "plan.name", "method 0 has no name"),
    ("PT-VF-003", ADD, {"execution_plan": twice}, "execution_plan[1].name", "called 'forward' as method 0"),
    ("PT-VF-004", ADD, {"plan.values": None}, "plan.values", "no values"),
    ("PT-VF-004", ADD, {"plan.inputs": None}, "plan.inputs", "no inputs"),
    ("PT-VF-004", ADD, {"plan.outputs": None}, "plan.outputs", "no outputs"),
    ("PT-VF-004", ADD, {"plan.delegates": None}, "plan.delegates", "no delegates"),
    ("PT-VF-004", ADD, {"plan.chains": None}, "plan.chains", "no chains"),
    ("PT-VF-004", ADD, {"plan.chains": ()}, "plan.chains", "no chain of"),
    ("PT-VF-004", ADD, {"code": None}, "plan.chains[0].instructions", "no instructions"),
    ("PT-VF-004", ADD, {"code[0].args": None}, "code[0].args",
     "no args"),
    ("PT-VF-004", ADD, {"plan.non_const_buffer_sizes": None}, "plan.non_const_buffer_sizes", "no non_"),
    ("PT-VF-005", ADD, {"plan.inputs[1]": 4}, "plan.inputs[1]", "value 4 does not exist (there are 4)"),
    ("PT-VF-005", ADD, {"plan.inputs[0]": -1}, "plan.inputs[0]", "value -1 does not exist"),
    ("PT-VF-006", ADD, {"plan.outputs[0]": 2**31 - 1}, "plan.outputs[0]", "does not exist"),
    ("PT-VF-007", LISTS, {"plan.inputs[0]": 8}, "plan.inputs[0]", "of kind IntList"),
    ("PT-VF-008", LISTS, {"plan.outputs[0]": 4}, "plan.outputs[0]", "of kind TensorList"),
    ("PT-VF-009", ADD, {"plan.chains[0].inputs": (0, 9)}, "plan.chains[0].inputs[1]", "value 9"),
    ("PT-VF-009", ADD, {"plan.chains[0].outputs": (-1,)}, "plan.chains[0].outputs[0]", "value -1"),
    ("PT-VF-012", ADD, {"version": 1}, "version", "version is 1"),
    ("PT-VF-020", ADD, {"values[3].val": None}, "values[3].val", "no content"),
    ("PT-VF-021", MLP, {"values[10].val.items": None}, "values[10].val.items", "no items"),
    ("PT-VF-021", MLP, {"values[8].val": s.DoubleList()}, "values[8].val.items", "no items"),
    ("PT-VF-021", MLP, {"values[8].val": s.BoolList()}, "values[8].val.items", "no items"),
    ("PT-VF-021", MLP, {"values[8].val": s.String()}, "values[8].val.string_val", "no text"),
    ("PT-VF-022", MLP, {"values[10].val.items[1]": 30}, "values[10].val.items[1]", "value 30"),
    ("PT-VF-022", MLP, {"values[10].val.items[0]": -1}, "values[10].val.items[0]", "value -1"),
    ("PT-VF-022", LISTS, {"values[4].val.items[0]": -1}, "values[4].val.items[0]", "value -1"),
    ("PT-VF-022", OPTIONAL, {"values[3].val.items[0]": -2}, "values[3].val.items[0]", "value -2"),
    ("PT-VF-023", MLP, {"values[10].val.items[0]": 0}, "values[10].val.items[0]", "of kind Tensor"),
    ("PT-VF-024", LISTS, {"values[12].val.items[0]": 5}, "values[12].val.items[0]", "of kind Int"),
    ("PT-VF-024", OPTIONAL, {"values[7].val.items[0]": 3}, "values[7].val.items[0]",
     "of kind OptionalTensorList"),
    ("PT-VF-025", LISTS, {"values[4].val.items[0]": 6}, "values[4].val.items[0]",
     "tensor 6 comes after the list, which is value 4"),
    ("PT-VF-025", OPTIONAL, {"values[3].val.items[0]": 4}, "values[3].val.items[0]", "tensor 4"),
    ("PT-VF-026", ADD, {"values[0].val.sizes": None}, "values[0].val.sizes", "no sizes"),
    ("PT-VF-026", ADD, {"values[0].val.dim_order": None}, "values[0].val.dim_order", "no dim_order"),
    ("PT-VF-027", ADD, {"values[0].val.dim_order": (0, 1, 2)}, "values[0].val.dim_order", "3 entries"),
    ("PT-VF-028", ADD, {"values[0].val.sizes": (1,) * 17}, "values[0].val.sizes", "17 dimensions"),
    ("PT-VF-029", ADD, {"values[0].val.sizes[1]": -3}, "values[0].val.sizes[1]", "-3"),
    ("PT-VF-030", ADD, {"values[0].val.dim_order": (1, 1)}, "values[0].val.dim_order", "permutation"),
    ("PT-VF-030", ADD, {"values[0].val.dim_order": (0, 2)}, "values[0].val.dim_order", "permutation"),
    ("PT-VF-031", ADD, {"values[0].val.storage_offset": 4}, "values[0].val.storage_offset", "is 4"),
    ("PT-VF-032", ADD, {"values[0].val.shape_dynamism": s.TensorShapeDynamism.DYNAMIC_UNBOUND},
     "values[0].val.shape_dynamism", "DYNAMIC_UNBOUND"),
    ("PT-VF-033", ADD, {"values[0].val.sizes": (2**31 - 1,) * 2 + (4,), "values[0].val.dim_order": (0, 1, 2)},
     "values[0].val.sizes", "bytes"),
    ("PT-VF-034", ADD, {"values[0].val.sizes": (2**31 - 1, 2**20)}, "values[0].val.sizes",
     "Limits.max_tensor_bytes is 1,099,511,627,776"),
    ("PT-VF-034", ADD, {"values[0].val.sizes": (2**31 - 1, 2**30, 0), "values[0].val.dim_order": (0, 1, 2)},
     "values[0].val.sizes", "bytes, were it not for an empty dimension"),
    ("PT-VF-035", EXTERNAL, {"values[0].val.extra_tensor_info.fully_qualified_name": None},
     "values[0].val.extra_tensor_info.fully_qualified_name", "no name"),
    ("PT-VF-040", ADD, {"code[0]": None}, "code[0]", "no content"),
    ("PT-VF-041", ADD, {"code[0].op_index": 1}, "code[0].op_index",
     "operator 1 does not exist (there are 1)"),
    ("PT-VF-041", ADD, {"code[0].op_index": -1}, "code[0].op_index",
     "operator -1"),
    ("PT-VF-042", ADD, {"code[0].args[2]": 4}, "code[0].args[2]",
     "value 4"),
    ("PT-VF-042", DEMO, {"code[0].args[1]": -5},
     "code[0].args[1]", "value -5"),
    ("PT-VF-043", ADD, {"code[0].args": (0, 1, 3, 2)},
     "code[0].args", "aten::add.out is called with 4 entries, not 5"),
    ("PT-VF-044", DEMO, {"code[0].delegate_index": 1},
     "code[0].delegate_index", "delegate 1 does not exist (there are 1)"),
    ("PT-VF-045", ADD, {"code": instruction(s.MoveCall(0, 4))},
     "code[0].move_to", "value 4"),
    ("PT-VF-045", ADD, {"code": instruction(s.MoveCall(-1, 0))},
     "code[0].move_from", "value -1"),
    ("PT-VF-045", ADD, {"code": instruction(s.FreeCall(9))},
     "code[0].value_index", "value 9"),
    ("PT-VF-045", COND, {"code[2].cond_value_index": 99},
     "code[2].cond_value_index", "value 99"),
    ("PT-VF-046", COND, {"code[2].destination_instruction": 14},
     "code[2].destination_instruction", "instruction 14"),
    ("PT-VF-046", COND, {"code[2].destination_instruction": -1},
     "code[2].destination_instruction", "instruction -1"),
    ("PT-VF-047", COND, {"code[2].cond_value_index": 3},
     "code[2].cond_value_index", "a tensor of float32"),
    ("PT-VF-047", COND, {"code[7].cond_value_index": 5},
     "code[7].cond_value_index", "of kind Int, not Bool"),
    ("PT-VF-048", ADD, {"code": instruction(s.FreeCall(3))},
     "code[0].value_index", "of kind Int, not Tensor"),
    ("PT-VF-049", ADD, {"plan.operators[0].name": "my::" + "x" * 92}, "plan.operators[0].name", "100 bytes"),
    ("PT-VF-050", ADD, {"plan.operators[0].name": None}, "plan.operators[0].name", "no name"),
    ("PT-VF-060", ADD, {"plan.non_const_buffer_sizes[0]": 8}, "plan.non_const_buffer_sizes[0]", "is 8"),
    ("PT-VF-061", ADD, {"plan.non_const_buffer_sizes[1]": -1}, "plan.non_const_buffer_sizes[1]", "is -1"),
    ("PT-VF-062", ADD, {"plan.non_const_buffer_sizes[1]": 2**62}, "plan.non_const_buffer_sizes",
     "Limits.max_memory is 17,179,869,184"),
    ("PT-VF-063", ADD, {"values[0].val.allocation_info.memory_id": 0},
     "values[0].val.allocation_info.memory_id", "buffer 0"),
    ("PT-VF-063", ADD, {"values[0].val.allocation_info.memory_id": 2},
     "values[0].val.allocation_info.memory_id", "buffer 2"),
    ("PT-VF-064", ADD, {"values[0].val.allocation_info.memory_offset_low": 2**20},
     "values[0].val.allocation_info.memory_offset_low", "tensor 0 ends at byte 1,048,"),
    ("PT-VF-064", ADD, {"values[0].val.allocation_info.memory_offset_high": 1},
     "values[0].val.allocation_info.memory_offset_low", "tensor 0 ends at byte 4,294,967,"),
    ("PT-VF-066", ADD, {"plan.non_const_buffer_device": (s.NonConstBufferDevice(2, s.DeviceType.CUDA),)},
     "plan.non_const_buffer_device[0].buffer_idx", "buffer 2"),
    ("PT-VF-070", MLP, {"values[0].val.data_buffer_idx": 7}, "values[0].val.data_buffer_idx",
     "constant 7 does not exist (there are 7 offsets)"),
    ("PT-VF-070", INLINE, {"values[0].val.data_buffer_idx": 99}, "values[0].val.data_buffer_idx",
     "constant 99"),
    ("PT-VF-070", ADD, {"values[0].val.allocation_info": None, "values[0].val.data_buffer_idx": 1},
     "values[0].val.data_buffer_idx", "constant 1"),
    ("PT-VF-071", MLP, {"values[0].val.sizes": (100, 100)}, "values[0].val.data_buffer_idx",
     "of a segment of 7,720"),
    ("PT-VF-071", MLP, {"constant_segment.offsets[1]": 2**64 - 1}, "values[0].val.data_buffer_idx",
     "constant 1 ends at byte"),
    ("PT-VF-071", INLINE, {"values[0].val.sizes": (100, 100)}, "values[0].val.data_buffer_idx",
     "constant 1 takes 40,000 bytes"),
    ("PT-VF-072", MLP, {"constant_segment.offsets[2]": 16}, "constant_segment.offsets[2]", "inside constant 1"),
    ("PT-VF-073", MLP, {"constant_buffer": (s.Buffer(),)}, "constant_segment.offsets",
     "1 constants in constant_buffer"),
    ("PT-VF-074", MLP, {"constant_segment.segment_index": 1}, "constant_segment.segment_index",
     "segment 1 for the constants"),
    ("PT-VF-074", XNNPACK, {"plan.delegates[0].processed.index": 8}, "plan.delegates[0].processed.index",
     "segment 8 for the payload does not exist (there are 8)"),
    ("PT-VF-074", XNNPACK, {"named_data[2].segment_index": 80}, "named_data[2].segment_index", "segment 80"),
    ("PT-VF-074", TRAINING, {"mutable_data_segments[0].segment_index": 2}, "mutable_data_segments[0].segment_index",
     "segment 2 for the state"),
    ("PT-VF-075", TRAINING, {"mutable_data_segments": None}, "values[0].val.data_buffer_idx", "state 1"),
    ("PT-VF-075", TRAINING, {"values[0].val.data_buffer_idx": 50}, "values[0].val.data_buffer_idx",
     "state 50 does not exist (there are 5 offsets)"),
    ("PT-VF-076", TRAINING, {"mutable_data_segments[0].offsets[1]": 100},
     "values[0].val.data_buffer_idx", "state 1 ends at byte 148 of a segment of 128"),
    ("PT-VF-077", MLP, {"segments[0].size": 7721}, "segments[0].size", "should have 7,721 bytes, 7,720 are there"),
    ("PT-VF-078", XNNPACK, {"segments[2].offset": 1600}, "segments[2].offset", "inside segment 1"),
    ("PT-VF-079", DEMO, {"segments[1].offset": 4}, "segments[1].offset", "byte 1,028"),
    ("PT-VF-080", MLP, {"segments[0].size": 7719}, "segments", "7,720 bytes of segments, they take 7,719"),
    ("PT-VF-082", XNNPACK, {"named_data[1].key": program(XNNPACK).root.named_data[0].key}, "named_data[1].key",
     "that of entry 0 too"),
    ("PT-VF-083", XNNPACK, {"named_data[1].key": None}, "named_data[1].key", "entry 1 has no key"),
    ("PT-VF-084", XNNPACK, {"segments": None}, "named_data", "no list of segments"),
    ("PT-VF-085", DEMO, {"plan.delegates[0].id": None}, "plan.delegates[0].id", "names no backend"),
    ("PT-VF-086", DEMO, {"plan.delegates[0].processed": None}, "plan.delegates[0].processed", "no reference"),
    ("PT-VF-087", DEMO_INLINE, {"plan.delegates[0].processed.index": 1}, "plan.delegates[0].processed.index",
     "inline payload 1 does not exist (there are 1)"),
    ("PT-VF-087", DEMO_INLINE, {"backend_delegate_data[0].data": None}, "plan.delegates[0].processed.index",
     "inline payload 0"),
    ("PT-VF-088", DEMO, {"plan.delegates[0].compile_specs[0].key": None},
     "plan.delegates[0].compile_specs[0].key", "no key"),
    ("PT-VF-088", DEMO, {"plan.delegates[0].compile_specs[0].value": None},
     "plan.delegates[0].compile_specs[0].value", "no value"),
]  # fmt: skip


def of_rule(findings: tuple[Finding, ...], rule_id: str) -> list[Finding]:
    return [finding for finding in findings if finding.rule.id == rule_id]


@pytest.mark.parametrize(("rule_id", "file", "changes", "path", "message"), CASES)
def test_a_rule_fires_on_the_file_that_breaks_it(
    rule_id: str, file: str, changes: dict[str, Any], path: str, message: str
) -> None:
    clean = program(file)
    assert verify_program(clean, arity=arity) == ()
    found = of_rule(verify_program(edited(clean, changes), arity=arity), rule_id)
    assert found
    assert found[0].path == full_path(path)
    assert message in found[0].message
    assert found[0].severity is RULES[rule_id].severity


def test_a_single_fault_gives_a_single_finding() -> None:
    """Most edits break one rule only: a fault is not reported again by checks that build on it."""
    alone = 0
    for rule_id, file, changes, _, _ in CASES:
        findings = verify_program(edited(program(file), changes), arity=arity)
        alone += {finding.rule.id for finding in findings} == {rule_id}
    assert alone >= len(CASES) * 0.8


def test_unknown_fields_are_noted() -> None:
    newer = program(ADD).replace(unknown_fields=frozenset({("Tensor", 10), ("Program", 8)}))
    found = of_rule(verify_program(newer), "PT-VF-010")
    assert [f.message for f in found] == [
        "table Program has a field in slot 8 that Pteron does not know",
        "table Tensor has a field in slot 10 that Pteron does not know",
    ]
    assert found[0].severity is Severity.NOTE


def test_a_file_below_64_bytes_cannot_be_loaded() -> None:
    short = program(ADD).replace(buffer=memoryview(bytes(63)))
    assert [f.message for f in of_rule(verify_program(short), "PT-VF-011")] == [
        "the file has 63 bytes, a runtime reads 64 first"
    ]
    assert not of_rule(verify_program(program(ADD).replace(buffer=memoryview(bytes(64)))), "PT-VF-011")


def test_bytes_behind_the_last_segment_are_noted() -> None:
    mlp = program(MLP)
    longer = mlp.replace(buffer=memoryview(bytes(mlp.buffer) + b"signature"))
    found = verify_program(longer)
    assert [(f.rule.id, f.message) for f in found] == [
        ("PT-VF-081", "9 bytes follow the last segment, which ends at byte 10,536")
    ]


def test_every_rule_has_a_case() -> None:
    elsewhere = {"PT-VF-010", "PT-VF-011", "PT-VF-065", "PT-VF-081", "PT-VF-099"}
    assert {case[0] for case in CASES} | elsewhere == set(RULES)


def test_the_catalogue_is_complete_in_every_row() -> None:
    names = [rule.name for rule in RULES.values()]
    assert len(set(names)) == len(names)
    for rule_id, rule in RULES.items():
        assert rule.id == rule_id
        assert rule.meaning.endswith(".")
        assert rule.cause.endswith(".")
        assert rule.remedy.endswith(".")
        assert rule.source


def test_findings_come_worst_first_with_their_offset() -> None:
    bad = edited(
        program(MLP),
        {
            "plan.non_const_buffer_sizes[0]": 8,
            "plan.inputs[0]": 99,
            "values[10].val.items[1]": 30,
        },
    )
    findings = verify_program(bad)
    severities = [list(Severity).index(finding.severity) for finding in findings]
    assert severities == sorted(severities)
    assert {"PT-VF-005", "PT-VF-022", "PT-VF-060"} <= {finding.rule.id for finding in findings}
    item = of_rule(findings, "PT-VF-022")[0]
    buffer = program(MLP).buffer
    assert item.offset is not None
    assert (
        int.from_bytes(buffer[item.offset : item.offset + 8], "little")
        == program(MLP).root.execution_plan[0].values[10].val.items[1]
    )
    assert str(item) == (
        f"error PT-VF-022 execution_plan[0].values[10].val.items[1] at byte {item.offset}: "
        "value 30 does not exist (there are 30)"
    )


def test_dynamic_inputs_may_have_bounds_that_overflow() -> None:
    sizes = {"values[0].val.sizes": (2**31 - 1,) * 2 + (4,), "values[0].val.dim_order": (0, 1, 2)}
    free = {
        "values[0].val.allocation_info": None,
        "values[0].val.shape_dynamism": s.TensorShapeDynamism.DYNAMIC_BOUND,
    }
    assert not of_rule(verify_program(edited(program(ADD), sizes | free)), "PT-VF-033")
    assert of_rule(verify_program(edited(program(ADD), sizes)), "PT-VF-033")


def test_limits_are_the_callers() -> None:
    add = program(ADD)
    assert of_rule(verify_program(add, limits=Limits(max_rank=1)), "PT-VF-028")
    assert of_rule(verify_program(add, limits=Limits(max_tensor_bytes=8)), "PT-VF-034")
    assert of_rule(verify_program(add, limits=Limits(max_memory=8)), "PT-VF-062")
    assert of_rule(verify_program(add.replace(limits=Limits(max_rank=1))), "PT-VF-028")


def test_no_more_findings_than_asked_for_and_errors_before_the_rest() -> None:
    warned = edited(program(MLP), {"plan.chains[0].inputs": (99,) * 50})
    assert len(of_rule(verify_program(warned), "PT-VF-009")) == 50
    few = verify_program(warned, limits=Limits(max_findings=10))
    assert [f.rule.id for f in few] == ["PT-VF-009"] * 9 + ["PT-VF-099"]
    assert few[-1].message == "more than 10 findings; raise Limits.max_findings to see the rest"
    both = edited(warned, {"plan.inputs": (99,) * 50})
    few = verify_program(both, limits=Limits(max_findings=10))
    assert [f.rule.id for f in few] == ["PT-VF-005"] * 9 + ["PT-VF-099"]
    assert len(verify_program(both, limits=Limits(max_findings=1))) == 1


def test_arity_is_only_checked_where_it_is_known() -> None:
    wrong = edited(program(ADD), {"code[0].args": (0, 1, 3, 2)})
    assert not of_rule(verify_program(wrong), "PT-VF-043")
    assert not of_rule(verify_program(wrong, arity=lambda name: None), "PT-VF-043")
    assert not of_rule(verify_program(wrong, arity=lambda name: {4, 5}), "PT-VF-043")
    assert of_rule(verify_program(wrong, arity=lambda name: {5}), "PT-VF-043")


def test_a_bool_tensor_and_a_moved_value_are_conditions() -> None:
    assert program(COND).root.execution_plan[0].values[2].val.scalar_type == ScalarType.BOOL
    moved = edited(program(COND), {"code[2].cond_value_index": 11})
    assert not of_rule(verify_program(moved), "PT-VF-047")
