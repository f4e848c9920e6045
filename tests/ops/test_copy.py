"""Copies, and element conversion against Python's own numbers."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tensors import BF16, build, common, run, same, spread, tensors

from pteron.errors import KernelError

SAME = (
    "aten::alias_copy.out",
    "aten::detach_copy.out",
    "aten::lift_fresh_copy.out",
    "aten::clone.out",
    "et_copy::_h2d_copy.out",
    "et_copy::_d2h_copy.out",
)
TO_COPY = ("aten::_to_copy.out", "dim_order_ops::_to_dim_order_copy.out")
INTEGERS = {"int8": (8, True), "uint8": (8, False), "int16": (16, True), "int32": (32, True), "int64": (64, True)}
NUMBERS = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, 0.5, -0.99, 255.9, -128.5, 65519.0, 65520.0, 3e9, -3e9]
NUMBERS += [2.0**31, -(2.0**31), 2.0**63, -(2.0**63), 1e39, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11 + 2**-40, 0.1]


@pytest.mark.parametrize("name", SAME)
@settings(max_examples=30, deadline=None)
@given(x=tensors())
def test_plain_copies(name: str, x: Any) -> None:
    same(run(name, self=x), build(x.shape, x.dtype, lambda i: x[i]))


def as_integer(value: float, bits: int, signed: bool) -> int:
    """C's truncation; what does not fit the 32 or 64 bits that a processor converts to is their lowest number."""
    lowest = -(2 ** (31 if bits == 32 else 63))
    whole = math.trunc(value) if math.isfinite(value) else lowest
    if not lowest <= whole < -lowest:
        whole = lowest
    low_bits = whole % 2**bits
    return low_bits - 2**bits if signed and low_bits >= 2 ** (bits - 1) else low_bits


def as_float(value: float) -> float:
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def as_half(value: float) -> float:
    try:
        return struct.unpack("e", struct.pack("e", as_float(value)))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def as_bfloat16(value: float) -> float:
    value = as_float(value)
    if not math.isfinite(value):
        return value
    bits = struct.unpack("I", struct.pack("f", value))[0]
    bits += 0x7FFF + (bits >> 16 & 1)  # to the nearest, ties to even
    return struct.unpack("f", struct.pack("I", bits & 0xFFFF0000))[0]


@pytest.mark.parametrize("name", TO_COPY)
@settings(max_examples=80, deadline=None)
@given(values=st.lists(st.one_of(st.sampled_from(NUMBERS), st.floats()), max_size=6))
def test_conversion_of_doubles(name: str, values: list[float]) -> None:
    x = np.array(values, np.float64)
    for target, (bits, signed) in INTEGERS.items():
        expected = np.array([as_integer(v, bits, signed) for v in values], target)
        same(run(name, self=x, out_dtype=target), expected)
    for target, rule in (("float32", as_float), ("float16", as_half), (BF16, as_bfloat16)):
        wide = np.array([rule(v) for v in values], np.float64)
        result = run(name, self=x, out_dtype=target)
        assert result.dtype == target
        np.testing.assert_array_equal(result.astype(np.float64), wide)
        np.testing.assert_array_equal(np.signbit(result.astype(np.float64))[wide == 0], np.signbit(wide)[wide == 0])
    same(run(name, self=x, out_dtype=bool), np.array([v != 0 for v in values], bool))
    same(run(name, self=x, out_dtype=None), x)


@pytest.mark.parametrize("name", TO_COPY)
@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6))
def test_conversion_of_integers(name: str, values: list[int]) -> None:
    x = np.array(values, np.int64)
    for target, (bits, signed) in INTEGERS.items():
        wrapped = [v % 2**bits for v in values]
        expected = [w - 2**bits if signed and w >= 2 ** (bits - 1) else w for w in wrapped]
        same(run(name, self=x, out_dtype=target), np.array(expected, target))
    same(run(name, self=x, out_dtype=bool), np.array([v != 0 for v in values], bool))
    same(run(name, self=x, out_dtype="float64"), np.array([float(v) for v in values], np.float64))


@pytest.mark.parametrize("source", ["float32", "float16", BF16])
def test_conversion_of_shorter_floats(source: Any) -> None:
    values = [math.nan, math.inf, -math.inf, 1.5, -2.5, -0.0, 300.0]
    x = np.array(values, source)
    for target, (bits, signed) in INTEGERS.items():
        expected = np.array([as_integer(v, bits, signed) for v in values], target)
        same(run("aten::_to_copy.out", self=x, out_dtype=target), expected)
    same(run("aten::_to_copy.out", self=x, out_dtype=bool), np.array([v != 0 for v in values]))


def test_complex_loses_its_imaginary_part() -> None:
    x = np.array([1 + 2j, 3j, 0j], np.complex64)
    same(run("aten::_to_copy.out", self=x, out_dtype="float32"), np.array([1, 0, 0], np.float32))
    same(run("aten::_to_copy.out", self=x, out_dtype=bool), np.array([True, True, False]))


@pytest.mark.parametrize("name", ["aten::copy.out", "aten::copy_"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_copy_expands_and_converts(name: str, data: st.DataObject) -> None:
    x = data.draw(tensors())
    cut = data.draw(st.integers(0, x.ndim))
    source = data.draw(tensors([1 if data.draw(st.booleans()) else s for s in x.shape[cut:]]))
    before = x.copy()
    if x.dtype == bool:
        expected = build(x.shape, bool, lambda i: spread(source, i) != 0)
    else:
        expected = build(x.shape, x.dtype, lambda i: int(spread(source, i)))
    result = run(name, self=x, src=source)
    same(result, expected)
    same(x, expected if name.endswith("_") else before)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=3), st.lists(st.integers(0, 3), max_size=3))
def test_copy_refuses_what_does_not_expand(shape: list[int], other: list[int]) -> None:
    try:
        fits = common(shape, other) == shape
    except ValueError:
        fits = False
    for name in ("aten::copy.out", "aten::copy_"):
        if fits:
            assert run(name, self=np.zeros(shape), src=np.ones(other)).shape == tuple(shape)
        else:
            with pytest.raises(KernelError, match="source"):
                run(name, self=np.zeros(shape), src=np.ones(other))
