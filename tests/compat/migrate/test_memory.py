"""Tensors without memory or of fixed size where a runtime needs other ones."""

from __future__ import annotations

import pytest

import corpus_files
from program_edits import program
from pteron.compat.forgotten_memory import without_memory
from pteron.format import schema
from pteron.format.program import read_program
from pteron.migration import plan


def steps(name: str, target: str) -> tuple[list[str], bytes]:
    """The steps that make the target run a file of the corpus, and the new file, compared with the original."""
    release, _, file = name.partition("/")
    migrated = plan(corpus_files.read(release, file), target)
    assert migrated.plan.possible, migrated.plan.obstacles
    assert migrated.checked().exact
    return [applied.step for applied in migrated.plan.applied], migrated.image


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("0.2.1/map_model.pte", "1.0.1", ["plan-forgotten-memory", "rename-operators"]),
        ("0.4.0/map_model.pte", "1.5.1", ["growing-results"]),
        ("0.4.0/map_model.pte", "0.3.0", ["growing-results"]),
    ],
)
def test_the_loop_of_map(name: str, target: str, expected: list[str]) -> None:
    found, image = steps(name, target)
    assert found == expected
    (new,) = read_program(image).root.execution_plan or ()
    assert not without_memory(new)
    collected = (new.values or ())[2].val
    assert isinstance(collected, schema.Tensor)
    assert collected.sizes == (4, 3)
    assert (collected.shape_dynamism is schema.TensorShapeDynamism.DYNAMIC_BOUND) == ("growing-results" in found)


def test_forgotten_memory_lies_apart_from_all_other() -> None:
    before = program("0.2.1/map_model.pte").root.execution_plan[0]  # type: ignore[index]
    assert without_memory(before) == [7]
    after = read_program(steps("0.2.1/map_model.pte", "0.7.0")[1]).root.execution_plan[0]  # type: ignore[index]
    tensor = (after.values or ())[7].val
    assert isinstance(tensor, schema.Tensor)
    assert tensor.allocation_info is not None
    assert tensor.allocation_info.memory_offset_low == 144  # where the buffer ended
    assert after.non_const_buffer_sizes == (0, 156)


def test_what_callers_bring_or_files_hold_is_not_forgotten() -> None:
    for name in ("0.2.1/mlp_cfg_no_io_alloc.pte", "0.3.0/no_io_alloc_dynamic.pte", "1.5.1/nonzero_unbounded.pte"):
        for method in program(name).root.execution_plan or ():
            assert without_memory(method) == []
