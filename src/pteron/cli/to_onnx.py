"""``pteron to-onnx``: write a method as one ONNX model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.errors import ExternalDataError, FileAccessError


class Weights(StrEnum):
    """Where the weights go."""

    EMBED = "embed"
    EXTERNAL = "external"
    IN_PTE = "in-pte"


def to_onnx(
    file: Annotated[str, typer.Argument(help="A .pte or .bpte file.", metavar="FILE")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Where to write; FILE.onnx by default.", metavar="FILE.onnx")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="The method to write; forward, or the only one, by default.")
    ] = None,
    weights: Annotated[
        Weights,
        typer.Option(
            help="In the model (up to 2 GiB), in FILE.onnx.data beside it, or where they lie in the .pte and .ptd."
        ),
    ] = Weights.EMBED,
    data: Annotated[
        list[str] | None, typer.Option("--data", "-d", help="A .ptd with weights; may be repeated.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write a method as one ONNX model that gives the same outputs in plain ONNX Runtime.

    Mutable buffers (a KV cache) become inputs and outputs: what a call gives as NAME_next is input NAME of the next
    one. Dimensions that may vary get names. XNNPACK payloads are taken apart into ONNX nodes. With in-pte the model
    points into the program's own files, which must lie in the model's folder or below and stay as they are.

    Exit code 1: the method cannot be one ONNX model; the operators in the way are listed, with where they are called.

    \b
    Examples:
      pteron to-onnx model.pte
      pteron to-onnx model.pte --output model.onnx --weights external
      pteron to-onnx llm.pte --method decode --weights in-pte
      pteron to-onnx model.pte --data weights.ptd --output model.onnx
    """
    target = Path(output) if output is not None else Path(file).with_suffix(".onnx")
    written = [target, target.with_name(f"{target.name}.data")] if weights is Weights.EXTERNAL else [target]
    for path in written:
        if path.exists() and not force:
            raise FileAccessError(f"{path}: exists already; give another name, or --force to overwrite it")
    from pteron.report.onnx_model import onnx_model_document, print_onnx_model
    from pteron.runtime.onnx_export.convert import to_onnx as convert

    try:
        with Waiting(f"writing {target}"):
            model = convert(file, target, method=method, weights=weights.value, data=data or ())
    except ExternalDataError as error:
        hint = "" if data else " (on the command line: --data FILE.ptd)"
        raise ExternalDataError(f"{error}{hint}") from None
    answer(onnx_model_document(file, model), form, print_onnx_model)
