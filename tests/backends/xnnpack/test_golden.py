"""Programs of every node kind, datatype and quantisation that the official exporter writes, against the official wheel.

``tests/golden/xnnpack.zip`` holds what executorch 1.5.1 exported and what it computed (``tools/golden/xnnpack.py``).
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pteron
from pteron.runtime.engines import EngineName
from xnnpack_agreement import disagreement, output_steps

ARCHIVE = Path(__file__).parents[2] / "golden" / "xnnpack.zip"


@functools.cache
def _archive() -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        index = json.loads(archive.read("index.json"))
        with np.load(io.BytesIO(archive.read("arrays.npz"))) as arrays:
            return index, dict(arrays), {name: archive.read(f"{name}.pte") for name in index}


def _names() -> list[str]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return list(json.loads(archive.read("index.json")))


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
@pytest.mark.parametrize("name", _names())
def test_as_the_wheel(name: str, engine: EngineName) -> None:
    index, arrays, programs = _archive()
    module = pteron.load(programs[name], engine=engine, threads=1)
    assert module.plan()["forward"].engine == engine
    steps = output_steps(module.program)
    for call in index[name]["calls"]:
        inputs, expected = ([_array(arrays[key], index[name]) for key in call[kind]] for kind in ("inputs", "outputs"))
        outputs = module.forward(*inputs)
        for actual, wanted, step in zip(outputs, expected, steps, strict=True):
            assert not (found := disagreement(actual, wanted, step)), found


def _array(array: Any, entry: dict[str, Any]) -> Any:
    return array.view(ml_dtypes.bfloat16) if entry["bfloat16"] and array.dtype == np.int16 else array
