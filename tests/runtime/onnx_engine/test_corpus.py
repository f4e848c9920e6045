"""Every file of the corpus that needs no delegate, on ONNX Runtime, against eager PyTorch's outputs.

The files that an exporter got wrong are those of ``tests/runtime/test_corpus.py``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import corpus_files
import pteron
from corpus_files import Case


def _reference_tests() -> Any:
    path = Path(__file__).resolve().parents[1] / "test_corpus.py"
    spec = importlib.util.spec_from_file_location("reference_corpus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _reference_tests()


def run(case: Case) -> str:
    """Runs the recorded calls; the first difference or error in words, or an empty string."""
    try:
        module = pteron.load(case.read(), data=case.read_data(), engine="onnxruntime")
        for number, call in enumerate(case.calls()):
            outputs = module[call.method](*call.inputs)
            if len(outputs) < len(call.outputs):
                return f"call {number}: {len(outputs)} outputs instead of {len(call.outputs)}"
            for position, (actual, expected) in enumerate(zip(outputs, call.outputs, strict=False)):
                if found := REFERENCE.difference(actual, expected, case):
                    return f"call {number}, output {position}: {found}"
        for plan in module.plan().values():
            for entry in plan.entries:
                if "FAIL" in entry.reason or "INVALID" in entry.reason:
                    return f"{entry.operators[0]} makes a model that ONNX Runtime does not take: {entry.reason}"
    except pteron.PteronError as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("release", corpus_files.releases())
def test_corpus(release: str, record_property: pytest.RecordProperty) -> None:
    passed, misses, unexplained = 0, [], []
    cases = [c for c in corpus_files.cases(release) if not c.backends and c.name != "bundled_xnnpack.bpte"]
    for case in cases:
        found = run(case)
        releases, fault = REFERENCE.UPSTREAM.get(case.name, ((), ""))
        if not found:
            passed += 1
        elif release in releases:
            misses.append(f"{case}: {found[:110]}; {fault}")
        else:
            unexplained.append(f"{case}: {found}")
    record_property(
        "table: corpus on ONNX Runtime",
        {"release": release, "files": len(cases), "passed": passed, "listed": len(misses)},
    )
    assert not unexplained, "\n".join(unexplained)
    assert passed + len(misses) == len(cases)
