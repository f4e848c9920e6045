"""The ``pteron.cases/1`` document: a bundled program's own test cases, run and compared with what it expects.

An output matches as the official tools decide it (devtools/bundled_program): dtype and shape are the same, floats are
within ``atol + rtol * |expected|`` with NaN equal to NaN and infinities equal, anything else is equal.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.format.bundled_program import BundledProgram, TestCase, TestValue
from pteron.report.document import Document, document
from pteron.report.printer import Printer
from pteron.report.words import count, duration
from pteron.runtime.module import Module

SCHEMA = "pteron.cases/1"


def run_cases(
    bundled: BundledProgram, module: Module, *, method: str | None, rtol: float, atol: float
) -> Iterator[dict[str, Any]]:
    """Run each test case from the state that the file gives, and compare; ``method`` picks one method's cases."""
    for name, cases in bundled.test_suites.items():
        if method is not None and name != method:
            continue
        loaded = module[name]
        for number, case in enumerate(cases):
            module.reset()
            start = time.perf_counter()
            outputs = loaded.execute([_given(value) for value in case.inputs])
            seconds = time.perf_counter() - start
            compared = _compare(case, outputs, rtol, atol)
            matches = all(output["matches"] for output in compared)
            yield {"method": name, "case": number, "matches": matches, "outputs": compared, "seconds": seconds}


def _given(value: TestValue) -> Any:
    # Data inside a flatbuffer need not be aligned as its dtype wants it.
    return np.require(value, requirements="A") if isinstance(value, np.ndarray) else value


def _compare(case: TestCase, outputs: list[Any], rtol: float, atol: float) -> list[dict[str, Any]]:
    expected = case.expected_outputs
    compared = []
    for number in range(max(len(expected), len(outputs))):
        if number >= len(expected):
            difference: str | None = "nothing is expected"
            largest = None
        elif number >= len(outputs):
            difference, largest = "the method does not give it", None
        else:
            difference, largest = _difference(outputs[number], expected[number], rtol, atol)
        compared.append(
            {
                "name": f"out{number}",
                "matches": difference is None,
                "difference": difference,
                "max_abs_difference": largest,
            }
        )
    return compared


def _difference(actual: Any, expected: Any, rtol: float, atol: float) -> tuple[str | None, float | None]:
    """In words how two outputs differ beyond the tolerance (None: they match), and the largest absolute difference."""
    if not isinstance(actual, np.ndarray) or not isinstance(expected, np.ndarray):
        if type(actual) is float and type(expected) is float:
            return _difference(np.asarray(actual), np.asarray(expected), rtol, atol)
        if type(actual) is type(expected) and actual == expected:
            return None, None
        return f"{_kind(actual)}, expected {_kind(expected)}", None
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        return f"{_kind(actual)}, expected {_kind(expected)}", None
    close, distance = _close(actual, expected, rtol, atol)
    wrong = int(close.size - close.sum())
    largest = float(distance.max()) if distance.size else 0.0
    if not wrong:
        return None, largest
    return f"{count(wrong, 'value')} of {close.size:,} differ, by up to {largest:.3g}", largest


def _kind(value: Any) -> str:
    return f"{value.dtype.name}{list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)


def _close(
    actual: NDArray[Any], expected: NDArray[Any], rtol: float, atol: float
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    if actual.dtype.kind in "biu":
        return actual == expected, np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    wide = np.complex128 if actual.dtype.kind == "c" else np.float64
    left, right = actual.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore"):
        close = np.isclose(left, right, rtol=rtol, atol=atol, equal_nan=True)
        distance = np.abs(left - right)
    return close, np.where(np.isnan(distance) | (left == right), 0.0, distance)


def cases_document(
    file: str, engine: str, rtol: float, atol: float, cases: list[dict[str, Any]], load_seconds: float
) -> Document:
    """The document over all cases."""
    return document(
        SCHEMA,
        file=file,
        engine=engine,
        rtol=rtol,
        atol=atol,
        matches=all(case["matches"] for case in cases),
        cases=cases,
        seconds={"load": load_seconds},
    )


def print_cases(ran: Document, out: Printer) -> None:
    """Each case with its outputs that differ."""
    out.heading(f"{ran['file']}: its own test cases, {ran['engine']} engine")
    for case in ran["cases"]:
        verdict = "matches" if case["matches"] else "DIFFERS"
        out.line(f"{case['method']} case {case['case']}: {verdict} ({duration(case['seconds'])})", 2)
        out.table([(o["name"], o["difference"]) for o in case["outputs"] if not o["matches"]], indent=4)
    good = sum(case["matches"] for case in ran["cases"])
    out.line()
    out.line(
        f"{good} of {count(len(ran['cases']), 'case')} within rtol {ran['rtol']:g}, atol {ran['atol']:g}; "
        f"loaded in {duration(ran['seconds']['load'])}"
    )
