"""The ``pteron.run/1`` document: what a run gave, few values whole and many summarised."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pteron.format.method import ValueInfo
from pteron.report.document import Document, document
from pteron.report.operator_times import print_profile, profile_fields
from pteron.report.printer import Printer
from pteron.report.program import describe_value
from pteron.report.program_text import value_text
from pteron.report.words import count, duration

if TYPE_CHECKING:
    from pteron.runtime.profiling import MethodProfile

SCHEMA = "pteron.run/1"

FEW = 32
"""Values up to which an array is shown whole."""


def run_document(
    file: str,
    method: str,
    engine: str,
    inputs: Sequence[tuple[ValueInfo, Any, str]],
    outputs: Sequence[tuple[ValueInfo, Any]],
    load_seconds: float,
    run_seconds: Sequence[float],
    written: str | None,
    profile: MethodProfile | None = None,
) -> Document:
    """The document of one run; ``inputs`` are signature, value and where it came from."""
    return document(
        SCHEMA,
        file=file,
        method=method,
        engine=engine,
        inputs=[{**given_value(info, value), "source": source} for info, value, source in inputs],
        outputs=[{**given_value(info, value), **_contents(value)} for info, value in outputs],
        seconds={"load": load_seconds, "runs": list(run_seconds)},
        written=written,
        profile=None if profile is None else profile_fields(profile),
    )


def given_value(info: ValueInfo, value: Any) -> dict[str, Any]:
    """A value of a call as documents have it: a tensor with its own shape rather than the signature's bounds."""
    described = describe_value(info)
    if isinstance(value, np.ndarray) and info.kind == "tensor":
        return {
            "name": info.name,
            "kind": "tensor",
            "dtype": info.dtype,
            "shape": list(value.shape),
            "dynamism": "static",
            "dim_order": described["dim_order"],
        }
    return described


def _contents(value: Any) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        return {"value": value}
    contents: dict[str, Any] = {"summary": summarise(value)}
    if value.size <= FEW and value.dtype.kind != "c":
        contents["values"] = _widened(value).tolist()
    return contents


def _widened(array: NDArray[Any]) -> NDArray[Any]:
    """The array in a type that NumPy's functions know; bfloat16 and float8 as float32."""
    return array.astype(np.float32) if array.dtype.kind not in "biufc" else array


def summarise(array: NDArray[Any]) -> dict[str, Any]:
    """``min``, ``max`` and ``mean`` over the finite values (None where there are none), and counts of NaN and infinity.

    Complex arrays are summarised by magnitude.
    """
    values = _widened(array)
    if values.dtype.kind == "c":
        values = np.abs(values)
    nan = infinite = 0
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            nan = int(np.isnan(values).sum())
            infinite = int(values.size - finite.sum()) - nan
            values = values[finite]
    if values.size == 0:
        return {"min": None, "max": None, "mean": None, "nan": nan, "infinite": infinite}
    return {
        "min": values.min().item(),
        "max": values.max().item(),
        "mean": float(values.mean(dtype=np.float64)),
        "nan": nan,
        "infinite": infinite,
    }


def print_run(ran: Document, out: Printer, outputs: Sequence[tuple[ValueInfo, Any]]) -> None:
    """The run for people; the values themselves come from ``outputs``."""
    out.heading(f"{ran['file']}, method {ran['method']}, {ran['engine']} engine")
    out.line()
    out.heading("inputs" if ran["inputs"] else "inputs: none")
    out.table([(value["name"], value_text(value), f"from {value['source']}") for value in ran["inputs"]])
    out.line()
    out.heading("outputs" if ran["outputs"] else "outputs: none")
    for described, (_, value) in zip(ran["outputs"], outputs, strict=True):
        out.line(f"{described['name']}  {value_text(described)}", 2)
        if isinstance(value, np.ndarray):
            _print_array(described["summary"], value, out)
    if ran["written"]:
        out.line(f"written to {ran['written']}", 2)
    out.line()
    out.line(_times(ran["seconds"]))
    if ran["profile"] is not None:
        out.line()
        print_profile(ran["profile"], out)


def _print_array(summary: dict[str, Any], value: NDArray[Any], out: Printer) -> None:
    if value.size <= FEW:
        shown = value if value.dtype.kind == "c" else _widened(value)
        out.lines(np.array2string(shown, separator=", ", precision=6, max_line_width=100), 4)
        return
    odd = [count(summary["nan"], "NaN", "NaN")] * bool(summary["nan"])
    odd += [f"{summary['infinite']:,} infinite"] * bool(summary["infinite"])
    if summary["min"] is None:
        out.line(", ".join(odd), 4)
        return
    numbers = [f"{key} {_number(summary[key])}" for key in ("min", "max", "mean")]
    out.line(", ".join([*numbers, *odd]), 4)


def _number(value: float | int | bool) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _times(seconds: dict[str, Any]) -> str:
    runs = seconds["runs"]
    loaded = f"loaded in {duration(seconds['load'])}"
    if len(runs) == 1:
        return f"{loaded}, run in {duration(runs[0])}"
    middle = duration(statistics.median(runs))
    return f"{loaded}, {len(runs)} runs: median {middle}, best {duration(min(runs))}, worst {duration(max(runs))}"
