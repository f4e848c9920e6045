"""Ending ``pteron migrate`` at any point: the original is untouched, what is written is whole, nothing is left."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from fake_release import make_release, program
from interruption import CODES, ended, listens, started, strays, wait_for
from pteron.cli.interruption import Interrupted
from pteron.cli.main import main
from pteron.format import save

EXTERNAL = ("external_constants_mlp.pte", "external_constants_mlp._default_external_constant.ptd")
ENDS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """A program and its weights for a release that reads another layout of .ptd files, and what comes of them."""
    for name in EXTERNAL:
        (tmp_path / name).write_bytes(corpus_files.read("0.6.0", name))
    job = started(tmp_path, *command())
    assert job.communicate(timeout=60)[1] == ""
    written = {name: (tmp_path / name).read_bytes() for name in ("new.pte", "new.ptd")}
    for name in written:
        (tmp_path / name).unlink()
    return written


def command() -> list[str]:
    return ["migrate", EXTERNAL[0], "--data", EXTERNAL[1], "--to", "1.5.1", "-o", "new.pte", "--force"]


def check_folder(folder: Path, whole: dict[str, bytes], *, killed: bool) -> None:
    for name in EXTERNAL:
        assert (folder / name).read_bytes() == corpus_files.read("0.6.0", name)
    left = {path.name for path in folder.iterdir()} - {*EXTERNAL, "tmp", "runtimes"}
    hidden = {name for name in left if name.startswith(".new.pt") and name.endswith(".tmp")}
    assert killed or not hidden
    for name in left - hidden:
        assert (folder / name).read_bytes() == whole[name]
    if not killed:
        assert left in (set(), set(whole))
    assert not list((folder / "tmp").iterdir())


@pytest.mark.parametrize("way", list(CODES), ids=lambda way: way.name)
def test_at_random_points(tmp_path: Path, whole: dict[str, bytes], way: signal.Signals) -> None:
    chance = random.Random(way)
    codes = set()
    for seconds in (0.0, *(chance.uniform(0.0, 0.8) for _ in range(3))):
        job = started(tmp_path, *command())
        wait_for(lambda job=job: listens(job), "the command")
        time.sleep(seconds)
        code, said = ended(job, way, tmp_path)
        assert code in (0, CODES[way])
        assert len(said.splitlines()) == (code in (130, 143)), said
        check_folder(tmp_path, whole, killed=code == -9)
        codes.add(code)
    assert CODES[way] in codes
    job = started(tmp_path, *command())
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert {name: (tmp_path / name).read_bytes() for name in whole} == whole


POINTS = {
    "writing": ("open", 1),
    "between the files": ("open", 2),
    "before the first rename": ("replace", 1),
    "before the second rename": ("replace", 2),
}


@pytest.mark.parametrize("way", ENDS, ids=lambda way: way.name)
@pytest.mark.parametrize("point", list(POINTS))
def test_at_chosen_points(
    tmp_path: Path,
    whole: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    way: signal.Signals,
    point: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    method, at = POINTS[point]
    original, count = getattr(Path, method), [0]

    def ending(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name.endswith(".tmp"):
            count[0] += 1
            if count[0] == at:
                signal.raise_signal(way)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Path, method, ending)
    assert main(command()) == CODES[way]
    monkeypatch.undo()
    assert count[0] == at
    assert capfd.readouterr().err.count("\n") == 1
    check_folder(tmp_path, whole, killed=False)
    assert not (tmp_path / "new.ptd").exists()


def test_killed_while_writing(tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
import os, signal
from pathlib import Path
from pteron.cli.main import main
replace = Path.replace
Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
main({command()!r})
"""
    job = started(tmp_path, code=code)
    job.communicate(timeout=60)
    assert job.returncode == -9
    check_folder(tmp_path, whole, killed=True)
    left = [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    assert len(left) == 2
    # Another process may be writing, so only what has been quiet for long is removed by the next run.
    assert main(["verify", str(tmp_path)]) == 0  # not taken for a program
    monkeypatch.setattr(save, "STALE_SECONDS", -1.0)
    monkeypatch.chdir(tmp_path)
    assert main(command()) == 0
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


@pytest.mark.parametrize("way", list(CODES), ids=lambda way: way.name)
def test_while_the_result_is_proven(tmp_path: Path, way: signal.Signals) -> None:
    make_release(tmp_path / "runtimes")
    (tmp_path / "add.pte").write_bytes(corpus_files.read("0.2.1", "add.pte"))
    job = started(tmp_path, "migrate", "add.pte", "--to", "1.5.1", "-o", "hang.pte", "--prove")
    wait_for(lambda: len(strays(tmp_path)) >= 4, "the release, and the file that hangs on it")
    code, said = ended(job, way, tmp_path)
    assert code == CODES[way]
    assert said.count("\n") == (way is not signal.SIGKILL)
    if way is signal.SIGTERM:
        assert said == "pteron: ended by SIGTERM before 1.5.1 was asked; hang.pte is written\n"
    assert main(["verify", str(tmp_path / "hang.pte")]) == 0
    assert (tmp_path / "add.pte").read_bytes() == corpus_files.read("0.2.1", "add.pte")
    left = list((tmp_path / "tmp").iterdir())
    assert way is signal.SIGKILL or not left
    for path in left:
        assert path.name.startswith("pteron-prove-")  # which the next run removes


def test_a_signal_while_things_are_put_away(monkeypatch: pytest.MonkeyPatch, pteron: Callable[..., Any]) -> None:
    """The second Ctrl-C of somebody impatient does not cut the clearing up short."""
    done = []

    def works(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            done.append("put away")

    monkeypatch.setattr("pteron.report.program.describe_file", works)
    program(Path(), "right")
    before = signal.getsignal(signal.SIGTERM)
    ran = pteron("show", "right.pte")
    assert (ran.code, ran.err, done) == (130, "pteron: interrupted\n", ["put away"])
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch, pteron: Callable[..., Any]) -> None:
    monkeypatch.setattr("pteron.report.program.describe_file", lambda *_: signal.raise_signal(signal.SIGINT) or {})
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        program(Path(), "right")
        assert "interrupted" not in pteron("show", "right.pte").err
    finally:
        signal.signal(signal.SIGINT, earlier)


def test_words() -> None:
    interrupted = Interrupted(signal.SIGTERM)
    interrupted.note = " with 1 of 2 done"
    assert (str(interrupted), interrupted.code) == ("ended by SIGTERM with 1 of 2 done", 143)
