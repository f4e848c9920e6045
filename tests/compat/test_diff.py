"""diff: what is found, and what counts as breaking."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import corpus_files
import pteron
from program_edits import edited, program
from pteron.compat.diff import Change, diff
from pteron.format.program import read_program
from pteron.format.write import Layout, Place, write_program


def test_layout_is_no_difference() -> None:
    before = pteron.open(corpus_files.read("1.1.0", "mlp.pte"))
    layout = Layout(segment_alignment=4096)
    found = diff(before, read_program(write_program(before, layout)))
    assert found.change is Change.SAME
    assert not found.same_bytes
    assert diff(before, before).same_bytes


def test_constants_moved_inline_show_in_the_verdicts_only() -> None:
    before = pteron.open(corpus_files.read("1.1.0", "mlp.pte"))
    found = diff(
        before, read_program(write_program(before, Layout(constants=Place.INLINE))), runtime=["1.2.0", "1.5.1"]
    )
    assert [(item.section, item.what, item.change) for item in found.items] == [
        ("verdicts", "1.5.1", Change.BREAKING),
    ]


def test_another_weight() -> None:
    data = bytearray(corpus_files.read("1.1.0", "mlp.pte"))
    before = pteron.open(bytes(data))
    assert before.header is not None
    at = before.header.segment_base_offset
    data[at] ^= 1
    found = diff(before, pteron.open(bytes(data)))
    assert found.change is Change.COMPATIBLE
    (item,) = found.items
    assert (item.section, item.what) == ("weights", "constant 1")
    assert item.before.split()[:-1] == item.after.split()[:-1]


def test_a_method_that_is_gone() -> None:
    before = program("1.5.1/multi_method.pte")
    plans = before.root.execution_plan or ()
    after = before.replace(root=dataclasses.replace(before.root, execution_plan=plans[:1]))
    gone = plans[1].name
    found = diff(before, after)
    assert found.change is Change.BREAKING
    assert ("methods", gone, Change.BREAKING) in [(i.section, i.what, i.change) for i in found.items]
    back = diff(after, before)
    assert [(i.what, i.change) for i in back.section("methods")] == [(gone, Change.COMPATIBLE)]


@pytest.mark.parametrize(
    ("sizes", "dynamic", "change"),
    [((2, 4), False, Change.BREAKING), ((2, 4), True, Change.COMPATIBLE), ((1, 3), True, Change.BREAKING)],
)
def test_input_shapes(sizes: tuple[int, ...], dynamic: bool, change: Change) -> None:
    before = program("1.5.1/add.pte")
    index = (before.root.execution_plan or ())[0].inputs[0]  # type: ignore[index]
    assert before.methods["forward"].inputs[0].shape == (2, 3)
    after = edited(
        before,
        {f"plan.values[{index}].val.sizes": sizes, f"plan.values[{index}].val.shape_dynamism": int(dynamic)},
    )
    (item,) = (i for i in diff(before, after).section("methods") if i.what == "forward, input 0")
    assert item.change is change


def test_files_of_two_releases() -> None:
    before, after = (pteron.open(corpus_files.read(r, "attention_block.pte")) for r in ("0.7.0", "1.5.1"))
    found = diff(before, after)
    assert found.change is Change.BREAKING
    assert "dim_order_ops::_clone_dim_order.out" in {item.what for item in found.section("operators")}
    assert "0.7.0" in {item.what for item in found.section("verdicts")}
    weights = {item.what for item in found.section("weights")}
    arrays = [array for key, array in corpus_files.npz("1.5.1", "attention_block.npz").items() if key == "in0"]
    assert not weights, weights
    assert all(isinstance(array, np.ndarray) for array in arrays)
