"""A release that is none: an environment whose Python has a small torch and a binding that does as a file's name says.

The worker that drives it is the real one. The program of every file is the corpus's ``add.pte``, so the right outputs
are known; ``crash.pte`` dies, ``hang.pte`` sleeps, and so on (``BINDING``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import corpus_files

TORCH = """
import numpy as np

__version__ = "0.0+fake"
float32, uint8 = "torch.float32", "torch.uint8"


def set_num_threads(number):
    pass


class Tensor:
    def __init__(self, array):
        self.array = array
        self.dtype = f"torch.{array.dtype.name}"
        self.shape = array.shape

    def reshape(self, shape):
        return Tensor(self.array.reshape(shape))

    def permute(self, order):
        return Tensor(self.array.transpose(order))

    def detach(self):
        return self

    def contiguous(self):
        return Tensor(np.ascontiguousarray(self.array))

    def flatten(self):
        return Tensor(self.array.reshape(-1))

    def numel(self):
        return self.array.size

    def view(self, dtype):
        return Tensor(self.array.view(dtype.removeprefix("torch.")))

    def numpy(self):
        return self.array


def frombuffer(content, dtype):
    return Tensor(np.frombuffer(content, dtype.removeprefix("torch.")))
"""

BINDING = """
import os, signal, sys, time
from pathlib import Path

from torch import Tensor


STEPS = [1e-6, 2e-6, 3e-6]


def _get_operator_names():
    return ["aten::add.out"]


def _load_for_executorch(path):
    does = Path(path).stem
    if does == "refused":
        sys.stderr.write("E 00:00:00.000 program.cpp:1] the constant_buffer path is disabled\\\\n")
        raise RuntimeError("loading program failed with error 0x23")
    if does == "method":
        raise RuntimeError("loading method forward failed with error 0x14, missing operator aten::foo.out")
    if does == "loop":
        while True:
            pass
    return Module(does)


class Module:
    def __init__(self, does):
        self.does = does
        self.calls = 0

    def run_method(self, name, inputs):
        match self.does:
            case "crash":
                sys.stderr.write("about to die\\\\n")
                sys.stderr.flush()
                os.kill(os.getpid(), signal.SIGSEGV)
            case "abort":
                os.abort()
            case "hang":
                time.sleep(600)
            case "memory":
                held = []
                while True:
                    held.append(bytearray(16 << 20))
            case "exec":
                raise RuntimeError("method->execute() failed with error 0x12")
            case "parent":
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(600)
            case "noise":
                os.write(1, b'{"id": 1, "outcome": "ran"}\\\\n' * 3)
            case "slow":
                time.sleep(0.5)
        result = inputs[0].array + inputs[1].array
        if self.does == "wrong":
            result = result + 1
        if self.does == "shape":
            result = result[:1]
        if self.does == "unsteady":
            result[0, 0] += STEPS.pop()
        return [Tensor(result)]
"""


def make_release(home: Path, release: str = "1.5.1", *, starts: bool = True) -> Path:
    """Put the environment of a release into ``home``, finished; ``starts`` is whether its binding can be imported."""
    folder = home / release
    packages = folder / "packages"
    binding = packages / "executorch" / "extension" / "pybindings"
    binding.mkdir(parents=True)
    (packages / "torch.py").write_text(TORCH)
    text = BINDING if starts else "raise ImportError('libtorch_cuda.so: cannot open shared object file')"
    (binding / "portable_lib.py").write_text(text.replace("\\\\n", "\\n"))
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    package = {"name": "executorch", "version": release, "wheel": f"executorch-{release}.whl", "sha256": "0" * 64}
    marker = {"release": release, "python": "3.11", "packages": [package]}
    (folder / "pteron-runtime.json").write_text(json.dumps(marker))
    return folder


def program(folder: Path, does: str) -> Path:
    """A file that the fake binding does something with."""
    path = folder / f"{does}.pte"
    path.write_bytes(corpus_files.read("1.5.1", "add.pte"))
    return path
