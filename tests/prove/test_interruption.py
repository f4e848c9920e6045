"""Whatever ends a job, no process of it stays, no file is half-written, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from fake_release import make_release, program
from pteron.compat.evidence import read_evidence


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pteron", "prove", *arguments, "--runtime", "1.5.1", "-o", "e.json"]
    environment = {**os.environ, "PTERON_RUNTIMES": str(folder / "runtimes"), "TMPDIR": str(folder / "tmp")}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def strays(folder: Path) -> list[str]:
    """Processes that this job started: all have its temporary folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"TMPDIR={folder / 'tmp'}".encode() in variables.split(b"\0") and state != "Z":
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def wait_for(condition: object, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    make_release(tmp_path / "runtimes")
    program(tmp_path, "a_right")
    program(tmp_path, "hang")
    return tmp_path


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM], ids=lambda way: way.name)
def test_interrupted_while_a_program_hangs(folder: Path, way: signal.Signals) -> None:
    job = started(folder, "a_right.pte", "hang.pte", "--timeout", "600")
    journal = folder / "e.json.journal"
    try:
        wait_for(lambda: journal.exists() and journal.read_bytes().count(b"\n") == 1, "the first record")
        wait_for(lambda: len(strays(folder)) >= 4, "the worker and its child")
        job.send_signal(way)
        _, said = job.communicate(timeout=60)
    finally:
        job.kill()
        job.communicate()
    assert job.returncode == (130 if way is signal.SIGINT else -way)
    if way is signal.SIGINT:
        assert "interrupted with 1 of 2 done; the same command goes on from there" in said
        assert not list((folder / "tmp").iterdir())
    wait_for(lambda: not strays(folder), f"the end of {strays(folder)}")
    assert not (folder / "e.json").exists()
    assert [Path(record.file).stem for record in read_evidence(journal)] == ["a_right"]

    again = started(folder, "a_right.pte", "hang.pte", "--timeout", "600")
    wait_for(lambda: len(strays(folder)) >= 4, "the job goes on")
    again.kill()
    _, said = again.communicate(timeout=60)
    assert "going on with a job that was interrupted, 1 of 2 are done" in said
    wait_for(lambda: not strays(folder), "the end")


def test_what_killed_jobs_left_is_swept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = folder / "tmp" / f"pteron-prove-{ended.pid}-abc"
    mine = folder / "tmp" / f"pteron-prove-{os.getpid()}-abc"
    left.mkdir()
    mine.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    from pteron.prove.job import sweep

    sweep()
    assert not left.exists()
    assert mine.exists()


INSTALLING = """
import sys
sys.path.insert(0, {tests!r})
from packaging.version import Version
from pteron.prove import install
from test_install import Copying
from pathlib import Path

class Slow(Copying):
    def command(self, folder, requirements):
        return [sys.executable, "-c", "import time; time.sleep(600)"]

install.installer = lambda: Slow(Path("nowhere"))
install.install([Version("1.4.1")], announce=lambda sentence: print(sentence, flush=True))
"""


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL], ids=lambda way: way.name)
def test_interrupted_while_installing(tmp_path: Path, way: signal.Signals) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "PTERON_RUNTIMES": str(tmp_path / "runtimes"), "TMPDIR": str(tmp_path / "tmp")}
    code = INSTALLING.format(tests=str(Path(__file__).parent))
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    job = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert job.stdout is not None
    assert "packages, 11 MB to download" in job.stdout.readline()
    wait_for(lambda: len(strays(tmp_path)) == 2, "the installer")
    job.send_signal(way)
    assert job.wait(timeout=60) != 0
    job.stdout.close()
    wait_for(lambda: not strays(tmp_path), "the end of the installer")
    assert [path.name for path in (tmp_path / "runtimes" / "1.4.1").iterdir()] == []  # no marker: unfinished
