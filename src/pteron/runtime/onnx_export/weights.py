"""Where the weights of an exported model are: in it, in a file beside it, or where they lie in the program's files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pteron.errors import UnsupportedError
from pteron.graph.ir import Constant
from pteron.ops.lowering.model_bytes import GraphRecord, WeightRecord
from pteron.ops.promotion import Array
from pteron.runtime.onnx_engine.model import lies_in

MAX_MODEL_BYTES = (1 << 31) - 1
"""What protobuf can read, and so what a model with everything in it may take."""

# Weights from a page on begin at a page, so that they can be mapped; smaller ones where processors like them.
_PAGE, _SMALL = 4096, 64


def content_of(array: Array) -> memoryview:
    """The bytes of an array in the order of its dimensions."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def embedded(graph: GraphRecord, arrays: Mapping[str, Array]) -> GraphRecord:
    """The graph with every weight inside."""
    weights = [
        replace(weight, data=content_of(arrays[weight.name]), location="") if weight.name in arrays else weight
        for weight in graph.weights
    ]
    return replace(graph, weights=weights)


def beside(graph: GraphRecord, arrays: Mapping[str, Array], location: str) -> GraphRecord:
    """The graph with its large weights in a file of that name; :func:`data_parts` gives the file's content."""
    end = 0
    weights: list[WeightRecord] = []
    for weight in graph.weights:
        if weight.name not in arrays:
            weights.append(weight)
            continue
        length = arrays[weight.name].nbytes
        alignment = _PAGE if length >= _PAGE else _SMALL
        start = -(-end // alignment) * alignment
        weights.append(replace(weight, data=None, location=location, offset=start, length=length))
        end = start + length
    return replace(graph, weights=weights)


def data_parts(graph: GraphRecord, arrays: Mapping[str, Array]) -> Iterator[memoryview]:
    """The content of the file beside the model, part by part."""
    end = 0
    for weight in graph.weights:
        if weight.name in arrays:
            yield memoryview(bytes(weight.offset - end))
            yield content_of(arrays[weight.name])
            end = weight.offset + weight.length


def in_place(
    graph: GraphRecord, arrays: Mapping[str, Array], constants: Mapping[str, Constant], folder: Path, where: str
) -> tuple[GraphRecord, tuple[Path, ...]]:
    """The graph with large weights where they lie in the program's files, and these files.

    What lies nowhere in the order of its dimensions (weights in another dim order, results of folding) is embedded.
    Raises ``UnsupportedError`` where a file is not in ``folder`` or below, as ONNX wants it, and where the program was
    not read from a file.
    """
    weights: list[WeightRecord] = []
    files: dict[Path, None] = {}
    with contextlib.ExitStack() as opened:
        handles: dict[Path, BinaryIO] = {}
        for weight in graph.weights:
            constant = constants.get(weight.name)
            path = _file(constant, folder, where) if weight.name in arrays else None
            if constant is not None and path is not None:
                if path not in handles:
                    handles[path] = opened.enter_context(path.open("rb"))
                if not lies_in(handles[path], constant):
                    path = None
            if constant is None or path is None:
                if weight.name in arrays:
                    weight = replace(weight, data=content_of(arrays[weight.name]), location="")
                weights.append(weight)
                continue
            files[path] = None
            location = path.relative_to(folder).as_posix()
            weights.append(replace(weight, data=None, location=location, offset=constant.offset or 0))
    return replace(graph, weights=weights), tuple(files)


def _file(constant: Constant | None, folder: Path, where: str) -> Path | None:
    """The file that a constant lies in, below the folder; None where its bytes lie nowhere as they must."""
    if constant is None or constant.offset is None or not constant.data.flags.c_contiguous:
        return None
    try:
        path = Path(constant.file).resolve(strict=True)
        if not path.is_file():
            raise FileNotFoundError
    except (OSError, ValueError):
        raise UnsupportedError(
            f"{where}: the weights are in no file that a model could point into; embed them, or write them beside it"
        ) from None
    if not path.is_relative_to(folder):
        raise UnsupportedError(
            f"{where}: ONNX allows weights only in the model's folder or below, and {path} is not in {folder}; "
            f"write the model into {path.parent}, or embed the weights or write them beside it"
        )
    return path
