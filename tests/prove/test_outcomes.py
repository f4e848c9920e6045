"""Whatever a runtime does to a program is an outcome, and the job goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from fake_release import make_release, program
from pteron.compat.evidence import Evidence, Outcome
from pteron.prove.api import resolve_targets
from pteron.prove.job import cells_of, run_job
from pteron.prove.subject import Options, Source

# Only what hangs is cut off soon: a busy machine may take seconds over the others.
SOON, LATE = Options(timeout=2.0, memory=300), Options(timeout=60.0, memory=300)
EXPECTED = {
    "crash": (Outcome.CRASH, "SIGSEGV"),
    "right": (Outcome.OK, "bit for bit"),
    "abort": (Outcome.CRASH, "SIGABRT"),
    "hang": (Outcome.TIMEOUT, "no answer in 2 s"),
    "loop": (Outcome.TIMEOUT, "no answer in 2 s"),
    "memory": (Outcome.OUT_OF_MEMORY, ""),
    "wrong": (Outcome.WRONG, "6 of 6 values differ, by up to 1"),
    "shape": (Outcome.WRONG, "float32[1, 3], expected float32[2, 3]"),
    "refused": (Outcome.LOAD_ERROR, "0x23 InvalidProgram, E 00:00:00.000 program.cpp:1] the constant_buffer path"),
    "method": (Outcome.METHOD_LOAD_ERROR, "0x14 OperatorMissing"),
    "exec": (Outcome.EXEC_ERROR, "0x12 InvalidArgument"),
    "parent": (Outcome.NO_ANSWER, "the worker broke off (signal SIGKILL)"),
    "noise": (Outcome.OK, "bit for bit"),
}


@pytest.fixture
def evidence(home: Path, tmp_path: Path) -> dict[str, Evidence]:
    """What came of every file, in one job on one worker."""
    make_release(home)
    targets = resolve_targets(["1.5.1"], None)
    cells = []
    for does, (outcome, _) in EXPECTED.items():
        limits = SOON if outcome is Outcome.TIMEOUT else LATE
        cells += cells_of([Source(program(tmp_path, does))], targets, limits)
    records = run_job(cells)
    return {Path(record.file).stem: record for record in records}


def test_every_outcome(evidence: dict[str, Evidence]) -> None:
    found = {does: record.outcome for does, record in evidence.items()}
    assert found == {does: outcome for does, (outcome, _) in EXPECTED.items()}
    for does, (_, words) in EXPECTED.items():
        assert words in evidence[does].sentence, does
    assert evidence["crash"].cases[0].log == ("about to die",)
    assert evidence["exec"].cases[0].stage == "execute"
    assert evidence["wrong"].cases[0].differences[0].max_abs == pytest.approx(1.0)
    assert evidence["right"].cases[0].outputs_sha256 != evidence["wrong"].cases[0].outputs_sha256
    assert evidence["right"].runtime.torch == "0.0+fake"
    assert evidence["right"].runtime.packages[0].wheel == "executorch-1.5.1.whl"


def test_repetitions_are_timed_and_compared(home: Path, tmp_path: Path) -> None:
    make_release(home)
    sources = [Source(program(tmp_path, does)) for does in ("right", "unsteady")]
    options = Options(repeat=3)
    right, unsteady = run_job(cells_of(sources, resolve_targets(["1.5.1"], None), options))
    assert len(right.cases[0].seconds) == 3
    assert right.cases[0].repeatable is True
    assert unsteady.cases[0].repeatable is False
    assert unsteady.sentence.endswith("not the same from run to run")


def test_a_data_file_that_the_binding_cannot_take(home: Path, tmp_path: Path) -> None:
    make_release(home)
    weights = tmp_path / "w.ptd"
    weights.write_bytes(b"\0" * 64)
    source = Source(program(tmp_path, "right"), (weights,))
    (record,) = run_job(cells_of([source], resolve_targets(["1.5.1"], None), Options()))
    assert record.outcome is Outcome.NOT_RUN
    assert "takes no data file" in record.sentence
    assert record.data[0].name == "w.ptd"


def test_runtimes_that_are_not_there(home: Path, tmp_path: Path) -> None:
    make_release(home, "1.4.1", starts=False)
    make_release(home, "1.5.1")
    source = Source(program(tmp_path, "right"))
    records = run_job(cells_of([source], resolve_targets(["1.3.1", "1.4.1", "1.5.1"], None), Options()))
    assert [record.outcome for record in records] == [Outcome.NOT_INSTALLABLE, Outcome.NOT_INSTALLABLE, Outcome.OK]
    assert "not installed; `pteron runtimes install 1.3.1`" in records[0].sentence
    assert "libtorch_cuda.so" in records[1].sentence


def test_outputs_of_runtimes_are_compared_with_each_other(home: Path, tmp_path: Path) -> None:
    make_release(home, "1.4.1")
    make_release(home, "1.5.1")
    source = Source(program(tmp_path, "right"))
    _, second = run_job(cells_of([source], resolve_targets(["1.4.1", "1.5.1"], None), Options()), jobs=2)
    against = {difference.against for record in (_, second) for difference in record.cases[0].differences}
    assert {"1.4.1", "1.5.1"} & against
    assert all(difference.exact for difference in second.cases[0].differences)
