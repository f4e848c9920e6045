"""Quantisation against its definitions, one element at a time in plain Python; float32 is rounded to with struct."""

import itertools
import math
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pteron.errors import KernelError
from pteron.format.scalar_type import ScalarType
from pteron.ops import REGISTRY
from pteron.ops.invoke import call

TYPES = {
    "uint8": (ScalarType.BYTE, 0, 255),
    "int8": (ScalarType.CHAR, -128, 127),
    "int16": (ScalarType.SHORT, -(2**15), 2**15 - 1),
    "uint16": (ScalarType.UINT16, 0, 2**16 - 1),
    "int32": (ScalarType.INT, -(2**31), 2**31 - 1),
}
KINDS = st.sampled_from(sorted(TYPES))
SMALL = st.sampled_from(["int8", "uint8"])
SCALES = st.floats(1e-3, 4.0)
REALS = st.floats(-300, 300, width=32)
SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=3)
INT8 = int(ScalarType.CHAR)


def run(name, *args, out_dtype=None):
    operator = REGISTRY.get(f"quantized_decomposed::{name}")
    assert operator is not None
    names = [a.name for a in operator.functional.arguments]
    results = call(operator, dict(zip(names, args, strict=False)), out_dtype=out_dtype)
    return results[0] if len(results) == 1 else results


def f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def clamp(value, low, high):
    return low if value < low else high if value > high else value


def elements(array):
    """Index and value of every element."""
    return [(i, array[i].item()) for i in itertools.product(*map(range, array.shape))]


@st.composite
def real_tensors(draw, shapes=SHAPES):
    shape = draw(shapes)
    values = draw(st.lists(REALS, min_size=math.prod(shape), max_size=math.prod(shape)))
    return np.array(values, np.float32).reshape(shape)


@st.composite
def integer_tensors(draw, kind, shapes=SHAPES):
    shape, (_, low, high) = draw(shapes), TYPES[kind]
    size = math.prod(shape)
    values = draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
    return np.array(values, kind).reshape(shape)


def some(draw, strategy, count):
    return draw(st.lists(strategy, min_size=count, max_size=count))


@given(x=real_tensors(), scale=SCALES, zero=st.integers(-100, 100), kind=KINDS, as_tensor=st.booleans())
def test_quantize_per_tensor(x, scale, zero, kind, as_tensor):
    number, low, high = TYPES[kind]
    if as_tensor:
        q = run("quantize_per_tensor.Tensor_out", x, np.array([scale]), np.array([zero]), low, high, int(number))
    else:
        q = run("quantize_per_tensor.out", x, scale, zero, low, high, int(number))
    assert q.dtype == kind
    assert q.shape == x.shape
    for index, value in elements(x):
        assert q[index] == clamp(round(f32(value * f32(1 / scale))) + zero, low, high)


@pytest.mark.parametrize("kind", TYPES)
def test_quantize_extremes(kind):
    number, low, high = TYPES[kind]
    x = np.array([math.inf, -math.inf, math.nan, 3e38, -3e38], np.float32)
    assert run("quantize_per_tensor.out", x, 0.5, 0, low, high, int(number)).tolist() == [high, low, low, high, low]
    assert run("quantize_per_tensor.out", x[:0], 0.5, 0, low, high, int(number)).shape == (0,)
    assert run("quantize_per_tensor.out", np.array(1.0), 0.5, 3, low, high, int(number)).tolist() == 5


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_quantize_takes_other_floats(dtype):
    x = np.array([0.25, 1.5, -2.0]).astype(dtype)
    assert run("quantize_per_tensor.out", x, 0.5, 1, -128, 127, INT8).tolist() == [1, 4, -3]


@given(kind=KINDS, scale=SCALES, zero=st.integers(-100, 100), as_tensor=st.booleans(), data=st.data())
def test_dequantize_per_tensor(kind, scale, zero, as_tensor, data):
    q = data.draw(integer_tensors(kind))
    number, low, high = TYPES[kind]
    if as_tensor:
        x = run("dequantize_per_tensor.Tensor_out", q, np.array(scale), np.array(zero), low, high, int(number))
    else:
        x = run("dequantize_per_tensor.out", q, scale, zero, low, high, int(number))
    assert x.dtype == np.float32
    for index, value in elements(q):
        assert x[index] == f32(f32(f32(value) - zero) * f32(scale))


