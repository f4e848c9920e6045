"""``pteron diff``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def test_as_a_git_diff_driver(corpus: Callable[..., str], folder: Path) -> None:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout

    git("init", "-q")
    git("config", "user.email", "a@b.c")
    git("config", "user.name", "a")
    git("config", "diff.pte.command", f"'{sys.executable}' -m pteron diff --git")
    (folder / ".gitattributes").write_text("*.pte diff=pte\n")
    corpus("0.7.0", "attention_block.pte", name_here="model.pte")
    git("add", ".")
    git("commit", "-qm", "one")
    corpus("1.5.1", "attention_block.pte", name_here="model.pte")
    shown = git("--no-pager", "diff")
    assert "a/model.pte → b/model.pte: breaking changes" in shown
    assert "dim_order_ops::_clone_dim_order.out" in shown
    git("add", ".")
    git("rm", "-q", "--cached", "model.pte")
    assert "model.pte: deleted" in git("--no-pager", "diff", "--cached")
