"""Commands that are started as a user starts them, and ended from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
WORDS = {signal.SIGINT: "pteron: interrupted", signal.SIGTERM: "pteron: ended by SIGTERM"}


def started(folder: Path, *arguments: str, code: str = "") -> subprocess.Popen[str]:
    """``pteron`` with these arguments, or Python with that code; temporary files go to ``folder/tmp``."""
    command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "pteron", *arguments]
    (folder / "tmp").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PTERON_RUNTIMES": str(folder / "runtimes"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parent / "prove")]),
    }
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def strays(folder: Path) -> list[str]:
    """Processes that are left of what :func:`started` started: all have its temporary folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"TMPDIR={folder / 'tmp'}".encode() in variables.split(b"\0") and state != "Z":
            found.append(line)
    return found


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Wait up to a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def listens(job: subprocess.Popen[str]) -> bool:
    """Whether the process takes care of SIGTERM by now: before that it is Python that starts."""
    try:
        status = Path(f"/proc/{job.pid}/status").read_text()
    except OSError:
        return True
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1) or job.poll() is not None


def ended(job: subprocess.Popen[str], way: signal.Signals, folder: Path) -> tuple[int, str]:
    """End the process and see that it says so in one line, with the right code, and that nothing is left running.

    A process that was done before the signal came may have ended as it would. Gives the code, and what it said.
    """
    try:
        job.send_signal(way)
        _, said = job.communicate(timeout=60)
    finally:
        job.kill()
        job.communicate()
    wait_for(lambda: not strays(folder), f"the end of {strays(folder)}")
    if job.returncode == CODES[way] and way in WORDS:
        last = said.splitlines()[-1]
        assert last.startswith(WORDS[way]), said
        assert "Traceback" not in said
        assert "Exception ignored" not in said
    return job.returncode, said
