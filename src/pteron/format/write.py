"""Program → the bytes of a PTE file, in the layout asked for.

The flatbuffer comes first. A file with segments has the extended header spliced in after the flatbuffer's root offset
and identifier (exir/_serialize/_program.py), and the segments after the flatbuffer.
"""

from __future__ import annotations

import dataclasses
import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from pteron.errors import FormatError, UnsupportedError
from pteron.format import schema
from pteron.format.encode import encode
from pteron.format.header import LENGTH_SINCE_1_0, MINIMUM_LENGTH, OFFSET, ExtendedHeader
from pteron.format.program import Program
from pteron.format.relocate import (
    align_up,
    constants_to_buffers,
    constants_to_segment,
    payloads_to_inline,
    payloads_to_segments,
)
from pteron.format.save import save_parts
from pteron.format.source import memory_address

if TYPE_CHECKING:
    from typing_extensions import Buffer


class HeaderForm(Enum):
    """Which extended header a file gets.

    ``AUTO`` is what exporters do since 1.0: 32 bytes where there is segment data, else none. ``NONE`` is possible only
    without segment data. ``BYTES_24`` (written up to 0.7) and ``BYTES_32`` are written in any case.
    """

    AUTO = None
    NONE = 0
    BYTES_24 = MINIMUM_LENGTH
    BYTES_32 = LENGTH_SINCE_1_0


class Place(Enum):
    """Where constants or delegate payloads go: where they are, into the flatbuffer, or into segments."""

    KEEP = "keep"
    INLINE = "inline"
    SEGMENT = "segment"


@dataclass(frozen=True)
class Layout:
    """How the bytes of a PTE file are laid out; sizes and alignments are bytes.

    The first segment starts at a multiple of ``segment_alignment``, further ones at a multiple of its least common
    multiple with ``named_data_alignment`` of the key that the segment holds. ``constant_tensor_alignment`` and
    ``delegate_alignment`` align inline constants and payloads (powers of two), the former also constants that move to
    a segment. With ``keep_segment_offsets`` the offsets on record stay while they still fit the file that was read.
    """

    header: HeaderForm = HeaderForm.AUTO
    constants: Place = Place.KEEP
    delegates: Place = Place.KEEP
    segment_alignment: int = 128
    constant_tensor_alignment: int = 16
    delegate_alignment: int = 16
    named_data_alignment: Mapping[str, int] = field(default_factory=dict)
    keep_segment_offsets: bool = False

    @classmethod
    def as_read(cls, program: Program) -> Layout:
        """The layout that the program's file has, as far as a file shows it."""
        form = HeaderForm.AUTO
        if program.header is not None:
            form = HeaderForm.BYTES_24 if program.header.segment_data_size is None else HeaderForm.BYTES_32
        starts = [segment.offset for segment in program.root.segments or ()]
        base = program.header.segment_base_offset if program.header else 0
        constants = [buffer.storage for buffer in program.root.constant_buffer or ()]
        payloads = [inline.data for inline in program.root.backend_delegate_data or ()]
        return cls(
            header=form,
            segment_alignment=_common_alignment([base, *starts], default=128),
            constant_tensor_alignment=max(16, _common_alignment(_addresses(program, constants), default=16)),
            delegate_alignment=max(16, _common_alignment(_addresses(program, payloads), default=16)),
            keep_segment_offsets=True,
        )


def _common_alignment(offsets: Iterable[int], default: int) -> int:
    """The largest power of two up to a page that divides all offsets; ``default`` where they show none."""
    divisor = math.gcd(*offsets)
    return min(divisor & -divisor, 4096) if divisor else default


def _addresses(program: Program, views: Iterable[memoryview | None]) -> list[int]:
    """Byte offsets in the file of the views into it that are not empty."""
    start = memory_address(program.buffer)
    addresses = (memory_address(view) - start for view in views if view)
    return [address for address in addresses if 0 <= address < len(program.buffer)]


def write_program(program: Program, layout: Layout | None = None, *, drop_unknown_fields: bool = False) -> bytes:
    """The bytes of a PTE file; ``layout`` defaults to :meth:`Layout.as_read`.

    Bytes that no record names (padding, trailing data) are not kept. Raises ``UnsupportedError`` where the layout is
    not possible for this program, or where fields of newer releases would be lost and ``drop_unknown_fields`` does not
    allow it; ``FormatError`` for records that cannot be stored.
    """
    return b"".join(_parts(program, layout or Layout.as_read(program), drop_unknown_fields))


def save_program(
    program: Program,
    path: str | os.PathLike[str],
    layout: Layout | None = None,
    *,
    drop_unknown_fields: bool = False,
) -> None:
    """Write the file whole or not at all; see :func:`write_program`. Raises ``FileAccessError`` as well."""
    save_parts(path, _parts(program, layout or Layout.as_read(program), drop_unknown_fields))


