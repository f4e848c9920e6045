"""How much memory this process has resident, and the most it had since a moment."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int | None:
    """Bytes resident now; None where the system does not say (it does on Linux)."""
    return _status("VmRSS")


class Peak:
    """The most memory that was resident since the object was made, beyond what was then.

    On Linux the kernel's mark is put back to the present; where that is refused, and on macOS, only what is more than
    the highest mark before counts. None on Windows.
    """

    def __init__(self) -> None:
        self.before = resident_bytes()
        # "5" puts VmHWM back (man 5 proc_pid_clear_refs).
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._mark = _highest()

    def growth(self) -> int | None:
        """Bytes from what was resident at the beginning to the highest mark since."""
        highest = _highest()
        if highest is None or self._mark is None:
            return None
        start = self._mark if self.before is None else max(self.before, self._mark)
        return max(0, highest - start)


def _status(field: str) -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) << 10
    return None


def _highest() -> int | None:
    highest = _status("VmHWM")
    if highest is not None or sys.platform == "win32":
        return highest
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used << 10
