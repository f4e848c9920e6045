from __future__ import annotations

import pytest
from graph_text import expect_pass

from pteron.graph.passes import no_ops

NOTHING = [
    ("float32[2, 3]", "aten::clone(self=%x)"),
    ("float32[2, 3]", "aten::_to_copy(self=%x)"),
    ("float32[2, 3]", "dim_order_ops::_clone_dim_order(self=%x, dim_order=[0, 1])"),
    ("float32[2, 3]", "aten::view_copy(self=%x, size=[2, -1])"),
    ("float32[2, 3]", "aten::permute_copy(self=%x, dims=[0, -1])"),
    ("float32[2, 3]", "aten::expand_copy(self=%x, size=[2, 3])"),
    ("float32[2, 3]", "aten::slice_copy.Tensor(self=%x, dim=1, start=0, end=9223372036854775807)"),
    ("float32[2, 3]", "aten::constant_pad_nd(self=%x, pad=[0, 0], value=1)"),
    ("float32[2, 3]", "aten::cat(tensors=[%x], dim=1)"),
    ("float32[2, 3]", "aten::squeeze_copy.dims(self=%x, dim=[0])"),
    ("float32[≤2, ≤3]", "aten::clone(self=%x)"),
    ("float32[≤2, ≤3]", "aten::expand_copy(self=%x, size=[-1, -1])"),
]

SOMETHING = [
    ("float32[2, 3]", "int32[2, 3]", "aten::_to_copy(self=%x)"),
    ("float32[2, 3]", "float32[6]", "aten::view_copy(self=%x, size=[6])"),
    ("float32[2, 2]", "float32[2, 2]", "aten::permute_copy(self=%x, dims=[1, 0])"),
    ("float32[2, 3]", "float32[4, 3]", "aten::repeat(self=%x, repeats=[2, 1])"),
    ("float32[2, 3]", "float32[2, 3]", "aten::constant_pad_nd(self=%x, pad=[1, -1], value=1)"),
    ("float32[≤2, ≤3]", "float32[≤2, ≤3]", "aten::view_copy(self=%x, size=[-1, 3])"),
]


@pytest.mark.parametrize(("type", "call"), NOTHING)
def test_what_changes_nothing_goes(type: str, call: str) -> None:
    expect_pass(
        no_ops.run,
        f"""
        graph forward(%x: {type}) {{
        block0:
          %1: {type} = {call}
          %2: {type} = aten::neg(self=%1)
          return %2, %1
        }}
        """,
        f"""
        graph forward(%x: {type}) {{
        block0:
          %2: {type} = aten::neg(self=%x)
          return %2, %x
        }}
        """,
    )


@pytest.mark.parametrize(("given", "result", "call"), SOMETHING)
def test_what_changes_something_stays(given: str, result: str, call: str) -> None:
    text = f"""
        graph forward(%x: {given}) {{
        block0:
          %1: {result} = {call}
          return %1
        }}
        """
    expect_pass(no_ops.run, text, text)


def test_a_memory_layout_is_kept_for_the_caller_only() -> None:
    last = "float32[1, 2, 2, 2] order [0, 2, 3, 1]"
    expect_pass(
        no_ops.run,
        f"""
        graph forward(%x: float32[1, 2, 2, 2]) {{
        block0:
          %1: {last} = dim_order_ops::_to_dim_order_copy(self=%x, dim_order=[0, 2, 3, 1])
          %2: {last} = aten::neg(self=%1)
          return %2, %1
        }}
        """,
        f"""
        graph forward(%x: float32[1, 2, 2, 2]) {{
        block0:
          %1: {last} = dim_order_ops::_to_dim_order_copy(self=%x, dim_order=[0, 2, 3, 1])
          %2: {last} = aten::neg(self=%x)
          return %2, %1
        }}
        """,
    )


def test_chains_go_at_once() -> None:
    expect_pass(
        no_ops.run,
        """
        graph forward(%x: float32[2]) {
        block0:
          %1: float32[2] = aten::clone(self=%x)
          %2: float32[2] = aten::view_copy(self=%1, size=[2])
          jump block1(%2)
        block1(%3: float32[2]):
          return %3
        }
        """,
        """
        graph forward(%x: float32[2]) {
        block0:
          jump block1(%x)
        block1(%3: float32[2]):
          return %3
        }
        """,
    )
