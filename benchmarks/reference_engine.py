"""The reference engine beside the official wheel, on the same portable files, one thread each, in one run.

    pip install ".[interop]"
    python benchmarks/models.py MODELS
    python benchmarks/reference_engine.py MODELS

Runs alternate (official, Pteron, official, …); the table gives medians and the ratio official ÷ Pteron. Outputs are
compared with eager PyTorch's before anything is timed.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from executorch.extension.pybindings import portable_lib

import pteron

BUDGET = 20.0  # seconds per model, both engines together


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(path: Path) -> tuple[float, float, int]:
    """Median seconds of one run, official and Pteron, and the number of pairs."""
    with np.load(path.with_name(path.name.split(".")[0] + ".npz")) as arrays:
        inputs, expected = [arrays[f"in{i}"] for i in range(len(arrays.files) - 1)], arrays["out0"]
    official = portable_lib._load_for_executorch(str(path))
    module = pteron.load(path, engine="reference")
    tensors = [torch.from_numpy(x) for x in inputs]
    run_official = lambda: official.run_method("forward", tensors)  # noqa: E731
    run_pteron = lambda: module.forward(*inputs)  # noqa: E731
    for outputs in (run_pteron(), [o.numpy() for o in run_official()]):
        np.testing.assert_allclose(outputs[0], expected, rtol=1e-3, atol=1e-4)
    pairs: list[tuple[float, float]] = []
    start = time.perf_counter()
    while len(pairs) < 3 or (time.perf_counter() - start < BUDGET and len(pairs) < 200):
        pairs.append((timed(run_official), timed(run_pteron)))
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), len(pairs)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    portable_lib._unsafe_reset_threadpool(1)
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, 1 thread")
    print(f"executorch {version('executorch')}, pteron {pteron.__version__}, numpy {np.__version__}")
    print(f"{'model':<16}{'official ms':>13}{'pteron ms':>12}{'ratio':>9}{'runs':>6}")
    for path in sorted(folder.glob("*.portable.pte")):
        official, ours, runs = measure(path)
        print(
            f"{path.name.split('.')[0]:<16}{official * 1e3:>13.3f}{ours * 1e3:>12.3f}{official / ours:>8.1f}x{runs:>6}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
