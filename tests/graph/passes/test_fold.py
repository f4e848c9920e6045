from __future__ import annotations

import numpy as np
import pytest
from graph_text import expect_pass, read_graph

from pteron.graph.evaluate import evaluate
from pteron.graph.ir import Constant
from pteron.graph.passes import fold


def test_small_constants_are_computed() -> None:
    expect_pass(
        fold.run,
        """
        graph forward(%x: float32[2]) {
          constant %a: float32[2]
        block0:
          %1: float32[2] = aten::neg(self=%a)
          %2: float32[2] = aten::full(size=[2], fill_value=3)
          %3: float32[2] = aten::add.Tensor(self=%1, other=%2)
          %4: float32[2] = aten::add.Tensor(self=%x, other=%3)
          return %4
        }
        """,
        """
        graph forward(%x: float32[2]) {
          constant %a: float32[2]
          constant %1: float32[2]
          constant %2: float32[2]
          constant %3: float32[2]
        block0:
          %4: float32[2] = aten::add.Tensor(self=%x, other=%3)
          return %4
        }
        """,
        **{"1": [-1, -2], "2": [3, 3], "3": [2, 1]},
    )


def test_a_folded_constant_is_read_only_and_in_no_file() -> None:
    graph = read_graph(
        """
        graph forward() {
          constant %a: float32[2]
        block0:
          %1: float32[2] = aten::neg(self=%a)
          return %1
        }
        """
    )
    assert fold.run(graph)
    constant = graph.constants[-1]
    assert constant.data.tolist() == [-1, -2]
    assert not constant.data.flags.writeable
    assert (constant.file, constant.offset) == ("", None)


def test_large_weights_stay_views() -> None:
    side = 200
    text = f"""
        graph forward(%x: float32[{side}]) {{
          constant %w: float32[{side}, {side}]
        block0:
          %1: float32[{side}, {side}] = aten::permute_copy(self=%w, dims=[1, 0])
          return %1
        }}
        """
    assert side * side * 4 > fold.MAX_FOLDED_BYTES
    expect_pass(fold.run, text, text)


def test_a_reshaped_weight_is_a_view_of_the_same_bytes() -> None:
    side = 200
    graph = read_graph(
        f"""
        graph forward() {{
          constant %w: float32[{side}, {side}]
        block0:
          %1: float32[{side * side}] = aten::view_copy(self=%w, size=[-1])
          return %1
        }}
        """
    )
    weight: Constant = graph.constants[0]
    weight.file, weight.offset = "model.pte", 4096
    assert fold.run(graph)
    view = graph.constants[1]
    assert np.shares_memory(view.data, weight.data)
    assert (view.file, view.offset) == ("model.pte", 4096)
    assert evaluate(graph, [])[0][0].shape == (side * side,)


def test_the_total_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "MAX_TOTAL_BYTES", 100)
    lines = "\n".join(f"          %{n}: float32[10] = aten::full(size=[10], fill_value={n})" for n in range(5))
    graph = read_graph(
        f"""
        graph forward() {{
        block0:
{lines}
          return %0, %1, %2, %3, %4
        }}
        """
    )
    assert fold.run(graph)
    assert len(graph.constants) == 2
    assert len(list(graph.nodes())) == 3


@pytest.mark.parametrize(
    "call",
    [
        "aten::full(size=[1000000000000], fill_value=1)",
        "aten::arange(end=1000000000000)",
        "aten::arange.start_step(start=0, end=1, step=1e-12)",
        "aten::repeat(self=%a, repeats=[1000000000000])",
        "aten::constant_pad_nd(self=%a, pad=[0, 1000000000000])",
    ],
)
def test_what_would_take_any_amount_of_memory_is_left(call: str) -> None:
    graph = read_graph(
        f"""
        graph forward() {{
          constant %a: float32[2]
        block0:
          %1: float32[2] = {call}
          return %1
        }}
        """
    )
    assert not fold.run(graph)


def test_sizes_of_static_tensors_are_numbers() -> None:
    expect_pass(
        fold.run,
        """
        graph forward(%x: float32[2, 3], %y: float32[≤4]) {
        block0:
          %1: int = aten::sym_size.int(self=%x, dim=-1)
          %2: int = executorch_prim::mul.Scalar(a=%1, b=2)
          %3: int = aten::sym_size.int(self=%y, dim=0)
          %4: int = aten::sym_numel(self=%x)
          %5: float32[6] = aten::view_copy(self=%x, size=[%2])
          return %5, %3, %4
        }
        """,
        """
        graph forward(%x: float32[2, 3], %y: float32[≤4]) {
        block0:
          %3: int = aten::sym_size.int(self=%y, dim=0)
          %5: float32[6] = aten::view_copy(self=%x, size=[6])
          return %5, %3, 6
        }
        """,
    )


def test_random_numbers_are_drawn_in_every_call() -> None:
    graph = read_graph(
        """
        graph forward() {
        block0:
          %1: float32[3] = aten::rand(size=[3])
          return %1
        }
        """
    )
    assert not fold.run(graph)


def test_quantised_weights_stay_integers() -> None:
    text = """
        graph forward(%x: float32[2]) {
          constant %w: int8[2]
        block0:
          %1: float32[2] = quantized_decomposed::dequantize_per_tensor(input=%w, scale=0.5, zero_point=0, \
quant_min=-128, quant_max=127, dtype=1)
          %2: float32[2] = aten::add.Tensor(self=%x, other=%1)
          return %2
        }
        """
    expect_pass(fold.run, text, text)


def test_what_an_operator_refuses_is_refused_at_run_time() -> None:
    graph = read_graph(
        """
        graph forward() {
          constant %a: float32[3]
        block0:
          %1: float32[2] = aten::view_copy(self=%a, size=[2])
          %2: int = executorch_prim::floordiv.Scalar(a=1, b=0)
          return %1, %2
        }
        """
    )
    assert not fold.run(graph)


def test_a_decided_branch_is_a_jump() -> None:
    expect_pass(
        fold.run,
        """
        graph forward(%x: float32[2]) {
          constant %no: bool[2]
        block0:
          %1: bool = executorch_prim::lt.Scalar(a=1, b=2)
          branch %1 ? block1(%x) : block2(%x)
        block1(%a: float32[2]):
          branch %no ? block2(%a) : block3(%a)
        block2(%b: float32[2]):
          return %b
        block3(%c: float32[2]):
          %2: float32[2] = aten::neg(self=%c)
          return %2
        }
        """,
        """
        graph forward(%x: float32[2]) {
          constant %no: bool[2]
        block0:
          jump block1(%x)
        block1(%a: float32[2]):
          jump block3(%a)
        block2(%b: float32[2]):
          return %b
        block3(%c: float32[2]):
          %2: float32[2] = aten::neg(self=%c)
          return %2
        }
        """,
        no=[True, False],
    )
