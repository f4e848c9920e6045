"""Integer kernels give the same on processors that could overflow: there ONNX Runtime is told to multiply otherwise."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.runtime.onnx_engine import processor, session


@pytest.mark.parametrize(
    ("machine", "description", "may"),
    [
        ("x86_64", "flags: fpu avx2 avx512f avx512_vnni", False),
        ("x86_64", "flags: fpu avx2 avx_vnni", False),
        ("x86_64", "flags: fpu avx2 avx512f", True),
        ("AMD64", "AMD64 Intel64 Family 6", True),
        ("aarch64", "Features: fp asimd", False),
    ],
)
def test_who_may_overflow(monkeypatch: pytest.MonkeyPatch, machine: str, description: str, may: bool) -> None:
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    monkeypatch.setattr(processor, "processor", lambda: description)
    assert processor.may_overflow() is may


def test_results_stay_within_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantised files with the exact products, beside the outputs that their exporters recorded."""
    monkeypatch.setattr(session, "may_overflow", lambda: True)
    ran = 0
    for recorded in corpus_files.cases(corpus_files.releases()[-1]):
        if not recorded.name.startswith(("xnnpack_int8", "xnnpack_dynamic_quant", "portable_quantized")):
            continue
        exact = pteron.load(recorded.read(), data=recorded.read_data(), engine="onnxruntime", cache=False)
        reference = pteron.load(recorded.read(), data=recorded.read_data(), engine="reference")
        for call in recorded.calls():
            for actual, expected in zip(
                exact[call.method](*call.inputs), reference[call.method](*call.inputs), strict=True
            ):
                np.testing.assert_allclose(actual, expected, atol=0.01 * float(np.abs(expected).max()) + 1e-6)
                ran += 1
    assert ran >= 8
