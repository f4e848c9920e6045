"""``pteron migrate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from fake_release import make_release


def test_writes_a_file_and_leaves_the_original(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("0.2.1", "add.pte")
    ran = pteron("migrate", file, "--to", "1.5.1")
    assert ran.code == 0, ran.err
    assert "constants-to-segment: wrote a constant segment" in ran.out
    assert "the same bit for bit (forward)" in ran.out
    assert "wrote add-1.5.1.pte" in ran.out
    assert Path(file).read_bytes() == corpus_files.read("0.2.1", "add.pte")
    assert pteron("migrate", "add-1.5.1.pte", "--to", "1.5.1").out.endswith("nothing to do\n")
    again = pteron("migrate", file, "--to", "1.5.1")
    assert (again.code, "exists already" in again.err) == (2, True)
    assert pteron("migrate", file, "--to", "1.5.1", "--force").code == 0


def test_a_dry_run_writes_nothing(pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path) -> None:
    ran = pteron("migrate", corpus("0.2.1", "add.pte"), "--to", "1.5.1", "--dry-run")
    assert ran.code == 0
    assert "not written" in ran.out
    assert [path.name for path in folder.iterdir()] == ["add.pte"]


def test_what_cannot_be_done(pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path) -> None:
    ran = pteron("migrate", corpus("1.5.1", "ops/view_as_real_copy.0.pte"), "--to", "1.5.1", "--format", "json")
    assert ran.code == 1
    assert ran.json["schema"] == "pteron.migrate/1"
    assert ran.json["possible"] is False
    assert [reason["rule"] for reason in ran.json["obstacles"]] == ["PT-OP-004"]
    assert [path.name for path in folder.iterdir()] == ["ops_view_as_real_copy.0.pte"]


def test_the_original_is_never_overwritten(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("0.2.1", "add.pte")
    ran = pteron("migrate", file, "--to", "1.5.1", "-o", file, "--force")
    assert (ran.code, "never overwritten" in ran.err) == (2, True)


def test_proof_on_the_release(
    pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTERON_RUNTIMES", str(folder / "runtimes"))
    make_release(folder / "runtimes", "1.5.1")
    file = corpus("0.2.1", "add.pte")
    ran = pteron("migrate", file, "--to", "1.5.1", "-o", "right.pte", "--prove", "--format", "json")
    assert ran.code == 0, ran.err
    assert ran.json["proof"]["outcome"] == "ok"
    ran = pteron("migrate", file, "--to", "1.5.1", "-o", "crash.pte", "--prove")
    assert ran.code == 1
    assert "on the real 1.5.1: crash, " in ran.out
    assert pteron("migrate", file, "--to", "1.5.1", "--prove", "--dry-run").code == 2