@pytest.mark.parametrize("target", [np.float16, ml_dtypes.bfloat16, np.float64, np.float32])
def test_dequantized_dtype(target):
    names = {"bfloat16": ScalarType.BFLOAT16, "float16": ScalarType.HALF, "float64": ScalarType.DOUBLE}
    number = int(names.get(np.dtype(target).name, ScalarType.FLOAT))
    q = np.array([[-7, 0, 100]], np.int8)
    expected = [[-5.0, -1.5, 48.5]]
    token = (np.array([[0.5]]), np.array([[3]]), -128, 127, INT8)
    for x in (
        run("dequantize_per_tensor.out", q, 0.5, 3, -128, 127, INT8, number),
        run("dequantize_per_tensor.Tensor_out", q, np.array(0.5), np.array(3), -128, 127, INT8, number),
        run("dequantize_per_channel.out", q, np.array([0.5]), np.array([3]), 0, -128, 127, INT8, number),
        run("dequantize_per_token.out", q, *token, number),
    ):
        assert x.dtype == target
        assert x.astype(float).tolist() == expected


def test_dequantize_of_files_before_0_2_has_one_argument_less():
    for name in ("out", "Tensor_out"):
        operator = REGISTRY.get(f"quantized_decomposed::dequantize_per_tensor.{name}")
        assert [a.name for a in operator.schema_for(8).arguments] == [
            *("input", "scale", "zero_point", "quant_min", "quant_max", "dtype", "out"),
        ]
        assert operator.schema_for(9) is operator.schema


@given(data=st.data(), kind=SMALL, double=st.booleans())
@settings(max_examples=60)
def test_per_channel(data, kind, double):
    x = data.draw(real_tensors())
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    count, (number, low, high) = x.shape[axis], TYPES[kind]
    scales = [s if double else f32(s) for s in some(data.draw, SCALES, count)]
    zeros = some(data.draw, st.integers(-20, 20), count)
    rounded = float if double else f32
    given_scales = np.array(scales, np.float64 if double else np.float32)
    channel = (given_scales, np.array(zeros), axis, low, high, int(number))
    q = run("quantize_per_channel.out", x, *channel)
    back = run("dequantize_per_channel.out", q, *channel)
    plain = run("dequantize_per_channel.out", q, given_scales, None, *channel[2:])
    assert (q.dtype, back.dtype, plain.dtype) == (np.dtype(kind), np.float32, np.float32)
    for index, value in elements(x):
        scale, zero = scales[index[axis]], zeros[index[axis]]
        expected = clamp(round(rounded(value * rounded(1 / scale))) + zero, low, high)
        assert q[index] == expected
        assert back[index] == f32(rounded((expected - zero) * scale))
        assert plain[index] == f32(rounded(expected * scale))


@given(data=st.data(), kind=SMALL)
@settings(max_examples=60)
def test_per_token(data, kind):
    x = data.draw(real_tensors())
    number, low, high = TYPES[kind]
    tokens = list(itertools.product(*map(range, x.shape[:-1])))
    scales, zeros = np.zeros((*x.shape[:-1], 1)), np.zeros((*x.shape[:-1], 1), np.int64)
    for token in tokens:
        scales[token] = data.draw(SCALES)
        zeros[token] = data.draw(st.integers(-20, 20))
    q = run("quantize_per_token.out", x, scales, zeros, low, high, int(number))
    back = run("dequantize_per_token.out", q, scales, zeros, low, high, int(number), int(ScalarType.FLOAT))
    assert q.dtype == kind
    for index, value in elements(x):
        scale, zero = scales[index[:-1]].item(), zeros[index[:-1]].item()
        expected = clamp(round(value * (1 / scale) + zero), low, high)
        assert q[index] == expected
        assert back[index] == f32((expected - zero) * scale)


@given(x=real_tensors(), eps=st.sampled_from([1e-7, 0.5]), kind=SMALL)
@settings(max_examples=60)
def test_choose_qparams(x, eps, kind):
    number, low, high = TYPES[kind]
    scale, zero = run("choose_qparams.Tensor_out", x, low, high, eps, int(number))
    values = [value for _, value in elements(x)]
    least, most = min(0.0, *values), max(0.0, *values)
    expected = max(f32(f32(most - least) / (high - low)), f32(eps))
    assert (scale.shape, scale.dtype, zero.shape, zero.dtype) == ((1,), np.float64, (1,), np.int64)
    assert scale[0] == expected
    assert zero[0] == clamp(low - round(f32(least / expected)), low, high)


