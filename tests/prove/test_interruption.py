"""Whatever ends a job, no process of it stays, no file is half-written, and the same command goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fake_release import make_release, program
from interruption import CODES, ended, listens, started, strays, wait_for
from pteron.compat.evidence import read_evidence
from pteron.prove import scratch

ENDED = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM"}
WAYS = pytest.mark.parametrize("way", list(CODES), ids=lambda way: way.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_release(tmp_path / "runtimes")
    for does in ("a_right", "b_right", "hang"):
        program(tmp_path, does)
    return tmp_path


def prove(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return started(folder, "prove", *arguments, "--runtime", "1.5.1", "-o", "e.json")


@WAYS
def test_interrupted_while_a_program_hangs(folder: Path, way: signal.Signals) -> None:
    job = prove(folder, "a_right.pte", "hang.pte", "--timeout", "600")
    journal = folder / "e.json.journal"
    wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") == 1, "the first record")
    wait_for(lambda: len(strays(folder)) >= 4, "the worker and its child")
    code, said = ended(job, way, folder)
    assert code == CODES[way]
    if way in ENDED:
        assert said == f"pteron: {ENDED[way]} with 1 of 2 done; the same command goes on from there\n"
        assert not list((folder / "tmp").iterdir())
    assert not (folder / "e.json").exists()
    assert [Path(record.file).stem for record in read_evidence(journal)] == ["a_right"]

    again = prove(folder, "a_right.pte", "hang.pte", "--timeout", "600")
    wait_for(lambda: len(strays(folder)) >= 4, "the job goes on")
    code, said = ended(again, signal.SIGKILL, folder)
    assert "going on with a job that was interrupted, 1 of 2 are done" in said


@WAYS
def test_at_random_points(folder: Path, way: signal.Signals) -> None:
    """With several workers; in the end the same command, given once more, has everything."""
    chance = random.Random(way)
    files = ("a_right.pte", "b_right.pte")
    for seconds in (0.0, *(chance.uniform(0.1, 1.2) for _ in range(3))):
        job = prove(folder, *files, "--jobs", "2", "--force")
        wait_for(lambda job=job: listens(job), "the command")
        time.sleep(seconds)
        code, said = ended(job, way, folder)
        assert code in (0, CODES[way]), said
        if code != -9:
            assert not list((folder / "tmp").iterdir())
        if (folder / "e.json").exists():
            assert [record.outcome for record in read_evidence(folder / "e.json")] == ["ok", "ok"]
    done = prove(folder, *files, "--force")
    done.communicate(timeout=60)
    assert done.returncode == 0
    assert [record.outcome for record in read_evidence(folder / "e.json")] == ["ok", "ok"]
    assert not (folder / "e.json.journal").exists()
    assert not list((folder / "tmp").iterdir())


def test_what_killed_jobs_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = subprocess.Popen([sys.executable, "-c", ""])
    job.wait()
    left = tmp_path / f"pteron-prove-{job.pid}-abc"
    mine = tmp_path / f"pteron-prove-{os.getpid()}-abc"
    left.mkdir()
    mine.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    scratch.sweep()
    assert not left.exists()
    assert mine.exists()


INSTALLING = """
import sys
from pathlib import Path
from pteron.cli.main import main
from pteron.prove import install
from test_install import Copying

class Slow(Copying):
    def command(self, folder, requirements):
        return [sys.executable, "-c", "import time; time.sleep(600)"]

install.installer = lambda: Slow(Path("nowhere"))
sys.exit(main(["runtimes", "install", "1.4.1"]))
"""


@WAYS
def test_interrupted_while_installing(tmp_path: Path, way: signal.Signals) -> None:
    job = started(tmp_path, code=INSTALLING)
    wait_for(lambda: len(strays(tmp_path)) == 2, "the installer")
    code, said = ended(job, way, tmp_path)
    assert code == CODES[way]
    announced, *last = said.splitlines()
    assert "packages, 11 MB to download" in announced
    assert last == ([f"pteron: {ENDED[way]}"] if way in ENDED else [])
    assert [path.name for path in (tmp_path / "runtimes" / "1.4.1").iterdir()] == []  # no marker: unfinished
    left = list((tmp_path / "tmp").iterdir())
    assert way is signal.SIGKILL or not left
    assert all(path.name.startswith("pteron-prove-") for path in left)
