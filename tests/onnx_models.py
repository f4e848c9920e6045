"""Exports files of the corpus to ONNX, has the official checker look at them, and runs them in bare ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import pteron
from corpus_files import Case
from corpus_runs import difference
from pteron.runtime.onnx_export.convert import OnnxModel, Weights


class BareModel:
    """A model in ``onnxruntime.InferenceSession`` and nothing else; states go from call to call by their names.

    ``shared`` holds those that the models of several methods have.
    """

    def __init__(self, model: OnnxModel, shared: dict[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
        self.model = model
        self._shared = shared
        self._state: dict[str, Any] = {
            s.input.name: np.zeros(s.input.bound, s.input.dtype) for s in model.states if s.initial == "zeros"
        }

    def __call__(self, tensors: list[Any]) -> list[Any]:
        """The outputs for the tensor inputs in order; bfloat16 goes in and comes out as float32."""
        common = {s.input.name for s in self.model.states if s.shared}
        feeds = {**self._state, **{name: value for name, value in self._shared.items() if name in common}}
        for port, tensor in zip(self.model.inputs, tensors, strict=True):
            feeds[port.name] = tensor.astype(port.dtype) if tensor.dtype == ml_dtypes.bfloat16 else tensor
        names = [output.name for output in self.session.get_outputs()]
        results = dict(zip(names, self.session.run(None, feeds), strict=True))
        self._state = {s.input.name: results[s.next] for s in self.model.states}
        self._shared.update((name, self._state[name]) for name in common)
        return [results[port.name] for port in self.model.outputs]


def check(path: str | os.PathLike[str]) -> None:
    """The official checker with everything that it has; raises for what it does not like."""
    import onnx

    onnx.checker.check_model(os.fspath(path), full_check=True)


def agrees(case: Case, folder: Path, weights: Weights = "embed") -> str:
    """Exports every method that the recorded calls use; what is wrong in words, or an empty string."""
    source: Any = case.read()
    if weights == "in-pte":
        source = folder / "program.pte"
        source.write_bytes(case.read())
    models: dict[str, BareModel] = {}
    shared: dict[str, Any] = {}
    for number, call in enumerate(case.calls()):
        if call.method not in models:
            path = folder / f"{call.method}.onnx"
            model = pteron.to_onnx(source, path, method=call.method, weights=weights, data=case.read_data())
            check(path)
            models[call.method] = BareModel(model, shared)
        bare = models[call.method]
        outputs = _outputs(bare, call, source if weights == "in-pte" else case.read())
        for position, (actual, expected) in enumerate(zip(outputs, call.outputs, strict=False)):
            if actual is not None and (found := difference(actual, expected, case)):
                return f"call {number}, output {position}: {found}"
    return ""


def _outputs(bare: BareModel, call: Any, source: Any) -> list[Any]:
    """The outputs as the method's signature has them, None for those that the model leaves out."""
    method = pteron.open(source).methods[call.method]
    tensors = [value for value, info in zip(call.inputs, method.inputs, strict=True) if info.kind == "tensor"]
    given = iter(bare([np.array(tensor, order="C") for tensor in tensors]))
    outputs: list[Any] = []
    for info in method.outputs:
        if info.name in bare.model.left_out:
            outputs.append(None)
            continue
        value = next(given)
        if info.scalar_type is not None:
            outputs.append(value.astype(info.scalar_type.dtype) if info.dtype == "bfloat16" else value)
        else:
            outputs.append(value.item())
    return outputs
