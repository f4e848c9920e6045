"""Runs rewritten corpus files on the official wheel, in a process of its own: wheel_runner.py JOBS RESULTS.

JOBS is a JSON list of jobs, RESULTS gets one JSON line per job. A job names a corpus file and what to do with it; the
file as it is and the file rewritten by Pteron run on the same inputs, and the bits of every output are compared. The
runtime may abort the process: a line with a ``stage`` before the result says how far it came.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch
from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401  registers llama operators
from executorch.extension.pybindings import portable_lib as runtime
from executorch.kernels import quantized  # noqa: F401  registers quantized operators

import corpus_files
from pteron.format.bundled_program import bundle, read_bundled_program, write_bundled_program
from pteron.format.flat_tensor import TensorEntry, read_tensor_data, write_tensor_data
from pteron.format.program import read_program
from pteron.format.write import HeaderForm, Layout, Place, write_program

LAYOUTS: dict[str, Layout | None] = {
    "as read": None,
    "64": Layout(segment_alignment=64),
    "4096, 24-byte header": Layout(segment_alignment=4096, header=HeaderForm.BYTES_24),
    "delegates inline": Layout(delegates=Place.INLINE, delegate_alignment=64, header=HeaderForm.AUTO),
    "delegates in segments": Layout(delegates=Place.SEGMENT, segment_alignment=256),
    "constants in a segment": Layout(constants=Place.SEGMENT, constant_tensor_alignment=128),
    "constants out and in": Layout(constants=Place.INLINE, delegates=Place.INLINE),
}


def rewrite(data: bytes, layout: str) -> bytes:
    written = write_program(read_program(data), LAYOUTS[layout])
    if layout == "constants out and in":
        written = write_program(read_program(written), Layout(constants=Place.SEGMENT, delegates=Place.SEGMENT))
    return written


def to_torch(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    if value.size == 0:
        # The binding aborts on NumPy's strides of an array without elements.
        return torch.empty(value.shape, dtype=torch.from_numpy(np.empty(1, value.dtype)).dtype)
    if value.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(value.view(np.int16).copy(order="K")).view(torch.bfloat16)
    return torch.from_numpy(np.array(value, order="K", copy=True))


def bits(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        flat = value.detach().contiguous().flatten()
        return str(value.dtype), list(value.shape), flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return type(value).__name__, [], repr(value).encode()


def outputs(program: bytes, calls: list[corpus_files.Call], data: bytes | None) -> list[Any]:
    module = runtime._load_for_executorch_from_buffer(program, data)
    return [
        [value.clone() if isinstance(value, torch.Tensor) else value for value in found]
        for call in calls
        for found in [module.run_method(call.method, tuple(map(to_torch, call.inputs)))]
    ]


def close(found: Any, expected: Any, case: corpus_files.Case) -> bool:
    if not isinstance(expected, np.ndarray):
        return found is None if expected is None else abs(found - expected) <= case.atol + case.rtol * abs(expected)
    wanted = to_torch(expected)
    if found.dtype != wanted.dtype or found.shape != wanted.shape:
        return False
    return torch.allclose(found.double(), wanted.double(), rtol=case.rtol, atol=case.atol, equal_nan=True)


def as_expected(found: list[Any], calls: list[corpus_files.Call], case: corpus_files.Case) -> bool:
    return all(
        close(value, expected, case)
        for values, call in zip(found, calls, strict=True)
        for value, expected in zip(values, call.outputs, strict=False)
    )


def merged(parts: list[bytes]) -> list[TensorEntry]:
    return [entry for part in parts for entry in read_tensor_data(part).entries.values()]


def run_program(case: corpus_files.Case, layout: str, stage: Callable[[str], None]) -> dict[str, Any]:
    original = case.read()
    calls = case.calls()
    data = case.read_data()
    reference, refused = None, {}
    stage("original")
    try:
        reference = outputs(original, calls, data[0] if data else None)
    except RuntimeError as error:
        refused = {"original": str(error)}
    stage("rewritten")
    try:
        found = outputs(rewrite(original, layout), calls, write_tensor_data(merged(data)) if data else None)
    except RuntimeError as error:
        return {**refused, "error": str(error)}
    result = {**refused, "expected": as_expected(found, calls, case)}
    if reference is not None:
        result["equal"] = [[bits(v) for v in row] for row in reference] == [[bits(v) for v in row] for row in found]
    return result


def run_data(case: corpus_files.Case) -> dict[str, Any]:
    """The program as it is, with its tensor data written again in one file of the current layout."""
    found = outputs(case.read(), case.calls(), write_tensor_data(merged(case.read_data())))
    return {"expected": as_expected(found, case.calls(), case)}


def run_bundle(case: corpus_files.Case) -> dict[str, Any]:
    """The test cases and the program put into a new bundle, which the runtime's own verification checks."""
    read = read_bundled_program(case.read())
    inside = rewrite(bytes(read.program_bytes), "constants in a segment")
    written = write_bundled_program(bundle(inside, read.test_suites))
    module = runtime._load_bundled_program_from_buffer(written)
    errors = [
        module.verify_result_with_bundled_expected_output(method, index, case.rtol, case.atol)
        for method, cases in read.test_suites.items()
        for index in range(len(cases))
    ]
    return {"expected": bool(errors), "errors": [str(error) for error in errors]}


@functools.cache
def cases(release: str) -> dict[str, corpus_files.Case]:
    return {case.name: case for case in corpus_files.cases(release)}


def run(job: dict[str, str], stage: Callable[[str], None]) -> dict[str, Any]:
    case = cases(job["release"])[job["name"]]
    if job["kind"] == "program":
        return run_program(case, job["layout"], stage)
    try:
        return run_data(case) if job["kind"] == "data" else run_bundle(case)
    except RuntimeError as error:
        return {"error": str(error)}


def main() -> None:
    torch.set_num_threads(1)
    with open(sys.argv[1]) as file:
        jobs = json.load(file)
    with open(sys.argv[2], "w", buffering=1) as results:

        def stage(name: str) -> None:
            results.write(json.dumps({"stage": name}) + "\n")

        for job in jobs:
            results.write(json.dumps(job | run(job, stage)) + "\n")


if __name__ == "__main__":
    main()
