"""Pteron's reference engine as a runtime of its own: ``python -m pteron.prove.reference_worker`` (see worker.py)."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import numpy as np

from pteron.backends.interface import BACKENDS
from pteron.errors import ExecutionError, FormatError, InputError, PteronError, VerificationError
from pteron.format.scalar_type import ScalarType
from pteron.ops import REGISTRY
from pteron.prove.worker import Json, Report, ran, serve
from pteron.runtime.module import load
from pteron.version import __version__

_DTYPES = {scalar.torch_name: scalar for scalar in ScalarType}


def run_on_reference(request: Json, report: Report) -> Json:
    """Load the program and make its calls in order, ``repeat`` times from the start each."""
    report({"stage": "load"})
    inputs = [[_value(item) for item in call["inputs"]] for call in request["calls"]]
    repetitions = []
    for number in range(request.get("repeat", 1)):
        stage, index = "load", 0
        try:
            module = load(request["program"], data=request.get("data") or [], seed=0, engine="reference")
            made = []
            for index, (call, values) in enumerate(zip(request["calls"], inputs, strict=True)):
                report({"stage": "method_load", "call": index})
                stage = "method_load"
                method = module[call["method"]]
                report({"stage": "execute", "call": index})
                stage = "execute"
                start = time.perf_counter()
                outputs = method.execute(values)
                made.append((time.perf_counter() - start, [_plain(value) for value in outputs]))
        except PteronError as error:
            return _refusal(error, stage, index)
        repetitions.append(made)
        report({"repetition": number})
    return ran(request["folder"], repetitions)


def _refusal(error: PteronError, stage: str, call: int) -> Json:
    if isinstance(error, FormatError | VerificationError):
        stage = "load"
    elif isinstance(error, ExecutionError | InputError):
        stage = "execute"
    code = None if error.et_error is None else hex(error.et_error)
    return {"outcome": "refused", "stage": stage, "call": call, "error_code": code, "text": str(error)[:600]}


def _value(item: Json) -> Any:
    if item["kind"] != "tensor":
        return None if item["kind"] == "none" else float(item["value"]) if item["kind"] == "float" else item["value"]
    order = item["dim_order"]
    flat = np.frombuffer(bytearray(Path(item["file"]).read_bytes()), _DTYPES[item["dtype"]].dtype)
    return flat.reshape([item["shape"][d] for d in order]).transpose(np.argsort(order))


def _plain(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value.item() if isinstance(value, np.generic) else value
    from pteron.format.scalar_type import from_dtype

    return from_dtype(value.dtype).torch_name, list(value.shape), np.ascontiguousarray(value).tobytes()


def main() -> None:
    """Load what every program needs, then answer requests in children that have it."""
    list(REGISTRY)
    list(BACKENDS)
    serve(run_on_reference, {"ready": True, "python": platform.python_version(), "pteron": __version__})


if __name__ == "__main__":
    main()
