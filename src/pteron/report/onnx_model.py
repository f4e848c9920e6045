"""The ``pteron.to-onnx/1`` document: what an exported ONNX model takes and gives."""

from __future__ import annotations

from typing import Any

from pteron.report.document import Document, document
from pteron.report.printer import Printer
from pteron.report.words import count, size
from pteron.runtime.onnx_export.convert import OnnxModel
from pteron.runtime.onnx_export.interface import Port

SCHEMA = "pteron.to-onnx/1"

_WEIGHTS = {
    "embed": "in the model",
    "external": "in {files}, beside the model",
    "in-pte": "in {files}, which must stay there as it is",
}
_INITIAL = {"zeros": "zeros in the first call", "default": "has its first content as default"}


def onnx_model_document(file: str, model: OnnxModel) -> Document:
    """The document of one export."""
    return document(
        SCHEMA,
        file=file,
        method=model.method,
        output=str(model.path),
        bytes=model.nbytes,
        weights=model.weights,
        data_files=[str(path) for path in model.data_files],
        opsets={domain or "ai.onnx": version for domain, version in model.opsets.items()},
        nodes=model.nodes,
        inputs=[_port(port) for port in model.inputs],
        outputs=[_port(port) for port in model.outputs],
        states=[
            {**_port(state.input), "next": state.next, "initial": state.initial, "shared": state.shared}
            for state in model.states
        ],
        left_out=list(model.left_out),
    )


def _port(port: Port) -> dict[str, Any]:
    return {"name": port.name, "dtype": port.dtype, "shape": list(port.shape), "bound": list(port.bound)}


def print_onnx_model(written: Document, out: Printer) -> None:
    """The export for people."""
    out.heading(f"{written['output']}, {size(written['bytes'])}")
    out.line(f"method {written['method']} of {written['file']}, {count(written['nodes'], 'ONNX node')}", 2)
    versions = ", ".join(f"{domain} {version}" for domain, version in written["opsets"].items())
    out.line(f"operator sets: {versions}", 2)
    files = ", ".join(written["data_files"])
    if files or written["weights"] == "embed":
        out.line(f"weights: {_WEIGHTS[written['weights']].format(files=files)}", 2)
    for title in ("inputs", "outputs"):
        out.line()
        out.heading(title if written[title] else f"{title}: none")
        out.table([(port["name"], _type(port)) for port in written[title]])
    if written["states"]:
        out.line()
        out.heading("state, from call to call")
        out.table(
            [
                (state["name"], _type(state), f"from output {state['next']}", _INITIAL[state["initial"]])
                for state in written["states"]
            ]
        )
    if written["left_out"]:
        out.line()
        out.line(f"left out, as they are None or text: {', '.join(written['left_out'])}")


def _type(port: dict[str, Any]) -> str:
    return str(Port(port["name"], port["dtype"], tuple(port["shape"]), tuple(port["bound"])))
