"""An empty folder for environments."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments are, empty."""
    folder = tmp_path / "runtimes"
    folder.mkdir()
    monkeypatch.setenv("PTERON_RUNTIMES", str(folder))
    return folder
