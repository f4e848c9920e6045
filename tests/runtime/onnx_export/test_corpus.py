"""Files of every release as ONNX models: the official checker finds nothing, and bare ONNX Runtime gives the outputs.

A method may be refused only for the operators listed here; a file may miss only where the engines do
(``corpus_runs.UPSTREAM``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

import corpus_files
import pteron
from corpus_runs import UPSTREAM, open_cases
from onnx_models import agrees

# What the default suite exports: float, half, dynamic and quantised files, state, branches, lists, several methods.
SPREAD = (
    "add.pte",
    "lenet.pte",
    "half_bf16.pte",
    "dynamic_seq_attention.pte",
    "kv_cache.pte",
    "custom_sdpa_llama_fp32.pte",
    "custom_update_cache.pte",
    "cond_model.pte",
    "initialized_mutable_buffer.pte",
    "mutable_buffer_shared_state.pte",
    "none_outputs.pte",
    "xnnpack_mobile_block.pte",
    "xnnpack_dynamic_shape_conv.pte",
    "xnnpack_int8_convnet.pte",
    "portable_quantized_convnet.pte",
    "bundled_multi_method.bpte",
)

# Programs with something that is no ONNX model: words of the refusal.
REFUSED = {
    "map_model.pte": "a loop",
    "scan_model.pte": "a loop",
    "topk.pte": "aten::topk",
}


def test_a_spread_over_all_releases(tmp_path: Path) -> None:
    agreed, wrong = 0, []
    for release in corpus_files.releases():
        for case in open_cases(release):
            if case.name in SPREAD:
                found = agrees(case, tmp_path)
                agreed += not found
                wrong += [f"{case}: {found}"] if found else []
    assert not wrong, "\n".join(wrong)
    assert agreed >= 150


@pytest.mark.interop
@pytest.mark.parametrize("weights", ["embed", "external", "in-pte"])
@pytest.mark.parametrize("release", corpus_files.releases())
def test_every_model(release: str, weights: str, tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    counts = {"agree": 0, "refused": 0, "of a broken file": 0}
    wrong = []
    for case in open_cases(release):
        if case.name.startswith("ops/"):
            continue
        try:
            found = agrees(case, tmp_path, weights)
        except pteron.UnsupportedError as refusal:
            # A .bpte holds its program at no offset that ONNX could name, and these .ptd were given as bytes.
            nowhere = weights == "in-pte" and (case.data or case.name.endswith(".bpte"))
            words = REFUSED.get(case.name, "point into" if nowhere else "no word at all")
            counts["refused"] += 1
            if words not in str(refusal):
                wrong.append(f"{case}: {refusal}")
            continue
        if case.name in REFUSED:
            wrong.append(f"{case}: is no longer refused")
        elif not found:
            counts["agree"] += 1
        elif release in UPSTREAM.get(case.name, ((), ""))[0]:
            counts["of a broken file"] += 1
        else:
            wrong.append(f"{case}: {found}")
    record_property("table: ONNX models", {"release": release, "weights": weights, **counts})
    assert not wrong, "\n".join(wrong)
    assert counts["agree"] > 75


@pytest.mark.interop
@pytest.mark.parametrize("release", [r for r in corpus_files.releases() if corpus_files.manifest(r, "ops")])
def test_every_operator(release: str, tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    counts, wrong = {"agree": 0, "refused": 0}, []
    for case in corpus_files.operators(release):
        try:
            found = agrees(case, tmp_path)
        except pteron.UnsupportedError:
            counts["refused"] += 1
            continue
        counts["agree"] += not found
        wrong += [f"{case}: {found}"] if found else []
    record_property("table: single operators as ONNX models", {"release": release, **counts})
    assert not wrong, "\n".join(wrong)
    assert counts["agree"] > 450
