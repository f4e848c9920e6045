"""Where every byte of a file goes.

A file is cut into spans that follow each other without gap or overlap, so that their sizes sum to the file's. Only
records are looked at, never the bytes of weights. Where two things claim the same bytes (segments may overlap, or
payloads be shared), the one that starts first has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from pteron.format import header as pte_header
from pteron.format import schema
from pteron.format.bundled_program import BundledProgram
from pteron.format.bundled_program import Tensor as BundledTensor
from pteron.format.flat_tensor import OFFSET as PTD_HEADER_OFFSET
from pteron.format.flat_tensor import TensorData
from pteron.format.program import Program


class SpanKind(Enum):
    """What bytes are for."""

    HEADER = "header"
    FLATBUFFER = "flatbuffer"
    CONSTANTS = "constants"
    MUTABLE_DATA = "mutable data"
    DELEGATE_PAYLOAD = "delegate payload"
    NAMED_DATA = "named data"
    TENSOR_DATA = "tensor data"
    PROGRAM = "program"
    TEST_DATA = "test data"
    UNUSED_SEGMENT = "unused segment"
    PADDING = "padding"
    TRAILING = "trailing"


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes ``start`` up to ``end`` of the file; ``what`` says more than the kind, for instance a field path or key."""

    start: int
    end: int
    kind: SpanKind
    what: str = ""

    @property
    def nbytes(self) -> int:
        return self.end - self.start


def program_layout(program: Program) -> tuple[Span, ...]:
    """The spans of a PTE file as it was read, in order.

    ``FLATBUFFER`` is what is left of the flatbuffer without inline constants and payloads; the first 8 bytes (root
    offset and identifier) count as header.
    """
    size = len(program.buffer)
    header = program.header
    head = pte_header.OFFSET + (header.length if header else 0)
    flatbuffer_end = header.program_size if header else size
    claims = [Span(0, head, SpanKind.HEADER), *_inline(program)]
    base = header.segment_base_offset if header else 0
    uses = segment_uses(program)
    for index, segment in enumerate(program.root.segments or ()):
        users = uses.get(index)
        kind = users[0][0] if users else SpanKind.UNUSED_SEGMENT
        start = base + segment.offset
        claims.append(Span(start, start + segment.size, kind, f"segments[{index}]"))
    return _cover(size, claims, flatbuffer_end)


def tensor_data_layout(data: TensorData, buffer: memoryview) -> tuple[Span, ...]:
    """The spans of a PTD file, in order; ``buffer`` is what it was read from."""
    header = data.header
    claims = [Span(0, PTD_HEADER_OFFSET + header.length, SpanKind.HEADER)]
    for entry in data.entries.values():
        kind = SpanKind.NAMED_DATA if entry.scalar_type is None else SpanKind.TENSOR_DATA
        claims.extend(_claim(entry.data, buffer, kind, entry.key))
    return _cover(len(buffer), claims, header.flatbuffer_offset + header.flatbuffer_size)


def bundled_program_layout(bundled: BundledProgram, buffer: memoryview) -> tuple[Span, ...]:
    """The spans of a bundled program, in order; the program inside is one. ``buffer`` is what it was read from."""
    claims = [Span(0, pte_header.OFFSET, SpanKind.HEADER)]
    claims.extend(_claim(bundled.program_bytes, buffer, SpanKind.PROGRAM, "program"))
    for suite in bundled.root.method_test_suites or ():
        for number, case in enumerate(suite.test_cases or ()):
            for value in (*(case.inputs or ()), *(case.expected_outputs or ())):
                if isinstance(value.val, BundledTensor) and value.val.data is not None:
                    what = f"{suite.method_name} case {number}"
                    claims.extend(_claim(value.val.data, buffer, SpanKind.TEST_DATA, what))
    return _cover(len(buffer), claims, len(buffer))


def segment_uses(program: Program) -> dict[int, list[tuple[SpanKind, str]]]:
    """What refers to each segment, by segment index: kind and the field path, backend or key."""
    uses: dict[int, list[tuple[SpanKind, str]]] = {}

    def note(index: int, kind: SpanKind, what: str) -> None:
        uses.setdefault(index, []).append((kind, what))

    root = program.root
    if root.constant_segment is not None and root.constant_segment.offsets:
        note(root.constant_segment.segment_index, SpanKind.CONSTANTS, "constant_segment")
    for index, group in enumerate(root.mutable_data_segments or ()):
        note(group.segment_index, SpanKind.MUTABLE_DATA, f"mutable_data_segments[{index}]")
    for plan_index, plan in enumerate(root.execution_plan or ()):
        for index, delegate in enumerate(plan.delegates or ()):
            place = delegate.processed
            if place is not None and place.location == schema.DataLocation.SEGMENT:
                path = f"execution_plan[{plan_index}].delegates[{index}]"
                note(place.index, SpanKind.DELEGATE_PAYLOAD, f"{path} {delegate.id or ''}")
    for entry in root.named_data or ():
        note(entry.segment_index, SpanKind.NAMED_DATA, entry.key or "")
    return uses


def _inline(program: Program) -> Iterator[Span]:
    for index, buffer in enumerate(program.root.constant_buffer or ()):
        what = f"constant_buffer[{index}]"
        yield from _claim(buffer.storage or b"", program.buffer, SpanKind.CONSTANTS, what)
    for index, inline in enumerate(program.root.backend_delegate_data or ()):
        what = f"backend_delegate_data[{index}]"
        yield from _claim(inline.data or b"", program.buffer, SpanKind.DELEGATE_PAYLOAD, what)


def _claim(view: memoryview | bytes, buffer: memoryview, kind: SpanKind, what: str) -> Iterator[Span]:
    """The place of a view into the file; nothing for an empty view, or for one of other bytes (an edited program)."""
    if len(view) == 0 or len(buffer) == 0:
        return
    start = _address(view) - _address(buffer)
    if 0 <= start <= len(buffer) - len(view):
        yield Span(start, start + len(view), kind, what)


def _address(view: memoryview | bytes) -> int:
    address: int = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    return address


def _cover(size: int, claims: Iterable[Span], flatbuffer_end: int) -> tuple[Span, ...]:
    """The claims cut so that none overlaps, with the flatbuffer, padding and trailing bytes between them."""
    spans: list[Span] = []
    position = 0
    for claim in sorted(claims, key=lambda span: span.start):
        start, end = max(claim.start, position), min(claim.end, size)
        if start >= end:
            continue
        spans.extend(_between(position, start, flatbuffer_end, SpanKind.PADDING))
        spans.append(Span(start, end, claim.kind, claim.what))
        position = end
    spans.extend(_between(position, size, flatbuffer_end, SpanKind.TRAILING))
    return tuple(spans)


def _between(start: int, end: int, flatbuffer_end: int, kind: SpanKind) -> Iterator[Span]:
    if start < min(end, flatbuffer_end):
        yield Span(start, min(end, flatbuffer_end), SpanKind.FLATBUFFER)
    if max(start, flatbuffer_end) < end:
        yield Span(max(start, flatbuffer_end), end, kind)
