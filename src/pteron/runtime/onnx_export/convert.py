"""to_onnx: a method of a program written as one ONNX model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pteron.backends.interface import BACKENDS, BackendRegistry
from pteron.errors import FileAccessError, MethodNotFoundError, UnsupportedError
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.format.save import save_parts
from pteron.format.source import FileSource
from pteron.ops import REGISTRY, Registry
from pteron.ops.lowering.model_bytes import model_parts, opsets
from pteron.runtime.engines import lifted
from pteron.runtime.memory import shared_state_ids
from pteron.runtime.module import Module, load
from pteron.runtime.onnx_export.interface import Port, StatePort
from pteron.runtime.onnx_export.record import Exported, export
from pteron.runtime.onnx_export.weights import MAX_MODEL_BYTES, beside, data_parts, embedded, in_place

Weights = Literal["embed", "external", "in-pte"]
WEIGHTS: tuple[Weights, ...] = get_args(Weights)


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """What :func:`to_onnx` wrote.

    ``path`` is the model, ``nbytes`` its size; ``data_files`` hold weights outside of it (with ``external`` a new file
    beside the model, with ``in-pte`` the program's own). ``states`` are the mutable buffers as extra inputs and
    outputs; ``left_out`` names outputs of the method that are None or text, which the model does not have.
    ``opsets`` gives the version of each operator set by domain, ``nodes`` counts ONNX nodes.
    """

    path: Path
    method: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    states: tuple[StatePort, ...]
    left_out: tuple[str, ...]
    weights: Weights
    nbytes: int
    data_files: tuple[Path, ...]
    opsets: Mapping[str, int]
    nodes: int


def to_onnx(
    source: FileSource | Program,
    output: str | os.PathLike[str],
    *,
    method: str | None = None,
    weights: Weights = "embed",
    data: FileSource | Iterable[FileSource] = (),
    limits: Limits = DEFAULT_LIMITS,
    operators: Registry = REGISTRY,
    backends: BackendRegistry = BACKENDS,
) -> OnnxModel:
    """Write a method as one ONNX model (IR 10, opset 21) that gives the same outputs in plain ONNX Runtime.

    ``source`` and ``data`` are as for :func:`pteron.load`; ``method`` is ``forward`` or the only one by default.
    ``weights``: ``embed`` writes them into the model (up to 2 GiB), ``external`` into ``<output>.data`` beside it,
    ``in-pte`` points to where they lie in the program's own files, which must be in the model's folder or below.
    Mutable buffers become extra inputs and outputs (:class:`StatePort`). Existing files are overwritten.

    Raises ``UnsupportedError`` for a method that no model can hold, naming the operators and where they are called, and
    for weights that cannot be where they should; ``MethodNotFoundError``; ``FileAccessError``; and what
    :func:`pteron.load` raises.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights is {weights!r}, but must be one of {', '.join(WEIGHTS)}")
    module = load(source, data=data, limits=limits, operators=operators, backends=backends, engine="reference")
    chosen = _chosen(module, method)
    where = f"{module.program.file}, method {chosen.name!r}"
    try:
        graph = lifted(module.program, chosen, module.settings, shared_state_ids(module.program))
    except UnsupportedError as error:
        raise UnsupportedError(f"{where}: no ONNX model can hold it: {error}") from error
    exported = export(graph, chosen, operators, where)
    sources = {module.program.file, *(constant.file for constant in graph.constants)}
    return _write(exported, Path(output), chosen, weights, sources, where)


def _chosen(module: Module, name: str | None) -> Method:
    methods, file = module.methods, module.program.file
    if name is None and len(methods) == 1:
        return next(iter(methods.values()))
    if name is None and "forward" not in methods:
        raise MethodNotFoundError(f"{file}: which method? A model holds one of {', '.join(methods) or 'none'}")
    chosen = methods.get(name or "forward")
    if chosen is None:
        raise MethodNotFoundError(f"{file}: no method {name!r}; it has {', '.join(sorted(methods)) or 'none'}")
    return chosen


def _write(
    exported: Exported, target: Path, method: Method, weights: Weights, sources: Iterable[str], where: str
) -> OnnxModel:
    record, arrays = exported.record, exported.arrays
    data_files: tuple[Path, ...] = ()
    if weights == "embed":
        record = embedded(record, arrays)
    elif weights == "external":
        data_files = (target.with_name(f"{target.name}.data"),) if arrays else ()
        record = beside(record, arrays, f"{target.name}.data")
    else:
        record, data_files = in_place(record, arrays, exported.constants, _folder(target), where)
    parts = model_parts(record, _metadata(exported, method, sources))
    nbytes = sum(map(len, parts))
    if nbytes > MAX_MODEL_BYTES:
        raise UnsupportedError(
            f"{where}: the model takes {nbytes:,} bytes, and one ONNX file can hold {MAX_MODEL_BYTES:,}; "
            "write the weights beside it (external), or leave them where they are (in-pte)"
        )
    written = (target, *data_files) if weights == "external" else (target,)
    _refuse_overwriting(written, sources)
    if weights == "external" and data_files:
        save_parts(data_files[0], data_parts(record, arrays))
    save_parts(target, parts)
    return OnnxModel(
        target,
        method.name,
        exported.inputs,
        exported.outputs,
        exported.states,
        exported.left_out,
        weights,
        nbytes,
        data_files,
        opsets(record),
        sum(1 for _ in record.every_node()),
    )


def _metadata(exported: Exported, method: Method, sources: Iterable[str]) -> dict[str, str]:
    """``metadata_props``: which program and method, and which inputs and outputs are state."""
    properties = {"pteron.method": method.name}
    file = next((Path(name).name for name in sources if name.endswith((".pte", ".bpte"))), "")
    if file:
        properties["pteron.source"] = file
    if exported.states:
        states = [{"input": s.input.name, "output": s.next, "initial": s.initial} for s in exported.states]
        properties["pteron.states"] = json.dumps(states)
    return properties


def _folder(target: Path) -> Path:
    try:
        return target.parent.resolve(strict=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"{target}: cannot be written ({reason}); check the folder") from None


def _refuse_overwriting(targets: Iterable[Path], sources: Iterable[str]) -> None:
    """Raise ``FileAccessError`` rather than overwrite what the program is read from."""
    for target in targets:
        for source in sources:
            if target.exists() and Path(source).is_file() and target.samefile(source):
                raise FileAccessError(f"{target}: the program is read from it; give the model another name")
