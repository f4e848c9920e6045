from __future__ import annotations

import pytest
from graph_text import expect_pass, read_graph

from pteron.graph.passes import views


@pytest.mark.parametrize(
    ("given", "result", "call", "after"),
    [
        ("[2, 3]", "[3, 2]", "aten::t_copy(self=%x)", "aten::permute_copy(self=%x, dims=[1, 0])"),
        (
            "[2, 3, 4]",
            "[4, 3, 2]",
            "aten::transpose_copy.int(self=%x, dim0=0, dim1=-1)",
            "aten::permute_copy(self=%x, dims=[2, 1, 0])",
        ),
        ("[2, 3]", "[2, 1, 3]", "aten::unsqueeze_copy(self=%x, dim=1)", "aten::view_copy(self=%x, size=[2, 1, 3])"),
        ("[2, 1]", "[2]", "aten::squeeze_copy.dims(self=%x, dim=[1])", "aten::view_copy(self=%x, size=[2])"),
        (
            "[1, 4, 1, 3]",
            "[1, 1, 4, 3]",
            "aten::permute_copy(self=%x, dims=[0, 2, 1, 3])",
            "aten::view_copy(self=%x, size=[1, 1, 4, 3])",
        ),
    ],
)
def test_one_spelling(given: str, result: str, call: str, after: str) -> None:
    text = """
        graph forward(%x: float32{}) {{
        block0:
          %1: float32{} = {}
          return %1
        }}
        """
    expect_pass(views.run, text.format(given, result, call), text.format(given, result, after))


def test_reshapes_of_dynamic_tensors_keep_their_spelling() -> None:
    text = """
        graph forward(%x: float32[≤2, ≤3]) {
        block0:
          %1: float32[≤2, ≤1, ≤3] = aten::unsqueeze_copy(self=%x, dim=1)
          %2: float32[≤3, ≤1, ≤2] = aten::permute_copy(self=%1, dims=[2, 1, 0])
          return %2
        }
        """
    expect_pass(views.run, text, text)


def test_neighbours_are_joined() -> None:
    expect_pass(
        views.run,
        """
        graph forward(%x: float32[2, 3, 4]) {
        block0:
          %1: float32[6, 4] = aten::view_copy(self=%x, size=[6, 4])
          %2: float32[4, 6] = aten::view_copy(self=%1, size=[4, -1])
          %3: float32[4, 2, 3] = aten::permute_copy(self=%x, dims=[2, 0, 1])
          %4: float32[2, 4, 3] = aten::permute_copy(self=%3, dims=[1, 0, 2])
          return %1, %2, %4
        }
        """,
        """
        graph forward(%x: float32[2, 3, 4]) {
        block0:
          %1: float32[6, 4] = aten::view_copy(self=%x, size=[6, 4])
          %2: float32[4, 6] = aten::view_copy(self=%x, size=[4, -1])
          %3: float32[4, 2, 3] = aten::permute_copy(self=%x, dims=[2, 0, 1])
          %4: float32[2, 4, 3] = aten::permute_copy(self=%x, dims=[0, 2, 1])
          return %1, %2, %4
        }
        """,
    )


def test_what_converts_on_the_way_is_no_neighbour() -> None:
    text = """
        graph forward(%x: float32[2, 3]) {
        block0:
          %1: float64[6] = aten::view_copy(self=%x, size=[6])
          %2: float32[3, 2] = aten::view_copy(self=%1, size=[3, 2])
          return %2
        }
        """
    expect_pass(views.run, text, text)


def test_dims_of_another_rank_are_left_to_the_operator_to_refuse() -> None:
    text = """
        graph forward(%x: float32[2, 3]) {
        block0:
          %1: float32[2, 3, 1] = aten::permute_copy(self=%x, dims=[0, 1, 2])
          return %1
        }
        """
    assert not views.run(read_graph(text))
