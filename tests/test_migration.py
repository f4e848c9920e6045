"""Migration as a whole: what stays as it is, there and back again, and on whose inputs results are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.migration import plan

RELEASES = corpus_files.releases()


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["mlp.pte", "xnnpack_mlp.pte", "kv_cache.pte"])
def test_the_release_that_a_file_came_from_needs_nothing(release: str, name: str) -> None:
    original = corpus_files.read(release, name)
    migrated = plan(original, release, produced_by=release)
    assert (migrated.plan.unchanged, migrated.plan.possible, migrated.plan.applied) == (True, True, ())
    assert migrated.image == original


@pytest.mark.parametrize(
    ("release", "name", "down"),
    [
        ("0.6.0", "xnnpack_mlp.pte", "0.2.1"),  # weights from named data into the payload
        ("1.5.1", "xnnpack_int8_linear.pte", "0.5.0"),
        ("1.5.1", "lenet.pte", "0.2.1"),
        ("0.2.1", "mlp_cfg_constant_segment_off.pte", "1.5.1"),
    ],
)
def test_down_and_up_again(release: str, name: str, down: str) -> None:
    """Both ways by layout alone, where the releases ask for anything; the outputs have the same bits."""
    case = next(c for c in corpus_files.models(release) if c.name == name)
    there = plan(case.read(), down, produced_by=release)
    assert there.plan.possible
    assert there.plan.layout_only or there.plan.unchanged
    back = plan(there.image, release, steps=("constants-to-segment", "header-32"), produced_by=release)
    assert back.plan.possible
    assert back.plan.layout_only or back.plan.unchanged
    inputs = {call.method: call.inputs for call in case.calls()}
    for migrated in (there, back):
        comparison = migrated.compare(inputs=inputs)
        assert (comparison.problem, comparison.exact, comparison.unrun) == ("", True, ())
        assert set(comparison.given) == set(inputs)
    for call in case.calls():
        before, after = (pteron.load(image, engine="reference") for image in (case.read(), back.image))
        outputs = [[np.asarray(o).tobytes() for o in module[call.method](*call.inputs)] for module in (before, after)]
        assert outputs[0] == outputs[1]


def bucketize() -> tuple[bytes, list[Any]]:
    case = next(c for c in corpus_files.operators("1.5.1") if c.name == "ops/bucketize.0.pte")
    return case.read(), case.calls()[0].inputs


def test_inputs_that_cannot_be_generated() -> None:
    """Boundaries must be in order, which random ones are not; kernel and decomposition then differ."""
    original, inputs = bucketize()
    with pytest.raises(pteron.MigrationError, match="if generated inputs are not what the method is for"):
        pteron.migrate(original, "1.5.1")
    image = pteron.migrate(original, "1.5.1", inputs={"forward": inputs})
    (expected,) = pteron.load(original).forward(*inputs)
    (found,) = pteron.load(image).forward(*inputs)
    np.testing.assert_array_equal(found, expected)


def test_inputs_of_some_methods_only() -> None:
    original = corpus_files.read("0.2.1", "multi_method.pte")
    migrated = plan(original, "1.5.1", steps=("constants-to-segment",))
    methods = migrated.original.methods
    chosen = next(iter(methods))
    given = [np.ones(info.shape, info.scalar_type.dtype) for info in methods[chosen].inputs if info.scalar_type]
    comparison = migrated.compare(inputs={chosen: given})
    assert (comparison.methods, comparison.given) == (tuple(methods), (chosen,))


def test_wrong_inputs() -> None:
    original, inputs = bucketize()
    migrated = plan(original, "1.5.1")
    with pytest.raises(pteron.MethodNotFoundError, match="no method 'backward'; it has forward"):
        migrated.compare(inputs={"backward": inputs})
    with pytest.raises(pteron.InputError, match="does not run on the inputs given: "):
        migrated.compare(inputs={"forward": inputs[:1]})
