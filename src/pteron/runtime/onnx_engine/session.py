"""Opens ONNX Runtime sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pteron.runtime.onnx_engine.availability import runtime
from pteron.runtime.onnx_engine.cache import Cache
from pteron.runtime.onnx_engine.errors import message_of
from pteron.runtime.onnx_engine.processor import may_overflow

if TYPE_CHECKING:
    from pteron.runtime.onnx_engine.model import SegmentModel


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
        try:
            return open_optimised(known, threads=threads, prepack=model.prepack)
        except Exception:  # gone since it was found, or not for this machine after all
            return _open(model, _options(model, threads))
    try:
        with cache.writing(key) as draft:
            options = _options(model, threads)
            if draft is not None:
                _write_optimised(options, draft)
            return _open(model, options)
    except Unsupported:
        # Writing may be what failed (a full disk): what counts is whether the model opens without.
        return _open(model, _options(model, threads))


def open_profiled(model: SegmentModel, *, threads: int | None, folder: Path, optimised: bool = True) -> Any:
    """A session that times its nodes; ``end_profiling`` gives the file, in ``folder``.

    ``optimised``: also write the optimised model there, as ``model.onnx``. Raises :class:`Unsupported`.
    """
    options = _options(model, threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    if optimised:
        _write_optimised(options, folder)
    return _open(model, options)


def _write_optimised(options: Any, folder: Path) -> None:
    """Have the optimised model written, with its weights in a file of their own."""
    options.optimized_model_filepath = str(folder / "model.onnx")
    prefix = "session.optimized_model_external_initializers_"
    options.add_session_config_entry(f"{prefix}file_name", "weights.bin")
    options.add_session_config_entry(f"{prefix}min_size_in_bytes", "1024")


def refusal(model: SegmentModel) -> Unsupported | None:
    """Why ONNX Runtime does not open the model, or None; nothing is optimised or packed for that."""
    options = _options(replace(model, prepack=False), 1)
    options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        _open(model, options)
    except Unsupported as refused:
        return refused
    return None


def open_optimised(path: Path, *, threads: int | None, prepack: bool) -> Any:
    """A session of an optimised model as it is; raises what ONNX Runtime does."""
    options = _plain_options(threads, prepack)
    options.graph_optimization_level = runtime().GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime().InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _plain_options(threads: int | None, prepack: bool) -> Any:
    options = runtime().SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not prepack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    if may_overflow():
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def _options(model: SegmentModel, threads: int | None) -> Any:
    """Options of a session that is also told where the weights are."""
    options = _plain_options(threads, model.prepack)
    # Results of other sizes than the program's tensors have are refused now, not when they are computed.
    options.add_session_config_entry("session.strict_shape_type_inference", "1")
    if model.folder:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", model.folder)
    if model.in_memory:
        _give(runtime(), options, model.in_memory)
    return options


def _open(model: SegmentModel, options: Any) -> Any:
    try:
        return runtime().InferenceSession(model.bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        message, label = message_of(error)
        raise Unsupported(label, message) from error


def _give(ort: Any, options: Any, arrays: Mapping[str, Any]) -> None:
    """Hand weights over that lie in memory; ONNX Runtime copies them."""
    from pteron.ops.promotion import BFLOAT16

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
