from __future__ import annotations

from graph_text import expect_pass, read_graph

from pteron.graph.passes import common


def test_the_first_of_equal_nodes_is_used() -> None:
    expect_pass(
        common.run,
        """
        graph forward(%x: float32[2]) {
        block0:
          %1: float32[2] = aten::neg(self=%x)
          %2: float32[2] = aten::neg(self=%x)
          %3: float32[2] = aten::add.Tensor(self=%1, other=%x, alpha=1)
          %4: float32[2] = aten::add.Tensor(self=%2, other=%x, alpha=1)
          return %3, %4
        }
        """,
        """
        graph forward(%x: float32[2]) {
        block0:
          %1: float32[2] = aten::neg(self=%x)
          %3: float32[2] = aten::add.Tensor(self=%1, other=%x, alpha=1)
          return %3, %3
        }
        """,
    )


def test_another_kind_of_number_or_type_is_another_node() -> None:
    text = """
        graph forward(%x: float32[2]) {
        block0:
          %1: float32[2] = aten::add.Scalar(self=%x, other=0, alpha=1)
          %2: float32[2] = aten::add.Scalar(self=%x, other=0.0, alpha=1)
          %3: float32[2] = aten::add.Scalar(self=%x, other=-0.0, alpha=1)
          %4: float64[2] = aten::add.Scalar(self=%x, other=0, alpha=1)
          return %1, %2, %3, %4
        }
        """
    expect_pass(common.run, text, text)


def test_random_numbers_are_drawn_again() -> None:
    graph = read_graph(
        """
        graph forward() {
        block0:
          %1: float32[3] = aten::rand(size=[3])
          %2: float32[3] = aten::rand(size=[3])
          return %1, %2
        }
        """
    )
    assert not common.run(graph)
