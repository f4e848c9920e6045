"""Shows damaged programs to Pteron and to the official wheel, and compares what the two do.

    python tools/fuzz_compare.py --mutants 2000 --seed 2 > table.md     # needs pip install '.[interop]'

Each mutant runs in a process of its own on the wheel's side, since its runtime aborts or crashes on some. Both are
given the same inputs: ones of the signature that the damaged file declares.
"""

import argparse
import contextlib
import functools
import os
import re
import select
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import torch  # noqa: E402
from executorch.extension.llm.custom_ops import custom_ops  # noqa: E402, F401  registers llama operators
from executorch.extension.pybindings import portable_lib  # noqa: E402
from executorch.kernels import quantized  # noqa: E402, F401  registers quantized operators

import pteron  # noqa: E402
from pteron.format.program import read_program  # noqa: E402
from robustness import mutants  # noqa: E402
from robustness.exercise import LIMITS, REFERENCE, method_input, warm_up  # noqa: E402

SECONDS = 20.0
"""What one mutant may take on the wheel."""


@dataclass(frozen=True)
class Answer:
    """What a runtime did: ``word`` is ``runs``, ``refuses`` or ``crashes``, ``why`` its own words."""

    word: str
    why: str = ""
    outputs: tuple[bytes, ...] = ()


def ask_pteron(data: bytes) -> Answer:
    """Open, load and run every method."""
    try:
        module = pteron.load(data, limits=LIMITS, seed=0, engine=REFERENCE)
        outputs = []
        for name in module.program.methods:
            method = module[name]
            outputs += method.execute([method_input(info) for info in method.method.inputs])
    except pteron.BackendError as error:
        return Answer("has no backend", str(error))
    except pteron.PteronError as error:
        return Answer("refuses", f"{type(error).__name__}: {error}")
    return Answer("runs", "", tuple(_bytes(output) for output in outputs))


def _bytes(output: Any) -> bytes:
    return np.ascontiguousarray(output).tobytes() if isinstance(output, np.ndarray) else repr(output).encode()


def ask_wheel(data: bytes) -> Answer:
    """The same on the official runtime, in a fork of this process."""
    with tempfile.TemporaryFile() as log:
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ours)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            with os.fdopen(theirs, "wb") as pipe:
                pipe.write(_run_on_wheel(data))
            os._exit(0)
        os.close(theirs)
        answer = _receive(ours, child)
        log.seek(0)
        lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    if answer is None:
        return Answer("crashes", _cause(lines) or "no message")
    word, _, rest = answer.partition(b"\n")
    if word == b"runs":
        return Answer("runs", "", tuple(map(bytes.fromhex, rest.decode().splitlines())))
    return Answer("refuses", _cause(lines) or rest.decode(errors="replace"))


@functools.cache
def undamaged(name: str) -> Answer:
    """What the wheel does with the file that a mutant was made of."""
    return ask_wheel(dict(mutants.pool())[name])


def _run_on_wheel(data: bytes) -> bytes:
    try:
        # The module opens its program late, and without verification when asked for its methods first.
        strict = portable_lib.Verification.InternalConsistency
        portable_lib._load_program_from_buffer(data, program_verification=strict)
        module = portable_lib._load_for_executorch_from_buffer(data, program_verification=strict)
        parts = []
        for name, method in read_program(data).methods.items():
            inputs = [_tensor(method_input(info)) for info in method.inputs]
            parts += [_output(output).hex() + "\n" for output in module.run_method(name, inputs)]
        return b"runs\n" + "".join(parts).encode()
    except pteron.PteronError as error:  # the inputs cannot be told: the wheel opened what Pteron cannot read
        return f"refuses\nopens, but its signature cannot be read: {type(error).__name__}".encode()
    except Exception as error:
        return f"refuses\n{error}".encode()


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.size == 0:
        # The binding aborts on NumPy's strides of an array without elements.
        return torch.empty(value.shape, dtype=_tensor(np.ones(1, value.dtype)).dtype)
    if value.dtype.name == "bfloat16":
        return torch.from_numpy(value.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(value)


def _output(value: Any) -> bytes:
    if not isinstance(value, torch.Tensor):
        return repr(value).encode()
    return value.contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""


def _receive(pipe: int, child: int) -> bytes | None:
    """What the child says; None where it died, or had to be ended because it took too long."""
    received = b""
    deadline = time.monotonic() + SECONDS
    with os.fdopen(pipe, "rb", buffering=0) as source:
        while True:
            ready, _, _ = select.select([source], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                os.kill(child, signal.SIGKILL)
            part = source.read(1 << 16)
            if not part:
                break
            received += part
    _, status = os.waitpid(child, 0)
    return received if status == 0 else None


def _cause(lines: list[str]) -> str:
    """The first complaint in the runtime's log, without numbers."""
    for line in lines:
        match = re.search(r"\[(\w+\.(?:cpp|h)):\d+\] (.*)", line)
        if match and match[1] not in ("cpuinfo_utils.cpp", "operator_registry.cpp"):
            text = re.sub(r"'[^']*'|0x[0-9a-fA-F]+|-?\d+", "N", match[2])
            if match[2].startswith("Missing operator"):
                text = "Missing operator"
            return f"{match[1]}: {text[:150]}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm_up(mutants.SEEDS)
    table: Counter[tuple[str, str]] = Counter()
    groups: dict[tuple[str, str, str], list[tuple[int, str]]] = defaultdict(list)
    differ: list[int] = []
    for number in range(options.mutants):
        mutant = mutants.mutant(options.seed, number, ".pte")
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            ours, theirs = ask_pteron(mutant.data), ask_wheel(mutant.data)
        table[ours.word, theirs.word] += 1
        if ours.word == theirs.word == "runs" and not _same(ours.outputs, theirs.outputs):
            differ.append(number)
        elif ours.word != theirs.word:
            why = theirs.why if theirs.word != "runs" else re.sub(r"-?\d[\d,]*", "N", ours.why)[:100]
            clean = undamaged(mutant.origin.partition(" by ")[0])
            if (clean.word, clean.why) == (theirs.word, theirs.why):
                why += " (the undamaged file too)"
            groups[ours.word, theirs.word, why].append((number, ours.why))
    print(f"{options.mutants} mutants of .pte files, seed {options.seed}\n")
    answers = ("runs", "refuses", "crashes")
    print("| Pteron \\ wheel | " + " | ".join(answers) + " |\n|---|" + "---|" * len(answers))
    for word in ("runs", "has no backend", "refuses"):
        print(f"| {word} | " + " | ".join(str(table[word, answer]) for answer in answers) + " |")
    print(f"\nBoth run and differ by more than rounding: {len(differ)} {differ[:20]}\n")
    for (ours_word, theirs_word, why), found in sorted(groups.items(), key=lambda item: (item[0][:2], -len(item[1]))):
        number, ours_why = found[0]
        print(f"* Pteron {ours_word}, wheel {theirs_word}: {len(found)} × {why}, e.g. {number} {ours_why[:160]}")


def _same(ours: tuple[bytes, ...], theirs: tuple[bytes, ...]) -> bool:
    """Bit-equal, or float32 within rounding."""
    if len(ours) != len(theirs) or any(len(a) != len(b) for a, b in zip(ours, theirs, strict=True)):
        return False
    for a, b in zip(ours, theirs, strict=True):
        if a != b:
            if len(a) % 4:
                return False
            one, two = np.frombuffer(a, np.float32), np.frombuffer(b, np.float32)
            if not np.allclose(one, two, rtol=1e-3, atol=1e-4, equal_nan=True):
                return False
    return True


if __name__ == "__main__":
    main()
