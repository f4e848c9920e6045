"""Progress shows after a second, on a terminal only."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

PROGRAM = """
import sys, time
from pteron.cli.progress import Waiting
with Waiting("counting\\x1b[2J", total=3) as waiting:
    waiting.advance()
    time.sleep(float(sys.argv[1]))
    waiting.advance()
    time.sleep(0.3)
"""


def on_a_terminal(seconds: str) -> str:
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", PROGRAM, seconds], stderr=terminal, env=environment, timeout=60, check=True)
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:  # how Linux reports the end of a terminal
            break
        if not piece:
            break
        shown += piece
    os.close(screen)
    return shown.decode()


def test_a_long_task_shows_how_far_it_is() -> None:
    shown = on_a_terminal("1.3")
    assert "counting\\x1b[2J" in shown
    assert "1/3" in shown
    assert "2/3" in shown


def test_a_short_task_shows_nothing() -> None:
    assert on_a_terminal("0.1") == ""


def test_without_a_terminal_nothing_is_shown() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, "1.2"], capture_output=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == (b"", b"")
