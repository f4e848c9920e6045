"""Planned values that overwrite each other, on small hand-made methods."""

import time
from typing import Any

import pytest

from program_edits import edited, program
from pteron.format import schema as s
from pteron.format.verify import verify_program
from pteron.format.verify.liveness import Overwrite, overwrites

OPERATORS = ("aten::relu.out", "aten::add_", "executorch_prim::et_view.default", "aten::sym_size.int",
             "executorch_prim::et_copy_index.tensor", "aten::split_copy.Tensor_out")  # fmt: skip
RELU, ADD_, VIEW, SIZE, COPY_INDEX, SPLIT = range(len(OPERATORS))


def tensor(offset: int | None, size: int = 4, state: int = 0) -> s.EValue:
    """A tensor of ``size`` bytes at an offset of planned buffer 1."""
    place = None if offset is None else s.AllocationDetails(1, offset)
    return s.EValue(s.Tensor(sizes=(size,), dim_order=(0,), allocation_info=place, data_buffer_idx=state))


def call(operator: int, *args: int) -> s.Instruction:
    return s.Instruction(s.KernelCall(operator, args))


def relu(source: int, out: int) -> s.Instruction:
    return call(RELU, source, out, out)


def delegate(*args: int) -> s.Instruction:
    return s.Instruction(s.DelegateCall(0, args))


def jump(condition: int, to: int) -> s.Instruction:
    return s.Instruction(s.JumpFalseCall(condition, to))


def move(source: int, target: int) -> s.Instruction:
    return s.Instruction(s.MoveCall(source, target))


def plan(values: list[s.EValue], inputs: tuple[int, ...], outputs: tuple[int, ...], *code: s.Instruction) -> Any:
    operators = tuple(s.Operator(*name.split(".")) for name in OPERATORS)
    chains = (s.Chain(instructions=code),)
    return s.ExecutionPlan(values=tuple(values), inputs=inputs, outputs=outputs, chains=chains, operators=operators)


FALSE = s.EValue(s.Bool(False))


def test_a_value_that_is_overwritten_before_its_last_use() -> None:
    values = [tensor(0), tensor(4), tensor(2), tensor(8)]
    bad = plan(values, (0,), (3,), relu(0, 1), relu(0, 2), relu(1, 3))
    assert overwrites(bad) == [Overwrite(value=1, by=2, write=1, read=2)]
    good = plan(values, (0,), (3,), relu(0, 1), relu(1, 3), relu(3, 2))
    assert overwrites(good) == []


def test_an_output_must_last_and_so_must_an_input_until_it_is_read() -> None:
    values = [tensor(0), tensor(4), tensor(6)]
    assert overwrites(plan(values, (0,), (1, 2), relu(0, 1), relu(0, 2))) == [Overwrite(1, 2, 1, 2)]
    assert overwrites(plan([tensor(0), tensor(2), tensor(8)], (0, 1), (2,), relu(0, 2))) == [Overwrite(0, 1, -1, 0)]


def test_memory_is_free_again_after_the_last_use() -> None:
    values = [tensor(0), tensor(4), tensor(0), tensor(4)]
    assert overwrites(plan(values, (0,), (3,), relu(0, 1), relu(1, 2), relu(2, 3))) == []


def test_other_buffers_and_empty_tensors_do_not_share() -> None:
    other = s.EValue(s.Tensor(sizes=(4,), dim_order=(0,), allocation_info=s.AllocationDetails(2, 0)))
    assert overwrites(plan([tensor(0), other, tensor(8)], (0,), (2,), relu(0, 1), relu(0, 2))) == []
    assert overwrites(plan([tensor(0), tensor(2, 0), tensor(8)], (0,), (2,), relu(0, 1), relu(0, 2))) == []


def test_an_elided_view_reads_what_stands_at_its_place() -> None:
    values = [tensor(0), tensor(4), tensor(4), tensor(8), tensor(6)]
    assert overwrites(plan(values, (0,), (3,), relu(0, 1), relu(2, 3), relu(1, 3))) == []
    assert overwrites(plan(values, (0,), (2,), relu(0, 1))) == []
    bad = plan(values, (0,), (3,), relu(0, 1), relu(2, 3), relu(0, 4), relu(2, 3))
    assert overwrites(bad) == [Overwrite(value=2, by=4, write=2, read=3)]


