"""The ONNX Runtime engine: cost of a call, of opening, and of a decoder's step against the length of its cache.

``python benchmarks/onnx_engine.py FOLDER``, with the programs of ``benchmarks/models.py`` in FOLDER. Prints medians;
``bare`` is ``InferenceSession.run`` of the same session, ``cold`` and ``warm`` are opening and first run without and
with the cache of optimised models. The decoder's programs are exported here (``pip install '.[interop]'``).
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pteron


def median(call: Callable[[], object], seconds: float = 2.0) -> float:
    """Median seconds of a call."""
    for _ in range(3):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def opened(path: Path, x: Any, threads: int) -> tuple[float, Any]:
    """Seconds to load and run once, and the method."""
    start = time.perf_counter()
    method = pteron.load(path, engine="onnxruntime", threads=threads).forward
    method(x)
    return time.perf_counter() - start, method


def models(folder: Path) -> None:
    print(f"{'model':<22}{'threads':>8}{'cold ms':>10}{'warm ms':>10}{'call ms':>10}{'bare ms':>10}{'rel. error':>12}")
    for path in sorted(folder.glob("*.pte")):
        with np.load(path.with_name(path.name.split(".")[0] + ".npz")) as arrays:
            if len(arrays.files) > 2:  # a step with state has no bare session to compare with
                continue
            x, expected = arrays["in0"], arrays["out0"]
        for threads in (1, 2):
            with tempfile.TemporaryDirectory() as cache:
                os.environ["PTERON_CACHE"] = cache
                cold, fresh = opened(path, x, threads)
                warm, method = opened(path, x, threads)
                error = np.abs(method(x)[0] - expected).max() / np.abs(expected).max()
                session = next(iter(fresh._prepared.values())).steps[0][0].session
                name = session.get_inputs()[0].name
                call = median(lambda method=method, x=x: method(x))
                bare = median(lambda session=session, name=name, x=x: session.run(None, {name: x}))
            print(
                f"{path.stem:<22}{threads:>8}{cold * 1e3:>10.1f}{warm * 1e3:>10.1f}{call * 1e3:>10.4f}"
                f"{bare * 1e3:>10.4f}{error:>12.1e}",
                flush=True,
            )


def decoder(folder: Path) -> None:
    """One step of attention with a KV cache, and of writing into the cache alone."""
    import torch
    from executorch.exir import to_edge
    from torch import nn

    heads, depth = 8, 64

    class Step(nn.Module):
        def __init__(self, length: int, attends: bool) -> None:
            super().__init__()
            self.length, self.attends = length, attends
            self.qkv = nn.Linear(heads * depth, 3 * heads * depth)
            self.out = nn.Linear(heads * depth, heads * depth)
            self.register_buffer("k", torch.zeros(1, heads, length, depth))
            self.register_buffer("v", torch.zeros(1, heads, length, depth))

        def forward(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
            q, k, v = self.qkv(x).view(1, 1, 3, heads, depth).permute(2, 0, 3, 1, 4).unbind(0)
            self.k[:, :, at] = k
            self.v[:, :, at] = v
            if self.attends:
                mask = (torch.arange(self.length) <= at).view(1, 1, 1, -1)
                y = nn.functional.scaled_dot_product_attention(q, self.k, self.v, attn_mask=mask)
            else:
                y = q + self.k[:, :, at] + self.v[:, :, at]
            return self.out(y.transpose(1, 2).reshape(1, 1, -1))

    print(f"{'decoder step':<16}{'cache MB':>10}{'write ms':>10}{'attend ms':>11}")
    x, at = np.random.default_rng(0).standard_normal((1, 1, heads * depth), np.float32), np.array([7])
    for length in (1024, 4096, 16384, 32768):
        times = []
        for attends in (False, True):
            path = folder / f"decoder_{length}_{attends}.pte"
            with torch.no_grad():
                inputs = (torch.from_numpy(x), torch.from_numpy(at))
                program = to_edge(torch.export.export(Step(length, attends).eval(), inputs)).to_executorch()
            path.write_bytes(program.buffer)
            method = pteron.load(path, engine="onnxruntime", threads=1).forward
            times.append(median(lambda method=method: method(x, at)))
        print(f"{length:<16}{8 * heads * length * depth / 2**20:>10.0f}{times[0] * 1e3:>10.3f}{times[1] * 1e3:>11.3f}")


if __name__ == "__main__":
    models(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as programs:
        decoder(Path(programs))
