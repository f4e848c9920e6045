from __future__ import annotations

import re

import numpy as np
import pytest
from graph_text import expect_pass, read_graph

from pteron.graph.evaluate import evaluate
from pteron.graph.passes import elementwise, run_passes, transposes
from pteron.ops import REGISTRY


def test_a_permutation_moves_behind_elementwise_operators() -> None:
    expect_pass(
        transposes.run,
        """
        graph forward(%x: float32[1, 2, 3, 4]) {
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 3, 4, 2] = aten::relu(self=%1)
          %3: float32[1, 3, 4, 2] = aten::clamp(self=%2, min=0, max=6)
          return %3
        }
        """,
        """
        graph forward(%x: float32[1, 2, 3, 4]) {
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 2, 3, 4] = aten::relu(self=%x)
          %3: float32[1, 3, 4, 2] = aten::permute_copy(self=%2, dims=[0, 2, 3, 1])
          %4: float32[1, 2, 3, 4] = aten::clamp(self=%2, min=0, max=6)
          %5: float32[1, 3, 4, 2] = aten::permute_copy(self=%4, dims=[0, 2, 3, 1])
          return %5
        }
        """,
    )


def test_a_permutation_meets_its_inverse() -> None:
    expect_pass(
        run_passes,
        """
        graph forward(%x: float32[1, 2, 3, 4], %y: float32[1, 2, 3, 4]) {
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 3, 4, 2] = aten::permute_copy(self=%y, dims=[0, 2, 3, 1])
          %3: float32[1, 3, 4, 2] = aten::add.Tensor(self=%1, other=%2, alpha=1)
          %4: float32[1, 3, 4, 2] = aten::relu(self=%3)
          %5: float32[1, 2, 3, 4] = aten::permute_copy(self=%4, dims=[0, 3, 1, 2])
          return %5
        }
        """,
        """
        graph forward(%x: float32[1, 2, 3, 4], %y: float32[1, 2, 3, 4]) {
        block0:
          %3: float32[1, 2, 3, 4] = aten::add.Tensor(self=%x, other=%y, alpha=1)
          %4: float32[1, 2, 3, 4] = aten::relu(self=%3)
          return %4
        }
        """,
    )


def test_a_residual_keeps_no_permutation() -> None:
    expect_pass(
        run_passes,
        """
        graph forward(%x: float32[1, 2, 3, 3]) {
          constant %w: float32[2, 2, 1, 1]
        block0:
          %1: float32[1, 3, 3, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 2, 3, 3] = aten::permute_copy(self=%1, dims=[0, 3, 1, 2])
          %3: float32[1, 2, 3, 3] = aten::convolution(input=%2, weight=%w, bias=None, stride=[1, 1], padding=[0, 0], \
dilation=[1, 1], transposed=False, output_padding=[0, 0], groups=1)
          %4: float32[1, 3, 3, 2] = aten::permute_copy(self=%3, dims=[0, 2, 3, 1])
          %5: float32[1, 3, 3, 2] = aten::add.Tensor(self=%4, other=%1)
          %6: float32[1, 2, 3, 3] = aten::permute_copy(self=%5, dims=[0, 3, 1, 2])
          return %6
        }
        """,
        """
        graph forward(%x: float32[1, 2, 3, 3]) {
          constant %w: float32[2, 2, 1, 1]
        block0:
          %3: float32[1, 2, 3, 3] = aten::convolution(input=%x, weight=%w, bias=None, stride=[1, 1], padding=[0, 0], \
dilation=[1, 1], transposed=False, output_padding=[0, 0], groups=1)
          %5: float32[1, 2, 3, 3] = aten::add.Tensor(self=%3, other=%x)
          return %5
        }
        """,
    )


def test_constants_are_turned_instead() -> None:
    expect_pass(
        run_passes,
        """
        graph forward(%x: float32[1, 2, 3, 4]) {
          constant %c: float32[2]
          constant %n: float32[]
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 3, 4, 2] = aten::mul.Tensor(self=%1, other=%c)
          %3: float32[1, 3, 4, 2] = aten::maximum(self=%n, other=%2)
          %4: float32[1, 2, 3, 4] = aten::permute_copy(self=%3, dims=[0, 3, 1, 2])
          return %4
        }
        """,
        """
        graph forward(%x: float32[1, 2, 3, 4]) {
          constant %n: float32[]
          constant %c: float32[1, 2, 1, 1]
        block0:
          %2: float32[1, 2, 3, 4] = aten::mul.Tensor(self=%x, other=%c)
          %3: float32[1, 2, 3, 4] = aten::maximum(self=%n, other=%2)
          return %3
        }
        """,
    )


