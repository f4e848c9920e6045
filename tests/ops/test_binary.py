"""The arithmetic operators against Python's numbers, element by element."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scalar_reference import (
    BF16,
    FLOATS,
    INF,
    INTEGERS,
    NAN,
    arrays,
    assert_equal,
    each,
    elements,
    guarded,
    run,
    strided,
    wrap,
)

from pteron.errors import KernelError

SHAPE_PAIRS = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)


def _divide(a, b):
    if b == 0:
        return NAN if a == 0 or a != a else math.copysign(INF, a) * math.copysign(1, b)
    return a / b


def _floor_divide(a, b):
    return _divide(a, b) if b == 0 else a // b


def _truncated_divide(a, b):
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    quotient = _divide(a, b)
    return math.trunc(quotient) if math.isfinite(quotient) else quotient


def _fmod(a, b):
    return abs(a) % abs(b) * (-1 if a < 0 else 1) if isinstance(a, int) and isinstance(b, int) else math.fmod(a, b)


def _power(a, b):
    if isinstance(a, int) and isinstance(b, int):
        return a**b if b >= 0 else {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)
    return math.pow(a, b)


# Operator -> (overload for two tensors, overload for a scalar, Python's function, keyword options).
OPERATORS = {
    "add": ("add.out", "add.Scalar_out", lambda a, b: a + b, {}),
    "sub": ("sub.out", "sub.Scalar_out", lambda a, b: a - b, {}),
    "rsub": (None, "rsub.Scalar_out", lambda a, b: b - a, {}),
    "mul": ("mul.out", "mul.Scalar_out", lambda a, b: a * b, {}),
    "div": ("div.out", "div.Scalar_out", _divide, {}),
    "div_trunc": ("div.out_mode", "div.Scalar_mode_out", _truncated_divide, {"rounding_mode": "trunc"}),
    "div_floor": ("div.out_mode", "div.Scalar_mode_out", _floor_divide, {"rounding_mode": "floor"}),
    "div_none": ("div.out_mode", "div.Scalar_mode_out", _divide, {"rounding_mode": None}),
    "floor_divide": ("floor_divide.out", None, _floor_divide, {}),
    "fmod": ("fmod.Tensor_out", "fmod.Scalar_out", _fmod, {}),
    "remainder": ("remainder.Tensor_out", "remainder.Scalar_out", lambda a, b: a % b, {}),
    "atan2": ("atan2.out", None, math.atan2, {}),
    "pow": ("pow.Tensor_Tensor_out", "pow.Tensor_Scalar_out", _power, {}),
}
TENSORS = [name for name, (op, *_) in OPERATORS.items() if op]
SCALARS = [name for name, (_, op, *_) in OPERATORS.items() if op]
FLOATING = ("div", "div_none", "atan2")
DIVISIONS = ("div_trunc", "div_floor", "floor_divide", "fmod", "remainder")


def _range(name: str, dtype: np.dtype) -> dict:
    """Values for which the result is representable: powers stay moderate, rounded quotients away from rounding."""
    if name == "pow":
        return {"low": 0.5, "high": 4, "special": False} if dtype.kind not in "iu" else {"low": 0, "high": 9}
    return {"low": -20, "high": 20, "special": dtype.itemsize == 8}


def _operand(name: str, dtype: np.dtype, shape: tuple, *, divisor: bool) -> st.SearchStrategy[np.ndarray]:
    operand = arrays(dtype, shape, **_range(name, dtype))
    if not divisor or name not in DIVISIONS:
        return operand
    # Python has no integer division by zero, and rounding decides quotients of reduced types near integers.
    keep = 1 if dtype.kind in "iu" else 0.5
    return operand.map(lambda x: np.where(np.abs(x) >= x.dtype.type(keep), x, x.dtype.type(keep)))


def _rounded_to(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Multiples of 1/4, whose sums, products and remainders are exact in every floating dtype used here."""
    if dtype.kind in "iu" or dtype.itemsize == 8:
        return values
    return np.asarray(np.round(values.astype(np.float32) * 4) / 4).astype(dtype)


def _wrapped(function, dtype: np.dtype):
    return lambda *values: wrap(function(*values), dtype)


@pytest.mark.parametrize("name", TENSORS)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_two_tensors(name: str, data: st.DataObject) -> None:
    op, _, function, options = OPERATORS[name]
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    shapes = data.draw(SHAPE_PAIRS).input_shapes
    a = _rounded_to(data.draw(_operand(name, dtype, shapes[0], divisor=False)), dtype)
    b = _rounded_to(data.draw(_operand(name, dtype, shapes[1], divisor=True)), dtype)
    integral = dtype.kind in "iu" and name not in FLOATING
    expected = each(_wrapped(function, dtype) if integral else guarded(function), a, b)
    result_dtype = np.dtype(np.float32) if dtype.kind in "iu" and not integral else dtype
    assert_equal(run(f"aten::{op}", a, b, **options), expected, result_dtype, atol=1e-6)


