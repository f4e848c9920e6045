"""Evidence as a file: read back as it was written, refused where it is not what it must be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pteron.compat.evidence import (
    SCHEMA,
    CaseEvidence,
    DataFile,
    Difference,
    Evidence,
    Outcome,
    Package,
    RuntimeUsed,
    from_document,
    read_evidence,
)
from pteron.errors import FileAccessError, FormatError

RECORD = Evidence(
    "model.pte",
    "ab" * 32,
    1234,
    RuntimeUsed("1.3.1", "1.3.1", python="3.11", packages=(Package("torch", "2.12.0", "torch.whl", "cd" * 32),)),
    Outcome.WRONG,
    "runs, but …",
    (
        CaseEvidence(
            "forward",
            "seed",
            Outcome.WRONG,
            "ef" * 32,
            seed=0,
            calls=("forward(float32[2])",),
            seconds=(0.5,),
            repeatable=False,
            differences=(Difference("reference", 0, "out0", False, False, math.inf, math.nan, 2.0, 1, "differs"),),
        ),
    ),
    (DataFile("w.ptd", "01" * 32),),
    {"system": "Linux"},
    {"seed": 0, "method": None},
    "2026-01-02T03:04:05+00:00",
)


def document() -> dict[str, Any]:
    return {"schema": SCHEMA, "records": [RECORD.to_document()]}


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "e.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_there_and_back(tmp_path: Path) -> None:
    (found,) = read_evidence(write(tmp_path, json.dumps(document(), allow_nan=False)))
    difference = found.cases[0].differences[0]
    assert math.isnan(difference.max_rel or 0)
    assert difference.max_abs == math.inf
    assert repr(found.to_document()) == repr(RECORD.to_document())


def test_strict_json_has_numbers_as_strings() -> None:
    raw = RECORD.to_document()
    assert raw["cases"][0]["differences"][0]["max_abs"] == "Infinity"
    assert from_document(raw).cases[0].differences[0].max_abs == math.inf


def test_fields_of_newer_versions_are_passed_over() -> None:
    raw = RECORD.to_document()
    raw["colour"] = "green"
    raw["cases"][0]["weather"] = {"sun": True}
    assert repr(from_document(raw)) == repr(from_document(RECORD.to_document()))


def test_a_single_record_is_a_document(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps({"schema": SCHEMA, **RECORD.to_document()}))
    assert read_evidence(path)[0].file == "model.pte"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"outcome": "splendid"}, "records[0].outcome"),
        ({"size": "big"}, "records[0].size"),
        ({"size": True}, "records[0].size"),
        ({"runtime": []}, "records[0].runtime"),
        ({"runtime": {}}, "records[0].runtime.name"),
        ({"cases": {}}, "records[0].cases"),
        ({"cases": [{"name": "a"}]}, "records[0].cases[0].source"),
        ({"data": [3]}, "records[0].data[0]"),
        ({"platform": 3}, "records[0].platform"),
        ({"platform": {"system": 3}}, "records[0].platform.system"),
    ],
)
def test_faults_are_named(tmp_path: Path, change: dict[str, Any], place: str) -> None:
    raw = document()
    raw["records"][0].update(change)
    with pytest.raises(FormatError) as caught:
        read_evidence(write(tmp_path, json.dumps(raw)))
    assert caught.value.path == place


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema": "pteron.show/1"}', b"\xff\xfe", "[" * 100_000])
def test_other_files_are_refused(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(FormatError):
        read_evidence(write(tmp_path, content))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="cannot be opened"):
        read_evidence(tmp_path / "none.json")


def test_outcomes() -> None:
    assert {o for o in Outcome if o.runs} == {Outcome.OK, Outcome.RAN}
    silent = {Outcome.RAN, Outcome.NOT_RUN, Outcome.NOT_INSTALLABLE, Outcome.NO_ANSWER}
    assert {o for o in Outcome if not o.conclusive} == silent
