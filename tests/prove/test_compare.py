"""Differences of known arrays."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pteron.prove.compare import Tolerance, compare, digest


def difference(actual: object, expected: object, scale: float | None = None, **tolerance: float) -> object:
    (found,) = compare([actual], [expected], Tolerance(**tolerance), against="reference", scales=(scale,))
    return found


def test_numbers() -> None:
    found = difference(np.array([1.0, 2.5, -4.0], np.float32), np.array([1.0, 2.0, -4.0], np.float32))
    assert (found.exact, found.within, found.max_abs, found.max_rel) == (False, False, 0.5, 0.25)
    assert found.text == "1 of 3 values differ, by up to 0.5"
    assert difference(np.array([1.0004], np.float32), np.array([1.0], np.float32)).within
    assert not difference(np.array([1.0004], np.float32), np.array([1.0], np.float32), rtol=1e-4).within


def test_nan_and_infinite_positions() -> None:
    nan, inf = np.nan, np.inf
    same = difference(np.array([nan, inf, -inf, 1.0]), np.array([nan, inf, -inf, 1.0]))
    assert (same.within, same.other_nan, same.max_abs) == (True, 0, 0.0)
    other = difference(np.array([nan, 1.0, inf, 2.0]), np.array([1.0, nan, -inf, 2.0]))
    assert (other.within, other.other_nan) == (False, 3)


def test_quantisation_steps() -> None:
    found = difference(np.array([10, -7], np.int8), np.array([10, -5], np.int8))
    assert (found.steps, found.within) == (2.0, False)
    one = difference(np.array([0.5, 0.75]), np.array([0.5, 0.5]), scale=0.25)
    assert (one.steps, one.within) == (1.0, True)
    two = difference(np.array([0.5, 1.0]), np.array([0.5, 0.5]), scale=0.25)
    assert (two.steps, two.within) == (2.0, False)


def test_integers_that_floats_cannot_tell_apart() -> None:
    found = difference(np.array([2**53 + 1]), np.array([2**53]))
    assert (found.exact, found.within) == (False, False)


def test_half_precision_gets_more_room() -> None:
    left = np.array([1.0, 1.03], ml_dtypes.bfloat16)
    assert difference(left, np.array([1.0, 1.0], ml_dtypes.bfloat16)).within
    assert not difference(left, np.array([1.0, 1.0], ml_dtypes.bfloat16), literal=True).within


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32), "float32[2, 3], expected float32[3, 2]"),
        (np.zeros(1, np.int32), np.zeros(1, np.int64), "int32[1], expected int64[1]"),
        (None, np.zeros(1), "None, expected float64[1]"),
        (True, 1, "True, expected 1"),
    ],
)
def test_other_kinds(actual: object, expected: object, text: str) -> None:
    assert difference(actual, expected).text == text


def test_numbers_of_outputs() -> None:
    (found,) = compare([], [1], Tolerance(), against="expected")
    assert found.text == "0 outputs, 1 expected"


def test_digests() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert digest([array]) == digest([np.asfortranarray(array)])
    assert digest([array]) != digest([array.reshape(3, 2)])
    assert digest([array]) != digest([array.view(np.int32)])
    assert digest([1]) != digest([1.0])
