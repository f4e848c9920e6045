"""How two results differ: values, shapes, NaN positions, quantisation steps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.compat.evidence import Difference

# Half-precision results of two right implementations differ by rounding in another order.
_COARSE = {"float16": 1e-2, "bfloat16": 5e-2}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What counts as the same: ``|a - b| <= atol + rtol * |b|``; integers and bools may differ by ``integer_atol``.

    Half-precision types get wider tolerances unless ``literal``; of ``shape_only`` the values may be any.
    """

    rtol: float = 1e-3
    atol: float = 1e-5
    integer_atol: float = 0.0
    shape_only: bool = False
    literal: bool = False

    def of(self, dtype: np.dtype[Any]) -> tuple[float, float]:
        """(rtol, atol) for one dtype."""
        if dtype.kind in "biu":
            return 0.0, self.integer_atol
        coarse = 0.0 if self.literal else _COARSE.get(dtype.name, 0.0)
        return max(self.rtol, coarse), max(self.atol, coarse)


STANDARD = Tolerance()


def compare(
    actual: Sequence[Any],
    expected: Sequence[Any],
    tolerance: Tolerance,
    *,
    against: str,
    call: int = 0,
    scales: Sequence[float | None] = (),
) -> list[Difference]:
    """One :class:`Difference` per output; ``scales`` has the quantisation step of each output that has one."""
    differences = []
    for number in range(max(len(actual), len(expected))):
        name = f"out{number}"
        if number >= len(actual) or number >= len(expected):
            text = f"{len(actual)} outputs, {len(expected)} expected"
            differences.append(Difference(against, call, name, exact=False, within=False, text=text))
            break
        scale = scales[number] if number < len(scales) else None
        differences.append(_difference(actual[number], expected[number], tolerance, against, call, name, scale))
    return differences


def _difference(
    actual: Any, expected: Any, tolerance: Tolerance, against: str, call: int, name: str, scale: float | None
) -> Difference:
    if not isinstance(actual, np.ndarray) or not isinstance(expected, np.ndarray):
        if type(actual) is float and type(expected) is float:
            return _difference(np.asarray(actual), np.asarray(expected), tolerance, against, call, name, None)
        same = type(actual) is type(expected) and actual == expected
        text = "" if same else f"{kind(actual)}, expected {kind(expected)}"
        return Difference(against, call, name, exact=same, within=same, text=text)
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        text = f"{kind(actual)}, expected {kind(expected)}"
        return Difference(against, call, name, exact=False, within=False, text=text)
    exact = actual.tobytes() == expected.tobytes()
    left, right = _wide(actual), _wide(expected)
    finite = np.isfinite(left) & np.isfinite(right)
    other = ~finite & ~((left == right) | (np.isnan(left) & np.isnan(right)))
    distance = np.where(finite, np.abs(np.where(finite, left, 0) - np.where(finite, right, 0)), 0.0)
    size = np.where(finite, np.abs(right), 1.0)
    rtol, atol = tolerance.of(actual.dtype)
    allowed = atol + rtol * size
    if scale:
        allowed = np.maximum(allowed, scale * 1.001)  # one step, where two kernels round a tie apart
    wrong = other | (distance > allowed)
    if actual.dtype.kind in "biu" and not allowed.any():
        wrong = actual != expected  # exact even where float64 is not
    count = 0 if tolerance.shape_only else int(wrong.sum())
    max_abs = float(distance.max(initial=0.0))
    with np.errstate(over="ignore"):
        relative = distance / np.maximum(size, np.finfo(np.float64).tiny)
    text = f"{count:,} of {wrong.size:,} values differ, by up to {max_abs:.3g}" if count else ""
    return Difference(
        against,
        call,
        name,
        exact,
        within=count == 0,
        max_abs=max_abs,
        max_rel=float(relative.max(initial=0.0)),
        steps=_steps(actual.dtype, max_abs, scale),
        other_nan=int(other.sum()),
        text=text,
    )


def _steps(dtype: np.dtype[Any], max_abs: float, scale: float | None) -> float | None:
    if scale:
        return max_abs / scale
    return max_abs if dtype.itemsize == 1 and dtype.kind in "iu" else None


def _wide(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def kind(value: Any) -> str:
    """``float32[2, 3]``, or the value itself where it is no array."""
    return f"{value.dtype.name}{list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)


def digest(values: Iterable[Any]) -> str:
    """SHA-256 over dtypes, shapes and values; the same for equal values whatever their strides."""
    hashed = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            hashed.update(f"{kind(value)}\n".encode())
            hashed.update(np.ascontiguousarray(value).tobytes())
        else:
            hashed.update(f"{value!r}\n".encode())
    return hashed.hexdigest()
