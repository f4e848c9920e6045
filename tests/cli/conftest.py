"""Runs the command line in this process, in an empty folder with files of the corpus."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from pteron.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pteron(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """``pteron("show", "add.pte")`` runs the command in the working folder."""

    def run(*arguments: str) -> Ran:
        capfd.readouterr()
        code = main(arguments)
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def corpus(folder: Path) -> Callable[..., str]:
    """``corpus("1.5.1", "add.pte")`` puts a file of the corpus into the working folder and gives its name."""

    def put(release: str, name: str, *, name_here: str = "") -> str:
        here = name_here or name.replace("/", "_")
        (folder / here).write_bytes(corpus_files.read(release, name))
        return here

    return put
