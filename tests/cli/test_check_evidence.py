"""``pteron check`` with what ``pteron prove`` wrote: text, formats for CI, exit codes, the lock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import corpus_files
from evidence_records import record
from fake_release import make_release, program
from pteron.compat.evidence import SCHEMA, Evidence
from pteron.compat.rules import RULES

Command = Callable[..., Any]
MISSING = "1.5.1/grid_sample.pte"
RUNTIMES = ("--runtime", "1.0.1", "--runtime", "1.5.1")


def put(file: str) -> str:
    release, _, name = file.partition("/")
    Path(name).write_bytes(corpus_files.read(release, name))
    return name


def write(name: str, *records: Evidence) -> None:
    document = {"schema": SCHEMA, "records": [item.to_document() for item in records]}
    Path(name).write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture
def contradicted(folder: Path) -> list[str]:
    """A file that is predicted to fail on 1.0.1 and to run on 1.5.1, where the opposite was seen."""
    write(
        "evidence.json", record(MISSING, "1.0.1"), record(MISSING, "1.5.1", "crash", said="the process died: SIGSEGV")
    )
    return [put(MISSING), *RUNTIMES, "--evidence", "evidence.json"]


def test_from_prove_to_check(pteron: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTERON_RUNTIMES", str(folder / "runtimes"))
    make_release(folder / "runtimes", "1.5.1")
    program(folder, "right")
    program(folder, "wrong").write_bytes(corpus_files.read("1.4.1", "add.pte"))
    for name, code in (("right", 0), ("wrong", 1)):
        assert pteron("prove", f"{name}.pte", "--runtime", "1.5.1", "-o", f"{name}.pte.evidence.json").code == code
    right = pteron("check", "right.pte", "--runtime", "1.5.1")
    assert (right.code, right.err) == (0, "")
    assert "PT-EV-001  Ran on executorch 1.5.1, Linux" in right.out
    wrong = pteron("check", "wrong.pte", "--runtime", "1.5.1", "--produced-by", "1.4.1")
    assert wrong.code == 1
    assert "would run and return wrong numbers, or end the process, on 1.5.1" in wrong.out
    assert "broken  PT-EV-002  Failed on executorch 1.5.1, Linux" in wrong.out
    assert pteron("check", "wrong.pte", "--runtime", "1.5.1", "--no-evidence").code == 0
    Path("right.pte").write_bytes(corpus_files.read("1.5.1", "mlp.pte"))
    other = pteron("check", "right.pte", "--runtime", "1.5.1")
    assert "PT-EV-007: right.pte.evidence.json is of a file of this name with other contents" in other.out
    assert "PT-EV-001" not in other.out


def test_text_says_both(pteron: Command, contradicted: list[str]) -> None:
    ran = pteron("check", *contradicted)
    assert ran.code == 1
    assert "without it the verdict was incompatible by PT-OP-001: aten::grid_sampler_2d.out has no kernel" in ran.out
    assert "Failed on executorch 1.5.1, Linux x86_64, wheel abababababababab…, 2026-11-02: the process died" in ran.out
    assert "without it the verdict was expected: the facts say that it runs" in ran.out
    assert pteron("check", contradicted[0], "-r", "1.0.1", "-e", "evidence.json").code == 0
    assert pteron("check", contradicted[0], "-r", "1.0.1").code == 1


def test_json(pteron: Command, contradicted: list[str]) -> None:
    (file,) = pteron("check", *contradicted, "--format", "json").json["files"]
    verdicts = {name: (v["status"], v["predicted"], v["proof"]) for name, v in file["verdicts"].items()}
    assert verdicts == {"1.0.1": ("expected", "incompatible", "ran"), "1.5.1": ("incompatible", "expected", "failed")}
    assert "1.0.1" in file["serving"]
    assert "1.5.1" not in file["serving"]


def test_junit(pteron: Command, contradicted: list[str]) -> None:
    root = ElementTree.fromstring(pteron("check", *contradicted, "--format", "junit").out)
    ran, failed = root.iter("testcase")
    assert (ran.findtext("system-out") or "").startswith("expected, proven: ran\nPT-EV-001: Ran on ")
    assert "PT-EV-002: Failed on " in (failed.findtext("failure") or "")
    assert "PT-EV-004: " in (failed.findtext("failure") or "")


def test_sarif_and_annotations(pteron: Command, contradicted: list[str]) -> None:
    (run,) = pteron("check", *contradicted, "--format", "sarif").json["runs"]
    found = [(result["ruleId"], result["level"], result["properties"]["runtimes"]) for result in run["results"]]
    assert sorted(found) == [
        ("PT-EV-002", "error", ["1.5.1"]),
        ("PT-EV-004", "error", ["1.5.1"]),
        ("PT-EV-004", "warning", ["1.0.1"]),
    ]
    prints = [result["partialFingerprints"]["pteron/v1"] for result in run["results"]]
    assert len(set(prints)) == 3
    lines = pteron("check", *contradicted, "--format", "github").out.splitlines()
    assert sorted(line[:9] for line in lines) == ["::error f", "::error f", "::warning"]


def test_other_contents_are_a_warning(pteron: Command, folder: Path) -> None:
    put(MISSING)
    write("evidence.json", record(MISSING, "1.5.1", "crash", sha256="0" * 64))
    arguments = ("grid_sample.pte", "-r", "1.5.1", "-e", "evidence.json")
    ran = pteron("check", *arguments, "--format", "github")
    assert (ran.code, ran.out.partition("::evidence")[0]) == (
        0,
        f"::warning file=grid_sample.pte,title=PT-EV-007 {RULES['PT-EV-007'].name}",
    )
    assert pteron("check", *arguments, "--format", "json").json["files"][0]["remarks"][0]["rule"] == "PT-EV-007"
    root = ElementTree.fromstring(pteron("check", *arguments, "--format", "junit").out)
    assert "PT-EV-007" in (root[0].findtext("system-out") or "")
    assert root.get("tests") == "1"


def test_wrong_questions(pteron: Command, folder: Path) -> None:
    name = put(MISSING)
    raw = record(MISSING, "1.5.1").to_document()
    raw["cases"][0]["outcome"] = "splendid"
    Path("evidence.json").write_text(json.dumps({"schema": SCHEMA, "records": [raw]}), encoding="utf-8")
    for arguments, words in (
        (["--evidence", "evidence.json"], "evidence.json, records[0].cases[0].outcome: is 'splendid', but must be one"),
        (["--evidence", "gone.json"], "gone.json: cannot be opened"),
        (["--evidence", name], "is neither JSON nor a journal"),
        (["--evidence", ".", "--no-evidence"], "evidence is given as well"),
    ):
        ran = pteron("check", name, *arguments)
        assert (ran.code, ran.out) == (2, ""), arguments
        assert words in ran.err, ran.err


def test_the_lock_holds_predictions_and_hears_of_failures(pteron: Command, folder: Path) -> None:
    name = put("1.5.1/mlp.pte")
    write(f"{name}.evidence.json", record("1.5.1/mlp.pte", "1.5.1", "crash"))
    assert pteron("lock", name, "--runtime", ">=1.4").code == 0
    locked = json.loads(Path("pteron.lock").read_text(encoding="utf-8"))["models"][name]["verdicts"]
    assert set(locked.values()) <= {"expected", "guaranteed"}
    assert pteron("check", name, "--lock", "--no-evidence").code == 0
    ran = pteron("check", name, "--lock")
    assert ran.code == 1
    assert "PT-LK-003  mlp.pte  On 1.5.1 the verdict was expected and is " in ran.out
    write(f"{name}.evidence.json", record("1.5.1/mlp.pte", "1.5.1"))
    assert pteron("check", name, "--lock").code == 0
