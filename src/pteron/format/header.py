"""The extended header of a PTE file: where the flatbuffer ends and the segments begin.

Layout (schema/extended_header.h): after the flatbuffer's root offset and identifier come the magic ``eh00``, the
header's length, the program size, the segment base offset, and since 1.0 the size of the segment data. A file without
segments has no header; its flatbuffer is the whole file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pteron.errors import FormatError, TruncatedError

MAGIC = b"eh00"
OFFSET = 8
"""Byte offset of the header in the file."""
MINIMUM_LENGTH = 24
LENGTH_SINCE_1_0 = 32
HEAD_BYTES = 64
"""What every runtime reads first; it cannot load a shorter file."""

_FIXED = struct.Struct("<4sIQQ")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class ExtendedHeader:
    """``length`` counts magic and length too; sizes and offsets are bytes from the start of the file.

    ``segment_data_size`` is None in the 24-byte form that exporters wrote up to 0.7.
    """

    length: int
    program_size: int
    segment_base_offset: int
    segment_data_size: int | None

    def pack(self) -> bytes:
        """The header's bytes, without padding after them."""
        packed = _FIXED.pack(MAGIC, self.length, self.program_size, self.segment_base_offset)
        if self.segment_data_size is not None:
            packed += _U64.pack(self.segment_data_size)
        return packed


def read_header(buffer: memoryview, file: str) -> ExtendedHeader | None:
    """The header, or None where the file has none; raises ``FormatError`` for one that cannot be."""
    size = len(buffer)
    if bytes(buffer[OFFSET : OFFSET + 4]) != MAGIC:
        return None
    if size < OFFSET + MINIMUM_LENGTH:
        raise TruncatedError(
            f"the file ends inside its header ({size} bytes); get the whole file", file=file, offset=OFFSET
        )
    _, length, program_size, base = _FIXED.unpack_from(buffer, OFFSET)
    if length < MINIMUM_LENGTH:
        raise FormatError(
            f"header length {length} is below {MINIMUM_LENGTH}; the file is damaged",
            file=file,
            offset=OFFSET + 4,
            path="header.length",
        )
    data_size = None
    if length >= LENGTH_SINCE_1_0:
        if size < OFFSET + LENGTH_SINCE_1_0:
            raise TruncatedError(
                f"the file ends inside its header ({size} bytes); get the whole file",
                file=file,
                offset=OFFSET,
            )
        data_size = _U64.unpack_from(buffer, OFFSET + MINIMUM_LENGTH)[0]
    header = ExtendedHeader(length, program_size, base, data_size)
    _check(header, size, file)
    return header


def _check(header: ExtendedHeader, size: int, file: str) -> None:
    if header.program_size > size:
        raise TruncatedError(
            f"the program takes {header.program_size:,} bytes, the file has {size:,}; get the whole file",
            file=file,
            offset=OFFSET + 8,
            path="header.program_size",
        )
    if header.program_size < OFFSET + header.length:
        raise FormatError(
            f"a program of {header.program_size} bytes cannot hold its header; the file is damaged",
            file=file,
            offset=OFFSET + 8,
            path="header.program_size",
        )
    base = header.segment_base_offset
    if base and base < header.program_size:
        raise FormatError(
            f"segments start at byte {base}, inside the program of {header.program_size} bytes; the file is damaged",
            file=file,
            offset=OFFSET + 16,
            path="header.segment_base_offset",
        )
    end = base + (header.segment_data_size or 0)
    if end > size:
        raise TruncatedError(
            f"the file should have {end:,} bytes and has {size:,}; get the whole file",
            file=file,
            offset=OFFSET + 24,
            path="header.segment_data_size",
        )
