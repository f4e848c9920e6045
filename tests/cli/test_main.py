"""Exit codes, errors in one sentence, and output that fits where it goes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pteron as package
from pteron.cli import exit_codes, main
from pteron.errors import (
    BackendError,
    ExecutionError,
    ExternalDataError,
    FileAccessError,
    InputError,
    KernelError,
    LoadError,
    MethodNotFoundError,
    MissingOperatorError,
    PteronError,
    TruncatedError,
    UnknownFileError,
    UnsupportedError,
    VerificationError,
)


def test_version(pteron: Callable[..., Any]) -> None:
    assert pteron("--version").out == f"pteron {package.__version__}\n"


def test_without_a_command_the_help_is_shown(pteron: Callable[..., Any]) -> None:
    ran = pteron()
    assert ran.code == 2
    for command in ("run", "show", "verify", "explain"):
        assert f"  {command} " in ran.out


@pytest.mark.parametrize("command", ["run", "bench", "to-onnx", "show", "verify", "explain"])
def test_help_has_examples(pteron: Callable[..., Any], command: str) -> None:
    ran = pteron(command, "--help")
    assert ran.code == 0
    assert f"  Examples:\n    pteron {command} " in ran.out
    assert ran.err == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "Missing argument 'FILE'; see pteron run --help"),
        (["show", "x", "--formt", "json"], "No such option: --formt"),
        (["shwo", "x"], "No such command 'shwo'"),
        (["run", "x", "--repeat", "0"], "Invalid value for '--repeat'"),
        (["run", "x", "--engine", "warp"], "'warp' is not one of"),
        (["explain"], "Invalid value for CODE: give a code, or --list"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(pteron: Callable[..., Any], arguments: list[str], sentence: str) -> None:
    ran = pteron(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("pteron: ")
    assert ran.err.count("\n") == 1
    assert sentence in ran.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PteronError("x"), 2),
        (FileAccessError("x"), 2),
        (UnknownFileError("x"), 2),
        (TruncatedError("x"), 2),
        (MethodNotFoundError("x"), 2),
        (InputError("x"), 2),
        (ExternalDataError("x"), 2),
        (VerificationError("x"), 1),
        (LoadError("x"), 1),
        (MissingOperatorError("x"), 1),
        (BackendError("x"), 1),
        (UnsupportedError("x"), 1),
        (ExecutionError("x"), 1),
        (KernelError("x"), 1),
    ],
)
def test_exit_code_of_each_error(error: PteronError, code: int) -> None:
    assert exit_codes.exit_code(error) == code


@pytest.mark.parametrize(
    ("raised", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "pteron: interrupted\n"),
        (MemoryError(), 1, "pteron: there is not enough memory\n"),
        (ZeroDivisionError("oh"), 3, "pteron: internal error, ZeroDivisionError: oh; please report it"),
    ],
)
def test_no_traceback_whatever_happens(
    pteron: Callable[..., Any],
    corpus: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    code: int,
    sentence: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("pteron.report.program.describe_file", fail)
    ran = pteron("show", corpus("1.5.1", "add.pte"))
    assert ran.code == code
    assert ran.err.strip().startswith(sentence.strip())
    assert "Traceback" not in ran.err


def test_debug_lets_the_error_out(folder: Path) -> None:
    with pytest.raises(FileAccessError):
        main.main(["--debug", "show", "nowhere.pte"])


@pytest.mark.parametrize("unbuffered", ["", "1"])  # the pipe is found broken when the output is flushed, or at once
def test_a_reader_that_stops_reading_is_no_error(folder: Path, corpus: Callable[..., str], unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pteron", "show", corpus("1.5.1", "add.pte")]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=60, check=False)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (141, b"")


def in_a_terminal(*arguments: str) -> str:
    """What the command prints on a terminal of 60 columns."""
    screen, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "pteron", *arguments]
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
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
        process.wait(60)
    os.close(screen)
    return shown.decode()


def test_a_terminal_gets_colours_and_its_own_width_and_a_pipe_neither(
    pteron: Callable[..., Any], folder: Path, corpus: Callable[..., str]
) -> None:
    corpus("1.5.1", "bundled_dtypes.bpte")
    shown = in_a_terminal("show", "bundled_dtypes.bpte")
    assert "\x1b[1m" in shown
    plain = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[2m", "")
    assert max(map(len, plain.splitlines())) <= 60
    piped = pteron("show", "bundled_dtypes.bpte").out
    assert "\x1b" not in piped
    assert max(map(len, piped.splitlines())) > 150
    assert not any(line.endswith(" ") for line in piped.splitlines())


def test_characters_that_the_output_cannot_hold_are_escaped(folder: Path, corpus: Callable[..., str]) -> None:
    command = [sys.executable, "-m", "pteron", "show", corpus("1.5.1", "dynamic_mlp.pte")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ran = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    assert ran.returncode == 0
    assert b"float32[\\u22648, \\u226416]" in ran.stdout


def test_show_and_help_import_no_kernels() -> None:
    code = (
        "import sys, pteron.cli.main, pteron.report.program\n"
        "print(sorted(m for m in sys.modules if m.startswith(('pteron.ops', 'pteron.runtime', 'onnx', 'torch'))))\n"
        "import pteron.cli.run, pteron.cli.verify, pteron.cli.explain\n"
        "print('numpy' in sys.modules, 'rich' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.splitlines()[0] == "[]"
