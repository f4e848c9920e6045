"""Start-up and memory beside the official wheel: from nothing to the first output, and opening once all is imported.

    pip install ".[interop]"
    python benchmarks/models.py MODELS mobilenet_v2
    python benchmarks/start_up.py MODELS/mobilenet_v2.xnnpack.pte [ROUNDS]

Fresh processes take turns: the official runtime (``executorch.runtime``), the lighter ``portable_lib`` under it, and
Pteron with a warm cache. Each reads the same input and stops at its first output: seconds since it was started, CPU
seconds, and peak resident memory (``VmHWM``, else ``ru_maxrss``). Then, in one process that has imported both, loading
and running once take turns. Medians, and the ratio official ÷ Pteron.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

INPUT = """
import numpy
with numpy.load({npz!r}) as arrays:
    inputs = [arrays[name] for name in sorted(arrays.files) if name.startswith("in")]
"""

OFFICIAL = """
import torch
from executorch.runtime import Runtime
method = Runtime.get().load_program({path!r}).load_method("forward")
output = method.execute([torch.from_numpy(x) for x in inputs])[0].numpy()
"""

PORTABLE_LIB = """
import torch
from executorch.extension.pybindings import portable_lib
module = portable_lib._load_for_executorch({path!r})
output = module.run_method("forward", [torch.from_numpy(x) for x in inputs])[0].numpy()
"""

PTERON = """
import pteron
output = pteron.load({path!r}).forward(*inputs)[0]
"""

REPORT = """
import json, resource, time
end = time.monotonic()
usage = resource.getrusage(resource.RUSAGE_SELF)
peak = usage.ru_maxrss * 1024
try:
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
except (OSError, StopIteration):
    pass
print("measured", json.dumps([end, usage.ru_utime + usage.ru_stime, peak, float(output.ravel()[0])]))
"""

OPENING = """
import statistics, time
import torch, pteron
from executorch.extension.pybindings import portable_lib
tensors = [torch.from_numpy(x) for x in inputs]
portable_lib._unsafe_reset_threadpool({threads})
def official():
    return portable_lib._load_for_executorch({path!r}).run_method("forward", tensors)[0]
def ours():
    return pteron.load({path!r}, threads={threads}).forward(*inputs)[0]
def measure(function):
    wall, cpu = time.perf_counter(), time.process_time()
    kept = function()
    return time.perf_counter() - wall, time.process_time() - cpu, kept
official(), ours()
pairs = [(measure(official)[:2], measure(ours)[:2]) for _ in range({pairs})]
import json
print("measured", json.dumps([[statistics.median(p[side][what] for p in pairs) for what in (0, 1)] for side in (0, 1)]))
"""


def child(code: str) -> tuple[float, list[object]]:
    """When a process was started, on the clock that all processes share, and what it measured."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("measured"))
    return start, json.loads(line.removeprefix("measured"))


def main(path: Path, rounds: int) -> None:
    names = {"npz": str(path.with_name(path.name.split(".")[0] + ".npz")), "path": str(path)}
    programs = {"official": OFFICIAL, "portable_lib": PORTABLE_LIB, "pteron": PTERON}
    codes = {name: (INPUT + code + REPORT).format(**names) for name, code in programs.items()}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["PTERON_CACHE"] = cache
        for code in codes.values():
            child(code)
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in codes}
        for _ in range(rounds):
            for name, code in codes.items():
                start, (end, cpu, peak, _) = child(code)
                found[name].append((float(end) - start, float(cpu), float(peak)))  # type: ignore[arg-type]
        openings = {
            threads: child((INPUT + OPENING).format(**names, threads=threads, pairs=10 * rounds))[1]
            for threads in dict.fromkeys((1, os.cpu_count() or 1))
        }
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    print(f"{path.name}, {rounds} rounds")
    print(f"{'from start to first output':<30}{'wall ms':>10}{'CPU ms':>10}{'peak MB':>10}{'ratios':>26}")
    for name, (wall, cpu, peak) in medians.items():
        ratios = "".join(f"{a / b:>8.1f}x" for a, b in zip((wall, cpu, peak), medians["pteron"], strict=True))
        print(f"{name:<30}{wall * 1e3:>10.0f}{cpu * 1e3:>10.0f}{peak / 2**20:>10.0f}{ratios}")
    print(f"{'load and first run, imported':<30}{'wall ms':>10}{'CPU ms':>10}")
    for threads, opening in openings.items():
        for name, (wall, cpu) in zip(("portable_lib", "pteron"), opening, strict=True):  # type: ignore[misc]
            print(f"{f'{name}, {threads} threads':<30}{wall * 1e3:>10.1f}{cpu * 1e3:>10.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7)
