"""Runs commands of ``pteron`` for the pages that show what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_command(arguments: list[str], folder: Path) -> tuple[int, str]:
    """Exit code and output (stdout and stderr together) of ``pteron`` with these arguments, run in the folder."""
    ran = subprocess.run(
        [sys.executable, "-m", "pteron", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    return ran.returncode, ran.stdout
