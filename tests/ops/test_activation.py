"""The activation functions against their definitions, element by element."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scalar_reference import FLOATS, INF, INTEGERS, NAN, arrays, assert_equal, each, guarded, run, strided

from pteron.errors import KernelError

F32 = np.dtype(np.float32)
SLOPES = st.sampled_from([0.01, 0.2, 1, -2.0, 3])
BOUNDS = st.sampled_from([-2, -0.5, 0, 0.75, 3])


def _relu(x):
    return x if x > 0 or x != x else 0.0


def _clamped(low, high):
    return lambda x: x if x != x else min(max(x, low), high)


def _leaky_relu(slope):
    return lambda x: x if x > 0 else x * slope


def _elu(alpha, scale, input_scale):
    return lambda x: x * scale if x > 0 else math.expm1(x * input_scale) * alpha * scale


def _sigmoid(x):
    return 0.0 if x == -INF else 1 / (1 + math.exp(-x))


def _logit(eps):
    def function(x):
        if eps is not None:
            x = eps if x < eps else (1 - eps if x > 1 - eps else x)
        return {0.0: -INF, 1.0: INF}[x] if x in (0, 1) else math.log(x / (1 - x))

    return guarded(function)


GELU = {
    "none": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "tanh": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}
# For each operator: options of a call, and the function of one element for them.
CALLS = {
    "relu": (st.tuples(), lambda: _relu),
    "hardtanh": (st.tuples(BOUNDS, BOUNDS), _clamped),
    "leaky_relu": (st.tuples(SLOPES), _leaky_relu),
    "elu": (st.tuples(SLOPES, SLOPES, st.sampled_from([1, 0.5, 1.5])), _elu),
    "logit": (st.tuples(st.sampled_from([None, 0.125, 0.5, 0.75])), _logit),
    "gelu": (st.sampled_from([("none",), ("tanh",)]), GELU.get),
}


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_elementwise(name: str, data: st.DataObject) -> None:
    options, reference = CALLS[name]
    dtype = data.draw(st.sampled_from(FLOATS))
    low, high = (0.0625, 0.875) if name == "logit" else (-6, 6)
    x = data.draw(arrays(dtype, low=low, high=high, special=name != "gelu"))
    call = data.draw(options)
    keywords = {"approximate": call[0]} if name == "gelu" else {}
    result = run(f"aten::{name}.out", x, *(() if keywords else call), **keywords)
    assert_equal(result, each(reference(*call), x), dtype, atol={2: 2e-2, 4: 2e-6, 8: 1e-14}[dtype.itemsize])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(INTEGERS), st.data())
def test_of_integers(dtype: np.dtype, data: st.DataObject) -> None:
    x = data.draw(arrays(dtype))
    assert_equal(run("aten::relu.out", x), each(_relu, x), dtype)
    assert_equal(run("aten::hardtanh.out", x, 1, 5), each(_clamped(1, 5), x), dtype)
    assert_equal(run("aten::logit.out", x, 0.25), each(_logit(0.25), x), F32, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(-3, 2), st.sampled_from(FLOATS), st.data())
def test_glu(half: int, dim: int, dtype: np.dtype, data: st.DataObject) -> None:
    shape = [2, 1, 3]
    shape[dim] = 2 * half
    x = data.draw(arrays(dtype, tuple(shape), low=-6, high=6, special=False))
    first, second = x.take(range(half), axis=dim), x.take(range(half, 2 * half), axis=dim)
    expected = each(lambda a, b: a * _sigmoid(b), first, second)
    assert_equal(run("aten::glu.out", x, dim), expected, dtype, atol={2: 1e-2, 4: 1e-6, 8: 1e-15}[dtype.itemsize])


@pytest.mark.parametrize("name", [*CALLS, "glu"])
def test_any_memory_layout(name: str) -> None:
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(1, 2, 3, 4)
    expected = run(f"aten::{name}.out", x)
    for variant in (strided(x), x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), np.asfortranarray(x)):
        np.testing.assert_array_equal(run(f"aten::{name}.out", variant), expected)


@pytest.mark.parametrize("mode", GELU)
def test_gelu_of_the_extremes(mode: str) -> None:
    x = np.array([INF, NAN, 1e30, -1e30, 0.0], np.float32)
    assert_equal(run("aten::gelu.out", x, approximate=mode), np.array([INF, NAN, 1e30, 0, 0]), F32)


FLOAT, INTEGER, BOOL, COMPLEX = np.zeros(3, np.float32), np.zeros(3, int), np.zeros(3, bool), np.zeros(3, complex)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        *((name, (BOOL,)) for name in ("relu", "hardtanh", "leaky_relu", "elu", "gelu", "glu")),
        *((name, (COMPLEX,)) for name in ("relu", "hardtanh", "leaky_relu", "elu", "gelu", "glu", "logit")),
        *((name, (INTEGER,)) for name in ("leaky_relu", "elu", "gelu")),
        ("hardtanh", (np.zeros(3, np.uint8),)),
        ("hardtanh", (np.zeros(3, np.int8), 0, 200)),
        ("hardtanh", (INTEGER, -INF, 1)),
        ("hardtanh", (FLOAT, -1e300, 1)),
        ("hardtanh", (FLOAT.astype(np.float16), 0, 1e6)),
        ("gelu", (FLOAT, "fast")),
        ("glu", (FLOAT,)),
        ("glu", (FLOAT[:2], 1)),
        ("glu", (FLOAT[:2], -2)),
        ("glu", (np.array(1.0),)),
        ("glu", (INTEGER[:2],)),
    ],
)
def test_refusals(name: str, arguments: tuple) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}.out", *arguments)
