"""The bitwise operators against Python's unbounded integers, element by element."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scalar_reference import INTEGERS, arrays, assert_equal, each, elements, run, strided, wrap

from pteron.errors import KernelError

BOOL = np.dtype(bool)
FULL = {"low": -(2**63), "high": 2**63 - 1}
SHAPE_PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)
LOGIC = {
    "bitwise_and": lambda a, b: a & b,
    "bitwise_or": lambda a, b: a | b,
    "bitwise_xor": lambda a, b: a ^ b,
}


def _left(bits):
    return lambda a, b: a << b if 0 <= b < bits else 0


def _right(bits):
    return lambda a, b: a >> (b if 0 <= b < bits else bits)


SHIFTS = {"bitwise_left_shift": _left, "bitwise_right_shift": _right}


@pytest.mark.parametrize("name", LOGIC)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_logic(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([*INTEGERS, BOOL]))
    shapes = data.draw(SHAPE_PAIRS).input_shapes
    a, b = (data.draw(arrays(dtype, shape, **FULL)) for shape in shapes)
    assert_equal(run(f"aten::{name}.Tensor_out", a, b), each(LOGIC[name], a, b), dtype)
    scalar = data.draw(elements(dtype, **FULL))
    assert_equal(run(f"aten::{name}.Scalar_out", a, scalar), each(lambda x: LOGIC[name](x, scalar), a), dtype)


@pytest.mark.parametrize("name", SHIFTS)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_shifts(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(INTEGERS))
    function = SHIFTS[name](8 * dtype.itemsize)
    shapes = data.draw(SHAPE_PAIRS).input_shapes
    a = data.draw(arrays(dtype, shapes[0], **FULL))
    b = data.draw(arrays(dtype, shapes[1], low=-3, high=70))
    expected = each(lambda x, y: wrap(function(x, y), dtype), a, b)
    assert_equal(run(f"aten::{name}.Tensor_out", a, b), expected, dtype)
    amount = data.draw(st.integers(0, 70))
    expected = each(lambda x: wrap(function(x, amount), dtype), a)
    assert_equal(run(f"aten::{name}.Tensor_Scalar_out", a, amount), expected, dtype)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_not(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([*INTEGERS, BOOL]))
    a = data.draw(arrays(dtype, **FULL))
    function = (lambda v: not v) if dtype == BOOL else (lambda v: wrap(-1 - v, dtype))
    assert_equal(run("aten::bitwise_not.out", a), each(function, a), dtype)


def test_promotion() -> None:
    byte, signed, flags = np.array([200, 3], np.uint8), np.array([-1, 2], np.int8), np.array([True, False])
    assert_equal(run("aten::bitwise_or.Tensor_out", byte, signed), np.array([-1, 3]), np.dtype(np.int16))
    assert_equal(run("aten::bitwise_and.Tensor_out", flags, byte), np.array([0, 0]), np.dtype(np.uint8))
    assert_equal(run("aten::bitwise_xor.Scalar_out", flags, 3), np.array([2, 3]), np.dtype(np.int64))
    assert_equal(run("aten::bitwise_and.Scalar_out", byte, 300), np.array([8, 0]), np.dtype(np.uint8))
    assert_equal(run("aten::bitwise_left_shift.Tensor_Scalar_out", flags, 2), np.array([4, 0]), np.dtype(np.int64))
    assert_equal(run("aten::bitwise_or.Tensor_out", byte, np.array(1000)), np.array([232, 235]), np.dtype(np.uint8))


@pytest.mark.parametrize("name", [*LOGIC, *SHIFTS])
def test_any_memory_layout(name: str) -> None:
    a, b = np.arange(24).reshape(1, 2, 3, 4), np.arange(24).reshape(1, 2, 3, 4) % 5
    expected = run(f"aten::{name}.Tensor_out", a, b)
    np.testing.assert_array_equal(run(f"aten::{name}.Tensor_out", strided(a), np.asfortranarray(b)), expected)


FLOAT, INTEGER, FLAGS = np.ones(3, np.float32), np.ones(3, int), np.ones(3, bool)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        *((f"{name}.Tensor_out", (FLOAT, FLOAT)) for name in (*LOGIC, *SHIFTS)),
        *((f"{name}.Tensor_out", (INTEGER, FLOAT)) for name in (*LOGIC, *SHIFTS)),
        *((f"{name}.Tensor_out", (INTEGER, np.ones(2, int))) for name in (*LOGIC, *SHIFTS)),
        *((f"{name}.Scalar_out", (INTEGER, 1.5)) for name in LOGIC),
        *((f"{name}.Tensor_Scalar_out", (INTEGER, 1.5)) for name in SHIFTS),
        *((f"{name}.Tensor_out", (FLAGS, FLAGS)) for name in SHIFTS),
        *((f"{name}.Tensor_Scalar_out", (FLAGS, True)) for name in SHIFTS),
        ("bitwise_not.out", (FLOAT,)),
        ("bitwise_not.out", (np.ones(3, complex),)),
    ],
)
def test_refusals(op: str, arguments: tuple) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{op}", *arguments)
