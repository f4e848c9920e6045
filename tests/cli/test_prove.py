"""``pteron prove`` and ``pteron runtimes`` on a fake release."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_release import make_release, program
from pteron.compat.evidence import CaseEvidence, Difference, Evidence, Outcome, RuntimeUsed, read_evidence
from pteron.report.evidence import WORDS


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two fake releases; the files that they run are in the working folder."""
    monkeypatch.setenv("PTERON_RUNTIMES", str(folder / "runtimes"))
    make_release(folder / "runtimes", "1.4.1")
    make_release(folder / "runtimes", "1.5.1")
    return folder / "runtimes"


def test_one_file(pteron: Callable[..., Any], home: Path, folder: Path) -> None:
    program(folder, "right")
    ran = pteron("prove", "right.pte", "--runtime", "1.5.1")
    assert ran.code == 0, ran.err
    assert ran.out == "right.pte on executorch 1.5.1: ok\n  runs, bit for bit as the reference engine\n"


def test_a_matrix(pteron: Callable[..., Any], home: Path, folder: Path) -> None:
    (folder / "models").mkdir()
    for does in ("crash", "right", "wrong"):
        program(folder / "models", does)
    ran = pteron("prove", "models", "--runtime", ">=1.4", "--jobs", "2", "--format", "markdown", "-o", "e.json")
    assert ran.code == 1, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "| file | 1.4.1 | 1.5.1 |"
    assert lines[2:5] == [
        "| models/crash.pte | CRASH | CRASH |",
        "| models/right.pte | ok | ok |",
        "| models/wrong.pte | WRONG | WRONG |",
    ]
    assert "- `models/crash.pte` on 1.4.1: the process died: SIGSEGV" in lines
    assert [record.outcome for record in read_evidence("e.json")] == ["crash", "ok", "wrong"] * 2
    assert not Path("e.json.journal").exists()
    text = pteron("prove", "models", "--runtime", ">=1.4").out
    assert text.splitlines()[0].split() == ["file", "1.4.1", "1.5.1"]
    assert "the last words of its log:\n    about to die" in text
    assert pteron("prove", "models", "--runtime", "1.5.1", "-o", "e.json").code == 2  # it is there already
    document = pteron("prove", "models", "--runtime", "1.5.1", "--format", "json").json
    assert document["schema"] == "pteron.evidence/1"
    assert [record["outcome"] for record in document["records"]] == ["crash", "ok", "wrong"]


def test_given_inputs_and_replay(pteron: Callable[..., Any], home: Path, folder: Path) -> None:
    path = program(folder, "right")
    np.savez("x.npz", in0=np.ones((2, 3), np.float32), in1=np.full((2, 3), 2, np.float32))
    given = ("--input", "x.npz")
    assert pteron("prove", "right.pte", "--runtime", "1.5.1", *given, "--repeat", "2", "-o", "e.json").code == 0
    (record,) = read_evidence("e.json")
    assert (record.cases[0].source, len(record.cases[0].seconds)) == ("given", 2)

    assert "give the same with --input" in pteron("prove", "--replay", "e.json").err
    same = pteron("prove", "--replay", "e.json", *given)
    assert (same.code, same.out) == (0, "right.pte on 1.5.1: ok, as before\n")

    np.savez("x.npz", in0=np.zeros((2, 3), np.float32), in1=np.zeros((2, 3), np.float32))
    assert "other inputs" in pteron("prove", "--replay", "e.json", *given).out
    path.rename("moved.pte")
    assert "name where it is" in pteron("prove", "--replay", "e.json", *given).err
    Path("wrong.pte").write_bytes(Path("moved.pte").read_bytes())
    other = pteron("prove", "wrong.pte", "--replay", "e.json", *given, "--format", "json")
    assert other.code == 1
    assert other.json["repeated"][0]["after"] == "wrong"


def test_a_bundled_program_runs_its_own_cases(
    pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path
) -> None:
    script = folder / "says_no.py"
    script.write_text("import json; print(json.dumps({'id': 1, 'outcome': 'not_run', 'text': 'no such device'}))\n")
    Path("device.toml").write_text(f'release = "1.5.1"\n[prove]\ncommand = ["{sys.executable}", "{script}"]\n')
    ran = pteron("prove", corpus("1.5.1", "bundled_mlp.bpte"), "--runtime", "device.toml", "--format", "json")
    cases = ran.json["records"][0]["cases"]
    assert [(case["source"], case["outcome"]) for case in cases] == [("bundled", "not_run")] * 3


def test_questions_that_are_wrong(pteron: Callable[..., Any], home: Path, folder: Path) -> None:
    program(folder, "right")
    Path("letter.pte").write_text("Dear reader")
    (folder / "empty").mkdir()
    for arguments, words in (
        (["right.pte"], "name a file and a --runtime"),
        (["right.pte", "--runtime", "nonsense"], "is no runtime"),
        (["right.pte", "--runtime", "9.9"], "9.9"),
        (["letter.pte", "--runtime", "1.5.1"], "letter.pte"),
        (["missing.pte", "--runtime", "1.5.1"], "cannot be opened"),
        (["empty", "--runtime", "1.5.1"], "holds no .pte or .bpte file"),
        (["right.pte", "right.pte", "letter.pte", "--runtime", "1.5.1", "--input", "x.npy"], "name one"),
        (["right.pte", "--runtime", "1.5.1", "--method", "nonsense"], "no method 'nonsense'"),
        (["--replay", "right.pte"], "is neither JSON nor a journal"),
    ):
        ran = pteron("prove", *arguments)
        assert ran.code in (1, 2), arguments
        assert words in ran.err, ran.err
        assert ran.out == ""


def test_runtimes(pteron: Callable[..., Any], home: Path) -> None:
    (home / "1.3.1").mkdir()
    listed = pteron("runtimes", "list", "--format", "json").json
    states = {row["release"]: row["state"] for row in listed["runtimes"]}
    assert len(states) == 12
    assert {release for release, state in states.items() if state == "installed"} == {"1.4.1", "1.5.1"}
    assert states["1.3.1"] == "unfinished"
    assert "1.4.1    installed" in pteron("runtimes", "list").out
    assert "executorch 1.5.1 is installed already" in pteron("runtimes", "install", "1.5.1").err
    assert pteron("runtimes", "remove").code == 2
    assert "executorch 1.4.1 removed" in pteron("runtimes", "remove", "1.4.1").err
    assert "executorch 1.4.1 is not installed" in pteron("runtimes", "remove", "1.4.1").err
    assert pteron("runtimes", "remove", "--all").code == 0
    states = {r["release"]: r["state"] for r in pteron("runtimes", "list", "--format", "json").json["runtimes"]}
    assert set(states.values()) == {"absent"}


def test_the_evidence_is_plain_json(pteron: Callable[..., Any], home: Path, folder: Path) -> None:
    program(folder, "right")
    pteron("prove", "right.pte", "--runtime", "1.5.1", "-o", "e.json")
    raw = json.loads(Path("e.json").read_text())
    assert raw["schema"] == "pteron.evidence/1"
    record = raw["records"][0]
    assert record["runtime"]["packages"][0]["sha256"] == "0" * 64
    assert record["options"]["seed"] == 0
    assert len(record["sha256"]) == 64


def test_the_page_names_every_field(pteron: Callable[..., Any], home: Path, folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "prove.md").read_text(encoding="utf-8")
    for record in (Evidence, CaseEvidence, Difference, RuntimeUsed):
        for item in fields(record):
            assert f"`{item.name}`" in page, item.name
    for outcome in Outcome:
        assert f"| `{outcome}` | {WORDS[outcome]} |" in page
