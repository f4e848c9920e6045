"""``pteron diff``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pteron.cli import exit_codes


def test_exit_codes(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    old = corpus("0.7.0", "attention_block.pte", name_here="old.pte")
    new = corpus("1.5.1", "attention_block.pte", name_here="new.pte")
    assert pteron("diff", old, old).code == 0
    ran = pteron("diff", old, new)
    assert ran.code == 1
    assert ran.out.startswith("old.pte → new.pte: breaking changes\n")
    assert "+ dim_order_ops::_clone_dim_order.out" in ran.out
    # The release from 1.0 on run both.
    assert pteron("diff", old, new, "--runtime", ">=1.0").code == exit_codes.COMPATIBLE


def test_json(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    ran = pteron("diff", corpus("1.5.1", "add.pte"), corpus("1.5.1", "mlp.pte"), "--format", "json")
    assert ran.json["schema"] == "pteron.diff/1"
    assert ran.json["change"] == "breaking"
    assert {item["section"] for item in ran.json["differences"]} >= {"methods", "operators", "weights"}


def test_wrong_questions(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("1.5.1", "add.pte")
    assert pteron("diff", file).code == 2
    assert pteron("diff", file, "nothing.pte").code == 2


@pytest.fixture
def git(corpus: Callable[..., str], folder: Path) -> Callable[..., str]:
    """git in a repository with one model, set up as docs/diff.md says."""

    def run(*arguments: str) -> str:
        done = subprocess.run(["git", "--no-pager", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    page = (Path(__file__).parents[2] / "docs" / "diff.md").read_text(encoding="utf-8")
    assert "echo '*.pte diff=pte' >> .gitattributes" in page
    assert "git config diff.pte.command 'pteron diff --git'" in page
    run("init", "-q")
    run("config", "user.email", "a@b.c")
    run("config", "user.name", "a")
    run("config", "diff.pte.command", f"'{sys.executable}' -m pteron diff --git")
    (folder / ".gitattributes").write_text("*.pte diff=pte\n")
    corpus("0.7.0", "attention_block.pte", name_here="model.pte")
    run("add", ".")
    run("commit", "-qm", "one")
    return run


def test_as_a_git_diff_driver(git: Callable[..., str], corpus: Callable[..., str], folder: Path) -> None:
    corpus("1.5.1", "attention_block.pte", name_here="model.pte")
    shown = git("diff")
    assert "a/model.pte → b/model.pte: breaking changes" in shown
    assert "dim_order_ops::_clone_dim_order.out" in shown
    assert "0.7.0: guaranteed → incompatible, PT-OP-001: dim_order_ops::_clone_dim_order.out has no kernel" in shown
    git("commit", "-qam", "two")
    assert git("show", "--ext-diff").endswith(shown)
    assert git("log", "-p", "-1", "--ext-diff").endswith(shown)
    git("rm", "-q", "--cached", "model.pte")
    assert "model.pte: deleted" in git("diff", "--cached")


def test_git_goes_on_behind_files_that_cannot_be_compared(
    git: Callable[..., str], corpus: Callable[..., str], folder: Path
) -> None:
    """A pointer of git-lfs in place of the file, a new file, one that was renamed; the last one is still shown."""
    corpus("0.7.0", "attention_block.pte", name_here="z.pte")
    git("add", ".")
    git("commit", "-qm", "two")
    (folder / "model.pte").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")
    corpus("1.5.1", "add.pte", name_here="new.pte")
    corpus("1.5.1", "attention_block.pte", name_here="z.pte")
    git("add", ".")
    shown = git("diff", "--cached")
    assert "model.pte: cannot be compared: b/model.pte: is text, not an ExecuTorch program" in shown
    assert "new.pte: added" in shown
    assert "a/z.pte → b/z.pte: breaking changes" in shown


def test_a_conflict(git: Callable[..., str], corpus: Callable[..., str], folder: Path) -> None:
    git("checkout", "-qb", "other")
    corpus("1.5.1", "add.pte", name_here="model.pte")
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "-")
    corpus("1.5.1", "mlp.pte", name_here="model.pte")
    git("commit", "-qam", "mine")
    subprocess.run(["git", "merge", "-q", "other"], cwd=folder, capture_output=True, check=False)
    assert "model.pte: not merged" in git("diff", "--cached")


def test_arguments_that_git_does_not_give(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    assert pteron("diff", "--git", corpus("1.5.1", "add.pte"), "two").code == 2
