"""The text of ``pteron show``, made from its document."""

from __future__ import annotations

from typing import Any

from pteron.report.document import Document
from pteron.report.printer import Printer
from pteron.report.words import count, share, size

_INSTRUCTIONS = {
    "kernel_call": "kernel call",
    "delegate_call": "delegate call",
    "move_call": "move",
    "jump_false_call": "jump",
    "free_call": "free",
}


def print_file(described: Document, out: Printer) -> None:
    """Everything the document says, for people."""
    out.heading(f"{described['file']}: {described['title']}, {size(described['bytes'])}")
    if "bundle" in described:
        _bundle(described["bundle"], out)
    if "program" in described:
        _program(described["program"], out)
    if "tensor_data" in described:
        _tensor_data(described["tensor_data"], out)
    if "layout" in described:
        _layout(described["layout"], described["bytes"], out, "bytes of the file")
    if "program_layout" in described:
        inner = described["program_layout"]
        _layout(inner, sum(inner["totals"].values()), out, "bytes of the program inside")


def value_text(value: dict[str, Any]) -> str:
    """``float32[≤8, 3]``, ``int = 4``, with what is out of the ordinary after it."""
    if value["kind"] != "tensor":
        fixed = value.get("value")
        return str(value["kind"]) if fixed is None else f"{value['kind']} = {fixed!r}"
    bound = "" if value["dynamism"] == "static" else "≤"
    text = f"{value['dtype']}[{', '.join(f'{bound}{n}' for n in value['shape'])}]"
    order = value["dim_order"]
    if order != sorted(order):
        text += " channels_last" if order == [0, 2, 3, 1] else f" dim order {order}"
    if value["dynamism"] == "unbound":
        text += " without bound"
    return text


def _program(program: dict[str, Any], out: Printer) -> None:
    for method in program["methods"]:
        _method(method, out)
    if not program["methods"]:
        out.line("no methods")
    _named_data(program["named_data"], out)
    _segments(program["segments"], out)
    if program["unknown_fields"]:
        listed = ", ".join(f"{field['table']} slot {field['slot']}" for field in program["unknown_fields"])
        out.line()
        out.line(f"fields of a newer release, not shown: {listed}")


def _method(method: dict[str, Any], out: Printer) -> None:
    out.line()
    out.heading(f"method {method['name']}")
    for title in ("inputs", "outputs"):
        out.line(title if method[title] else f"{title}: none", 2)
        out.table([(value["name"], value_text(value)) for value in method[title]], indent=4)
    calls = [count(n, _INSTRUCTIONS[kind]) for kind, n in method["instructions"].items() if n]
    out.line(f"instructions: {', '.join(calls) or 'none'}; {count(method['values'], 'value')}", 2)
    if method["operators"]:
        out.line("operators", 2)
        out.table(list(method["operators"].items()), right=(1,), indent=4)
    _delegates(method["delegates"], out)
    _memory(method, out)


def _delegates(delegates: list[dict[str, Any]], out: Printer) -> None:
    if not delegates:
        return
    out.line("delegates", 2)
    rows = []
    for delegate in delegates:
        payload = delegate["payload"]
        version = payload["version"]
        form = payload["format"] + (f" {version}" if version and version not in payload["description"] else "")
        said = payload["description"] not in ("", f"{payload['bytes']:,} bytes")
        detail = payload["description"] if said else delegate["title"]
        place = payload["location"] if payload["index"] is None else f"{payload['location']} {payload['index']}"
        rows.append(
            (delegate["backend"], form, detail, size(payload["bytes"]), place, count(delegate["calls"], "call"))
        )
    out.table(rows, right=(3,), indent=4)


def _memory(method: dict[str, Any], out: Printer) -> None:
    plan = method["memory_plan"]
    total = sum(buffer["bytes"] for buffer in plan)
    out.line(f"memory plan: {count(len(plan), 'buffer')}, {size(total)}", 2)
    if len(plan) > 1 or any(buffer["device"] != "cpu" for buffer in plan):
        out.table([(f"{b['id']}", b["device"], b["bytes"]) for b in plan], right=(2,), indent=4)
    if method["mutable_state"]:
        held = sum(value["bytes"] for value in method["mutable_state"])
        out.line(f"mutable state: {count(len(method['mutable_state']), 'tensor')}, {size(held)}", 2)
        rows = [
            (value["name"] or f"value {value['value']}", value_text(value), f"initial data: {value['initial']}")
            for value in method["mutable_state"]
        ]
        out.table(rows, indent=4)
    if method["external_data"]:
        needed = sum(entry["bytes"] for entry in method["external_data"])
        out.line(f"external data (.ptd): {count(len(method['external_data']), 'key')}, {size(needed)}", 2)
        out.table([(e["key"], _shape(e), e["bytes"]) for e in method["external_data"]], right=(2,), indent=4)


def _shape(entry: dict[str, Any]) -> str:
    if entry["dtype"] is None:
        return "blob"
    return f"{entry['dtype']}[{', '.join(map(str, entry['shape']))}]"


def _named_data(entries: list[dict[str, Any]], out: Printer) -> None:
    if entries:
        out.line()
        out.heading("named data")
        rows = [(e["key"], f"segment {e['segment']}", "?" if e["bytes"] is None else e["bytes"]) for e in entries]
        out.table(rows, right=(2,))


def _segments(segments: list[dict[str, Any]], out: Printer) -> None:
    if not segments:
        return
    out.line()
    out.heading("segments")
    rows = []
    for segment in segments:
        uses = segment["uses"]
        kind = uses[0]["kind"] if uses else "unused"
        what = uses[0]["what"] if uses else ""
        more = f" and {len(uses) - 1} more" if len(uses) > 1 else ""
        rows.append((f"{segment['index']}", segment["offset"], segment["bytes"], kind, what + more))
    out.table(rows, headers=("", "offset", "bytes", "kind", "used by"), right=(0, 1, 2))


def _tensor_data(data: dict[str, Any], out: Printer) -> None:
    aligned = f", tensors aligned to {data['tensor_alignment']} bytes" if data["tensor_alignment"] else ""
    out.line(f"layout of release {data['layout'].rstrip('+')}{' and later' if '+' in data['layout'] else ''}{aligned}")
    out.line()
    out.heading(f"{count(len(data['entries']), 'key')}")
    out.table([(e["key"], _shape(e), e["bytes"]) for e in data["entries"]], right=(2,))


def _bundle(bundle: dict[str, Any], out: Printer) -> None:
    out.line()
    out.heading(f"test cases ({bundle['identifier']})")
    rows = []
    for suite in bundle["test_suites"]:
        for number, case in enumerate(suite["cases"]):
            given = ", ".join(case["inputs"]) or "none"
            expected = ", ".join(case["expected_outputs"]) or "none"
            rows.append((suite["method"], f"case {number}", f"{given} → {expected}"))
    out.table(rows)


def _layout(layout: dict[str, Any], total: int, out: Printer, title: str) -> None:
    out.line()
    out.heading(title)
    rows: list[tuple[str, int, str]] = [
        (kind, nbytes, share(nbytes, total)) for kind, nbytes in layout["totals"].items()
    ]
    out.table([*rows, ("total", total, "100.0 %")], right=(1, 2))
