"""Kernels that do not take half precision."""

from __future__ import annotations

import numpy as np

import corpus_files
import pteron
from pteron.migration import plan


def steps(name: str, target: str) -> tuple[list[str], bytes]:
    """The steps that make the target run a file of the corpus, and the new file, compared with the original."""
    release, _, file = name.partition("/")
    migrated = plan(corpus_files.read(release, file), target)
    assert migrated.plan.possible, migrated.plan.obstacles
    assert migrated.checked().exact
    return [applied.step for applied in migrated.plan.applied], migrated.image


def test_a_kernel_without_half_precision() -> None:
    found, image = steps("1.5.1/xnnpack_half.pte", "0.2.1")
    assert "compute-in-float32" in found
    case = next(case for case in corpus_files.models("1.5.1") if case.name == "xnnpack_half.pte")
    for call in case.calls():
        for result, expected in zip(pteron.load(image).forward(*call.inputs), call.outputs, strict=True):
            assert result.dtype == np.float16
            np.testing.assert_allclose(result, expected, rtol=case.rtol, atol=case.atol)
