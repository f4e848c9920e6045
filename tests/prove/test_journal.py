"""The journal of a job survives what ends the job."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fake_release import make_release, program
from pteron.compat.evidence import Evidence, Outcome, read_evidence
from pteron.errors import FileAccessError, FormatError
from pteron.prove.api import resolve_targets
from pteron.prove.job import Cell, cells_of, run_job
from pteron.prove.journal import Journal, write_evidence
from pteron.prove.subject import Options, Source


@pytest.fixture
def cells(home: Path, tmp_path: Path) -> list[Cell]:
    make_release(home)
    sources = [Source(program(tmp_path, does)) for does in ("right", "wrong", "noise")]
    return cells_of(sources, resolve_targets(["1.5.1"], None), Options())


def test_a_line_that_was_cut_off_is_run_again(cells: list[Cell], tmp_path: Path) -> None:
    path = tmp_path / "e.json.journal"
    with Journal(path) as journal:
        first = run_job(cells, journal=journal)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:-7])
    assert len(read_evidence(path)) == 2
    new: list[Evidence] = []
    with Journal(path) as journal:
        again = run_job(cells, journal=journal, report=new.append)
    assert [Path(record.file).stem for record in new] == ["noise"]
    assert [record.outcome for record in again] == [record.outcome for record in first]
    assert again[:2] == first[:2]
    assert len(read_evidence(path)) == 3


def test_what_says_nothing_about_the_file_is_tried_again(cells: list[Cell], tmp_path: Path) -> None:
    path = tmp_path / "e.json.journal"
    (record, *_) = run_job(cells[:1])
    with Journal(path) as journal:
        journal.append(replace(record, outcome=Outcome.NOT_INSTALLABLE))
        (again,) = run_job(cells[:1], journal=journal)
    assert again.outcome is Outcome.OK


def test_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "e.json.journal"
    code = (
        f"from pathlib import Path; from pteron.prove.journal import Journal; Journal(Path({str(path)!r})).__enter__()"
    )
    with Journal(path):
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another job writes it" in ran.stderr


def test_another_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader\n")
    with pytest.raises(FormatError, match="is no journal of a job"), Journal(path):
        pass
    assert path.read_text() == "Dear reader\n"
    with pytest.raises(FileAccessError, match="cannot be written"), Journal(tmp_path / "missing" / "j"):
        pass


def test_the_document_is_read_back_as_it_was(cells: list[Cell], tmp_path: Path) -> None:
    records = run_job(cells)
    write_evidence(tmp_path / "e.json", records)
    assert list(read_evidence(tmp_path / "e.json")) == records
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".pte") == ["e.json", "runtimes"]
