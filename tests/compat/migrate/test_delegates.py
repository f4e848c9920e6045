"""Delegates written out, and data of .ptd files: held to eager PyTorch's outputs and to the engine."""

from __future__ import annotations

import numpy as np
import pytest
from packaging.version import Version

import corpus_files
import pteron
from pteron.compat.profile import build_profile
from pteron.format.program import read_program
from pteron.migration import plan


def case_of(release: str, name: str) -> corpus_files.Case:
    return next(case for case in corpus_files.models(release) if case.name == name)


def check_outputs(case: corpus_files.Case, image: bytes, data: list[bytes]) -> None:
    module = pteron.load(image, data=data, engine="reference")
    for call in case.calls():
        for found, expected in zip(module[call.method](*call.inputs), call.outputs, strict=True):
            np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize(
    ("release", "name", "target"),
    [
        ("1.5.1", "xnnpack_attention.pte", "0.6.0"),
        ("1.5.1", "xnnpack_delegate_alignment.pte", "0.5.0"),
        ("1.5.1", "xnnpack_dynamic_shape_mlp.pte", "0.6.0"),
        ("0.2.1", "xnnpack_mobile_block.pte", "1.5.1"),
    ],
)
def test_a_delegate_that_the_target_does_not_take(release: str, name: str, target: str) -> None:
    case = case_of(release, name)
    migrated = plan(case.read(), target)
    assert migrated.plan.possible, migrated.plan.obstacles
    assert "expand-delegates" in {applied.step for applied in migrated.plan.applied}
    migrated.checked()
    before, after = (len(pteron.open(data).root.execution_plan[0].delegates) for data in (case.read(), migrated.image))
    assert after < before
    # 0.2.1's own file says sizes that its exporter got wrong; its outputs are compared with the original's above.
    if release != "0.2.1":
        check_outputs(case, migrated.image, [])


def test_a_build_without_the_backend() -> None:
    case = case_of("1.5.1", "xnnpack_lenet.pte")
    profile = build_profile("no XNNPACK", Version("1.5.1"), ["portable"], {})
    migrated = plan(case.read(), profile)
    # linear is in the optimized library alone, which this build does not have either.
    assert [applied.step for applied in migrated.plan.applied] == ["expand-delegates", "decompose-operators"]
    assert migrated.plan.after.runs
    migrated.checked()
    check_outputs(case, migrated.image, [])
    image = pteron.open(migrated.image)
    assert not image.named_data
    assert len(image.segment_data) == 1


@pytest.mark.parametrize(("release", "target"), [("0.6.0", "1.5.1"), ("1.5.1", "0.6.0"), ("1.5.1", "0.2.1")])
def test_data_of_a_ptd_file(release: str, target: str) -> None:
    case = case_of(release, "external_constants_lenet.pte")
    migrated = plan(case.read(), target, data=case.read_data())
    assert migrated.plan.possible, migrated.plan.obstacles
    assert migrated.checked().exact
    new = migrated.data_image
    if target == "1.5.1":
        assert new is not None
        assert pteron.read_tensor_data(new).layout == "0.7+"
    else:
        # The wheels of these releases cannot be given a .ptd file.
        assert new is None
        assert (read_program(migrated.image).root.constant_segment.offsets or ())[1:]  # type: ignore[union-attr]
    check_outputs(case, migrated.image, [new] if new else [])
