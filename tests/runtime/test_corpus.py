"""Every file of the corpus without delegates or with XNNPACK's only, on the reference engine, against eager PyTorch.

A file may miss only where it is listed in ``UPSTREAM`` with the fault of its exporter, and where the real runtime of
its own release failed on it, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from corpus_files import Case

# (file, releases): what is wrong with the file itself
UPSTREAM: dict[str, tuple[tuple[str, ...], str]] = {
    "lstm.pte": (
        ("0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "1.0.1", "1.1.0", "1.2.0", "1.3.1"),
        "the exported program returns h and c with shape [1, 1, 2, 10] instead of [1, 2, 10]",
    ),
    "xnnpack_lstm.pte": (
        ("0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "1.0.1", "1.1.0", "1.2.0", "1.3.1"),
        "the exported program returns h and c with shape [1, 1, 2, 10] instead of [1, 2, 10]",
    ),
    "channels_last_input.pte": (
        ("0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "1.0.1", "1.1.0"),
        "the exporter stored contiguous weights under a channels-last dim order",
    ),
    "copy_cache.pte": (("0.5.0",), "the exported program plans its output over its cache"),
    "dynamic_shape_ops.pte": (("0.2.1",), "the exported program declares the result of arange static"),
}


def difference(actual: Any, expected: Any, case: Case) -> str:
    """What differs between an output and the recorded one, or an empty string."""
    if not isinstance(expected, np.ndarray):
        same = actual == expected or (
            isinstance(expected, float) and abs(actual - expected) <= case.atol + case.rtol * abs(expected)
        )
        return "" if same else f"{actual!r} instead of {expected!r}"
    if not isinstance(actual, np.ndarray) or actual.shape != expected.shape or actual.dtype != expected.dtype:
        got = f"{actual.dtype}{actual.shape}" if isinstance(actual, np.ndarray) else repr(actual)
        return f"{got} instead of {expected.dtype}{expected.shape}"
    if case.shape_only:
        return ""
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, e = actual.astype(wide), expected.astype(wide)
    if np.allclose(a, e, rtol=case.rtol, atol=case.atol, equal_nan=True):
        return ""
    return f"values differ by up to {np.nanmax(np.abs(a - e)):.3g}"


def run(case: Case) -> str:
    """Runs the recorded calls; the first difference or error in words, or an empty string."""
    try:
        module = pteron.load(case.read(), data=case.read_data(), engine="reference")
        for number, call in enumerate(case.calls()):
            outputs = module[call.method](*call.inputs)
            # Training programs return gradients and parameters after the outputs that eager mode has.
            if len(outputs) < len(call.outputs):
                return f"call {number}: {len(outputs)} outputs instead of {len(call.outputs)}"
            for position, (actual, expected) in enumerate(zip(outputs, call.outputs, strict=False)):
                if found := difference(actual, expected, case):
                    return f"call {number}, output {position}: {found}"
    except pteron.PteronError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("release", corpus_files.releases())
def test_corpus(release: str, record_property: pytest.RecordProperty) -> None:
    passed, misses, unexplained = 0, [], []
    cases = [c for c in corpus_files.cases(release) if set(c.backends) <= {"XnnpackBackend"}]
    for case in cases:
        found = run(case)
        releases, fault = UPSTREAM.get(case.name, ((), ""))
        own = case.own_runtime.get("status")
        if not found:
            passed += 1
        elif release in releases and own != "ok":
            misses.append(f"{case}: {found[:110]}; {fault} (its own runtime: {own})")
        else:
            unexplained.append(f"{case}: {found} (its own runtime: {own})")
    record_property("corpus", {"release": release, "files": len(cases), "passed": passed, "misses": misses})
    assert not unexplained, "\n".join(unexplained)
    assert passed + len(misses) == len(cases)


def test_listed_faults_are_still_there() -> None:
    """A file that runs right must not stay on the list of faults."""
    for name, (releases, _) in UPSTREAM.items():
        for release in releases:
            case = next(c for c in corpus_files.models(release) if c.name == name)
            assert run(case), f"{case} runs right now"
