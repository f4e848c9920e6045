from __future__ import annotations

from graph_text import expect_pass, read_graph

from pteron.graph.passes import dead_code


def test_what_no_output_needs_goes() -> None:
    expect_pass(
        dead_code.run,
        """
        graph forward(%x: float32[2]) {
          constant %used: float32[2]
          constant %unused: float32[2]
        block0:
          %1: float32[2] = aten::neg(self=%x)
          %2: float32[2] = aten::add.Tensor(self=%1, other=%unused)
          %3: float32[2] = aten::add.Tensor(self=%x, other=%used)
          return %3
        }
        """,
        """
        graph forward(%x: float32[2]) {
          constant %used: float32[2]
        block0:
          %3: float32[2] = aten::add.Tensor(self=%x, other=%used)
          return %3
        }
        """,
    )


def test_a_node_with_one_needed_result_stays() -> None:
    text = """
        graph forward(%x: float32[2]) {
        block0:
          %1: float32[1], %2: int64[1] = aten::max.dim(self=%x, dim=0, keepdim=True)
          return %2
        }
        """
    expect_pass(dead_code.run, text, text)


def test_state_that_only_feeds_itself_goes() -> None:
    expect_pass(
        dead_code.run,
        """
        graph forward(%x: float32[2]) {
          state %idle: float32[2]
          state %total: float32[2]
        block0:
          %1: float32[2] = aten::add.Tensor(self=%idle, other=%x)
          %2: float32[2] = aten::add.Tensor(self=%total, other=%x)
          return %total states %1, %2
        }
        """,
        """
        graph forward(%x: float32[2]) {
          state %total: float32[2]
        block0:
          %2: float32[2] = aten::add.Tensor(self=%total, other=%x)
          return %total states %2
        }
        """,
    )


def test_state_that_other_methods_see_stays() -> None:
    graph = read_graph(
        """
        graph forward(%x: float32[2]) {
          state %total: float32[2]
        block0:
          %1: float32[2] = aten::neg(self=%x)
          return %x states %1
        }
        """
    )
    graph.states[0].shared = True
    assert not dead_code.run(graph)
    graph.states[0].shared = False
    assert dead_code.run(graph)
    assert not graph.states
    assert not list(graph.nodes())


def test_parameters_that_a_loop_only_carries_go() -> None:
    expect_pass(
        dead_code.run,
        """
        graph forward(%x: float32[2], %go: bool[]) {
        block0:
          %1: float32[2] = aten::neg(self=%x)
          jump block1(%x, %1, 0)
        block1(%a: float32[2], %b: float32[2], %n: int):
          %2: int = executorch_prim::add.Scalar(a=%n, b=1)
          %3: bool = executorch_prim::lt.Scalar(a=%2, b=3)
          branch %3 ? block1(%a, %b, %2) : block2(%a, %b)
        block2(%c: float32[2], %d: float32[2]):
          return %c
        }
        """,
        """
        graph forward(%x: float32[2], %go: bool[]) {
        block0:
          jump block1(%x, 0)
        block1(%a: float32[2], %n: int):
          %2: int = executorch_prim::add.Scalar(a=%n, b=1)
          %3: bool = executorch_prim::lt.Scalar(a=%2, b=3)
          branch %3 ? block1(%a, %2) : block2(%a)
        block2(%c: float32[2]):
          return %c
        }
        """,
    )


def test_blocks_that_nothing_reaches_go() -> None:
    expect_pass(
        dead_code.run,
        """
        graph forward(%x: float32[2]) {
        block0:
          jump block2(%x)
        block1(%a: float32[2]):
          jump block2(%a)
        block2(%b: float32[2]):
          return %b
        }
        """,
        """
        graph forward(%x: float32[2]) {
        block0:
          jump block2(%x)
        block2(%b: float32[2]):
          return %b
        }
        """,
    )
