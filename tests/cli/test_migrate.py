"""``pteron migrate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
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
    ran = pteron("migrate", corpus("1.5.1", "ops/rand.0.pte"), "--to", "0.4.0", "--format", "json")
    assert ran.code == 1
    assert ran.json["schema"] == "pteron.migrate/1"
    assert ran.json["possible"] is False
    assert [reason["rule"] for reason in ran.json["obstacles"]] == ["PT-OP-001"]
    assert [path.name for path in folder.iterdir()] == ["ops_rand.0.pte"]


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


def test_inputs_given(pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path) -> None:
    file = corpus("1.5.1", "ops/bucketize.0.pte", name_here="bucketize.pte")
    case = next(c for c in corpus_files.operators("1.5.1") if c.name == "ops/bucketize.0.pte")
    ran = pteron("migrate", file, "--to", "1.0.1")
    assert (ran.code, "give real ones (--input)" in ran.err) == (1, True)
    assert [path.name for path in folder.iterdir()] == [file]
    np.savez("x.npz", *case.calls()[0].inputs)
    ran = pteron("migrate", file, "--to", "1.0.1", "--input", "x.npz")
    assert ran.code == 0, ran.err
    assert "outputs on the inputs given: the same bit for bit (forward)" in ran.out
    np.savez("x.npz", np.zeros(3, np.float32))
    wrong = pteron("migrate", file, "--to", "1.0.1", "--input", "x.npz", "--force")
    assert (wrong.code, "1 arrays given, 2 needed" in wrong.err or "is missing" in wrong.err) == (2, True)
    assert pteron("migrate", file, "--to", "1.0.1", "--method", "forward").code == 2
    assert pteron("migrate", file, "--to", "1.0.1", "--method", "back", "-i", "x.npz").code == 2


def test_proof_on_the_inputs_given(
    pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PTERON_RUNTIMES", str(folder / "runtimes"))
    make_release(folder / "runtimes", "1.5.1")
    np.savez("x.npz", in0=np.ones((2, 3), np.float32), in1=np.full((2, 3), 2, np.float32))
    options = ("--to", "1.5.1", "-o", "right.pte", "--prove", "--input", "x.npz", "--format", "json")
    ran = pteron("migrate", corpus("0.2.1", "add.pte"), *options)
    assert ran.code == 0, ran.err
    assert ran.json["compared"]["given"] == ["forward"]
    assert ran.json["proof"]["outcome"] == "ok"
