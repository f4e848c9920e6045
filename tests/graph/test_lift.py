"""Lifting programs made by hand: what the graph looks like, and that it means the same."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest
from graph_equality import compare, schema_of
from program_maker import ProgramMaker

from pteron.errors import (
    FormatError,
    LimitError,
    LoadError,
    MethodNotFoundError,
    MissingOperatorError,
    PteronError,
    UnsupportedError,
)
from pteron.format.limits import Limits
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType
from pteron.graph import Value
from pteron.graph.check import check_graph
from pteron.graph.evaluate import evaluate
from pteron.graph.lift import DelegateSite, lift


def floats(*shape: int, start: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    return np.arange(start, start + int(np.prod(shape)), dtype=np.float32).reshape(shape)


def body(program: Program) -> str:
    """The printed graph without its first and last line."""
    return "\n".join(str(lift(program, "forward")).splitlines()[1:-1])


def expect(program: Program, text: str, *calls: list[np.ndarray]) -> None:  # type: ignore[type-arg]
    """The graph reads so, and gives what the reference engine gives for each of the calls."""
    assert body(program) == dedent(text).strip("\n")
    result = compare(program, calls)
    assert not result.refused
    assert not result.different
    assert not result.raised
    assert result.equal_calls == len(calls)


def test_an_out_variant_becomes_functional() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2, 2), make.tensor(2, 2, at=0)
    make.add(x, x, y)
    expect(
        make.program([x], [y]),
        """
        block0:
          %1: float32[2, 2] = aten::add.Tensor(self=%in0, other=%in0, alpha=1)
          return %1
        """,
        [floats(2, 2)],
    )


def test_the_output_has_the_type_of_the_out_tensor() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2, kind=ScalarType.INT), make.tensor(2, at=0)
    make.add(x, x, y)
    expect(
        make.program([x], [y]),
        """
        block0:
          %1: float32[2] = aten::add.Tensor(self=%in0, other=%in0, alpha=1)
          return %1
        """,
        [np.array([1, 2], np.int32)],
    )


def test_memory_is_read_as_it_was_last_written() -> None:
    make = ProgramMaker()
    x = make.tensor(4)
    first, second, out = make.tensor(4, at=0), make.tensor(4, at=0), make.tensor(4, at=16)
    make.neg(x, first)
    make.add(first, first, second)
    make.neg(first, out)  # the bytes of ``first`` are those of ``second`` by now
    expect(
        make.program([x], [out]),
        """
        block0:
          %1: float32[4] = aten::neg(self=%in0)
          %2: float32[4] = aten::add.Tensor(self=%1, other=%1, alpha=1)
          %3: float32[4] = aten::neg(self=%2)
          return %3
        """,
        [floats(4)],
    )


def test_a_left_out_view_is_a_reshape() -> None:
    make = ProgramMaker()
    x, y, z = make.tensor(4), make.tensor(4, at=0), make.tensor(2, 2, at=0)
    make.neg(x, y)
    expect(
        make.program([x], [z]),
        """
        block0:
          %1: float32[4] = aten::neg(self=%in0)
          %2: float32[2, 2] = aten::view_copy(self=%1, size=[2, 2])
          return %2
        """,
        [floats(4)],
    )


def test_parts_of_memory_are_sliced_and_joined() -> None:
    make = ProgramMaker()
    x = make.tensor(4)
    low, high, middle = make.tensor(4, at=0), make.tensor(2, 2, at=16), make.tensor(2, 2, at=8)
    make.neg(x, low)
    make.call("aten::view_copy.out", x, make.ints(2, 2), high, high)
    expect(
        make.program([x], [middle]),
        """
        block0:
          %1: float32[4] = aten::neg(self=%in0)
          %2: float32[2, 2] = aten::view_copy(self=%in0, size=[2, 2])
          %3: float32[2] = aten::slice_copy.Tensor(self=%1, dim=0, start=2, end=4)
          %4: float32[4] = aten::view_copy(self=%2, size=[4])
          %5: float32[2] = aten::slice_copy.Tensor(self=%4, dim=0, start=0, end=2)
          %6: float32[4] = aten::cat(tensors=[%3, %5], dim=0)
          %7: float32[2, 2] = aten::view_copy(self=%6, size=[2, 2])
          return %7
        """,
        [floats(4)],
    )


def test_other_dim_orders_are_permutations() -> None:
    make = ProgramMaker()
    x = make.tensor(1, 2, 1, 3, order=(0, 2, 3, 1))
    plain, flat = make.tensor(1, 2, 1, 3), make.tensor(6)
    make.view(x, make.ints(1, 2, 1, 3), plain)
    make.view(x, make.ints(6), flat)
    channels_last = floats(1, 1, 3, 2).transpose(0, 3, 1, 2)
    expect(
        make.program([x], [plain, flat]),
        """
        block0:
          %1: float32[1, 1, 3, 2] = aten::permute_copy(self=%in0, dims=[0, 2, 3, 1])
          %2: float32[6] = aten::view_copy(self=%1, size=[6])
          %3: float32[1, 2, 1, 3] = aten::view_copy(self=%2, size=[1, 2, 1, 3])
          %4: float32[1, 1, 3, 2] = aten::permute_copy(self=%in0, dims=[0, 2, 3, 1])
          %5: float32[6] = aten::view_copy(self=%4, size=[6])
          return %3, %5
        """,
        [channels_last],
    )


def test_a_write_through_a_view_changes_what_it_views() -> None:
    make = ProgramMaker()
    x, base, view = make.tensor(2, 2), make.tensor(2, 2, at=0), make.tensor(4)
    make.neg(x, base)
    make.view(base, make.ints(4), view)
    make.neg(view, view)
    make.neg(base, base)
    expect(
        make.program([x], [view]),
        """
        block0:
          %1: float32[2, 2] = aten::neg(self=%in0)
          %2: float32[4] = aten::view_copy(self=%1, size=[4])
          %3: float32[4] = aten::neg(self=%2)
          %4: float32[2, 2] = aten::view_copy(self=%3, size=[2, 2])
          %5: float32[2, 2] = aten::neg(self=%4)
          %6: float32[4] = aten::view_copy(self=%5, size=[4])
          return %6
        """,
        [floats(2, 2)],
    )


def test_what_a_call_leaves_in_memory_is_state() -> None:
    make = ProgramMaker()
    x, total, out = make.tensor(2), make.tensor(2, at=0, initial=[10, 20], name="total"), make.tensor(2, at=8)
    make.add(x, total, out)
    make.copy(total, out)
    expect(
        make.program([x], [out]),
        """
          state %total: float32[2]
        block0:
          %2: float32[2] = aten::add.Tensor(self=%in0, other=%total, alpha=1)
          return %2 states %2
        """,
        [floats(2)],
        [floats(2)],
    )
    (state,) = lift(make.program([x], [out]), "forward").states
    assert state.memory == (1, 0)
    assert state.initial is not None
    assert np.asarray(state.initial).tolist() == [10, 20]


def test_state_that_is_half_overwritten() -> None:
    make = ProgramMaker()
    x, whole, half = make.tensor(2), make.tensor(4, at=0), make.tensor(2, at=8)
    out = make.tensor(4, at=16)
    make.neg(whole, out)
    make.neg(x, half)
    expect(
        make.program([x], [out]),
        """
          state %state0: float32[4]
        block0:
          %2: float32[4] = aten::neg(self=%state0)
          %3: float32[2] = aten::neg(self=%in0)
          %4: float32[2] = aten::slice_copy.Tensor(self=%state0, dim=0, start=0, end=2)
          %5: float32[4] = aten::cat(tensors=[%4, %3], dim=0)
          return %2 states %5
        """,
        [floats(2)],
        [floats(2, start=5)],
    )


def test_an_output_that_is_not_written_keeps_what_it_held() -> None:
    make = ProgramMaker()
    x, pick, out = make.tensor(2), make.tensor(kind=ScalarType.BOOL), make.tensor(2)
    jump = make.jump_false(pick, 0)
    make.neg(x, out)
    make.land(jump)
    yes, no = np.array(True), np.array(False)
    expect(
        make.program([x, pick], [out]),
        """
          state %state0: float32[2]
        block0:
          branch %in1 ? block1(%in0) : block2(%state0)
        block1(%2: float32[2]):
          %3: float32[2] = aten::neg(self=%2)
          jump block2(%3)
        block2(%4: float32[2]):
          return %4 states %4
        """,
        [floats(2), no],
        [floats(2), yes],
        [floats(2, start=5), no],
    )


def test_in_place_operators_are_functional() -> None:
    make = ProgramMaker()
    x, place, cache = make.tensor(1, 3), make.tensor(1, kind=ScalarType.LONG), make.tensor(4, 3, at=0)
    where = make.value(_optional(place))
    make.call("aten::index_put_", cache, where, x, make.bool(False), cache)
    expect(
        make.program([x, place], [cache]),
        """
          state %state0: float32[4, 3]
        block0:
          %3: float32[4, 3] = aten::index_put(self=%state0, indices=[%in1], values=%in0, accumulate=False)
          return %3 states %3
        """,
        [floats(1, 3), np.array([1])],
        [floats(1, 3, start=7), np.array([3])],
    )


def _optional(*items: int) -> object:
    from pteron.format import schema

    return schema.OptionalTensorList(items)


def test_an_operator_with_a_result_and_a_written_argument() -> None:
    make = ProgramMaker()
    x, cache, unused = make.tensor(1, 1, 2, 3), make.tensor(1, 4, 2, 3, at=0), make.tensor(1)
    position = make.int(1)
    make.call("llama::update_cache.out", x, cache, position, unused, unused)
    expect(
        make.program([x], [cache]),
        """
          state %state0: float32[1, 4, 2, 3]
        block0:
          %2: float32[1], %3: float32[1, 4, 2, 3] = llama::update_cache(value=%in0, cache=%state0, start_pos=1)
          return %3 states %3
        """,
        [floats(1, 1, 2, 3)],
    )


@pytest.mark.parametrize(
    ("source", "target", "lines"),
    [
        ((2,), (2,), ["return %1 states %1"]),
        ((1,), (2,), ["%2: float32[2] = aten::expand_copy(self=%1, size=[2])", "return %2"]),
    ],
)
def test_copy_writes_the_elements(source: tuple[int, ...], target: tuple[int, ...], lines: list[str]) -> None:
    make = ProgramMaker()
    x, y, z = make.tensor(*source), make.tensor(*source, at=0), make.tensor(*target, at=16)
    make.neg(x, y)
    make.copy(z, y)
    program = make.program([x], [z])
    assert lines[0].partition(" states")[0] in body(program)
    assert not compare(program, [[floats(*source)]]).different


def test_copy_converts_elements() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(2, at=0, kind=ScalarType.INT)
    make.copy(y, x)
    expect(
        make.program([x], [y]),
        """
        block0:
          %1: int32[2] = aten::_to_copy(self=%in0)
          return %1
        """,
        [np.array([1.5, -2.5], np.float32)],
    )


def test_results_in_a_list() -> None:
    make = ProgramMaker()
    x, a, b = make.tensor(4), make.tensor(2, at=0), make.tensor(2, at=8)
    outs = make.tensors(a, b)
    make.call("aten::split_copy.Tensor_out", x, make.int(2), make.int(0), outs, outs)
    expect(
        make.program([x], [b, a]),
        """
        block0:
          %1: float32[2], %2: float32[2] = aten::split_copy.Tensor(self=%in0, split_size=2, dim=0)
          return %2, %1
        """,
        [floats(4)],
    )


def test_sizes_are_scalar_values() -> None:
    make = ProgramMaker()
    x, y = make.tensor(4, 2, dynamic=True), make.tensor(8, at=0, dynamic=True)
    size, count = make.int(4), make.int(8)
    make.call("aten::sym_size.int", x, make.int(0), size)
    make.call("executorch_prim::mul.Scalar", size, make.int(2), count)
    make.call("aten::view_copy.out", x, make.items(count), y, y)
    expect(
        make.program([x], [y, size]),
        """
        block0:
          %1: int = aten::sym_size.int(self=%in0, dim=0)
          %2: int = executorch_prim::mul.Scalar(a=%1, b=2)
          %3: float32[≤8] = aten::view_copy(self=%in0, size=[%2])
          return %3, %1
        """,
        [floats(4, 2)],
        [floats(2, 2)],
        [floats(0, 2)],
    )


@pytest.mark.parametrize(
    ("operator", "kinds", "result"),
    [
        ("add", (2, 3), "int"),
        ("add", (2, 3.0), "float"),
        ("truediv", (2, 3), "float"),
        ("gt", (2, 3), "bool"),
        ("sym_max", (2, 3), "int"),
    ],
)
def test_the_kind_of_a_prim_result(operator: str, kinds: tuple[object, ...], result: str) -> None:
    make = ProgramMaker()
    args = [make.float(n) if isinstance(n, float) else make.int(int(n)) for n in kinds]  # type: ignore[call-overload]
    out = make.int(0)
    make.call(f"executorch_prim::{operator}.Scalar", *args, out)
    program = make.program([], [out])
    (node,) = lift(program, "forward").nodes()
    assert node.output.type == result
    assert compare(program, [[]]).equal_calls == 1


def test_numbers_where_tensors_belong_are_constants() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(2, at=0)
    make.call("aten::mul.out", x, make.float(2.5), y, y)
    expect(
        make.program([x], [y]),
        """
          constant %number: float32[]
        block0:
          %2: float32[2] = aten::mul.Tensor(self=%in0, other=%number)
          return %2
        """,
        [floats(2)],
    )


def test_constants_are_views_into_the_file() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2, 3), make.tensor(2, 3, at=0)
    weight = make.constant(floats(2, 3), order=(1, 0))
    same_bytes = make.constant(np.zeros(1))
    make.values[same_bytes] = make.values[weight]
    make.add(x, weight, y)
    make.add(y, same_bytes, y)
    graph = lift(make.program([x], [y]), "forward")
    (constant,) = graph.constants
    assert str(constant.value.type) == "float32[2, 3] order [1, 0]"
    assert constant.data.tolist() == floats(2, 3).tolist()
    assert constant.data.strides == (4, 8)
    assert not constant.data.flags.writeable
    assert (constant.file, constant.offset) == ("made.pte", 0)


def test_branches_hand_on_what_is_needed() -> None:
    make = ProgramMaker()
    pick, x = make.tensor(kind=ScalarType.BOOL), make.tensor(2)
    yes, no, out = make.tensor(2, at=0), make.tensor(2, at=16), make.tensor(2, at=32)
    jump = make.jump_false(pick, 0)
    make.neg(x, yes)
    make.move(yes, out)
    end = make.jump_false(make.bool(False), 0)
    make.land(jump)
    make.add(x, x, no)
    make.move(no, out)
    make.land(end)
    expect(
        make.program([pick, x], [out]),
        """
        block0:
          branch %in0 ? block1(%in1) : block2(%in1)
        block1(%2: float32[2]):
          %3: float32[2] = aten::neg(self=%2)
          jump block3(%3)
        block2(%4: float32[2]):
          %5: float32[2] = aten::add.Tensor(self=%4, other=%4, alpha=1)
          jump block3(%5)
        block3(%6: float32[2]):
          return %6
        """,
        [np.array(True), floats(2)],
        [np.array(False), floats(2)],
        [np.array(True), floats(2)],
    )


def loop(dynamic: bool) -> Program:
    """``map``: rows of ``x``, each negated, into rows of ``out``, as exporters write it."""
    make = ProgramMaker()
    x, row, result = make.tensor(3, 2), make.tensor(2, at=0), make.tensor(2, at=8)
    rows = make.tensor(3, 2, at=16, dynamic=dynamic)
    index, count, done = make.int(0), make.int(3), make.bool(False)
    make.call("aten::select_copy.int_out", x, make.int(0), index, row, row)
    make.neg(row, result)
    make.call("executorch_prim::et_copy_index.tensor", rows, result, index)
    make.call("executorch_prim::add.Scalar", index, make.int(1), index)
    make.call("executorch_prim::eq.Scalar", index, count, done)
    make.jump_false(done, 0)
    make.call("executorch_prim::sub.Scalar", index, count, index)
    return make.program([x], [rows])


def test_a_loop() -> None:
    expect(
        loop(False),
        """
          state %state0: int
          state %state1: float32[3, 2]
        block0:
          jump block1(%in0, %state0, %state1)
        block1(%1: float32[3, 2], %2: int, %5: float32[3, 2]):
          %3: float32[2] = aten::select_copy.int(self=%1, dim=0, index=%2)
          %4: float32[2] = aten::neg(self=%3)
          %6: float32[3, 2] = executorch_prim::et_copy_index.tensor(copy_to=%5, copy_from=%4, index=%2)
          %7: int = executorch_prim::add.Scalar(a=%2, b=1)
          %8: bool = executorch_prim::eq.Scalar(a=%7, b=3)
          branch %8 ? block2(%7, %6) : block1(%1, %7, %6)
        block2(%9: int, %11: float32[3, 2]):
          %10: int = executorch_prim::sub.Scalar(a=%9, b=3)
          return %11 states %10, %11
        """,
        [floats(3, 2)],
        [floats(3, 2, start=4)],
    )


def test_a_loop_into_a_growing_tensor() -> None:
    result = compare(loop(True), [[floats(3, 2)], [floats(3, 2, start=4)]])
    assert result.equal_calls == 2


def test_an_endless_loop_is_stopped() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(2, at=0)
    make.neg(x, y)
    make.jump_false(make.bool(False), 0)
    graph = lift(make.program([x], [y]), "forward")
    with pytest.raises(PteronError, match="more steps than max_steps allows"):
        evaluate(graph, [floats(2)], max_steps=100)


def test_a_delegate_stays_one_node() -> None:
    make = ProgramMaker()
    x, weight = make.tensor(2), make.constant(floats(2))
    y, z = make.tensor(2, at=0), make.tensor(2, at=8)
    make.delegate("SomeBackend", b"payload", x, weight, y)
    make.delegate("SomeBackend", b"payload", y, z)
    program = make.program([x], [z])
    assert body(program) == dedent(
        """
          constant %const1: float32[2]
        block0:
          %2: float32[2] = delegate::SomeBackend(delegate=0, args=[%in0, %const1, None], written=[2])
          %3: float32[2] = delegate::SomeBackend(delegate=1, args=[%2, None], written=[1])
          return %3
        """
    ).strip("\n")
    outputs, _ = evaluate(lift(program, "forward"), [floats(2)], delegate=lambda node, args, types: [-args[0]])
    assert outputs[0].tolist() == [1, 2]


def test_a_delegate_is_expanded() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(2, at=0)
    make.delegate("SomeBackend", b"payload", x, y)
    make.neg(y, y)

    def expand(site: DelegateSite) -> dict[int, Value]:
        assert (site.index, site.backend_id, bytes(site.payload)) == (0, "SomeBackend", b"payload")
        type = site.type(1)
        assert type is not None
        return {1: site.builder.call("aten::relu", {"self": site.read(0)}, type)}

    graph = lift(make.program([x], [y]), "forward", expand=expand)
    check_graph(graph, schema_of)
    assert [node.op for node in graph.nodes()] == ["aten::relu", "aten::neg"]
    assert [node.source for node in graph.nodes()] == ["instruction 0", "instruction 1"]


def test_a_delegate_that_is_not_expanded_after_all() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(2, at=0)
    make.delegate("SomeBackend", b"payload", x, y)
    graph = lift(make.program([x], [y]), "forward", expand=lambda site: None)
    assert [node.op for node in graph.nodes()] == ["delegate::SomeBackend"]


def refused(make: ProgramMaker, inputs: list[int], outputs: list[int]) -> str:
    with pytest.raises(UnsupportedError) as caught:
        lift(make.program(inputs, outputs), "forward")
    message = str(caught.value)
    assert message.startswith("made.pte, method 'forward', instruction ")
    assert message.endswith("; run the method on the reference engine")
    return message.removeprefix("made.pte, method 'forward', ").partition(";")[0]


def test_bytes_read_as_another_dtype_are_refused() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(2, at=0)
    z, out = make.tensor(2, at=0, kind=ScalarType.INT), make.tensor(2, at=8, kind=ScalarType.INT)
    make.neg(x, y)
    make.neg(z, out)
    assert refused(make, [x], [out]) == "instruction 1: bytes written as float32[2] are read as int32[2]"


def test_a_write_to_one_of_two_tensors_is_refused() -> None:
    make = ProgramMaker()
    pick, x = make.tensor(kind=ScalarType.BOOL), make.tensor(2)
    one, two = make.tensor(2, at=0), make.tensor(2, at=8)
    jump = make.jump_false(pick, 0)
    make.move(one, two)
    make.land(jump)
    make.neg(x, two)
    reason = refused(make, [pick, x], [two])
    assert reason == f"instruction 2: value {two} may be one of the tensors [{one}, {two}], and is written to"


def test_a_write_to_a_constant_is_refused() -> None:
    make = ProgramMaker()
    x, constant = make.tensor(2), make.constant(floats(2))
    make.neg(x, constant)
    assert refused(make, [x], [x]) == "instruction 0: value 1 is a constant of the file, and is written to"


def test_a_freed_tensor_has_no_content() -> None:
    make = ProgramMaker()
    x, y, z = make.tensor(2), make.tensor(2), make.tensor(2, at=0)
    make.neg(x, y)
    make.free(y)
    make.neg(y, z)
    assert refused(make, [x], [z]) == f"instruction 2: value {y} is read, and its memory is gone"


def test_a_freed_tensor_gets_new_memory() -> None:
    make = ProgramMaker()
    x, y, z = make.tensor(2), make.tensor(2), make.tensor(2, at=0)
    make.neg(x, y)
    make.neg(y, z)
    make.free(y)
    make.neg(z, y)
    make.add(y, z, z)
    result = compare(make.program([x], [z]), [[floats(2)], [floats(2, start=5)]])
    assert result.equal_calls == 2


def test_a_view_of_the_last_calls_input_is_refused() -> None:
    make = ProgramMaker()
    x, view, out = make.tensor(4), make.tensor(2, 2), make.tensor(2, 2, at=0)
    pick = make.tensor(kind=ScalarType.BOOL)
    jump = make.jump_false(pick, 0)
    make.view(x, make.ints(2, 2), view)
    make.land(jump)
    make.neg(view, out)
    assert refused(make, [x, pick], [out]) == f"instruction 2: value {view} is read, and its memory is gone"


def test_a_tensor_that_nothing_wrote_is_refused() -> None:
    make = ProgramMaker()
    y, z = make.tensor(2), make.tensor(2, at=0)
    make.neg(y, z)
    assert refused(make, [], [z]) == "instruction 0: value 0 is read, and nothing was written to it"


def test_results_stored_over_an_argument_are_refused() -> None:
    make = ProgramMaker()
    x, outs = make.tensor(4, at=0), make.tensors(make.tensor(2, at=8), make.tensor(2, at=16))
    make.call("aten::split_copy.Tensor_out", x, make.int(2), make.int(0), outs, outs)
    assert refused(make, [x], [x]) == "instruction 0: a result is stored over the argument in value 0"


def test_what_a_runtime_would_not_load_is_refused_alike() -> None:
    make = ProgramMaker()
    x = make.tensor(2)
    make.call("aten::neg.out", x, x)
    with pytest.raises(LoadError, match=r"aten::neg\.out is called with 2 arguments, it takes 3"):
        lift(make.program([x], [x]), "forward")
    make = ProgramMaker()
    x = make.tensor(2)
    make.call("custom::nothing.out", x, x)
    with pytest.raises(MissingOperatorError, match=r"no kernel for custom::nothing\.out"):
        lift(make.program([x], [x]), "forward")
    make.neg(99, x)
    with pytest.raises(MethodNotFoundError, match="it has forward"):
        lift(make.program([x], [x]), "backward")


@pytest.mark.parametrize(
    ("index", "match"),
    [(99, r"chains\[0\].instructions\[0\].instr_args.*value 99 does not exist"), (-1, "value -1 does not exist")],
)
def test_indices_out_of_range_name_their_place(index: int, match: str) -> None:
    make = ProgramMaker()
    make.neg(index, make.tensor(2))
    with pytest.raises(FormatError, match=match):
        lift(make.program([], []), "forward")


def test_signatures_out_of_range_name_their_place() -> None:
    with pytest.raises(FormatError, match=r"execution_plan\[0\].outputs.*value 5 does not exist \(the method has 0\)"):
        lift(ProgramMaker().program([], [5]), "forward")


def test_memory_beyond_the_limits_is_refused() -> None:
    make = ProgramMaker(1 << 20)
    x = make.tensor(2)
    with pytest.raises(LimitError, match=r"plans 1,048,576 bytes of memory, more than 1,000"):
        lift(make.program([x], [x], Limits(max_memory=1000)), "forward")


def test_long_lists_cannot_be_repeated_without_end() -> None:
    make = ProgramMaker()
    x, y = make.tensor(2), make.tensor(200, at=0)
    many = make.tensors(*[x] * 100)
    for _ in range(20):
        make.call("aten::cat.out", many, make.int(0), y, y)
    with pytest.raises(LimitError, match="list more than 1,000 values"):
        lift(make.program([x], [y], Limits(max_instructions=1000)), "forward")


def test_everything_in_shared_memory_is_state() -> None:
    make = ProgramMaker()
    x, kept, other = make.tensor(2), make.tensor(2, at=0, name="kept"), make.tensor(2, at=8)
    make.neg(x, kept)
    make.neg(x, other)
    program = make.program([x], [])
    assert not lift(program, "forward").states
    graph = lift(program, "forward", shared={1})
    assert [(state.value.name, state.memory, state.shared) for state in graph.states] == [
        ("kept", (1, 0), True),
        ("state1", (1, 8), True),
    ]
    _, states = evaluate(graph, [floats(2)])
    assert [state.tolist() for state in states] == [[-1, -2], [-1, -2]]
