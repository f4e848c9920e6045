"""Fourier transforms against the sum that defines them."""

import cmath
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lanes import run

from pteron.errors import KernelError

FORWARD, BACK = "aten::_fft_r2c.out", "aten::_fft_c2r.out"
COMPLEX = {np.dtype(np.float32): np.dtype(np.complex64), np.dtype(np.float64): np.dtype(np.complex128)}


def transformed(x, dims, sign, normalization):
    """The full transform of a tensor over ``dims``, in Python's complex numbers."""
    sizes = [x.shape[d] for d in dims]
    count = math.prod(sizes)
    scale = {0: 1.0, 1: 1 / math.sqrt(count), 2: 1 / count}[normalization]
    result = np.zeros(x.shape, np.complex128)
    for at in np.ndindex(x.shape):
        total = 0j
        for source in itertools.product(*map(range, sizes)):
            index = list(at)
            for d, s in zip(dims, source, strict=True):
                index[d] = s
            turns = sum(at[d] * s / x.shape[d] for d, s in zip(dims, source, strict=True))
            total += complex(x[tuple(index)]) * cmath.exp(sign * 2j * math.pi * turns)
        result[at] = total * scale
    return result


@st.composite
def calls(draw):
    shape = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    dims = draw(st.permutations(range(len(shape))))[: draw(st.integers(1, len(shape)))]
    dtype = draw(st.sampled_from(list(COMPLEX)))
    x = (np.random.default_rng(draw(st.integers(0, 999))).integers(-8, 9, shape) / 4).astype(dtype)
    return x.transpose() if draw(st.booleans()) else x, list(dims), draw(st.integers(0, 2))


def first_half(x, dim):
    return x[tuple(slice(x.shape[d] // 2 + 1) if d == dim else slice(None) for d in range(x.ndim))]


def close(actual, expected, dtype):
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    exact = dtype in (np.dtype(np.float64), np.dtype(np.complex128))
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if exact else 1e-5, atol=1e-12 if exact else 1e-4)


@settings(max_examples=60, deadline=None)
@given(call=calls(), onesided=st.booleans(), negative=st.booleans())
def test_fft_r2c(call, onesided, negative):
    x, dims, normalization = call
    expected = transformed(x, dims, -1, normalization)
    if onesided:
        expected = first_half(expected, dims[-1])
    asked = [d - x.ndim for d in dims] if negative else dims
    close(run(FORWARD, x, asked, normalization, onesided), expected, COMPLEX[x.dtype])


@settings(max_examples=60, deadline=None)
@given(call=calls())
def test_fft_c2r(call):
    """From the half of a real tensor's spectrum to the real tensor."""
    x, dims, normalization = call
    spectrum = transformed(x, dims, -1, 0)
    half = first_half(spectrum, dims[-1]).astype(COMPLEX[x.dtype])
    expected = transformed(spectrum, dims, 1, normalization).real
    close(run(BACK, half, dims, normalization, x.shape[dims[-1]]), expected, x.dtype)


def test_imaginary_parts_that_no_real_tensor_has_are_passed_over():
    half = np.array([1 + 5j, 2 - 1j, 3 + 7j], np.complex64)
    full = np.array([1, 2 - 1j, 3, 2 + 1j])
    close(run(BACK, half, [0], 0, 4), transformed(full, [0], 1, 0).real, np.dtype(np.float32))


REAL, SPECTRUM = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.complex64)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        (FORWARD, (REAL, [], 0, True)),
        (FORWARD, (REAL, [2], 0, True)),
        (FORWARD, (REAL, [-3], 0, True)),
        (FORWARD, (REAL, [1, 1], 0, True)),
        (FORWARD, (REAL, [0], 3, True)),
        (FORWARD, (REAL[:0], [0], 0, True)),
        (FORWARD, (REAL.astype(np.float16), [0], 0, True)),
        (FORWARD, (REAL.astype(int), [0], 0, True)),
        (FORWARD, (SPECTRUM, [0], 0, True)),
        (BACK, (SPECTRUM, [], 0, 4)),
        (BACK, (SPECTRUM, [5], 0, 4)),
        (BACK, (SPECTRUM, [1], -1, 4)),
        (BACK, (SPECTRUM, [1], 0, 0)),
        (BACK, (SPECTRUM, [1], 0, -4)),
        (BACK, (SPECTRUM, [1], 0, 6)),
        (BACK, (SPECTRUM, [1], 0, 1 << 40)),
        (BACK, (SPECTRUM[:0], [0, 1], 0, 4)),
        (BACK, (REAL, [1], 0, 4)),
    ],
)
def test_refusals(op, arguments):
    with pytest.raises(KernelError):
        run(op, *arguments)
