"""Opens ONNX Runtime sessions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from pteron.errors import ExecutionError
from pteron.ops.promotion import BFLOAT16
from pteron.runtime.onnx_engine.availability import runtime
from pteron.runtime.onnx_engine.cache import Cache
from pteron.runtime.onnx_engine.model import SegmentModel

_NODE = re.compile(r"(?:with name|Name:)\s*'?(?:\w+/)?(n\d+)")


class Unsupported(Exception):  # noqa: N818 - the engine goes on without
    """ONNX Runtime refuses a model; ``label`` names the node where it says which."""

    def __init__(self, label: str, message: str) -> None:
        super().__init__(message)
        self.label = label


def open_session(model: SegmentModel, *, threads: int | None, cache: Cache | None = None) -> Any:
    """A session of the model on the CPU; raises :class:`Unsupported`.

    Weights in the program's file are mapped from there. ``threads``: for one operator, None for all cores. ``cache``
    is where an optimised model is looked up, and put.
    """
    key = cache.key(model) if cache else None
    if cache is None or key is None:
        return _open(model, _options(model, threads))
    known = cache.find(key)
    if known is not None:
        options = _options(model, threads, mapped=False)
        options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return runtime().InferenceSession(str(known), options, providers=["CPUExecutionProvider"])
        except Exception:  # gone since it was found, or not for this machine after all
            return _open(model, _options(model, threads))
    try:
        with cache.writing(key) as draft:
            options = _options(model, threads)
            if draft is not None:
                options.optimized_model_filepath = str(draft / "model.onnx")
                prefix = "session.optimized_model_external_initializers_"
                options.add_session_config_entry(f"{prefix}file_name", "weights.bin")
                options.add_session_config_entry(f"{prefix}min_size_in_bytes", "1024")
            return _open(model, options)
    except Unsupported:
        # Writing may be what failed (a full disk): what counts is whether the model opens without.
        return _open(model, _options(model, threads))


def refusal(model: SegmentModel) -> Unsupported | None:
    """Why ONNX Runtime does not open the model, or None; nothing is optimised or packed for that."""
    options = _options(model, 1)
    options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        _open(model, options)
    except Unsupported as refused:
        return refused
    return None


def _options(model: SegmentModel, threads: int | None, *, mapped: bool = True) -> Any:
    """Options of a session; ``mapped`` also tells it where the weights are."""
    ort = runtime()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not model.prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if mapped and model.folder:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", model.folder)
    if mapped and model.in_memory:
        _give(ort, options, model.in_memory)
    return options


def _open(model: SegmentModel, options: Any) -> Any:
    try:
        return runtime().InferenceSession(model.bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        message = " ".join(str(error).split())
        found = _NODE.search(message)
        raise Unsupported(found[1] if found else "", message.removeprefix("[ONNXRuntimeError] : ")) from error


def _give(ort: Any, options: Any, arrays: Mapping[str, Any]) -> None:
    """Hand weights over that lie in memory; ONNX Runtime copies them."""
    names, values = [], []
    for name, data in arrays.items():
        dense = np.ascontiguousarray(data).reshape(data.shape)
        if data.dtype == BFLOAT16:
            value = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(dense.view(np.uint16), 16)
        else:
            value = ort.OrtValue.ortvalue_from_numpy(dense)
        names.append(name)
        values.append(value)
    options.add_external_initializers(names, values)


def run_error(error: Exception, model: SegmentModel, where: str) -> ExecutionError:
    """What ONNX Runtime reports of a run, with the instruction that it happened in."""
    message = " ".join(str(error).split()).removeprefix("[ONNXRuntimeError] : ")
    found = _NODE.search(message)
    node = model.labels.get(found[1]) if found else None
    if node is not None:
        where = f"{where}, {node.source or 'a node'} ({node.op})"
    return ExecutionError(f"{where}: {message}")