def test_et_view_shares_the_memory_of_its_base() -> None:
    values = [tensor(0), tensor(4), tensor(4), tensor(8), tensor(6)]
    view = call(VIEW, 1, 3, 2)
    assert overwrites(plan(values, (0,), (3,), relu(0, 1), view, relu(1, 3), relu(2, 3))) == []
    bad = plan(values, (0,), (3,), relu(0, 1), view, relu(0, 4), relu(2, 3))
    assert overwrites(bad) == [Overwrite(value=2, by=4, write=2, read=3)]
    unplanned = plan([tensor(None), tensor(4), tensor(4), tensor(8)], (0,), (3,), call(VIEW, 0, 3, 1), relu(1, 3))
    assert overwrites(unplanned) == []


def test_an_in_place_operators_result_is_its_argument() -> None:
    values = [tensor(0), tensor(4), tensor(4), tensor(8), tensor(6)]
    in_place = call(ADD_, 1, 0, 2)
    assert overwrites(plan(values, (0,), (3,), relu(0, 1), in_place, relu(1, 3), relu(2, 3))) == []
    bad = plan(values, (0,), (3,), relu(0, 1), in_place, relu(0, 4), relu(1, 3))
    assert overwrites(bad) == [Overwrite(value=1, by=4, write=2, read=3)]
    not_in_place = plan(values, (0,), (3,), relu(0, 1), call(RELU, 1, 0, 2, 2), relu(1, 3))
    assert overwrites(not_in_place) == [Overwrite(value=1, by=2, write=1, read=2)]


def test_initial_state_must_last_until_the_next_call() -> None:
    values = [tensor(0), tensor(4, state=1), tensor(6), tensor(12)]
    assert overwrites(plan(values, (0,), (3,), relu(1, 3), relu(0, 2))) == [Overwrite(1, 2, 1, 2)]
    assert overwrites(plan(values, (0,), (3,), relu(1, 3), relu(0, 1))) == []


def test_state_without_initial_data_is_known_by_being_read_first() -> None:
    values = [tensor(0), tensor(4), tensor(6), tensor(12)]
    assert overwrites(plan(values, (0,), (3,), relu(1, 3), relu(0, 2))) == [Overwrite(1, 2, 1, 2)]


def test_lists_stand_for_their_items() -> None:
    outs = s.EValue(s.TensorList((1, 2)))
    values = [tensor(0), tensor(4), tensor(8), outs, tensor(6), tensor(12)]
    split = call(SPLIT, 0, 3, 3)
    assert overwrites(plan(values, (0,), (5,), split, relu(1, 5), relu(2, 5))) == []
    bad = plan(values, (0,), (5,), split, relu(0, 4), relu(1, 5), relu(2, 5))
    assert overwrites(bad) == [Overwrite(1, 4, 1, 2), Overwrite(2, 4, 1, 3)]
    optional = [*values[:3], s.EValue(s.OptionalTensorList((1, -1))), *values[4:]]
    assert overwrites(plan(optional, (0,), (5,), relu(0, 1), relu(0, 4), call(RELU, 3, 5, 5))) == [
        Overwrite(1, 4, 1, 2)
    ]


def test_reading_the_sizes_of_an_overwritten_value_is_no_use_of_it() -> None:
    values = [tensor(0), tensor(4), tensor(6), s.EValue(s.Int(0)), s.EValue(s.Int(0))]
    assert overwrites(plan(values, (0,), (2,), relu(0, 1), relu(0, 2), call(SIZE, 1, 3, 4))) == []


def test_a_delegates_outputs_are_what_nothing_wrote_so_far() -> None:
    values = [tensor(0), tensor(4), tensor(8), tensor(6), tensor(12)]
    assert overwrites(plan(values, (0,), (2,), delegate(0, 1), delegate(1, 2))) == []
    bad = plan(values, (0,), (2,), delegate(0, 1), delegate(0, 3), delegate(1, 2))
    assert overwrites(bad) == [Overwrite(1, 3, 1, 2)]


