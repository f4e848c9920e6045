"""Comparisons, logic and choices against Python's operators, element by element."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scalar_reference import BF16, FLOATS, INF, INTEGERS, NAN, arrays, assert_equal, each, elements, run, strided

from pteron.errors import KernelError

BOOL, F32 = np.dtype(bool), np.dtype(np.float32)
ALL = [*FLOATS, *INTEGERS, BOOL]
SHAPE_PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)
SHAPE_TRIPLES = hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3)
COMPARISONS = {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
LOGIC = {
    "logical_and": lambda a, b: bool(a) and bool(b),
    "logical_or": lambda a, b: bool(a) or bool(b),
    "logical_xor": lambda a, b: bool(a) != bool(b),
}


def _maximum(a, b):
    return NAN if a != a or b != b else max(a, b)


def _minimum(a, b):
    return NAN if a != a or b != b else min(a, b)


EXTREMES = {"maximum": _maximum, "minimum": _minimum}
TESTS = {"isnan": math.isnan, "isinf": math.isinf, "logical_not": lambda x: not x}


def _pair(data: st.DataObject, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of few different values, so that equal ones meet often."""
    shapes = data.draw(SHAPE_PAIRS).input_shapes
    a, b = (data.draw(arrays(dtype, shape, low=-2, high=2)) for shape in shapes)
    return a, b


@pytest.mark.parametrize("name", COMPARISONS)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_comparisons(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(ALL))
    a, b = _pair(data, dtype)
    assert_equal(run(f"aten::{name}.Tensor_out", a, b), each(COMPARISONS[name], a, b), BOOL)
    scalar = data.draw(elements(dtype, low=-2, high=2))
    expected = each(lambda x: COMPARISONS[name](x, scalar), a)
    assert_equal(run(f"aten::{name}.Scalar_out", a, scalar), expected, BOOL)


@pytest.mark.parametrize("name", COMPARISONS)
@settings(max_examples=30, deadline=None)
@given(st.sampled_from(INTEGERS), st.sampled_from([-1.5, 0.0, 0.5, 2.0, INF, NAN]), st.data())
def test_comparisons_across_types(name: str, dtype: np.dtype, number: float, data: st.DataObject) -> None:
    a = data.draw(arrays(dtype))
    expected = each(lambda x: COMPARISONS[name](x, number), a)
    assert_equal(run(f"aten::{name}.Scalar_out", a, number), expected, BOOL)
    assert_equal(run(f"aten::{name}.Tensor_out", a, np.array(number, np.float32)), expected, BOOL)


def test_scalars_are_compared_in_the_dtype_of_the_tensor() -> None:
    assert run("aten::eq.Scalar_out", np.array([0.1], np.float32), 0.1)[0]
    assert run("aten::eq.Scalar_out", np.array([1], np.float16), 1.0001)[0]
    assert run("aten::eq.Scalar_out", np.array([44], np.uint8), 300)[0]


def test_complex_numbers_are_equal_or_not() -> None:
    a, b = np.array([1j, 2]), np.array([1j, 2j])
    assert run("aten::eq.Tensor_out", a, b).tolist() == [True, False]
    assert run("aten::ne.Tensor_out", a, b).tolist() == [False, True]


@pytest.mark.parametrize("name", LOGIC)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_logic(name: str, data: st.DataObject) -> None:
    shapes = data.draw(SHAPE_PAIRS).input_shapes
    a, b = (data.draw(arrays(data.draw(st.sampled_from(ALL)), shape, low=-1, high=1)) for shape in shapes)
    assert_equal(run(f"aten::{name}.out", a, b), each(LOGIC[name], a, b), BOOL)


@pytest.mark.parametrize("name", EXTREMES)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_extremes(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(ALL))
    a, b = _pair(data, dtype)
    assert_equal(run(f"aten::{name}.out", a, b), each(EXTREMES[name], a, b), dtype)


@pytest.mark.parametrize("name", TESTS)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_tests(name: str, data: st.DataObject) -> None:
    x = data.draw(arrays(data.draw(st.sampled_from(ALL)), low=-1, high=1))
    assert_equal(run(f"aten::{name}.out", x), each(TESTS[name], x), BOOL)


