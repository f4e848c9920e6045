"""Runs programs on the ExecuTorch release of this Python's environment; started by Pteron as ``python worker.py``.

Nothing of Pteron is imported here: the environment has that release and its torch only. Requests come on stdin, answers
go to stdout, one JSON object per line (docs/prove.md has the contract). The runtime is imported once; every request
runs in a forked child under limits of time and memory, so that a crash, an abort or a hang costs one answer.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import platform
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Report = Callable[[Json], None]
Run = Callable[[Json, Report], Json]

SCHEMA = "pteron.prove.request/1"
LIBRARIES = (
    "executorch.kernels.quantized",
    "executorch.extension.llm.custom_ops.custom_ops",
    "executorch.extension.llm.custom_ops.sdpa_with_kv_cache",
    "executorch.examples.models.llama2.custom_ops.sdpa_with_kv_cache",
)
"""Operator libraries that the wheels ship beside the binding; where they are depends on the release."""
_LOG_HEAD, _LOG_TAIL, _LOG_LINE = 6, 14, 300
_NOISE = ("Warning", "verification requested", "Overriding output data pointer", "MemoryPlanned inspect")
NO_MEMORY = ("bad_alloc", "MemoryError", "not enough memory", "annot allocate memory", "can't allocate memory")
_ALMOST = 0.9
LOADED: dict[str, str] = {}
"""Which operator libraries loaded, or why not."""


class NotPossibleError(Exception):
    """The binding has no way to pass what the request holds."""


# ---- one request, in a child


def load_binding() -> Any:
    """The official Python binding with every operator library of the release; which loaded is in ``LOADED``."""
    import torch

    torch.set_num_threads(1)
    binding = importlib.import_module("executorch.extension.pybindings.portable_lib")
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except Exception as error:
            LOADED[name] = f"{type(error).__name__}: {str(error)[:200]}"
        else:
            LOADED[name] = "loaded"
    return binding


def run_on_binding(binding: Any, request: Json, report: Report) -> Json:
    """Load the program and make its calls in order, ``repeat`` times from the start each."""
    report({"stage": "load"})
    inputs = [[_value(item) for item in call["inputs"]] for call in request["calls"]]
    repetitions = []
    for number in range(request.get("repeat", 1)):
        module, kept = _load(binding, request["program"], request.get("data") or [])
        made = []
        for index, (call, values) in enumerate(zip(request["calls"], inputs, strict=True)):
            report({"stage": "execute", "call": index})
            start = time.perf_counter()
            outputs = list(module.run_method(call["method"], tuple(values)))
            seconds = time.perf_counter() - start
            made.append((seconds, [_plain(value) for value in outputs]))
        repetitions.append(made)
        del module, kept
        report({"repetition": number})
    return ran(request["folder"], repetitions)


def _load(binding: Any, program: str, data: list[str]) -> tuple[Any, Any]:
    """The loaded module, and what must be kept as long as it is used."""
    with open(program, "rb") as file:
        bundled = file.read(8)[4:] == b"BP08"
    if bundled:
        with open(program, "rb") as file:
            content = file.read()
        # The module points into the bundle and does not hold it.
        bundle = binding._load_bundled_program_from_buffer(content)
        opened = getattr(binding, "_load_for_executorch_from_bundled_program", None)
        return opened(bundle) if opened else bundle, (bundle, content)
    if len(data) > 1:
        raise NotPossibleError("the Python binding takes one data file, this program needs more")
    if data:
        try:
            return binding._load_for_executorch(program, data[0]), None
        except TypeError as error:
            text = f"the Python binding of this release takes no data file: {str(error)[:200]}"
            raise NotPossibleError(text) from None
    return binding._load_for_executorch(program), None


def _value(item: Json) -> Any:
    """An input as the binding takes it: a torch tensor with the strides of its dim order, or a Python scalar."""
    if item["kind"] != "tensor":
        return None if item["kind"] == "none" else float(item["value"]) if item["kind"] == "float" else item["value"]
    import torch

    dtype = getattr(torch, item["dtype"])
    with open(item["file"], "rb") as file:
        content = bytearray(file.read())
    if not content:
        return torch.empty(item["shape"], dtype=dtype)
    order = item["dim_order"]
    dense = torch.frombuffer(content, dtype=dtype).reshape([item["shape"][d] for d in order])
    return dense.permute([order.index(d) for d in range(len(order))])


def _plain(value: Any) -> Any:
    """An output as (dtype, shape, bytes), or a Python scalar."""
    if not hasattr(value, "dtype"):
        return value
    import torch

    flat = value.detach().contiguous().flatten()
    content = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return str(value.dtype).removeprefix("torch."), list(value.shape), content


def ran(folder: str, repetitions: list[list[tuple[float, list[Any]]]]) -> Json:
    """The answer of a request that ran: outputs of the first repetition as files, times of all."""
    calls = []
    for index, (_, outputs) in enumerate(repetitions[0]):
        described = []
        for number, value in enumerate(outputs):
            if isinstance(value, tuple):
                path = os.path.join(folder, f"c{index}_out{number}.bin")
                with open(path, "wb") as file:
                    file.write(value[2])
                described.append({"kind": "tensor", "dtype": value[0], "shape": value[1], "file": path})
            else:
                kind = "none" if value is None else type(value).__name__
                described.append({"kind": kind, "value": repr(value) if kind == "float" else value})
        seconds = [repetition[index][0] for repetition in repetitions]
        same = all(_same(repetition[index][1], outputs) for repetition in repetitions)
        calls.append({"outputs": described, "seconds": seconds, "repeatable": same})
    return {"outcome": "ran", "calls": calls}


def _same(first: list[Any], second: list[Any]) -> bool:
    def bits(value: Any) -> Any:
        return value if isinstance(value, tuple) else repr(value)

    return [bits(value) for value in first] == [bits(value) for value in second]


def refusal(error: Exception, stage: str) -> Json:
    """What an error of the runtime means: which stage refused, and the number it gave."""
    text = str(error)
    low = text.lower()
    if any(mark in text or mark in type(error).__name__ for mark in NO_MEMORY):
        return {"outcome": "out_of_memory", "text": f"ran out of memory: {text[:600] or type(error).__name__}"}
    if any(words in low for words in ("loading method", "load method", "load_method", "missing operator")):
        stage = "method_load"
    if any(words in low for words in ("loading program", "load program", "program is not valid")):
        stage = "load"
    numbers = (word for word in text.replace(",", " ").replace(":", " ").split() if word.startswith("0x"))
    return {
        "outcome": "refused",
        "stage": stage,
        "error_code": next(numbers, None),
        "text": f"{type(error).__name__}: {text[:600]}",
    }


# ---- the parent: limits, logs, answers


def serve(run: Run, ready: Json) -> None:
    """Answer requests until stdin ends; the end of stdin ends a running request too."""
    die_with_parent()
    _send(ready)
    lines = _Lines(0)
    while True:
        line = lines.next()
        if line is None:
            return
        if not line.strip():
            continue
        request = json.loads(line)
        _send({"id": request.get("id"), **_in_child(run, request, lines)})


def _send(answer: Json) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class _Lines:
    """Lines of a file descriptor, read without buffering more than is there, so that its end can be waited for."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._buffer = b""
        self.ended = False

    def next(self) -> bytes | None:
        """The next line, or None at the end."""
        while b"\n" not in self._buffer:
            if not self.read():
                rest, self._buffer = self._buffer, b""
                return rest or None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def read(self) -> bool:
        """Take what is there (waiting if there is nothing); False at the end."""
        chunk = b"" if self.ended else os.read(self.descriptor, 1 << 16)
        self._buffer += chunk
        self.ended = self.ended or not chunk
        return bool(chunk)