def _parts(program: Program, layout: Layout, drop_unknown_fields: bool) -> list[Buffer]:
    if program.unknown_fields and not drop_unknown_fields:
        table, number = min(program.unknown_fields)
        raise UnsupportedError(
            f"{program.file}: table {table} has a field in slot {number} that Pteron does not know and that writing "
            "would lose; allow it with drop_unknown_fields=True"
        )
    program = _relocated(program, layout)
    offsets, data_size = _segment_offsets(program, layout)
    segments = program.root.segments
    if segments is not None:
        sizes = map(len, program.segment_data)
        segments = tuple(schema.DataSegment(*place) for place in zip(offsets, sizes, strict=True))
    body, alignment = encode(
        dataclasses.replace(program.root, segments=segments),
        schema.SCHEMA,
        identifier=schema.SCHEMA.identifiers[0],
        align={
            "Buffer.storage": layout.constant_tensor_alignment,
            "BackendDelegateInlineData.data": layout.delegate_alignment,
        },
        file=program.file,
    )
    form = layout.header
    if form is HeaderForm.AUTO:
        form = HeaderForm.BYTES_32 if data_size else HeaderForm.NONE
    if form is HeaderForm.NONE:
        if data_size:
            raise UnsupportedError(
                f"{program.file}: a file with {data_size:,} bytes of segments needs a header; take a header of 24 or "
                "32 bytes, or inline the constants and payloads"
            )
        return [body]
    return _with_header(body, alignment, form, program, offsets, data_size, layout.segment_alignment)


def _with_header(
    body: bytearray,
    alignment: int,
    form: HeaderForm,
    program: Program,
    offsets: list[int],
    data_size: int,
    segment_alignment: int,
) -> list[Buffer]:
    length = form.value or 0
    # What lies after the header keeps its alignment only if the header takes a multiple of it.
    padded = align_up(length, max(alignment, 16))
    program_size = len(body) + padded
    base = align_up(program_size, segment_alignment) if data_size else 0
    header = ExtendedHeader(length, program_size, base, data_size if form is HeaderForm.BYTES_32 else None).pack()
    root = struct.unpack_from("<I", body)[0] + padded
    view = memoryview(body)
    parts: list[Buffer] = [struct.pack("<I", root), view[4:OFFSET], header, bytes(padded - length), view[OFFSET:]]
    if data_size:
        parts.append(bytes(base - program_size))
        parts += _segment_parts(program, offsets, data_size)
    return parts


def _relocated(program: Program, layout: Layout) -> Program:
    if layout.segment_alignment < 1 or any(value < 1 for value in layout.named_data_alignment.values()):
        raise UnsupportedError(f"{program.file}: an alignment is a positive number of bytes")
    if len(program.root.segments or ()) != len(program.segment_data):
        raise FormatError(
            f"{len(program.root.segments or ())} segments are on record, there is data of {len(program.segment_data)}",
            file=program.file,
            path="segments",
        )
    if layout.constants is Place.INLINE:
        program = constants_to_buffers(program)
    elif layout.constants is Place.SEGMENT:
        program = constants_to_segment(program, layout.constant_tensor_alignment)
    if layout.delegates is Place.INLINE:
        program = payloads_to_inline(program)
    elif layout.delegates is Place.SEGMENT:
        program = payloads_to_segments(program)
    return program


def _segment_offsets(program: Program, layout: Layout) -> tuple[list[int], int]:
    """Offset of each segment from the segment base, and the bytes from the base to the end of the last one.

    A last segment without bytes counts: readers want even its offset inside of the file.
    """
    records = program.root.segments or ()
    sizes = [len(data) for data in program.segment_data]
    if not any(sizes):
        return [0] * len(sizes), 0
    if layout.keep_segment_offsets and [record.size for record in records] == sizes:
        end = max(record.offset + record.size for record in records)
        base = program.header.segment_base_offset if program.header else 0
        if base + end <= len(program.buffer):
            return [record.offset for record in records], end
    own = {
        entry.segment_index: layout.named_data_alignment.get(entry.key or "", 1)
        for entry in program.root.named_data or ()
    }
    offsets: list[int] = []
    end = 0
    for index, size in enumerate(sizes):
        offsets.append(align_up(end, math.lcm(layout.segment_alignment, own.get(index, 1))))
        end = offsets[-1] + size
    return offsets, end


def _segment_parts(program: Program, offsets: list[int], data_size: int) -> list[Buffer]:
    """The segments in the order of their offsets with zeros between them, ``data_size`` bytes in all."""
    parts: list[Buffer] = []
    end = 0
    last, last_offset = memoryview(b""), 0
    for offset, index in sorted((offset, index) for index, offset in enumerate(offsets)):
        data = program.segment_data[index]
        shared = max(min(end - offset, len(data)), 0)
        # Segments of one file may overlap; then what they share is written once, if they agree on it.
        if last[offset - last_offset :][:shared] != data[:shared]:
            raise FormatError(
                f"segment {index} overlaps another one with other bytes; write it without keep_segment_offsets",
                file=program.file,
                path=f"segments[{index}]",
            )
        if offset + len(data) > end:
            parts += [bytes(max(offset - end, 0)), data[shared:]]
            end = offset + len(data)
            last, last_offset = data, offset
    parts.append(bytes(data_size - end))
    return parts
