"""Runs files of the corpus on an engine, and says what differs from eager PyTorch's recorded outputs.

Files of several releases that are byte for byte the same, with the same recorded calls, run once per process.
"""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import numpy as np

import corpus_files
import pteron
from corpus_files import Case
from pteron.runtime.engines import EngineName

BEFORE_1_4 = ("0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "1.0.1", "1.1.0", "1.2.0", "1.3.1")

# (file, releases): what is wrong with the file itself
UPSTREAM: dict[str, tuple[tuple[str, ...], str]] = {
    "lstm.pte": (
        BEFORE_1_4,
        "the exported program returns h and c with shape [1, 1, 2, 10] instead of [1, 2, 10]",
    ),
    "xnnpack_lstm.pte": (
        BEFORE_1_4,
        "the exported program returns h and c with shape [1, 1, 2, 10] instead of [1, 2, 10]",
    ),
    "channels_last_input.pte": (
        BEFORE_1_4[:8],
        "the exporter stored contiguous weights under a channels-last dim order",
    ),
    "copy_cache.pte": (("0.5.0",), "the exported program plans its output over its cache"),
    "dynamic_shape_ops.pte": (("0.2.1",), "the exported program declares the result of arange static"),
}


def open_cases(release: str) -> list[Case]:
    """The files without delegates or with XNNPACK's only."""
    return [case for case in corpus_files.cases(release) if set(case.backends) <= {"XnnpackBackend"}]


def run(case: Case, engine: EngineName) -> str:
    """Runs the recorded calls; the first difference or error in words, or an empty string."""
    parts = [case.read(), *case.read_data(), corpus_files.read(case.release, case.arrays)]
    recorded = {key: case.entry.get(key) for key in ("calls", "check", "rtol", "atol")}
    digest = hashlib.sha256(json.dumps(recorded).encode())
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return _run(_Same(case, digest.digest()), engine)


class _Same:
    """A case that equals every other one with the same content."""

    def __init__(self, case: Case, digest: bytes) -> None:
        self.case = case
        self._digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._digest == self._digest

    def __hash__(self) -> int:
        return hash(self._digest)


@functools.cache
def _run(same: _Same, engine: EngineName) -> str:
    case = same.case
    try:
        module = pteron.load(case.read(), data=case.read_data(), engine=engine, threads=1)
        for number, call in enumerate(case.calls()):
            outputs = module[call.method](*call.inputs)
            # Training programs return gradients and parameters after the outputs that eager mode has.
            if len(outputs) < len(call.outputs):
                return f"call {number}: {len(outputs)} outputs instead of {len(call.outputs)}"
            for position, (actual, expected) in enumerate(zip(outputs, call.outputs, strict=False)):
                if found := difference(actual, expected, case):
                    return f"call {number}, output {position}: {found}"
        return unlike_its_engine(module, engine)
    except pteron.PteronError as error:
        return f"{type(error).__name__}: {error}"


def unlike_its_engine(module: pteron.Module, engine: EngineName) -> str:
    """What shows that a module did not run as it should have: on another engine, or models that were refused late."""
    for plan in module.plan().values():
        if plan.engine != engine and plan.reason != "state is shared between methods":
            return f"{plan.method} runs on {plan.engine}: {plan.reason}"
        for entry in plan.entries:
            if "FAIL" in entry.reason or "INVALID" in entry.reason:
                return f"{entry.operators[0]} makes a model that ONNX Runtime does not take: {entry.reason}"
    return ""


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
