"""The ``pteron.show/1`` document: what a file holds, without a look at its weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pteron.backends.identify import KNOWN, identify_payload
from pteron.format import schema
from pteron.format.bundled_program import BundledProgram, TestValue, read_bundled_program
from pteron.format.flat_tensor import TensorData, read_tensor_data
from pteron.format.identify import FileKind, expect, identify
from pteron.format.layout import (
    Span,
    bundled_program_layout,
    program_layout,
    segment_uses,
    tensor_data_layout,
)
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.method import Method, ValueInfo, value_info
from pteron.format.mutable_state import mutable_state
from pteron.format.program import Program, read_program
from pteron.format.schema import TensorDataLocation
from pteron.format.source import FileSource, read_source
from pteron.report.document import Document, document

SCHEMA = "pteron.show/1"

_EXTENSION = {
    FileKind.PTE: "pte",
    FileKind.PTD: "ptd",
    FileKind.BUNDLED_PROGRAM: "bpte",
    FileKind.ETDUMP: "etdump",
    FileKind.ETRECORD: "etrecord",
}
_CALLS: dict[str, type[Any]] = {
    "kernel_call": schema.KernelCall,
    "delegate_call": schema.DelegateCall,
    "move_call": schema.MoveCall,
    "jump_false_call": schema.JumpFalseCall,
    "free_call": schema.FreeCall,
}


def describe_file(source: FileSource, *, limits: Limits = DEFAULT_LIMITS) -> Document:
    """The document for a .pte, .ptd or .bpte; an ETDump or ETRecord is told by name and size only.

    Raises ``UnknownFileError`` for any other file, ``FormatError`` for one that cannot be read.
    """
    buffer, name = read_source(source)
    kind = identify(buffer)
    if kind not in _EXTENSION:
        expect(buffer, FileKind.PTE, name)
    fields: dict[str, Any] = {}
    if kind is FileKind.PTE:
        program = read_program(buffer, file=name, limits=limits)
        fields = {"program": describe_program(program), "layout": _layout(program_layout(program))}
    elif kind is FileKind.PTD:
        data = read_tensor_data(buffer, file=name, limits=limits)
        fields = {"tensor_data": _tensor_data(data), "layout": _layout(tensor_data_layout(data, buffer))}
    elif kind is FileKind.BUNDLED_PROGRAM:
        bundled = read_bundled_program(buffer, file=name, limits=limits)
        fields = {
            "bundle": _bundle(bundled),
            "program": describe_program(bundled.program),
            "layout": _layout(bundled_program_layout(bundled, buffer)),
            "program_layout": _layout(program_layout(bundled.program)),
        }
    return document(SCHEMA, file=name, kind=_EXTENSION[kind], title=kind.value, bytes=len(buffer), **fields)


def describe_program(program: Program) -> dict[str, Any]:
    """The ``program`` part: methods, segments, named data and external data."""
    header = program.header
    return {
        "identifier": bytes(program.buffer[4:8]).decode("ascii", "replace"),
        "version": program.root.version,
        "header": None
        if header is None
        else {
            "length": header.length,
            "program_size": header.program_size,
            "segment_base_offset": header.segment_base_offset,
            "segment_data_size": header.segment_data_size,
        },
        "methods": [_method(program, Method(plan, i)) for i, plan in enumerate(program.root.execution_plan or ())],
        "segments": _segments(program),
        "named_data": [
            {"key": entry.key or "", "segment": entry.segment_index, "bytes": _segment_size(program, entry)}
            for entry in program.root.named_data or ()
        ],
        "unknown_fields": [{"table": table, "slot": slot} for table, slot in sorted(program.unknown_fields)],
    }


def describe_value(info: ValueInfo) -> dict[str, Any]:
    """An input, output or other value; ``shape`` is the upper bound where ``dynamism`` is not ``static``."""
    described: dict[str, Any] = {"name": info.name, "kind": info.kind}
    if info.scalar_type is not None:
        described |= {
            "dtype": info.dtype,
            "shape": list(info.shape),
            "dynamism": info.dynamism.name.lower().removeprefix("dynamic_"),
            "dim_order": list(info.dim_order),
            "bytes": info.nbytes,
            "planned": info.planned,
        }
    elif info.value is not None:
        described["value"] = info.value
    return described


def _method(program: Program, method: Method) -> dict[str, Any]:
    values = method.plan.values or ()
    return {
        "name": method.name,
        "inputs": [describe_value(info) for info in method.inputs],
        "outputs": [describe_value(info) for info in method.outputs],
        "operators": method.operators,
        "instructions": {name: len(method.calls(kind)) for name, kind in _CALLS.items()},
        "values": len(values),
        "delegates": _delegates(program, method),
        "memory_plan": _memory_plan(method),
        "mutable_state": _mutable_state(method),
        "external_data": _external_data(method),
    }


def _delegates(program: Program, method: Method) -> list[dict[str, Any]]:
    calls = [call.delegate_index for call in method.calls(schema.DelegateCall)]
    described = []
    for index, delegate in enumerate(method.plan.delegates or ()):
        backend_id = delegate.id or ""
        payload = program.payload(delegate, f"execution_plan[{method.index}].delegates[{index}]")
        facts = KNOWN.get(backend_id)
        info = identify_payload(backend_id, payload)
        place = delegate.processed
        inline = place is None or place.location == schema.DataLocation.INLINE
        described.append(
            {
                "backend": backend_id,
                "title": facts.title if facts else "",
                "runs_on": facts.runs_on if facts else "",
                "payload": {
                    "format": info.format,
                    "version": info.version,
                    "description": info.description,
                    "details": dict(info.details),
                    "bytes": len(payload),
                    "location": "inline" if inline else "segment",
                    "index": None if place is None else place.index,
                },
                "compile_specs": [
                    {"key": spec.key or "", "bytes": len(spec.value or b"")} for spec in delegate.compile_specs or ()
                ],
                "calls": calls.count(index),
            }
        )
    return described


def _memory_plan(method: Method) -> list[dict[str, Any]]:
    devices = {device.buffer_idx: device for device in method.plan.non_const_buffer_device or ()}
    plan = []
    for memory_id, nbytes in enumerate(method.memory_plan, 1):
        device = devices.get(memory_id)
        named = "cpu" if device is None else f"{device.device_type.name.lower()}:{device.device_index}"
        plan.append({"id": memory_id, "bytes": nbytes, "device": named})
    return plan


def _mutable_state(method: Method) -> list[dict[str, Any]]:
    values = method.plan.values or ()
    state = []
    for index in mutable_state(method.plan):
        val = values[index].val
        assert isinstance(val, schema.Tensor)
        extra = val.extra_tensor_info
        external = extra is not None and extra.location == TensorDataLocation.EXTERNAL
        initial = "external data" if external else "segment" if val.data_buffer_idx else "none"
        state.append({"value": index, **describe_value(value_info(method.plan, index, "")), "initial": initial})
    return state


def _external_data(method: Method) -> list[dict[str, Any]]:
    wanted: dict[str, dict[str, Any]] = {}
    for evalue in method.plan.values or ():
        val = evalue.val
        extra = val.extra_tensor_info if isinstance(val, schema.Tensor) else None
        if isinstance(val, schema.Tensor) and extra and extra.location == TensorDataLocation.EXTERNAL:
            key = extra.fully_qualified_name or ""
            sizes = val.sizes or ()
            wanted[key] = {
                "key": key,
                "dtype": val.scalar_type.torch_name,
                "shape": list(sizes),
                "bytes": math.prod(sizes) * val.scalar_type.itemsize,
            }
    return list(wanted.values())


def _segments(program: Program) -> list[dict[str, Any]]:
    uses = segment_uses(program)
    base = program.header.segment_base_offset if program.header else 0
    return [
        {
            "index": index,
            "offset": base + segment.offset,
            "bytes": segment.size,
            "uses": [{"kind": kind.value, "what": what} for kind, what in uses.get(index, ())],
        }
        for index, segment in enumerate(program.root.segments or ())
    ]


def _segment_size(program: Program, entry: schema.NamedData) -> int | None:
    segments = program.root.segments or ()
    return segments[entry.segment_index].size if entry.segment_index < len(segments) else None


def _tensor_data(data: TensorData) -> dict[str, Any]:
    return {
        "layout": data.layout,
        "tensor_alignment": data.tensor_alignment,
        "entries": [
            {
                "key": entry.key,
                "dtype": entry.scalar_type.torch_name if entry.scalar_type is not None else None,
                "shape": list(entry.sizes) if entry.sizes is not None else None,
                "dim_order": list(entry.dim_order) if entry.dim_order is not None else None,
                "bytes": len(entry.data),
            }
            for entry in data.entries.values()
        ],
    }


def _bundle(bundled: BundledProgram) -> dict[str, Any]:
    return {
        "identifier": bundled.identifier,
        "version": bundled.root.version,
        "test_suites": [
            {
                "method": name,
                "cases": [
                    {
                        "inputs": [_test_value(value) for value in case.inputs],
                        "expected_outputs": [_test_value(value) for value in case.expected_outputs],
                    }
                    for case in cases
                ],
            }
            for name, cases in bundled.test_suites.items()
        ],
    }


def _test_value(value: TestValue) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"
    return "none" if value is None else f"{type(value).__name__} = {value!r}"


def _layout(spans: tuple[Span, ...]) -> dict[str, Any]:
    totals: dict[str, int] = {}
    for span in spans:
        totals[span.kind.value] = totals.get(span.kind.value, 0) + span.nbytes
    return {
        "totals": totals,
        "spans": [{"start": s.start, "bytes": s.nbytes, "kind": s.kind.value, "what": s.what} for s in spans],
    }
