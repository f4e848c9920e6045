"""Outputs of corpus files on the official wheel, in a process of its own: wheel_outputs.py JOBS FOLDER.

JOBS is a JSON list of [release, name]; FOLDER gets ``<number>.npz`` per job with its outputs as ``<call>_<position>``,
or ``<number>.txt`` with the runtime's refusal. The runtime may end the process: then the file is missing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401  registers llama operators
from executorch.extension.pybindings import portable_lib as runtime
from executorch.kernels import quantized  # noqa: F401  registers quantized operators

import corpus_files
from pteron.format.bundled_program import read_bundled_program
from pteron.format.program import read_program
from pteron.format.write import Layout, Place, write_program


def outputs(case: corpus_files.Case) -> dict[str, np.ndarray[Any, Any]]:
    program = case.read()
    if case.name.endswith(".bpte"):
        program = bytes(read_bundled_program(program).program_bytes)
    # Wheels since 1.3 take constants from a segment only.
    program = write_program(read_program(program), Layout(constants=Place.SEGMENT, delegates=Place.SEGMENT))
    data = case.read_data()  # the binding keeps no reference to it
    module = runtime._load_for_executorch_from_buffer(program, *data)
    found = {}
    for number, call in enumerate(case.calls()):
        inputs = tuple(torch.from_numpy(x.copy()) if isinstance(x, np.ndarray) else x for x in call.inputs)
        for position, tensor in enumerate(module.run_method(call.method, inputs, clone_outputs=True)):
            found[f"{number}_{position}"] = tensor.numpy()
    return found


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[2])
    for number, (release, name) in enumerate(json.loads(Path(sys.argv[1]).read_text())):
        if list(folder.glob(f"{number}.*")):
            continue
        case = next(c for c in corpus_files.cases(release) if c.name == name)
        (folder / f"{number}.crash").touch()
        try:
            np.savez(folder / f"{number}.npz", **outputs(case))
        except RuntimeError as error:
            (folder / f"{number}.txt").write_text(str(error))
        (folder / f"{number}.crash").unlink()


if __name__ == "__main__":
    main()
