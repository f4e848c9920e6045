"""The ``pteron.bench/1`` document: how fast a method loads and runs, and where the time goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pteron.format.method import ValueInfo
from pteron.report.document import Document, document
from pteron.report.operator_times import print_profile, profile_fields
from pteron.report.outputs import given_value
from pteron.report.printer import Printer
from pteron.report.program_text import value_text
from pteron.report.words import count, duration, size
from pteron.runtime.benchmark import Measured
from pteron.runtime.onnx_engine.plan import MethodPlan
from pteron.runtime.profiling import MethodProfile

SCHEMA = "pteron.bench/1"


def bench_document(
    file: str,
    measured: Measured,
    profile: MethodProfile,
    inputs: Sequence[tuple[ValueInfo, Any, str]],
    threads: int | None,
) -> Document:
    """The document of one measurement; ``inputs`` are signature, value and where it came from."""
    return document(
        SCHEMA,
        file=file,
        method=measured.method,
        engine=measured.engine,
        threads=threads,
        inputs=[{**given_value(info, value), "source": source} for info, value, source in inputs],
        libraries_ms=measured.libraries_seconds * 1e3,
        libraries_bytes=measured.libraries_bytes,
        load_ms=measured.load_seconds * 1e3,
        first_call_ms=measured.first_call_seconds * 1e3,
        calls=len(measured.call_seconds),
        median_ms=measured.median_seconds * 1e3,
        p90_ms=measured.p90_seconds * 1e3,
        minimum_ms=min(measured.call_seconds) * 1e3,
        resets=measured.resets,
        peak_bytes=measured.peak_bytes,
        profile=profile_fields(profile),
        plan=_plan(measured.plan),
    )


def _plan(plan: MethodPlan) -> dict[str, Any]:
    return {
        "engine": plan.engine,
        "reason": plan.reason,
        "steps": [
            {
                "engine": entry.engine,
                "block": entry.block,
                "operators": dict(Counter(entry.operators)),
                "reason": entry.reason,
            }
            for entry in plan.entries
        ],
    }


def print_bench(bench: Document, out: Printer) -> None:
    """The measurement for people."""
    threads = "all cores" if bench["threads"] is None else count(bench["threads"], "thread")
    shown = f", {threads}" if bench["engine"] != "reference" else ""
    out.heading(f"{bench['file']}, method {bench['method']}, {bench['engine']} engine{shown}")
    out.table([(value["name"], value_text(value), f"from {value['source']}") for value in bench["inputs"]])
    out.line()
    rows = [
        ("libraries", duration(bench["libraries_ms"] / 1e3), _memory(bench["libraries_bytes"])),
        ("load", duration(bench["load_ms"] / 1e3), ""),
        ("first call", duration(bench["first_call_ms"] / 1e3), ""),
        ("median", _short(bench["median_ms"]), f"of {count(bench['calls'], 'call')}"),
        ("p90", _short(bench["p90_ms"]), ""),
        ("minimum", _short(bench["minimum_ms"]), ""),
    ]
    out.table(rows, right=(1,))
    peak = bench["peak_bytes"]
    if peak is not None:
        out.line(f"peak memory: {size(peak)} beyond what was resident before the file was opened", 2)
    if bench["resets"]:
        out.line(f"state was put back {count(bench['resets'], 'time')}, as a call failed for what was in it", 2)
    out.line()
    print_profile(bench["profile"], out)
    out.line()
    _print_plan(bench["plan"], out)


def _print_plan(plan: dict[str, Any], out: Printer) -> None:
    why = f": {plan['reason']}" if plan["reason"] else ""
    out.heading(f"plan: {plan['engine']}{why}")
    rows = []
    for step in plan["steps"]:
        operators = step["operators"]
        listed = ", ".join(list(operators)[:3]) + (", …" if len(operators) > 3 else "")
        number = count(sum(operators.values()), "operator")
        rows.append((step["block"], step["engine"], number, listed, step["reason"]))
    out.table(rows)


def _memory(nbytes: int | None) -> str:
    return "" if nbytes is None else size(nbytes)


def _short(milliseconds: float) -> str:
    """Times of calls, with enough digits for microseconds."""
    return f"{milliseconds:.4f} ms" if milliseconds < 1 else duration(milliseconds / 1e3)
