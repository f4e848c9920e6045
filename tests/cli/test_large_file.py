"""``pteron show`` of a gibibyte does not touch the weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tools_as_modules import load_tool

# A process counts its parent's memory at the start as its own, so a small one stands between it and the tests.
LAUNCHER = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
print(json.dumps([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""


def show(path: Path) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of ``pteron show``."""
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "pteron", "show", str(path)]
    seconds, resident = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return seconds, resident


def test_time_and_memory(tmp_path: Path) -> None:
    tool = load_tool("make_large_pte")
    small, large = tmp_path / "small.pte", tmp_path / "large.pte"
    tool.write(small, 1)
    tool.write(large, 1024)
    assert large.stat().st_size > 1 << 30
    start_up = min(show(small)[0] for _ in range(3))
    runs = [show(large) for _ in range(3)]
    assert min(seconds for seconds, _ in runs) - start_up < 0.3
    assert max(resident for _, resident in runs) < 100