def _clamped(x, low, high):
    x = x if low is None else _maximum(x, low)
    return x if high is None else _minimum(x, high)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_clamp(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    shapes = data.draw(SHAPE_TRIPLES).input_shapes
    x, low, high = (data.draw(arrays(dtype, shape, low=-9, high=9)) for shape in shapes)
    assert_equal(run("aten::clamp.Tensor_out", x, low, high), each(_clamped, x, low, high), dtype)
    assert_equal(run("aten::clamp.Tensor_out", x, low), each(_maximum, x, low), dtype)
    assert_equal(run("aten::clamp.Tensor_out", x, None, high), each(_minimum, x, high), dtype)
    first, second = (data.draw(st.none() | elements(dtype, low=-9, high=9)) for _ in range(2))
    if first is not None or second is not None:
        expected = each(lambda v: _clamped(v, first, second), x)
        assert_equal(run("aten::clamp.out", x, first, second), expected, dtype)


def test_clamp_promotes() -> None:
    x = np.array([-3, 0, 3])
    assert_equal(run("aten::clamp.out", x, -0.5, 0.5), np.array([-0.5, 0, 0.5]), F32)
    assert_equal(run("aten::clamp.out", x, NAN), np.full(3, NAN), F32)
    assert_equal(run("aten::clamp.out", np.array([True, False]), 0, 1), np.array([1, 0]), np.dtype(np.int64))
    low = np.array(0.5, np.float64)
    assert_equal(run("aten::clamp.Tensor_out", x.astype(np.float32), low), np.array([0.5, 0.5, 3]), F32)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_where(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(ALL))
    shapes = data.draw(SHAPE_TRIPLES).input_shapes
    condition = data.draw(arrays(data.draw(st.sampled_from([BOOL, np.dtype(np.uint8)])), shapes[0]))
    a, b = (data.draw(arrays(dtype, shape)) for shape in shapes[1:])
    expected = each(lambda c, x, y: x if c else y, condition, a, b)
    assert_equal(run("aten::where.self_out", condition, a, b), expected, dtype)


def test_where_promotes() -> None:
    condition, x = np.array([True, False]), np.array([1, 2])
    assert_equal(run("aten::where.self_out", condition, x, np.array([0.5, 1.5], np.float32)), np.array([1, 1.5]), F32)
    half = x.astype(np.float16)
    assert run("aten::where.self_out", condition, half, np.array(0.0)).dtype == np.float16
    assert run("aten::where.self_out", condition, half, half.astype(BF16)).dtype == F32


def _close(a, b, rtol, atol, equal_nan):
    if a == b or (equal_nan and a != a and b != b):
        return True
    return math.isfinite(a - b) and abs(a - b) <= atol + rtol * abs(b)


@pytest.mark.parametrize("overload", ["out", "Tensor"])
@settings(max_examples=80, deadline=None)
@given(st.data())
def test_allclose(overload: str, data: st.DataObject) -> None:
    a = data.draw(arrays(np.dtype(np.float64), low=-4, high=4))
    # Steps far from the tolerances of 1/8, so that rounding does not decide.
    factor, step = data.draw(st.sampled_from([1, 1.0625, 1.25])), data.draw(st.sampled_from([0, 0.0625, 0.25]))
    with np.errstate(invalid="ignore"):
        b = np.asarray(a * factor + step)
    equal_nan = data.draw(st.booleans())
    rtol, atol = data.draw(st.sampled_from([(0.0, 0.0), (0.1, 0.0), (0.0, 0.1), (0.1, 0.1)]))
    expected = all(_close(x, y, rtol, atol, equal_nan) for x, y in zip(a.flat, b.flat, strict=True))
    result = run(f"aten::allclose.{overload}", a, b, rtol, atol, equal_nan)
    assert_equal(result, np.array([expected]), BOOL)


@pytest.mark.parametrize(
    "name", [*(f"{n}.Tensor_out" for n in COMPARISONS), *(f"{n}.out" for n in (*LOGIC, *EXTREMES))]
)
def test_any_memory_layout(name: str) -> None:
    a, b = np.arange(24).reshape(1, 2, 3, 4) % 5, np.arange(24).reshape(1, 2, 3, 4) % 3
    expected = run(f"aten::{name}", a, b)
    np.testing.assert_array_equal(run(f"aten::{name}", strided(a), np.asfortranarray(b)), expected)
    condition = np.asfortranarray(a > 2)
    chosen = run("aten::where.self_out", condition, strided(a), b)
    np.testing.assert_array_equal(chosen, each(lambda c, x, y: x if c else y, condition, a, b).astype(int))


FLOAT, INTEGER, FLAGS, COMPLEX = np.ones(3, np.float32), np.ones(3, int), np.ones(3, bool), np.ones(3, complex)
SHORT = np.ones(2, np.float32)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        *((f"{name}.Tensor_out", (FLOAT, SHORT)) for name in COMPARISONS),
        *((f"{name}.out", (FLOAT, SHORT)) for name in (*LOGIC, *EXTREMES)),
        *((f"{name}.Tensor_out", (COMPLEX, FLOAT)) for name in ("lt", "le", "gt", "ge")),
        *((f"{name}.Scalar_out", (COMPLEX, 1)) for name in ("lt", "le", "gt", "ge")),
        *((f"{name}.out", (COMPLEX, FLOAT)) for name in EXTREMES),
        ("clamp.out", (FLOAT,)),
        ("clamp.out", (FLAGS, False, True)),
        ("clamp.out", (COMPLEX, 0, 1)),
        ("clamp.out", (FLOAT, -1e300, None)),
        ("clamp.out", (FLOAT.astype(np.float16), None, 1e6)),
        ("clamp.out", (np.ones(3, np.uint8), -1, 3)),
        ("clamp.Tensor_out", (FLOAT,)),
        ("clamp.Tensor_out", (FLAGS, FLAGS, None)),
        ("clamp.Tensor_out", (FLOAT, SHORT, None)),
        ("where.self_out", (INTEGER, FLOAT, FLOAT)),
        ("where.self_out", (FLAGS, SHORT, FLOAT)),
        ("where.self_out", (FLAGS[:2], FLOAT, FLOAT)),
        ("where.self_out", (FLAGS, np.ones(3, np.uint16), INTEGER)),
        ("allclose.out", (FLOAT, INTEGER)),
        ("allclose.out", (FLOAT, SHORT)),
        ("allclose.Tensor", (FLOAT, FLOAT, -1.0)),
        ("allclose.Tensor", (FLOAT, FLOAT, 0.0, NAN)),
    ],
)
def test_refusals(op: str, arguments: tuple) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{op}", *arguments)