@pytest.mark.parametrize("name", SCALARS)
@settings(max_examples=50, deadline=None)
@given(st.data())
def test_tensor_and_scalar(name: str, data: st.DataObject) -> None:
    _, op, function, options = OPERATORS[name]
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    a = _rounded_to(data.draw(arrays(dtype, **_range(name, dtype))), dtype)
    b = data.draw(st.sampled_from([1, 2, 3, 7, 0.5, 1.0, 2.0, 3.0, 1.5, 2.5]))
    if name == "pow" and dtype.kind in "iu":
        b = int(b)
    integral = dtype.kind in "iu" and isinstance(b, int) and name not in FLOATING
    result_dtype = np.dtype(np.float32) if dtype.kind in "iu" and not integral else dtype
    values = a if integral else a.astype(np.float64)
    expected = each(_wrapped(function, dtype) if integral else guarded(function), values, b)
    assert_equal(run(f"aten::{op}", a, b, **options), expected, result_dtype, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([1, 2, 3, 0.5, 2.5]), st.data())
def test_scalar_to_the_power_of_a_tensor(base: float, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    exponent = data.draw(arrays(dtype, low=0, high=4, special=False))
    integral = dtype.kind in "iu" and isinstance(base, int)
    expected = each(lambda e: wrap(base**e, dtype) if integral else math.pow(base, e), exponent)
    result_dtype = np.dtype(np.float32) if dtype.kind in "iu" and not integral else dtype
    assert_equal(run("aten::pow.Scalar_out", base, exponent), expected, result_dtype)


def test_negative_integer_powers() -> None:
    a, b = np.array([1, -1, -1, 2, 0, -2]), np.array([-3, -2, -3, -1, -1, 3])
    assert run("aten::pow.Tensor_Tensor_out", a, b).tolist() == [1, 1, -1, 0, 0, -8]


@pytest.mark.parametrize("exponent", [0, 0.5, -0.5, 1, -1, 2, -2, 3, 1.7, -1.7])
@given(st.floats(0.01, 100))
@settings(max_examples=20)
def test_every_shortcut_of_pow(exponent: float, base: float) -> None:
    result = run("aten::pow.Tensor_Scalar_out", np.array([base]), exponent)
    np.testing.assert_allclose(result, math.pow(base, exponent), rtol=1e-14)


@pytest.mark.parametrize("op", ["add.out", "add.Scalar_out", "sub.out", "sub.Scalar_out", "rsub.Scalar_out"])
@settings(max_examples=30, deadline=None)
@given(st.data())
def test_alpha(op: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(INTEGERS + [np.dtype(np.float64)]))
    alpha = data.draw(st.integers(-5, 5) if dtype.kind in "iu" else st.sampled_from([2, -0.5, 0.25]))
    a = data.draw(arrays(dtype, (2, 3), special=False))
    b = data.draw(arrays(dtype, (3,), special=False) if op.endswith(".out") else elements(dtype, special=False))
    sign = 1 if op.startswith("add") else -1

    def function(x, y):
        return y - alpha * x if op.startswith("rsub") else x + sign * alpha * y

    expected = each(_wrapped(function, dtype) if dtype.kind in "iu" else function, a, b)
    assert_equal(run(f"aten::{op}", a, b, alpha=alpha), expected, dtype, atol=1e-12)


# Which dtype two operands give: tensors with dims, then zero-dim tensors, then scalars.
PROMOTIONS = [
    (("int32", 1), ("int64", 1), "int64"),
    (("int32", 1), ("int64", 0), "int32"),
    (("int64", 1), ("float16", 0), "float16"),
    (("float16", 1), ("float32", 0), "float16"),
    (("float16", 1), ("float32", 1), "float32"),
    (("float32", 0), ("int64", 1), "float32"),
    (("float64", 0), ("float32", 0), "float64"),
    (("uint8", 1), ("int8", 1), "int16"),
    (("bool", 1), ("uint8", 0), "uint8"),
    (("int64", 1), ("bfloat16", 1), "bfloat16"),
    (("float16", 1), ("bfloat16", 1), "float32"),
    (("float64", 1), ("complex64", 0), "complex128"),
    (("float32", 1), ("complex128", 0), "complex64"),
    (("float32", 1), ("complex128", 1), "complex128"),
    (("int32", 1), ("complex64", 0), "complex64"),
]


@pytest.mark.parametrize(("left", "right", "expected"), PROMOTIONS)
def test_promotion(left: tuple, right: tuple, expected: str) -> None:
    a, b = (np.ones((2,) * ndim, BF16 if name == "bfloat16" else name) for name, ndim in (left, right))
    for x, y in ((a, b), (b, a)):
        for op in ("add.out", "mul.out"):
            result = run(f"aten::{op}", x, y)
            assert result.dtype.name == expected
            assert np.all(result == (2 if op == "add.out" else 1))


@pytest.mark.parametrize(
    ("dtype", "scalar", "expected"),
    [
        ("bool", True, "bool"),
        ("bool", 2, "int64"),
        ("bool", 1.5, "float32"),
        ("uint8", 300, "uint8"),
        ("int32", 1.5, "float32"),
        ("float16", 1e10, "float16"),
        ("float64", 1, "float64"),
        ("complex64", 1.5, "complex64"),
    ],
)
def test_promotion_with_a_scalar(dtype: str, scalar: float, expected: str) -> None:
    assert run("aten::add.Scalar_out", np.ones(2, dtype), scalar).dtype.name == expected
    assert run("aten::mul.Scalar_out", np.array(1, dtype), scalar).dtype.name == expected


def test_half_arithmetic_rounds_once() -> None:
    a = np.array([1.0], np.float16)
    small = np.array([2.0**-11], np.float16)
    # In half, 1 + 2**-11 ties to 1; alpha * other is exact in float32 and lifts the sum over the tie.
    assert run("aten::add.out", a, small, alpha=1.5)[0] == 1 + 2.0**-10
    assert run("aten::mul.Scalar_out", a, 1.0001)[0] == 1


def test_booleans() -> None:
    a, b = np.array([True, True, False]), np.array([True, False, False])
    assert run("aten::add.out", a, b).tolist() == [True, True, False]
    assert run("aten::mul.out", a, b).tolist() == [True, False, False]
    assert_equal(run("aten::div.out", a, a), np.array([1, 1, NAN]), np.dtype(np.float32))


@pytest.mark.parametrize("name", TENSORS)
def test_any_memory_layout(name: str) -> None:
    op, _, _, options = OPERATORS[name]
    a = np.linspace(1, 9, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    b = np.linspace(3, 2, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    expected = run(f"aten::{op}", a, b, **options)
    for x, y in ((strided(a), b), (a.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), strided(b))):
        np.testing.assert_allclose(run(f"aten::{op}", x, y, **options), expected, rtol=1e-6)


FLOAT, INTEGER, BOOL, COMPLEX = np.ones(3, np.float32), np.ones(3, int), np.ones(3, bool), np.ones(3, complex)


@pytest.mark.parametrize("name", TENSORS)
def test_shapes_that_do_not_broadcast(name: str) -> None:
    op, _, _, options = OPERATORS[name]
    with pytest.raises(KernelError, match="broadcast"):
        run(f"aten::{op}", FLOAT, np.ones(2, np.float32), **options)


@pytest.mark.parametrize("name", DIVISIONS)
def test_integers_by_zero(name: str) -> None:
    op, scalar_op, _, options = OPERATORS[name]
    with pytest.raises(KernelError, match="zero"):
        run(f"aten::{op}", INTEGER, np.array([1, 0, 2]), **options)
    if scalar_op:
        with pytest.raises(KernelError, match="zero"):
            run(f"aten::{scalar_op}", INTEGER, 0, **options)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("sub.out", (BOOL, BOOL)),
        ("sub.out", (FLOAT, BOOL)),
        ("sub.Scalar_out", (FLOAT, True)),
        ("rsub.Scalar_out", (BOOL, 1)),
        ("add.out", (INTEGER, INTEGER, 1.5)),
        ("add.out", (INTEGER, INTEGER, True)),
        ("add.Scalar_out", (INTEGER, 2, 1.5)),
        ("add.out", (np.ones(2, np.uint16), np.ones(2, np.int32))),
        ("div.out_mode", (FLOAT, FLOAT, "ceil")),
        ("div.out_mode", (BOOL, BOOL, "floor")),
        ("div.Scalar_mode_out", (COMPLEX, 2, "trunc")),
        ("floor_divide.out", (BOOL, BOOL)),
        ("fmod.Tensor_out", (COMPLEX, COMPLEX)),
        ("fmod.Scalar_out", (BOOL, True)),
        ("remainder.Tensor_out", (BOOL, BOOL)),
        ("atan2.out", (COMPLEX, FLOAT)),
        ("pow.Tensor_Tensor_out", (BOOL, BOOL)),
        ("pow.Tensor_Scalar_out", (INTEGER, -1)),
        ("pow.Tensor_Scalar_out", (np.ones(2, np.uint8), 300)),
        ("pow.Scalar_out", (True, BOOL)),
    ],
)
def test_refusals(op: str, arguments: tuple) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{op}", *arguments)


def test_a_broadcast_beyond_all_bounds_is_refused() -> None:
    huge = np.broadcast_to(np.float32(1), (1 << 20, 1))
    with pytest.raises(KernelError, match="bytes"):
        run("aten::add.out", huge, huge.reshape(1, 1 << 20))