@given(x=real_tensors())
@settings(max_examples=60)
def test_choose_qparams_per_token_asymmetric(x):
    scales, zeros = run("choose_qparams_per_token_asymmetric.out", x, INT8)
    assert scales.shape == zeros.shape == (*x.shape[:-1], 1)
    for token in itertools.product(*map(range, x.shape[:-1])):
        values = x[token].tolist()
        least, most = min(0.0, *values), max(0.0, *values)
        scale = max(f32(f32(most - least) / 255), 2.0**-23)
        low, high = f32(least / scale), f32(most / scale)
        zero = -128 - low if f32(f32(-128 + low) + f32(127 + high)) > 0 else 127 - high
        assert scales[token] == scale
        assert zeros[token] == round(clamp(f32(zero), -128, 127))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_parameters_of_half_types(dtype):
    x = np.array([[-1.0, 3.0], [0.0, 255.0]]).astype(dtype)
    scale, zero = run("choose_qparams.Tensor_out", x[1], -128, 127, 1e-6, INT8)
    assert (scale.tolist(), zero.tolist()) == ([1.0], [-128])
    scales, zeros = run("choose_qparams_per_token_asymmetric.out", x, INT8)
    assert scales[1, 0] == 1.0
    assert abs(scales[0, 0] - 4 / 255) < 1e-3
    assert zeros.tolist() == [[-64], [-128]]


@given(data=st.data(), scales=st.tuples(SCALES, SCALES, SCALES), kind=st.sampled_from(["uint8", "int32", "int8"]))
@settings(max_examples=60)
def test_add(data, scales, kind):
    shape = tuple(data.draw(SHAPES))
    top = 127 if kind == "int8" else 255
    size = math.prod(shape)
    a, b = (some(data.draw, st.integers(0, top), size) for _ in range(2))
    zeros = some(data.draw, st.integers(0, 255), 3)
    low, high = sorted(some(data.draw, st.integers(0, top), 2))
    arrays = [np.array(v, kind).reshape(shape) for v in (a, b)]
    result = run(
        "add.out",
        *(arrays[0], scales[0], zeros[0], 0, 255),
        *(arrays[1], scales[1], zeros[1], 0, 255),
        *(scales[2], zeros[2], low, high),
    )
    assert result.dtype == kind
    for x, y, q in zip(a, b, result.ravel().tolist(), strict=True):
        total = f32(f32((x - zeros[0]) * f32(scales[0])) + f32((y - zeros[1]) * f32(scales[1])))
        assert q == clamp(round(f32(total * f32(1 / f32(scales[2])))) + zeros[2], low, high)


SIDES = st.integers(1, 5)


