"""The contract between Pteron and what drives a runtime: requests out, answers in (docs/prove.md).

Requests and answers are JSON objects, one per line; tensors are files of raw little-endian elements, laid out in the
dim order that the request gives (outputs: the last dimension innermost).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.prove.cases import Case

REQUEST = "pteron.prove.request/1"
STAGES = ("load", "method_load", "execute")
OUTCOMES = ("ran", "refused", "crash", "timeout", "out_of_memory", "not_run", "no_answer", "not_installable")
MAX_OUTPUT_BYTES = 8 << 30
_DTYPES = {scalar.torch_name: scalar for scalar in ScalarType}


@dataclass(frozen=True)
class Work:
    """One case to run on one program: paths, limits (seconds; MB beyond what the runtime itself takes)."""

    program: Path
    case: Case
    data: tuple[Path, ...] = ()
    repeat: int = 1
    timeout: float = 60.0
    memory: int = 4096


@dataclass(frozen=True)
class Reply:
    """What came back. ``outputs`` has those of each call; ``raw`` is what else the answer said."""

    outcome: str
    text: str = ""
    stage: str = ""
    call: int | None = None
    error_code: str = ""
    outputs: tuple[tuple[Any, ...], ...] = ()
    seconds: tuple[float, ...] = ()
    repeatable: bool | None = None
    peak_memory: int | None = None
    log: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


def write_request(work: Work, folder: Path, number: int) -> dict[str, Any]:
    """The request, with its inputs written to ``folder``."""
    calls = []
    for index, call in enumerate(work.case.calls):
        inputs = [_given(value, folder / f"c{index}_in{i}.bin") for i, value in enumerate(call.inputs)]
        calls.append({"method": call.method, "inputs": inputs})
    return {
        "schema": REQUEST,
        "id": number,
        "program": str(work.program),
        "data": [str(path) for path in work.data],
        "calls": calls,
        "repeat": work.repeat,
        "timeout": work.timeout,
        "memory": work.memory,
        "folder": str(folder),
    }


def _given(value: Any, path: Path) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        kind = "none" if value is None else type(value).__name__
        return {"kind": kind, "value": repr(value) if kind == "float" else value}
    order = dim_order(value)
    path.write_bytes(np.ascontiguousarray(value.transpose(order)).tobytes())
    dtype = from_dtype(value.dtype).torch_name
    return {"kind": "tensor", "dtype": dtype, "shape": list(value.shape), "dim_order": order, "file": str(path)}


def dim_order(array: Any) -> list[int]:
    """Dimensions from outermost to innermost in memory; the plain order wherever that is true."""
    plain = list(range(array.ndim))
    return plain if array.flags.c_contiguous else sorted(plain, key=lambda d: -array.strides[d])


class AnswerError(ValueError):
    """An answer that does not follow the contract; the message says how."""


def read_reply(answer: Mapping[str, Any], folder: Path) -> Reply:
    """An answer as a record with its outputs loaded; raises ``AnswerError``."""
    outcome = answer.get("outcome")
    if outcome not in OUTCOMES:
        raise AnswerError(f"the outcome is {outcome!r}, which is none of {', '.join(OUTCOMES)}")
    log = answer.get("log", [])
    call, peak = answer.get("call"), answer.get("peak_memory")
    stage = str(answer.get("stage") or "")
    if outcome == "refused" and stage not in STAGES:
        raise AnswerError(f"it refused at the stage {stage!r}, which is none of {', '.join(STAGES)}")
    reply = Reply(
        outcome,
        str(answer.get("text") or ""),
        stage if outcome != "ran" else "",
        call if isinstance(call, int) and outcome != "ran" else None,
        str(answer.get("error_code") or ""),
        peak_memory=peak if isinstance(peak, int) else None,
        log=tuple(str(line)[:300] for line in log[:40]) if isinstance(log, list) else (),
    )
    return _with_outputs(reply, answer, folder) if outcome == "ran" else reply


def _with_outputs(reply: Reply, answer: Mapping[str, Any], folder: Path) -> Reply:
    calls = answer.get("calls")
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise AnswerError("it ran, but `calls` is no list of objects")
    outputs = tuple(tuple(_output(item, folder) for item in call.get("outputs", [])) for call in calls)
    times = [call["seconds"] for call in calls if isinstance(call.get("seconds"), list)]
    repetitions = min(map(len, times), default=0)
    seconds = tuple(float(sum(column[number] for column in times)) for number in range(repetitions))
    told = [call["repeatable"] for call in calls if isinstance(call.get("repeatable"), bool)]
    return Reply(
        "ran",
        reply.text,
        outputs=outputs,
        seconds=seconds,
        repeatable=all(told) if told and repetitions > 1 else None,
        peak_memory=reply.peak_memory,
        log=reply.log,
    )


def _output(item: Any, folder: Path) -> Any:
    if not isinstance(item, dict):
        raise AnswerError("an output is no object")
    kind = item.get("kind")
    if kind != "tensor":
        return _scalar(kind, item.get("value"))
    scalar, shape, file = _DTYPES.get(str(item.get("dtype"))), item.get("shape"), item.get("file")
    if scalar is None or not isinstance(file, str) or not _is_shape(shape):
        raise AnswerError(f"a tensor needs dtype, shape and file, and has {sorted(item)}")
    nbytes = math.prod(shape) * scalar.itemsize
    path = folder / file
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size == nbytes <= MAX_OUTPUT_BYTES else b""
    except OSError as error:
        raise AnswerError(f"the file of an output cannot be read ({error.strerror})") from None
    if size != nbytes:
        raise AnswerError(f"an output of {nbytes:,} bytes by its shape has a file of {size:,} bytes")
    return np.frombuffer(content, scalar.dtype).reshape(shape)


def _is_shape(shape: Any) -> TypeGuard[list[int]]:
    return isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)


def _scalar(kind: Any, value: Any) -> Any:
    makers: Mapping[str, Any] = {"int": int, "float": float, "bool": bool, "str": str}
    if kind == "none":
        return None
    if kind not in makers:
        raise AnswerError(f"an output is of the kind {kind!r}")
    try:
        return makers[kind](value)
    except (TypeError, ValueError):
        raise AnswerError(f"an output of the kind {kind} has the value {value!r}") from None
