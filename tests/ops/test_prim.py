"""The prim operators against C's and Python's arithmetic, done with ctypes, fractions and lists."""

import ctypes
import math
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pteron.errors import KernelError
from pteron.ops import REGISTRY
from pteron.ops.invoke import call

INT64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)
FLOATS = st.floats()
NUMBERS = INT64 | FLOATS
ARITHMETIC = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}
COMPARISONS = {
    "eq": lambda a, b: a == b,
    "gt": lambda a, b: a > b,
    "lt": lambda a, b: b > a,
    "ge": lambda a, b: a > b or a == b,
    "le": lambda a, b: b > a or a == b,
}
ROUNDINGS = {"ceil": ROUND_CEILING, "round": ROUND_HALF_EVEN, "trunc": ROUND_DOWN}


def run(name, *args):
    operator = REGISTRY.get(name)
    assert operator is not None
    names = [a.name for a in operator.schema.arguments]
    (result,) = call(operator, dict(zip(names, args, strict=True)))
    return result


def prim(name, *args):
    return run(f"executorch_prim::{name}", *args)


def same(actual, expected):
    """Equal in value, type and sign; NaN equals NaN."""
    assert type(actual) is type(expected)
    if isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(actual)
    else:
        assert actual == expected
        assert not isinstance(expected, float) or math.copysign(1, actual) == math.copysign(1, expected)


def floats(a, b):
    return ctypes.c_double(a).value, ctypes.c_double(b).value


@pytest.mark.parametrize("name", ARITHMETIC)
@given(a=NUMBERS, b=NUMBERS)
@settings(max_examples=60)
def test_arithmetic_wraps_integers_and_promotes_to_float(name, a, b):
    compute = ARITHMETIC[name]
    if isinstance(a, int) and isinstance(b, int):
        same(prim(f"{name}.Scalar", a, b), ctypes.c_int64(compute(a, b)).value)
        if name != "mul":
            same(prim(f"{name}.int", a, b), ctypes.c_int64(compute(a, b)).value)
    else:
        same(prim(f"{name}.Scalar", a, b), compute(*floats(a, b)))


@pytest.mark.parametrize("name", COMPARISONS)
@given(a=NUMBERS | st.booleans(), b=NUMBERS | st.booleans())
@settings(max_examples=60)
def test_comparisons(name, a, b):
    if isinstance(a, bool) != isinstance(b, bool):
        with pytest.raises(KernelError, match="takes numbers"):
            prim(f"{name}.Scalar", a, b)
        return
    if isinstance(a, float) or isinstance(b, float):
        a, b = floats(a, b)
    same(prim(f"{name}.Scalar", a, b), COMPARISONS[name](a, b))
    if name == "eq" and type(a) is type(b) is int:
        same(prim("eq.int", a, b), not (a < b or b < a))


@given(a=INT64, b=INT64.filter(bool))
@example(-(2**63), -1)
@example(7, -2)
@example(-7, 2)
def test_integer_division(a, b):
    exact = Fraction(a, b)
    towards_zero = math.trunc(exact)
    same(prim("floordiv.Scalar", a, b), ctypes.c_int64(math.floor(exact)).value)
    same(prim("floordiv.int", a, b), ctypes.c_int64(towards_zero).value)
    for name in ("mod.int", "mod.Scalar"):
        same(prim(name, a, b), a - b * towards_zero)
    same(prim("truediv.Scalar", a, b), ctypes.c_double(a).value / ctypes.c_double(b).value)


MODERATE = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(a=MODERATE | st.integers(-(10**6), 10**6), b=MODERATE.filter(bool))
@example(1, 0.1)
@example(-1.0, 0.1)
@example(-0.0, 3.0)
def test_float_division(a, b):
    exact = Fraction(a) / Fraction(b)
    negative = math.copysign(1, a) * math.copysign(1, b) < 0
    same(prim("truediv.Scalar", a, b), float(exact) if exact else (-0.0 if negative else 0.0))
    floor = math.floor(exact)
    same(prim("floordiv.Scalar", a, b), float(floor) if floor else (-0.0 if negative else 0.0))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [(math.inf, 2.0, math.nan), (1.0, math.inf, 0.0), (-1.0, math.inf, -1.0), (math.nan, 1.0, math.nan)],
)
def test_floor_division_at_infinity(a, b, expected):
    same(prim("floordiv.Scalar", a, b), expected)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (1, 0, math.inf),
        (-1, 0, -math.inf),
        (0, 0, math.nan),
        (1.0, -0.0, -math.inf),
        (math.nan, 0.0, math.nan),
        (-math.inf, 0, -math.inf),
    ],
)
def test_true_division_by_zero(a, b, expected):
    same(prim("truediv.Scalar", a, b), expected)


@pytest.mark.parametrize(("a", "expected"), [(1.5, math.inf), (-1.5, -math.inf), (0.0, math.inf), (-0.0, -math.inf)])
def test_floor_division_by_a_float_zero_is_infinite(a, expected):
    same(prim("floordiv.Scalar", a, 0.0), expected)


@pytest.mark.parametrize("name", ["floordiv.Scalar", "floordiv.int", "mod.int", "mod.Scalar"])
def test_integer_division_by_zero_is_refused(name):
    with pytest.raises(KernelError, match="by zero"):
        prim(name, 3, 0)


