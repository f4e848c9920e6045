"""The unary operators against Python's math, element by element."""

import cmath
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_reference import (
    BF16,
    FLOATS,
    INF,
    INTEGERS,
    NAN,
    arrays,
    assert_equal,
    each,
    guarded,
    run,
    strided,
    wrap,
)

from pteron.errors import KernelError


def _pole(function, at, value):
    """``function`` with the limit at a pole, where Python raises."""
    return lambda x: math.copysign(value, x) if abs(x) == abs(at) and (at or value > 0) else function(x)


def _exp(function):
    """``function`` of a number whose result may overflow."""
    return lambda x: function(x) if abs(x) < 700 or math.isnan(x) else function(math.copysign(INF, x))


def _log(function, pole=0):
    return lambda x: -INF if x == pole else function(x)


def _reciprocal(x):
    return math.copysign(INF, x) if x == 0 else 1 / x


FLOATING = {
    "acos": math.acos,
    "acosh": math.acosh,
    "asin": math.asin,
    "asinh": math.asinh,
    "atan": math.atan,
    "atanh": _pole(math.atanh, 1, INF),
    "cos": math.cos,
    "cosh": _exp(math.cosh),
    "erf": math.erf,
    "exp": _exp(math.exp),
    "expm1": _exp(math.expm1),
    "log": _log(math.log),
    "log10": _log(math.log10),
    "log1p": _log(math.log1p, -1),
    "log2": _log(math.log2),
    "reciprocal": _reciprocal,
    "rsqrt": lambda x: _reciprocal(math.sqrt(x)),
    "sigmoid": lambda x: 0.0 if x == -INF else 1 / (1 + math.exp(-x)),
    "sin": math.sin,
    "sinh": _exp(math.sinh),
    "sqrt": math.sqrt,
    "tan": math.tan,
    "tanh": math.tanh,
}


def _finite(function):
    return lambda x: function(x) if math.isfinite(x) else x


ROUNDING = {
    "ceil": _finite(math.ceil),
    "floor": _finite(math.floor),
    "round": _finite(round),
    "trunc": _finite(math.trunc),
}
SIGNS = {"abs": abs, "neg": lambda x: -x, "sign": lambda x: (x > 0) - (x < 0)}


@pytest.mark.parametrize("name", FLOATING)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_floating(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS))
    # Half results overflow early, and bfloat16 arguments near a pole lose what the tolerance allows.
    x = data.draw(arrays(dtype, low=-8, high=8))
    expected = each(guarded(FLOATING[name]), x)
    assert_equal(run(f"aten::{name}.out", x), expected, dtype, atol=1e-6 if dtype.itemsize < 8 else 1e-14)


@pytest.mark.parametrize("name", FLOATING)
def test_floating_of_integers(name: str) -> None:
    for dtype in (*INTEGERS, np.dtype(bool)):
        x = np.array([[0, 1], [2, 3]]).astype(dtype)
        result = run(f"aten::{name}.out", x)
        assert_equal(result, each(guarded(FLOATING[name]), x), np.dtype(np.float32), atol=1e-6)


@pytest.mark.parametrize("name", ROUNDING)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_rounding(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    x = data.draw(arrays(dtype)) if data.draw(st.booleans()) else np.arange(-4, 4, 0.5).astype(dtype)
    assert_equal(run(f"aten::{name}.out", x), each(ROUNDING[name], x), dtype)


@pytest.mark.parametrize("name", SIGNS)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_signs(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(FLOATS + INTEGERS))
    x = data.draw(arrays(dtype, low=-(2**63), high=2**63 - 1) if dtype.kind in "iu" else arrays(dtype))
    function = SIGNS[name]
    expected = each(lambda v: wrap(function(v), dtype) if dtype.kind in "iu" else function(v), x)
    assert_equal(run(f"aten::{name}.out", x), expected, dtype)


def test_sign_of_bool_is_itself() -> None:
    x = np.array([True, False])
    assert_equal(run("aten::sign.out", x), x, np.dtype(bool))


@pytest.mark.parametrize("name", [*FLOATING, *ROUNDING, *SIGNS])
def test_any_memory_layout(name: str) -> None:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    expected = run(f"aten::{name}.out", x)
    for variant in (strided(x), x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), np.asfortranarray(x)):
        np.testing.assert_array_equal(run(f"aten::{name}.out", variant), expected)
    assert run(f"aten::{name}.out", np.broadcast_to(x[..., :1], (1, 2, 3, 5))).shape == (1, 2, 3, 5)


COMPLEX = {
    "acos": cmath.acos,
    "asinh": cmath.asinh,
    "cos": cmath.cos,
    "exp": cmath.exp,
    "log": cmath.log,
    "reciprocal": lambda z: 1 / z,
    "rsqrt": lambda z: 1 / cmath.sqrt(z),
    "sigmoid": lambda z: 1 / (1 + cmath.exp(-z)),
    "sqrt": cmath.sqrt,
    "tanh": cmath.tanh,
    "abs": abs,
    "neg": lambda z: -z,
    "_conj_physical": lambda z: z.conjugate(),
}


@pytest.mark.parametrize("name", COMPLEX)
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex(name: str, dtype: type) -> None:
    values = [1 + 2j, -0.5 + 0.25j, 0.75 - 1j]
    result = run(f"aten::{name}.out", np.array(values, dtype))
    assert result.dtype == (np.dtype(dtype) if name != "abs" else np.abs(np.array(values, dtype)).dtype)
    np.testing.assert_allclose(
        result, [COMPLEX[name](z) for z in values], rtol=1e-5 if dtype == np.complex64 else 1e-13
    )


@settings(max_examples=30, deadline=None)
@given(arrays(np.dtype(np.float32)), st.floats(-2, 2, width=32))
def test_complex_numbers_apart_and_together(real: np.ndarray, imag: float) -> None:
    whole = run("aten::complex.out", real, np.array(imag, np.float32))
    assert whole.dtype == np.complex64
    apart = run("aten::view_as_real_copy.out", whole)
    assert apart.shape == (*real.shape, 2)
    assert_equal(apart[..., 0], real, np.dtype(np.float32))
    assert_equal(apart[..., 1], np.full(real.shape, imag), np.dtype(np.float32))
    conjugate = run("aten::_conj_physical.out", whole)
    assert_equal(conjugate.imag, np.full(real.shape, -imag), np.dtype(np.float32))
    np.testing.assert_array_equal(run("aten::_conj_physical.out", real), real)


def test_sign_of_nan_is_zero_and_round_is_to_even() -> None:
    assert run("aten::sign.out", np.array([NAN, -0.0])).tolist() == [0, 0]
    assert run("aten::round.out", np.array([0.5, 1.5, 2.5, -0.5], np.float32)).tolist() == [0, 2, 2, 0]


FLOAT8 = np.zeros(2, ml_dtypes.float8_e4m3fn)
COMPLEX64, BOOL = np.zeros(2, np.complex64), np.zeros(2, bool)
F32, F64 = np.zeros(2, np.float32), np.zeros(3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, (COMPLEX64,)) for name in ("ceil", "floor", "round", "trunc", "sign", "erf")),
        *((name, (BOOL,)) for name in ("ceil", "floor", "round", "trunc", "abs", "neg")),
        *((name, (FLOAT8,)) for name in ("exp", "sigmoid", "abs", "floor")),
        ("view_as_real_copy", (F32,)),
        ("complex", (F32, F64[:2])),
        ("complex", (F64, F64[:2])),
        ("complex", (np.zeros(2, BF16), np.zeros(2, BF16))),
    ],
)
def test_refusals(name: str, arguments: tuple) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}.out", *arguments)