@pytest.mark.parametrize(
    ("shape", "before", "after"),
    [
        ("[1, 3, 2, 2]", "aten::slice_copy.Tensor(self={}, dim=-2, start=1, end=3)", ("[1, 2, 3, 2]", "dim=3")),
        ("[1, 1, 1, 2]", "aten::amax(self={}, dim=[1, -2], keepdim=True)", ("[1, 2, 1, 1]", "dim=[2, 3]")),
        (
            "[1, 3, 5, 2]",
            "aten::constant_pad_nd(self={}, pad=[0, 0, 1, 0])",
            ("[1, 2, 3, 5]", "pad=[1, 0, 0, 0, 0, 0, 0, 0]"),
        ),
    ],
)
def test_dims_are_renamed(shape: str, before: str, after: tuple[str, str]) -> None:
    turned = re.sub(r"(dim|pad)=(\[[^\]]*\]|-?\d+)", after[1], before, count=1)
    expect_pass(
        transposes.run,
        f"""
        graph forward(%x: float32[1, 2, 3, 4]) {{
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32{shape} = {before.format("%1")}
          return %2
        }}
        """,
        f"""
        graph forward(%x: float32[1, 2, 3, 4]) {{
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32{after[0]} = {turned.format("%x")}
          %3: float32{shape} = aten::permute_copy(self=%2, dims=[0, 2, 3, 1])
          return %3
        }}
        """,
    )


def test_what_is_joined_along_a_dim() -> None:
    expect_pass(
        run_passes,
        """
        graph forward(%x: float32[1, 2, 3, 4], %y: float32[1, 5, 3, 4]) {
        block0:
          %1: float32[1, 3, 4, 2] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 3, 4, 5] = aten::permute_copy(self=%y, dims=[0, 2, 3, 1])
          %3: float32[1, 3, 4, 7] = aten::cat(tensors=[%1, %2], dim=-1)
          %4: float32[1, 7, 3, 4] = aten::permute_copy(self=%3, dims=[0, 3, 1, 2])
          return %4
        }
        """,
        """
        graph forward(%x: float32[1, 2, 3, 4], %y: float32[1, 5, 3, 4]) {
        block0:
          %3: float32[1, 7, 3, 4] = aten::cat(tensors=[%x, %y], dim=1)
          return %3
        }
        """,
    )


@pytest.mark.parametrize(
    "lines",
    [
        # Other users keep the first permutation, and no second one would go.
        "%2: float32[3, 2] = aten::relu(self=%1)\n          return %1, %2",
        # The other operand would have to be permuted at run time.
        "%2: float32[3, 2] = aten::add.Tensor(self=%1, other=%y)\n          return %2",
        # A softmax is no elementwise operator.
        "%2: float32[3, 2] = aten::_softmax(self=%1, dim=1, half_to_float=False)\n          return %2",
        "%2: float32[2] = aten::amax(self=%1, dim=[0], keepdim=False)\n          return %2",
    ],
)
def test_what_is_not_worth_it_stays(lines: str) -> None:
    text = f"""
        graph forward(%x: float32[2, 3], %y: float32[3, 2]) {{
        block0:
          %1: float32[3, 2] = aten::permute_copy(self=%x, dims=[1, 0])
          {lines}
        }}
        """
    expect_pass(transposes.run, text, text)


def test_permuted_constants_do_not_go_round_and_round() -> None:
    graph = read_graph(
        """
        graph forward() {
          constant %a: float32[200, 100]
          constant %b: float32[100, 200]
        block0:
          %1: float32[100, 200] = aten::permute_copy(self=%a, dims=[1, 0])
          %2: float32[100, 200] = aten::add.Tensor(self=%1, other=%b)
          return %2
        }
        """
    )
    assert not run_passes(graph)


def test_a_reduction_may_round_otherwise() -> None:
    text = """
        graph forward(%x: float32[1, 4, 33, 31]) {
        block0:
          %1: float32[1, 33, 31, 4] = aten::permute_copy(self=%x, dims=[0, 2, 3, 1])
          %2: float32[1, 1, 1, 4] = aten::mean.dim(self=%1, dim=[1, 2], keepdim=True)
          %3: float32[1, 4, 1, 1] = aten::permute_copy(self=%2, dims=[0, 3, 1, 2])
          return %3
        }
        """
    graph, twin = read_graph(text), read_graph(text)
    assert run_passes(graph)
    assert [node.op for node in graph.nodes()] == ["aten::mean.dim"]
    x = np.random.default_rng(0).standard_normal((1, 4, 33, 31)).astype(np.float32)
    np.testing.assert_allclose(evaluate(graph, [x])[0][0], evaluate(twin, [x])[0][0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(elementwise.BROADCAST))
def test_elementwise_operators_exist_and_have_these_operands(name: str) -> None:
    operator = REGISTRY.by_functional(name)
    assert operator is not None
    tensors = [a.name for a in operator.functional.arguments if a.type == "Tensor"]
    assert tensors == list(elementwise.BROADCAST[name])
    assert [r.type for r in operator.functional.returns] == ["Tensor"]
