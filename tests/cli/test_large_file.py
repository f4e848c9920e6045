"""``pteron show`` of a gibibyte does not touch the weights."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools" / "make_large_pte.py"


def show(path: Path) -> tuple[float, float]:
    """Seconds of CPU time and peak resident MiB of ``pteron show``."""
    process = subprocess.Popen([sys.executable, "-m", "pteron", "show", str(path)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def test_time_and_memory(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_large_pte", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    small, large = tmp_path / "small.pte", tmp_path / "large.pte"
    tool.write(small, 1)
    tool.write(large, 1024)
    assert large.stat().st_size > 1 << 30
    start_up = min(show(small)[0] for _ in range(3))
    runs = [show(large) for _ in range(3)]
    assert min(seconds for seconds, _ in runs) - start_up < 0.3
    assert max(resident for _, resident in runs) < 100