@given(a=NUMBERS, b=NUMBERS)
@settings(max_examples=60)
def test_unary_and_extremes(a, b):
    same(prim("neg.Scalar", a), ctypes.c_int64(0 - a).value if isinstance(a, int) else -a)
    same(prim("sym_float.Scalar", a), ctypes.c_double(a).value)
    if isinstance(a, int) and isinstance(b, int):
        same(prim("sym_max.Scalar", a, b), a if a > b else b)
        same(prim("sym_min.Scalar", a, b), b if a > b else a)
    for condition in (True, False):
        same(prim("sym_ite.Scalar", condition, a, b), a if condition else b)
        same(prim("sym_not.Scalar", condition), condition is False)
        same(prim("sym_int.Scalar", condition), 1 if condition else 0)
        same(prim("sym_float.Scalar", condition), 1.0 if condition else 0.0)


@pytest.mark.parametrize("name", ROUNDINGS)
@given(a=FLOATS)
@example(2.5)
@example(-3.5)
@example(2.0**63)
@example(-(2.0**63))
def test_rounding(name, a):
    if not math.isfinite(a) or not -(2**63) <= Decimal(a).to_integral_value(ROUNDINGS[name]) < 2**63:
        with pytest.raises(KernelError, match="64 bits"):
            prim(f"{name}.Scalar", a)
        return
    same(prim(f"{name}.Scalar", a), int(Decimal(a).to_integral_value(ROUNDINGS[name])))
    same(prim("sym_int.Scalar", a), int(Decimal(a).to_integral_value(ROUND_DOWN)))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        *((f"{n}.Scalar", (True, 1)) for n in (*ARITHMETIC, "floordiv", "truediv")),
        *((f"{n}.int", (1.0, 1)) for n in ("add", "sub", "eq", "floordiv", "mod")),
        ("mod.Scalar", (1.5, 1)),
        ("neg.Scalar", (True,)),
        ("sym_max.Scalar", (1.0, 2)),
        ("sym_min.Scalar", (1, True)),
        ("sym_not.Scalar", (1,)),
        ("sym_ite.Scalar", (1, 2, 3)),
        ("ceil.Scalar", (3,)),
        ("round.Scalar", (True,)),
        ("trunc.Scalar", (3,)),
        ("sym_int.Scalar", (math.inf,)),
    ],
)
def test_operands_of_another_type_are_refused(name, args):
    with pytest.raises(KernelError):
        prim(name, *args)


SHAPES = st.lists(st.integers(0, 4), max_size=4)


@given(shape=SHAPES)
@settings(max_examples=40)
def test_sizes(shape):
    x = np.zeros(shape)
    count = 1
    for size in shape:
        count *= size
    same(run("aten::sym_numel", x), count)
    for dim in range(-len(shape), len(shape)):
        same(run("aten::sym_size.int", x, dim), shape[dim])
    for dim in (len(shape), -len(shape) - 1):
        with pytest.raises(KernelError, match="out of range"):
            run("aten::sym_size.int", x, dim)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (np.array([[3, 4]], np.int8), 3),
        (np.array(2**63 + 1, np.uint64), -(2**63) + 1),
        (np.array([True]), True),
        (np.array(0.5, np.float16), 0.5),
        (np.array([1.5], ml_dtypes.bfloat16), 1.5),
        (np.array([[1.0, 2.0], [3.0, 4.0]], np.float32).T, 1.0),
    ],
)
def test_local_scalar_dense(tensor, expected):
    same(run("aten::_local_scalar_dense", tensor), expected)


@pytest.mark.parametrize("tensor", [np.zeros((0, 2)), np.array([1j])])
def test_local_scalar_dense_refuses(tensor):
    with pytest.raises(KernelError):
        run("aten::_local_scalar_dense", tensor)


@given(sizes=st.lists(st.integers(1, 4), max_size=4), data=st.data())
@settings(max_examples=60)
def test_et_view_is_a_view(sizes, data):
    count = 1
    for size in sizes:
        count *= size
    x = np.arange(count)
    target = list(sizes)
    if target and data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    view = prim("et_view.default", x, target)
    assert list(view.shape) == sizes
    assert np.shares_memory(view, x)
    assert [int(v) for v in view.flat] == list(range(count))


@pytest.mark.parametrize("size", [[5], [-1, -1], [-2, 3], [4, -1], [0, -1], [1] * 17, []])
def test_et_view_refuses(size):
    with pytest.raises(KernelError, match="et_view"):
        prim("et_view.default", np.arange(6), size)


@given(rows=st.integers(0, 4), width=st.integers(0, 3), index=st.integers(0, 4))
@settings(max_examples=40)
def test_et_copy_index(rows, width, index):
    before = [[10 * r + c for c in range(width)] for r in range(rows)]
    new = [-1 - c for c in range(width)]
    copy_to, copy_from = np.array(before, np.int32).reshape(rows, width), np.array(new, np.int32)
    if index > rows:
        with pytest.raises(KernelError, match="past"):
            prim("et_copy_index.tensor", copy_to, copy_from, index)
        return
    result = prim("et_copy_index.tensor", copy_to, copy_from, index)
    assert result.dtype == np.int32
    assert result.tolist() == [*before[:index], new]
    assert copy_to.tolist() == ([*before[:index], new, *before[index + 1 :]] if index < rows else before)


@pytest.mark.parametrize(
    ("copy_to", "copy_from", "index"),
    [
        (np.zeros((2, 3)), np.zeros(3), -1),
        (np.zeros((2, 3)), np.zeros(4), 0),
        (np.zeros((2, 3)), np.zeros((1, 3)), 0),
        (np.zeros((2, 3)), np.zeros(3, np.float32), 0),
    ],
)
def test_et_copy_index_refuses(copy_to, copy_from, index):
    with pytest.raises(KernelError, match="et_copy_index"):
        prim("et_copy_index.tensor", copy_to, copy_from, index)
