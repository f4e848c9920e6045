"""The official flatc and schema read every payload of the corpus to the same content."""

from __future__ import annotations

import json
import math
import re
import subprocess
from enum import IntEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from pteron.backends.xnnpack.schema import SCHEMA
from xnnpack_payloads import payloads

pytestmark = pytest.mark.interop


def official(folder: Path, flatbuffers: list[bytes]) -> list[dict[str, Any]]:
    """What flatc makes of each, with the schema that the official wheel carries."""
    schema = folder / "schema.fbs"
    schema.write_bytes((files("executorch.backends.xnnpack.serialization") / "schema.fbs").read_bytes())
    names = [folder / f"{number}.bin" for number in range(len(flatbuffers))]
    for name, data in zip(names, flatbuffers, strict=True):
        name.write_bytes(data)
    flatc = files("executorch.data.bin") / "flatc"
    command = [str(flatc), "--json", "--strict-json", "--defaults-json", "-o", str(folder), str(schema), "--"]
    subprocess.run([*command, *map(str, names)], check=True, capture_output=True)
    texts = [name.with_suffix(".json").read_text() for name in names]
    return [json.loads(re.sub(r"(?<=: )(-?)inf\b", r"\1Infinity", text)) for text in texts]  # flatc's way to write it


def same(record: Any, content: dict[str, Any]) -> None:
    """Every field of the record is in flatc's answer, and nothing else is."""
    spec = SCHEMA.by_record[type(record)]
    left = dict(content)
    for field in spec.fields:
        value = getattr(record, field.name)
        if field.type in SCHEMA.unions:
            assert left.pop(f"{field.name}_type") == type(value).__name__
        if field.name in ("dq_datatype", "input5_id") and value == field.default:
            left.pop(field.name, None)
        elif value is None:
            assert field.name not in left
        else:
            agree(value, left.pop(field.name))
    assert left == {}


def agree(value: Any, given: Any) -> None:
    if isinstance(value, IntEnum):
        assert value.name == given
    elif isinstance(value, tuple):
        assert len(value) == len(given)
        for mine, theirs in zip(value, given, strict=True):
            agree(mine, theirs)
    elif isinstance(value, float):
        assert math.isclose(value, float(given), rel_tol=1e-5, abs_tol=1e-6)
    elif type(value) in SCHEMA.by_record:
        same(value, given)
    else:
        assert value == given


@pytest.mark.parametrize("release", corpus_files.releases())
def test_flatc_reads_the_same(release: str, tmp_path: Path) -> None:
    graphs = [found.read() for found in payloads(release)]
    answers = official(tmp_path, [bytes(payload.flatbuffer) for payload in graphs])
    assert len(answers) >= 65
    for payload, answer in zip(graphs, answers, strict=True):
        same(payload.graph, answer)
