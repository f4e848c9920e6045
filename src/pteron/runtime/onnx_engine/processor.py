"""What of the processor decides how ONNX Runtime lays models out, and how it multiplies."""

from __future__ import annotations

import contextlib
import functools
import itertools
import platform
from pathlib import Path

_X86 = ("x86_64", "AMD64", "i686", "x86")


@functools.cache
def processor() -> str:
    """What tells processors apart whose instruction sets, and so whose layouts, differ."""
    machine = platform.machine()
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(errors="replace") as lines:
        # Cores of x86 are alike; reading them all takes long where there are many.
        found = itertools.takewhile(str.strip, lines) if machine in _X86 else lines
        wanted = ("model name", "flags", "Features", "CPU part")
        return repr(sorted({line.strip() for line in found if line.startswith(wanted)}))
    return f"{machine} {platform.processor()}"


def may_overflow() -> bool:
    """Whether sums of products of uint8 and int8 may be held in 16 bits on the way, where they overflow.

    So it is on x86 without the VNNI instructions, and taken to be where their presence cannot be known.
    """
    return platform.machine() in _X86 and "vnni" not in processor()