def _in_child(run: Run, request: Json, lines: _Lines) -> Json:
    with tempfile.TemporaryFile() as log:
        reading, writing = os.pipe()
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            _child(run, request, reading, writing, log.fileno())
        os.close(writing)
        reports, ended = _follow(reading, lines, request.get("timeout", 60.0))
        os.close(reading)
        if ended != "answered":
            os.kill(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
        if ended == "abandoned":
            sys.exit(1)
        answer = _answer(reports, ended, status, usage, request)
        answer.setdefault("log", _tail(log))
        answer["wall_seconds"] = round(time.perf_counter() - start, 4)
        return _by_log(answer)


def _child(run: Run, request: Json, reading: int, writing: int, log: int) -> None:
    code = 1
    try:
        os.close(reading)
        die_with_parent()
        os.dup2(log, 1)
        os.dup2(log, 2)
        stage = ["load"]

        def report(item: Json) -> None:
            stage[0] = item.get("stage", stage[0])
            os.write(writing, json.dumps(item).encode() + b"\n")

        limit_memory(request.get("memory"))
        try:
            answer = run(request, report)
        except NotPossibleError as error:
            answer = {"outcome": "not_run", "text": str(error)}
        except Exception as error:
            answer = refusal(error, stage[0])
        sys.stdout.flush()
        sys.stderr.flush()
        _write(writing, json.dumps({"answer": answer}).encode() + b"\n")
        code = 0
    finally:
        os._exit(code)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _follow(reading: int, lines: _Lines, timeout: float) -> tuple[list[Json], str]:
    """The child's reports until it ends (``answered``), the time is over (``timeout``) or nobody asks any more."""
    reports: list[Json] = []
    child = _Lines(reading)
    deadline = time.monotonic() + timeout
    watched = [reading, lines.descriptor]
    while True:
        ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return reports, "timeout"
        if lines.descriptor in ready and not lines.read():
            return reports, "abandoned"
        if reading in ready:
            line = child.next()
            if line is None:
                return reports, "answered"
            try:
                reports.append(json.loads(line))
            except ValueError:
                return reports, "answered"  # cut short by the child's death


def _answer(reports: list[Json], ended: str, status: int, usage: Any, request: Json) -> Json:
    state: Json = {"peak_memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)}
    for item in reports:
        if "answer" in item:
            return {**state, **item["answer"]}
        state.update(item)
    if ended == "timeout":
        return {**state, "outcome": "timeout", "text": f"no answer in {request.get('timeout', 60.0):g} s"}
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGKILL:
        return {**state, "outcome": "out_of_memory", "text": "killed by the system, which does so when memory is short"}
    memory = request.get("memory")
    if memory and state["peak_memory"] > _ALMOST * memory * (1 << 20):
        return {**state, "outcome": "out_of_memory", "text": f"died near the limit of {memory} MB"}
    name = signal.Signals(number).name if number else f"exit code {os.WEXITSTATUS(status)}"
    return {**state, "outcome": "crash", "signal": name, "text": f"the process died: {name}"}


def _by_log(answer: Json) -> Json:
    """Sharpen an answer by what the runtime logged: bindings raise one error for causes that only the log tells."""
    log = "\n".join(answer["log"])
    if answer["outcome"] == "crash" and any(mark in log for mark in NO_MEMORY):
        answer["outcome"] = "out_of_memory"
    if answer["outcome"] == "refused" and answer["stage"] == "execute":
        marks = ("Missing operator", "not registered", "Failed to init", "Init failed")
        if any(mark in log for mark in marks):
            answer["stage"] = "method_load"
    return answer


def _tail(log: Any) -> list[str]:
    log.seek(0)
    lines = log.read(1 << 20).decode("utf-8", "replace").splitlines()
    kept = [line[:_LOG_LINE] for line in lines if line.strip() and not any(noise in line for noise in _NOISE)]
    return kept if len(kept) <= _LOG_HEAD + _LOG_TAIL else [*kept[:_LOG_HEAD], "...", *kept[-_LOG_TAIL:]]


def limit_memory(megabytes: int | None) -> None:
    """Let this process map so much more than it has; Linux only, as elsewhere the system does not hold to it."""
    if megabytes and sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        limit = mapped + megabytes * (1 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_parent() -> None:
    """Have the system end this process when its parent ends, however that ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def main() -> None:
    """Import the runtime, say what it is, answer requests."""
    # What the runtime prints must not mix with the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        binding = load_binding()
    except Exception as error:
        sys.stdout = os.fdopen(answers, "w", encoding="utf-8")
        _send({"ready": False, "text": f"{type(error).__name__}: {error}"[:600]})
        return
    sys.stdout = os.fdopen(answers, "w", encoding="utf-8")
    import torch

    serve(
        lambda request, report: run_on_binding(binding, request, report),
        {
            "ready": True,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "libraries": LOADED,
            "operators": len(binding._get_operator_names()),
        },
    )


if __name__ == "__main__":
    main()
