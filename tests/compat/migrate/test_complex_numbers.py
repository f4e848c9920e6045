"""Complex intermediates as pairs of real numbers."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
import pteron
from program_edits import edited, program
from pteron.format.write import write_program
from pteron.migration import plan


def steps(name: str, target: str) -> tuple[list[str], bytes]:
    """The steps that make the target run a file of the corpus, and the new file, compared with the original."""
    release, _, file = name.partition("/")
    migrated = plan(corpus_files.read(release, file), target)
    assert migrated.plan.possible, migrated.plan.obstacles
    assert migrated.checked().exact
    return [applied.step for applied in migrated.plan.applied], migrated.image


@pytest.mark.parametrize("target", ["0.2.1", "1.0.1", "1.5.1"])
def test_complex_numbers_between_real_ones(target: str) -> None:
    found, image = steps("1.5.1/ops/view_as_real_copy.0.pte", target)
    assert found == ["complex-as-pairs"]
    real, imaginary = np.arange(4, dtype=np.float32).reshape(2, 2), -np.ones((2, 2), np.float32)
    (result,) = pteron.load(image).forward(real, imaginary)
    np.testing.assert_array_equal(result, np.stack([real, imaginary], -1))


def test_complex_results_stay_complex() -> None:
    base = program("1.5.1/ops/view_as_real_copy.0.pte")
    outputs = edited(base, {"plan.outputs": (2,)})
    migrated = plan(write_program(outputs), "1.5.1")
    assert not migrated.plan.possible
    assert not migrated.plan.applied
