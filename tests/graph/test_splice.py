"""Pieces in the place of instructions: dim orders, and numbers that are known at run time only."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import pteron
from program_edits import edited, program
from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.program import Program, read_program
from pteron.format.write import write_program
from pteron.graph.constant_pool import ConstantPool
from pteron.graph.plan_edit import PlanEdit
from pteron.graph.splice import Piece
from pteron.migration import plan


def column_major(value: Any) -> Any:
    return schema.EValue(dataclasses.replace(value.val, dim_order=(1, 0)))


@pytest.mark.parametrize("turned", [("values[0]",), ("values[1]",), ("values[0]", "values[1]")])
def test_kernels_get_tensors_of_plain_dim_order(turned: tuple[str, ...]) -> None:
    original = edited(program("1.5.1/ops/elu.0.pte"), dict.fromkeys(turned, column_major))
    migrated = plan(write_program(original), "0.2.1")
    assert "decompose-operators" in {applied.step for applied in migrated.plan.applied}
    assert migrated.checked().exact
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    given = np.asfortranarray(x) if "values[0]" in turned else x
    (result,) = pteron.load(migrated.image, engine="reference").forward(given)
    np.testing.assert_allclose(result, np.where(x > 0, x, np.expm1(x)), rtol=1e-6)
    for tensor in used(read_program(migrated.image)):
        assert tensor.dim_order == tuple(range(len(tensor.sizes or ())))


def used(of: Program) -> list[schema.Tensor]:
    """The tensors that calls have as arguments."""
    (method,) = of.root.execution_plan or ()
    calls = [i.instr_args for chain in method.chains or () for i in chain.instructions or ()]
    values = [(method.values or ())[index].val for call in calls for index in call.args or ()]  # type: ignore[union-attr]
    return [value for value in values if isinstance(value, schema.Tensor)]


def test_an_unplanned_tensor_with_a_dim_order_is_refused() -> None:
    original = edited(
        program("1.5.1/ops/elu.0.pte"),
        {"values[0]": lambda value: schema.EValue(dataclasses.replace(column_major(value).val, allocation_info=None))},
    )
    migrated = plan(write_program(original), "0.2.1")
    assert not migrated.plan.possible
    assert any("dim order of its own" in refusal for refusal in migrated.plan.refusals)


def test_computed_numbers_are_no_constants() -> None:
    (method,) = program("1.5.1/custom_update_cache.pte").root.execution_plan or ()
    edit = PlanEdit(method)
    assert edit.computed == {9}  # what _local_scalar_dense writes: 0 in the file
    piece = Piece(edit, ConstantPool(program("1.5.1/custom_update_cache.pte")), "here", 0)
    assert piece.read(7) == 0
    with pytest.raises(UnsupportedError, match="known at run time only"):
        piece.read(9)


def test_numbers_that_are_given_are_no_constants() -> None:
    (method,) = program("1.5.1/scalar_inputs.pte").root.execution_plan or ()
    numbers = {i for i in method.inputs or () if not isinstance((method.values or ())[i].val, schema.Tensor)}
    assert numbers
    assert numbers <= PlanEdit(method).computed
