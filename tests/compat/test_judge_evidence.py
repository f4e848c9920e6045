"""What real runs make of verdicts: they rank above predictions, as far as they reach, and both are said."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from evidence_records import record
from judging import changed, on
from pteron.compat.check import CheckResult, check, check_files
from pteron.compat.evidence import SCHEMA, Evidence, RuntimeUsed
from pteron.compat.evidence_files import SUFFIX, collect
from pteron.compat.judge_evidence import with_evidence
from pteron.compat.profile import profile_for
from pteron.compat.rules import RULES
from pteron.compat.targets import targets
from pteron.compat.verdict import Status, Verdict
from pteron.errors import FileAccessError, FormatError
from pteron.format.schema import TensorShapeDynamism

ADD, LENET = "1.4.1/add.pte", "1.4.1/lenet.pte"
MISSING = "1.5.1/grid_sample.pte"
"""Calls an operator that 1.0.1 lacks."""
EXTERNAL, WEIGHTS = "1.5.1/external_constants_mlp.pte", "external_constants_mlp._default_external_constant.ptd"
VULKAN = "1.5.1/other_backends/vulkan_add.pte"
"""Conditional on wheels: they do not link the backend."""
OVERWRITTEN = "0.5.0/copy_cache.pte"
TWO_METHODS = "1.5.1/multi_method.pte"


def judged(file: str, runtime: str, *records: Evidence, **options: Any) -> CheckResult:
    release, _, name = file.partition("/")
    options.setdefault("produced_by", release)
    return check(corpus_files.read(release, name), runtime, evidence=records, **options)


def verdict(file: str, runtime: str, *records: Evidence, **options: Any) -> Verdict:
    return judged(file, runtime, *records, **options).verdicts[runtime]


def own(file: str, runtime: str, outcome: str = "ok", **fields: Any) -> Verdict:
    """The verdict with one record of that very runtime."""
    return verdict(file, runtime, record(file, runtime, outcome, **fields))


def remarks(*records: Evidence, file: str = ADD, folder: Path | None = None, **options: Any) -> list[str]:
    release, _, name = file.partition("/")
    content: Any = corpus_files.read(release, name)
    if folder is not None:
        (folder / name).write_bytes(content)
        content = folder / name
    return [reason.rule for reason in check(content, "1.5.1", evidence=records, **options).remarks]


# ---- every rule, where it fires and where it does not

CASES: dict[str, tuple[Callable[[], Verdict], Callable[[], Verdict]]] = {
    "PT-EV-001": (lambda: own(ADD, "1.5.1"), lambda: own(ADD, "1.5.1", "ran")),
    "PT-EV-002": (lambda: own(ADD, "1.5.1", "crash"), lambda: own(VULKAN, "1.5.1", "method_load_error")),
    "PT-EV-003": (lambda: own(ADD, "1.5.1", "timeout"), lambda: own(ADD, "1.5.1", "timeout", reference="refused")),
    "PT-EV-004": (lambda: own(MISSING, "1.0.1"), lambda: own(MISSING, "1.0.1", "method_load_error")),
    "PT-EV-005": (lambda: own(VULKAN, "1.5.1", "method_load_error"), lambda: own(VULKAN, "1.5.1", "wrong")),
    "PT-EV-006": (
        lambda: own(TWO_METHODS, "1.5.1"),
        lambda: own(LENET, "1.5.1"),
    ),
}


@pytest.mark.parametrize("rule", sorted(CASES))
def test_fires_and_does_not(rule: str) -> None:
    fires, near_miss = CASES[rule]
    found = [reason for reason in fires().reasons if reason.rule == rule]
    assert found
    for reason in found:
        assert reason.status is RULES[rule].gives
        assert reason.sentence.endswith(".")
        assert "{" not in reason.sentence
        assert all(reason.evidence)
    assert rule not in near_miss().rules


def test_rules_about_evidence_that_is_not_used(tmp_path: Path) -> None:
    other = dataclasses.replace(record(ADD, "1.5.1", "crash"), sha256="0" * 64)
    assert remarks(other, folder=tmp_path) == ["PT-EV-007"]
    assert remarks(record(ADD, "1.5.1"), folder=tmp_path) == []
    assert remarks(other, record(ADD, "1.5.1"), folder=tmp_path) == []
    assert remarks(other) == []  # bytes have no name to be mistaken by
    with_data = record(ADD, "1.5.1", data=("lenet.pte",))
    assert remarks(with_data) == ["PT-EV-008"]
    assert remarks(record(EXTERNAL, "1.5.1", data=(WEIGHTS,)), file=EXTERNAL, data=[data_of(EXTERNAL)]) == []


def data_of(file: str) -> bytes:
    return corpus_files.read(file.partition("/")[0], WEIGHTS)


# ---- what a run makes of a verdict


@pytest.mark.parametrize(
    ("file", "runtime", "predicted", "outcome", "status", "proof"),
    [
        (ADD, "1.5.1", "guaranteed", "ok", "guaranteed", "ran"),
        ("1.2.0/add.pte", "1.5.1", "expected", "ok", "expected", "ran"),
        (ADD, "1.5.1", "guaranteed", "wrong", "broken", "failed"),
        (ADD, "1.5.1", "guaranteed", "exec_error", "broken", "failed"),
        ("1.2.0/add.pte", "1.5.1", "expected", "crash", "incompatible", "failed"),
        ("1.2.0/add.pte", "1.5.1", "expected", "out_of_memory", "conditional", "failed"),
        (ADD, "1.5.1", "guaranteed", "no_answer", "guaranteed", ""),
        (ADD, "1.5.1", "guaranteed", "not_installable", "guaranteed", ""),
        (ADD, "1.5.1", "guaranteed", "not_run", "guaranteed", ""),
        (ADD, "1.5.1", "guaranteed", "ran", "guaranteed", ""),
        (MISSING, "1.0.1", "incompatible", "ok", "expected", "ran"),
        (MISSING, "1.0.1", "incompatible", "method_load_error", "incompatible", "failed"),
        (VULKAN, "1.5.1", "conditional", "ok", "guaranteed", "ran"),
        (VULKAN, "1.5.1", "conditional", "method_load_error", "conditional", "failed"),
        (VULKAN, "1.5.1", "conditional", "wrong", "incompatible", "failed"),
    ],
)
def test_status(file: str, runtime: str, predicted: str, outcome: str, status: str, proof: str) -> None:
    before, after = verdict(file, runtime), own(file, runtime, outcome)
    assert (before.status, before.prediction, before.proof) == (predicted, predicted, "")
    assert (after.status, after.prediction, after.proof) == (status, predicted, proof)
    told = {"ok": "Ran on", "ran": "proves nothing"}.get(outcome, " on executorch ")
    assert any(told in reason.sentence for reason in after.reasons if reason.rule.startswith("PT-EV-"))


def test_the_sentence_says_where() -> None:
    (reason,) = (r for r in own(ADD, "1.5.1").reasons if r.rule == "PT-EV-001")
    assert reason.sentence == (
        "Ran on executorch 1.5.1, Linux x86_64, wheel abababababababab…, 2026-11-02: "
        "runs, bit for bit as the reference engine."
    )
    assert f"executorch-1.5.1-cp311-cp311-manylinux_2_28_x86_64.whl, wheel {'ab' * 32}" in reason.evidence[0]


def test_a_refuted_prediction_is_said_beside() -> None:
    ran = own(MISSING, "1.0.1")
    (stopped,) = (reason for reason in verdict(MISSING, "1.0.1").reasons if reason.status is not None)
    (refuted,) = (reason for reason in ran.reasons if reason.rule == "PT-EV-004")
    assert stopped.sentence.rstrip(".") in refuted.sentence
    assert "incompatible by PT-OP-001" in refuted.sentence
    assert stopped.rule not in ran.rules
    assert judged(MISSING, "1.0.1", record(MISSING, "1.0.1")).serving[0] == "1.0.1"

    failed = own(ADD, "1.5.1", "crash", said="the process died: SIGSEGV")
    assert failed.wrong_numbers
    assert [reason.rule for reason in failed.reasons][:2] == ["PT-EV-002", "PT-EV-004"]
    assert "without it the verdict was guaranteed: the facts say that it runs" in failed.reasons[1].sentence
    assert "1.5.1" not in judged(ADD, "1.5.1", record(ADD, "1.5.1", "crash")).serving


def test_wrong_numbers_foretold_and_not_seen() -> None:
    file, runtime = "0.6.0/xnnpack_mlp.pte", "0.5.0"
    assert verdict(file, runtime).wrong_numbers
    ran = own(file, runtime)
    assert (ran.status, ran.wrong_numbers) == (Status.EXPECTED, False)


def test_a_fault_that_the_reference_engine_shares_stays() -> None:
    assert verdict(OVERWRITTEN, "0.5.0").status is Status.CONDITIONAL
    ran = own(OVERWRITTEN, "0.5.0")
    assert (ran.status, ran.proof) == (Status.CONDITIONAL, "ran")
    assert "PT-FM-012" in ran.rules
    expected = own(OVERWRITTEN, "0.5.0", against="expected")
    assert expected.runs
    assert "PT-FM-012" not in expected.rules


def test_a_fault_that_depends_on_the_inputs_stays() -> None:
    """A kernel that writes as many rows as there are non-zero elements into a tensor of a fixed size."""
    case = changed(
        "1.5.1/nonzero_unbounded.pte",
        {"values[1].val.shape_dynamism": TensorShapeDynamism.STATIC, "values[1].val.dim_order": (0, 1)},
    )
    predicted = on(case, "1.5.1")
    assert (predicted.status, "PT-OP-010" in predicted.rules) == (Status.CONDITIONAL, True)
    ran = with_evidence(predicted, case, profile_for("1.5.1"), [record("1.5.1/nonzero_unbounded.pte", "1.5.1")])
    assert (ran.status, ran.proof) == (Status.CONDITIONAL, "ran")
    assert {"PT-OP-010", "PT-EV-001"} <= set(ran.rules)
    failing = record("1.5.1/nonzero_unbounded.pte", "1.5.1", "wrong")
    failed = with_evidence(predicted, case, profile_for("1.5.1"), [failing])
    assert (failed.status, "PT-EV-005" in failed.rules) == (Status.CONDITIONAL, True)


def test_inputs_that_the_reference_engine_refuses_prove_nothing() -> None:
    tried = own(ADD, "1.5.1", "exec_error", reference="refused: index out of range")
    assert (tried.status, tried.proof) == (Status.GUARANTEED, "")
    refused = own(ADD, "1.5.1", "method_load_error", reference="refused: index out of range")
    assert (refused.status, refused.proof) == (Status.BROKEN, "failed")


# ---- which records count


def test_only_the_same_build_counts() -> None:
    assert verdict(ADD, "1.5.1", record(ADD, "1.4.1", "crash")).proof == ""
    assert verdict(ADD, "1.3.0", record(ADD, "1.3.1", "crash")).proof == ""
    nameless = dataclasses.replace(record(ADD, "1.5.1", "crash"), runtime=RuntimeUsed("1.5.1"))
    assert verdict(ADD, "1.5.1", nameless).proof == ""


def test_a_command_of_the_users_own(tmp_path: Path) -> None:
    build = tmp_path / "device.toml"
    build.write_text('title = "a device"\nrelease = "1.5.1"\nlibraries = ["portable"]\n', encoding="utf-8")
    used = RuntimeUsed(str(build), "1.5.1", kind="command", command=("./run.py",))
    device = dataclasses.replace(record(ADD, "1.5.1", "crash"), runtime=used)
    both = judged(ADD, "1.5.1", device).verdicts["1.5.1"]
    assert both.proof == ""
    there = verdict(ADD, str(build), device, record(ADD, "1.5.1"))
    assert (there.proof, "PT-EV-002" in there.rules) == ("failed", True)
    assert verdict(ADD, str(build), record(ADD, "1.5.1")).proof == ""


def test_data_files_must_be_the_same() -> None:
    ran = record(EXTERNAL, "1.5.1", data=(WEIGHTS,))
    assert verdict(EXTERNAL, "1.5.1", ran).status is Status.CONDITIONAL
    assert verdict(EXTERNAL, "1.5.1", ran, data=[data_of(EXTERNAL)]).proof == "ran"
    without = record(EXTERNAL, "1.5.1", "crash")
    assert verdict(EXTERNAL, "1.5.1", without, data=[data_of(EXTERNAL)]).proof == ""


def test_a_failure_counts_more_and_the_same_run_again_replaces() -> None:
    mac = {"system": "Darwin", "machine": "arm64"}
    ran, died = record(ADD, "1.5.1"), record(ADD, "1.5.1", "crash", platform=mac)
    both = verdict(ADD, "1.5.1", ran, died)
    assert both.proof == "failed"
    assert {"PT-EV-001", "PT-EV-002"} <= set(both.rules)
    again = record(ADD, "1.5.1", platform=mac, made="2026-12-01T00:00:00+00:00")
    assert verdict(ADD, "1.5.1", ran, again, died).proof == "ran"
    assert verdict(ADD, "1.5.1", died, dataclasses.replace(again, options={"seed": 7})).proof == "failed"


def test_one_platform_only() -> None:
    content = corpus_files.read("1.4.1", "add.pte")
    known = collect([record(ADD, "1.5.1", "crash")], platform="darwin-arm64")
    found = known.about(memoryview(content), None)
    assert found.records == ()
    assert [reason.rule for reason in found.remarks] == ["PT-EV-008"]
    assert "it ran on linux-x86_64, not on darwin-arm64" in found.remarks[0].sentence
    assert collect([record(ADD, "1.5.1")], platform="Linux-x86_64").about(memoryview(content), None).records


# ---- files


def write(path: Path, *records: Evidence) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"schema": SCHEMA, "records": [r.to_document() for r in records]}), encoding="utf-8")
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "add.pte"
    path.write_bytes(corpus_files.read("1.4.1", "add.pte"))
    return path


def test_found_beside_the_file(model: Path) -> None:
    write(Path(f"{model}{SUFFIX}"), record(ADD, "1.5.1", "crash"))
    assert check(model, "1.5.1").verdicts["1.5.1"].proof == "failed"
    assert check(model, "1.5.1", evidence=None).verdicts["1.5.1"].proof == ""


def test_damaged_evidence_beside_the_file_is_said_and_not_used(model: Path) -> None:
    Path(f"{model}{SUFFIX}").write_text("{", encoding="utf-8")
    result = check(model, "1.5.1")
    assert result.verdicts["1.5.1"].proof == ""
    (remark,) = result.remarks
    assert (remark.rule, "cannot be read" in remark.sentence) == ("PT-EV-008", True)


def test_files_and_folders(model: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "proofs" / "evidence.json", record(ADD, "1.5.1", "crash"))
    write(tmp_path / "proofs" / "notes.json")
    for source in (file, file.parent, str(file)):
        assert check(model, "1.5.1", evidence=[source]).verdicts["1.5.1"].proof == "failed"
    with pytest.raises(FileAccessError, match="holds no file whose name ends with"):
        collect([write(tmp_path / "empty" / "notes.json").parent])
    with pytest.raises(FileAccessError, match="cannot be opened"):
        collect([tmp_path / "gone.json"])


def test_many_files_in_several_processes(model: Path, tmp_path: Path) -> None:
    known = collect([write(tmp_path / "evidence.json", record(ADD, "1.5.1", "crash"))])
    results = list(check_files([str(model)] * 4, targets("1.5.1"), evidence=known, jobs=2))
    assert [result.verdicts["1.5.1"].proof for result in results] == ["failed"] * 4


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"sha256": "ABC"}, "records[0].sha256"),
        ({"data": [{"name": "w.ptd", "sha256": ""}]}, "records[0].data[0].sha256"),
        ({"outcome": "crash"}, "records[0].outcome"),
        ({"cases": []}, "records[0].outcome"),
        ({"runtime": {"name": "1.5.1", "release": "newest"}}, "records[0].runtime.release"),
        (
            {"runtime": {"name": "a", "release": "1.5.1", "packages": [{"name": "executorch", "version": "1.4.1"}]}},
            "records[0].runtime.packages[0].version",
        ),
    ],
)
def test_evidence_that_does_not_agree_with_itself(tmp_path: Path, change: dict[str, Any], path: str) -> None:
    raw = {**record(ADD, "1.5.1").to_document(), **change}
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps({"schema": SCHEMA, "records": [raw]}), encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        collect([file])
    assert (caught.value.file, caught.value.path) == (str(file), path)


def test_a_case_that_is_fine_has_no_difference_beyond_the_tolerance(tmp_path: Path) -> None:
    raw = record(ADD, "1.5.1").to_document()
    raw["cases"][0]["differences"][0]["within"] = False
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps({"schema": SCHEMA, "records": [raw]}), encoding="utf-8")
    with pytest.raises(FormatError, match="not within the tolerance"):
        collect([file])
