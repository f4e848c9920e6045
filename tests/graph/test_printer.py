from __future__ import annotations

from textwrap import dedent

from graph_text import read_graph

TEXT = """
    graph forward(%x: float32[1, ≤8] order [1, 0], %y: bool[]) {
      constant %linear.weight: int8[4, 4]
      state %cache: float32[1, 16]
      state %count: int
    block0:
      branch %y ? block1(%x, 1.5) : block2
    block1(%a: float32[≤1, ≤8], %b: float):
      %1: float32[≤1, ≤8], %2: int64[≤1] = aten::max.dim(self=%a, dim=-1, keepdim=False)
      %3: float32[2] = aten::full(size=[2], fill_value=-inf)
      %4: float32[1, ≤8] = aten::index.Tensor(self=%cache, indices=[None, %2])
      %5: float32[≤1, ≤8] = aten::gelu(self=%1, approximate='none')
      jump block1(%5, %b)
    block2:
      return %3, None, True states %cache, 3
    }
"""


def test_what_is_printed_can_be_read() -> None:
    text = dedent(TEXT).strip()
    # A dimension of a dynamic tensor is an upper bound, whichever of them the program varies.
    text = text.replace("[1, ≤8] order", "[≤1, ≤8] order").replace("%4: float32[1, ≤8]", "%4: float32[≤1, ≤8]")
    text = text.replace("return %3,", "return %x,")
    assert str(read_graph(text)) == text
