"""State is found where the exported model has buffers, and nowhere else."""

from __future__ import annotations

import pytest

import corpus_files
from pteron.format.mutable_state import mutable_state
from pteron.format.program import read_program

BUFFERS = {
    # model: buffers (or parameters that are changed) of its Python source
    "mutable_counter": 2,
    "kv_cache": 2,
    "copy_cache": 1,
    "xnnpack_kv_cache": 2,
    "custom_sdpa_llama_fp32": 2,
    "custom_sdpa_llama_8da4w": 2,
    "custom_update_cache": 2,
    "training_xor": 4,
    "initialized_mutable_buffer": 1,
    "external_mutable_weights": 2,
    "mutable_buffer_names": 2,
    "mutable_buffer_shared_state": 2,
}
PLANNED_OVER = {("0.5.0", "copy_cache")}
"""The memory plan gives the buffer's bytes to other values as well, so it cannot be told (and does not keep them)."""


@pytest.mark.parametrize("release", corpus_files.releases())
def test_state_is_what_the_models_have(release: str) -> None:
    for case in corpus_files.models(release):
        if not case.name.endswith(".pte"):
            continue
        model = case.name.removesuffix(".pte")
        root = read_program(case.read()).root
        found = sum(len(mutable_state(plan)) for plan in root.execution_plan)
        expected = 0 if (release, model) in PLANNED_OVER else BUFFERS.get(model, 0)
        assert found == expected, f"{release}/{model}"
