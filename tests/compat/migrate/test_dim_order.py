"""Dim-order operators as plain copies: held to eager PyTorch's outputs."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.migration import plan


def case_of(release: str, name: str) -> corpus_files.Case:
    return next(case for case in corpus_files.cases(release) if case.name == name)


@pytest.mark.parametrize("target", ["0.2.1", "0.5.0"])
@pytest.mark.parametrize(
    "name", ["dim_order_cast.pte", "channels_last_dim_order.pte", "ops/clone.0.pte", "attention_block.pte"]
)
def test_plain_copies_give_the_same(name: str, target: str) -> None:
    case = case_of("1.5.1", name)
    original = case.read()
    migrated = plan(original, target)
    assert migrated.plan.possible, migrated.plan.obstacles
    assert migrated.checked().exact
    names = {op for method in pteron.open(migrated.image).methods.values() for op in method.operators}
    assert "dim_order_ops::_clone_dim_order.out" not in names
    if target == "0.2.1":
        assert not any(op.startswith("dim_order_ops::") for op in names)
    module = pteron.load(migrated.image, engine="reference")
    for call in case.calls():
        for found, expected in zip(module[call.method](*call.inputs), call.outputs, strict=True):
            np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=case.atol)


def test_a_change_of_dim_order_becomes_a_permutation() -> None:
    migrated = plan(case_of("1.5.1", "channels_last_dim_order.pte").read(), "0.2.1")
    (method,) = pteron.open(migrated.image).methods.values()
    assert method.operators["aten::permute_copy.out"] == 2
