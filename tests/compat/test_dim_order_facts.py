"""Faults and features about the order of elements in memory: each fires on a call that has it, not on a near miss."""

from __future__ import annotations

import dataclasses

import pytest

from program_edits import program
from pteron.compat.conditions import CALL_CONDITIONS, Call
from pteron.compat.faults import faults
from pteron.compat.features import features_of, is_contiguous, memory_order
from pteron.compat.profile import profile_for
from pteron.format import schema
from pteron.format.scalar_type import ScalarType

DYNAMIC = schema.TensorShapeDynamism.DYNAMIC_BOUND
CHANNELS_LAST = (0, 2, 3, 1)


def tensor(
    sizes: tuple[int, ...], order: tuple[int, ...] = (), dynamism: int = 0, dtype: str = "FLOAT"
) -> schema.Tensor:
    order = order or tuple(range(len(sizes)))
    return schema.Tensor(scalar_type=ScalarType[dtype], sizes=sizes, dim_order=order, shape_dynamism=dynamism)


def held(operator: str, *arguments: schema.Tensor | None) -> set[tuple[str, str]]:
    """(fault, range of releases) that a call meets."""
    call = Call(operator, arguments, ())
    return {
        (fault.id, str(fault.releases))
        for fault in faults()
        if operator in fault.operators and CALL_CONDITIONS[fault.condition](call, fault.parameters)
    }


@pytest.mark.parametrize(
    ("sizes", "order", "expected"),
    [
        ((1, 3, 4, 4), CHANNELS_LAST, False),
        ((1, 1, 4, 4), CHANNELS_LAST, True),  # one channel lies the same either way
        ((8, 3, 1, 1), CHANNELS_LAST, True),
        ((3, 4), (1, 0), False),
        ((3, 4), (0, 1), True),
        ((), (), True),
    ],
)
def test_contiguous(sizes: tuple[int, ...], order: tuple[int, ...], expected: bool) -> None:
    assert is_contiguous(tensor(sizes, order)) is expected


def test_memory_order_leaves_single_elements_out() -> None:
    assert memory_order(tensor((1, 3, 4, 1), CHANNELS_LAST)) == (2, 1)


def test_nonzero() -> None:
    source = tensor((3, 3))
    assert held("aten::nonzero.out", source, tensor((9, 2), (0, 1), DYNAMIC)) == set()
    assert held("aten::nonzero.out", source, tensor((9, 2), (1, 0), DYNAMIC)) == {
        ("nonzero.dim_order", "every release")
    }
    assert held("aten::nonzero.out", source, tensor((9, 2))) == {("nonzero.static", "every release")}


def test_clone() -> None:
    plain, last = tensor((1, 2, 3, 3)), tensor((1, 2, 3, 3), CHANNELS_LAST)
    assert held("aten::clone.out", plain, None, plain) == set()
    assert held("aten::clone.out", last, None, last) == set()
    assert held("aten::clone.out", last, None, plain) == {
        ("clone.dim_order", "up to 0.3"),
        ("clone.dim_order", "0.4 and later"),
    }


def test_conj_physical() -> None:
    assert held("aten::_conj_physical.out", tensor((2,))) == {("conj_physical.real", "1.2 and later")}
    assert held("aten::_conj_physical.out", tensor((2,), dtype="COMPLEX_FLOAT")) == set()


def test_constants_in_another_order_are_a_feature() -> None:
    assert "constants.dim_order" in {feature.id for feature in features_of(program("1.2.0/channels_last_input.pte"))}
    assert "constants.dim_order" not in {feature.id for feature in features_of(program("1.2.0/lenet.pte"))}


def test_oversized_inline_constants() -> None:
    original = program("0.2.1/mlp_cfg_constant_segment_off.pte")
    assert "constants.inline_oversized" not in {feature.id for feature in features_of(original)}
    buffers = list(original.root.constant_buffer or ())
    buffers[1] = schema.Buffer(memoryview(bytes(buffers[1].storage or b"") + bytes(16)))
    changed = original.replace(root=dataclasses.replace(original.root, constant_buffer=tuple(buffers)))
    assert "constants.inline_oversized" in {feature.id for feature in features_of(changed)}
    outcomes = {
        release: (row.outcome if (row := profile_for(release).support("constants.inline_oversized")) else None)
        for release in ("0.2.1", "1.1.0", "1.2.0")
    }
    assert outcomes == {"0.2.1": "refused", "1.1.0": "refused", "1.2.0": None}