def test_a_read_in_a_loop_happens_again() -> None:
    values = [tensor(0), tensor(4), tensor(8), tensor(6), FALSE]
    once = plan(values, (0,), (2,), relu(0, 1), relu(1, 2), relu(0, 3))
    assert overwrites(once) == [Overwrite(2, 3, 2, 3)]
    values[3] = tensor(2)
    loop = plan(values, (0,), (2,), relu(0, 1), relu(1, 2), call(RELU, 2, 3, 3), jump(4, 1))
    assert overwrites(loop) == [Overwrite(1, 3, 2, 3)]
    inside = plan(values, (0,), (2,), relu(0, 1), relu(1, 2), call(RELU, 2, 3, 3), jump(4, 0))
    assert overwrites(inside) == [Overwrite(0, 3, 2, 3)]


def test_branches_may_use_the_same_memory() -> None:
    # if c: 3 = relu(1) … else: 4 = relu(1) over what only the first branch reads.
    values = [tensor(0), tensor(4), tensor(8), tensor(12), tensor(6), FALSE, tensor(None)]
    code = (relu(0, 1), jump(0, 5), relu(1, 2), move(2, 6), jump(5, 8), relu(0, 4), relu(4, 3), move(3, 6), relu(6, 3))
    assert overwrites(plan(values, (0,), (3,), *code)) == []
    code = (relu(0, 1), jump(0, 5), relu(0, 4), move(2, 6), jump(5, 7), relu(1, 3), move(3, 6), relu(6, 3))
    assert overwrites(plan(values, (0,), (3,), *code)) == []
    straight = (relu(0, 1), relu(0, 4), relu(1, 3))
    assert overwrites(plan(values, (0,), (3,), *straight)) == [Overwrite(1, 4, 1, 2)]


def test_what_a_loop_fills_piece_by_piece_is_written() -> None:
    values = [tensor(0), tensor(4, 8), tensor(12), tensor(6), s.EValue(s.Int(0))]
    fill = call(COPY_INDEX, 1, 0, 4)
    assert overwrites(plan(values, (0,), (1,), fill)) == []
    assert overwrites(plan(values, (0,), (1,), fill, relu(0, 3))) == [Overwrite(1, 3, 1, 2)]


def test_the_finding_names_the_values_and_instructions() -> None:
    mlp = program("1.5.1/mlp.pte")
    assert verify_program(mlp) == ()
    # Value 7, a transposed weight of 2,048 bytes, moved over the input.
    found = verify_program(edited(mlp, {"values[7].val.allocation_info.memory_offset_low": 2400}))
    assert [(f.rule.id, f.path, f.message) for f in found] == [
        (
            "PT-VF-065",
            "execution_plan[0].values[6].val.allocation_info",
            "value 6 is used by instruction 1, but instruction 0 put value 7 over it in planned memory",
        )
    ]
    inputs = verify_program(edited(program("1.5.1/add.pte"), {"values[1].val.allocation_info.memory_offset_low": 60}))
    assert [f.message for f in inputs] == [
        "value 0 is used by instruction 0, but the inputs put value 1 over it in planned memory"
    ]


@pytest.mark.parametrize("shape", ["chain", "lists", "loops", "pieces"])
def test_large_methods_take_seconds_at_most(shape: str) -> None:
    count = 100_000
    if shape == "chain":
        method = plan([tensor(0), tensor(4)], (0,), (1,), *[relu(i % 2, 1 - i % 2) for i in range(count)])
    elif shape == "lists":
        values = [tensor(0), tensor(4), s.EValue(s.TensorList((0,) * count))]
        method = plan(values, (0,), (1,), *[call(RELU, 2, 1, 1)] * count)
    elif shape == "loops":
        code = [call(RELU, 0, 1, 1) if i % 2 else jump(2, 0) for i in range(count)]
        method = plan([tensor(0), tensor(4), FALSE], (0,), (1,), *code)
    else:
        values = [tensor(0, 8 * count)] + [tensor(8 * i, 4) for i in range(count)]
        method = plan(values, (0,), (1,), *[call(RELU, i + 1, i + 1) for i in range(count)])
    start = time.process_time()
    overwrites(method)
    assert time.process_time() - start < 5


def test_a_method_of_very_many_instructions_is_verified_in_seconds() -> None:
    mlp = program("1.5.1/mlp.pte")
    long = edited(mlp, {"code": lambda old: old * 25_000})
    start = time.process_time()
    findings = verify_program(long)
    assert time.process_time() - start < 5
    assert {finding.rule.id for finding in findings} == {"PT-VF-065"}
