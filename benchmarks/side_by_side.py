"""The fast engine beside the official wheel, on the same files, in one run.

    pip install ".[interop]"
    python benchmarks/models.py MODELS
    python benchmarks/side_by_side.py MODELS THREADS [SECONDS]

Runs alternate (official, Pteron, official, …); the table gives medians and the ratio official ÷ Pteron, and the largest
difference of the first outputs relative to the official's largest element. Geometric means over the models close it.
"""

from __future__ import annotations

import os
import sys

THREADS = int(sys.argv[2])
os.environ.update(OMP_NUM_THREADS=str(THREADS), OPENBLAS_NUM_THREADS=str(THREADS), MKL_NUM_THREADS=str(THREADS))

import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from executorch.extension.pybindings import portable_lib

import pteron


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(path: Path, seconds: float) -> tuple[float, float, float, int]:
    """Median seconds of one run, official and Pteron, the relative difference, and the number of pairs."""
    with np.load(path.with_name(path.name.split(".")[0] + ".npz")) as arrays:
        inputs = [arrays[f"in{i}"] for i in range(len(arrays.files) - 1)]
    official = portable_lib._load_for_executorch(str(path))
    forward = pteron.load(path, engine="onnxruntime", threads=THREADS).forward
    tensors = [torch.from_numpy(x) for x in inputs]
    theirs, ours = official.run_method("forward", tensors)[0].numpy(), forward(*inputs)[0]
    difference = float(np.abs(theirs - ours).max() / np.abs(theirs).max())
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < 3 or (time.perf_counter() - start < seconds and len(pairs) < 2000):
        pairs.append((timed(lambda: official.run_method("forward", tensors)), timed(lambda: forward(*inputs))))
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), difference, len(pairs)


def main(folder: Path, seconds: float) -> None:
    torch.set_num_threads(THREADS)
    portable_lib._unsafe_reset_threadpool(THREADS)
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {THREADS} threads, "
        f"executorch {version('executorch')}, onnxruntime {version('onnxruntime')}, pteron {pteron.__version__}"
    )
    print(f"{'file':<26}{'official ms':>13}{'pteron ms':>12}{'ratio':>9}{'difference':>12}{'pairs':>7}")
    ratios: defaultdict[str, list[float]] = defaultdict(list)
    for path in sorted(folder.glob("*.pte"), key=lambda p: (p.name.split(".")[1], p.name)):
        official, ours, difference, runs = measure(path, seconds)
        ratios[path.name.split(".")[1]].append(official / ours)
        print(
            f"{path.stem:<26}{official * 1e3:>13.3f}{ours * 1e3:>12.3f}{official / ours:>8.2f}x"
            f"{difference:>12.1e}{runs:>7}",
            flush=True,
        )
    for kind, values in ratios.items():
        print(f"{kind:<26}geometric mean {statistics.geometric_mean(values):.2f}x")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[3]) if len(sys.argv) > 3 else 10.0)