@given(data=st.data(), m=SIDES, n=SIDES, p=SIDES, half=st.booleans())
@settings(max_examples=40)
def test_mixed_products(data, m, n, p, half):
    dtype = np.float16 if half else np.float32
    x = np.array(some(data.draw, st.floats(-2, 2, width=16), m * n), dtype).reshape(m, n)
    weight = np.array(some(data.draw, st.integers(-128, 127), n * p), np.int8)
    groups = data.draw(st.integers(1, n))
    size = math.ceil(n / groups)
    positive = st.floats(0.001953125, 0.125, width=16)
    per_row, per_column = (np.array(some(data.draw, positive, c), dtype) for c in (n, p))
    per_group = np.array(some(data.draw, positive, p * groups), dtype).reshape(p, groups)
    mm = run("mixed_mm.out", x, weight.reshape(n, p), per_row, None)
    by_column = run("mixed_linear.out", x, weight.reshape(p, n), per_column, None, None, out_dtype=np.dtype(dtype))
    by_group = run("mixed_linear.out", x, weight.reshape(p, n), per_group, None, int(ScalarType.FLOAT))
    assert (mm.dtype, by_column.dtype, by_group.dtype) == (dtype, dtype, np.float32)
    for i, j in itertools.product(range(m), range(p)):
        row = [v.item() for v in x[i]]
        column = [int(weight[k * p + j]) for k in range(n)]
        line = [int(weight[j * n + k]) for k in range(n)]
        tolerance = {"rel_tol": 1e-2 if half else 1e-5, "abs_tol": 1e-2 if half else 1e-4}
        expected = sum(a * w * s.item() for a, w, s in zip(row, column, per_row, strict=True))
        assert math.isclose(mm[i, j], expected, **tolerance)
        expected = sum(a * w for a, w in zip(row, line, strict=True)) * per_column[j].item()
        assert math.isclose(by_column[i, j], expected, **tolerance)
        expected = sum(row[k] * line[k] * per_group[j, k // size].item() for k in range(n))
        assert math.isclose(by_group[i, j], expected, **tolerance)


X = np.ones((2, 3), np.float32)
Q = np.ones((2, 3), np.int8)
S2, Z2 = np.ones(2), np.zeros(2, np.int64)
W = np.ones((3, 4), np.int8)
ADD = (1.0, 0, 0, 255)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("quantize_per_tensor.out", (X, 1.0, 0, -129, 127, INT8)),
        ("quantize_per_tensor.out", (X, 1.0, 0, 0, 255, INT8)),
        ("quantize_per_tensor.out", (X, 1.0, 0, 0, 1, int(ScalarType.FLOAT))),
        ("quantize_per_tensor.out", (X, 1.0, 0, 0, 1, 99)),
        ("quantize_per_tensor.out", (Q, 1.0, 0, -128, 127, INT8)),
        ("quantize_per_tensor.Tensor_out", (X, S2, Z2[:1], -128, 127, INT8)),
        ("quantize_per_tensor.Tensor_out", (X, S2[:1], Z2, -128, 127, INT8)),
        ("dequantize_per_tensor.out", (Q, 1.0, 0, 0, 255, int(ScalarType.BYTE))),
        ("dequantize_per_tensor.out", (X, 1.0, 0, 0, 255, int(ScalarType.FLOAT))),
        ("dequantize_per_tensor.out", (Q, 1.0, 0, 0, 255, INT8, int(ScalarType.INT))),
        ("dequantize_per_tensor.Tensor_out", (Q, S2, Z2[:1], -128, 127, INT8)),
        ("quantize_per_channel.out", (X, S2, Z2, 2, -128, 127, INT8)),
        ("quantize_per_channel.out", (X, S2, Z2, 1, -128, 127, INT8)),
        ("dequantize_per_channel.out", (Q, S2, Z2[:1], 0, -128, 127, INT8)),
        ("dequantize_per_channel.out", (np.array(1, np.int8), S2[:1], None, 0, -128, 127, INT8)),
        ("quantize_per_token.out", (X, S2[:1], Z2, -128, 127, INT8)),
        ("quantize_per_token.out", (np.array(1.0), S2[:1], Z2[:1], -128, 127, INT8)),
        ("dequantize_per_token.out", (Q, S2, Z2[:1], -128, 127, INT8, int(ScalarType.FLOAT))),
        ("choose_qparams.Tensor_out", (X, 5, 5, 1e-6, INT8)),
        ("choose_qparams.Tensor_out", (X[:0], -128, 127, 1e-6, INT8)),
        ("choose_qparams.Tensor_out", (X * np.nan, -128, 127, 1e-6, INT8)),
        ("choose_qparams.Tensor_out", (X * np.inf, -128, 127, 1e-6, INT8)),
        ("choose_qparams.Tensor_out", (X * 0, -128, 127, 0.0, INT8)),
        ("choose_qparams.Tensor_out", (Q, -128, 127, 1e-6, INT8)),
        ("choose_qparams_per_token_asymmetric.out", (X[:, :0], INT8)),
        ("choose_qparams_per_token_asymmetric.out", (np.array(1, np.float32), INT8)),
        ("choose_qparams_per_token_asymmetric.out", (X * np.nan, INT8)),
        ("add.out", (Q, *ADD, Q[:1], *ADD, *ADD)),
        ("add.out", (Q, *ADD, Q.view(np.uint8), *ADD, *ADD)),
        ("add.out", (Q, 1.0, 0, -128, 127, Q, *ADD, *ADD)),
        ("add.out", (X, *ADD, X, *ADD, *ADD)),
        ("mixed_mm.out", (X, W, np.ones(3, np.float32), np.zeros(3, np.float32))),
        ("mixed_mm.out", (X, W, np.ones(3, np.float64), None)),
        ("mixed_mm.out", (X, W, np.ones((3, 1), np.float32), None)),
        ("mixed_mm.out", (X, W[:2], np.ones(2, np.float32), None)),
        ("mixed_mm.out", (X[0], W, np.ones(3, np.float32), None)),
        ("mixed_linear.out", (X, W, np.ones(3, np.float32), None)),
        ("mixed_linear.out", (X, W.T, np.ones((4, 0), np.float32), None)),
        ("mixed_linear.out", (X, W.T, np.ones(3, np.float32), None)),
        ("mixed_linear.out", (X, W.T, np.ones(4, np.float32), None, INT8)),
    ],
)
def test_refusals(name, args):
    with pytest.raises(KernelError):
        run(name, *args)
