"""The XH00 header: where the flatbuffer and the constants of a payload are.

30 bytes, little endian (backends/xnnpack/runtime/XNNHeader.h, v0.2.0 … v1.4.1): four zero bytes, so that the magic is
where a bare flatbuffer has its identifier; ``XH00``; u16 length; u32 flatbuffer offset and size; u32 constant data
offset, u64 constant data size. Releases up to 0.1 wrote no header. Runtimes check the regions since 1.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from pteron.errors import FormatError, TruncatedError

MAGIC = b"XH00"
MAGIC_OFFSET = 4
LENGTH = 30
"""Bytes of the header. No runtime since 0.2 takes a shorter payload, with or without header."""
ALIGNMENT = 16
"""Bytes to which exporters pad header, flatbuffer and each constant."""
MINIMUM_FLATBUFFER = 8

_FIELDS = struct.Struct("<4x4sHIIIQ")


@dataclass(frozen=True, slots=True)
class XNNHeader:
    """Offsets count bytes from the payload's start. ``length`` is what the header says; no runtime reads it."""

    flatbuffer_offset: int
    flatbuffer_size: int
    constant_data_offset: int
    constant_data_size: int
    length: int = LENGTH

    def pack(self) -> bytes:
        """The header's 30 bytes, without padding after them."""
        return _FIELDS.pack(
            MAGIC,
            self.length,
            self.flatbuffer_offset,
            self.flatbuffer_size,
            self.constant_data_offset,
            self.constant_data_size,
        )


def has_header(payload: memoryview) -> bool:
    """Whether the magic is there."""
    return bytes(payload[MAGIC_OFFSET : MAGIC_OFFSET + len(MAGIC)]) == MAGIC


def read_header(payload: memoryview, *, file: str = "<bytes>", path: str = "", base: int = 0) -> XNNHeader | None:
    """The header, or None where the payload has none.

    ``path`` is the payload's field path in the file and ``base`` its byte offset there, for messages. Raises
    ``TruncatedError`` where header or regions do not fit in the payload, ``FormatError`` where the regions overlap or
    cannot hold what they must.
    """
    if not has_header(payload):
        return None
    if len(payload) < LENGTH:
        raise TruncatedError(
            f"the payload ends inside its {LENGTH}-byte header ({len(payload)} bytes); get the whole file",
            file=file,
            offset=base,
            path=path,
        )
    _, length, offset, size, data_offset, data_size = _FIELDS.unpack_from(payload)
    header = XNNHeader(offset, size, data_offset, data_size, length)
    _check(header, len(payload), file, path, base)
    return header


def _check(header: XNNHeader, total: int, file: str, path: str, base: int) -> None:
    for name, at, start, size in (
        ("flatbuffer", 10, header.flatbuffer_offset, header.flatbuffer_size),
        ("constant data", 18, header.constant_data_offset, header.constant_data_size),
    ):
        if start + size > total:
            raise TruncatedError(
                f"the {name} would end at byte {start + size:,} of a payload of {total:,} bytes; get the whole file",
                file=file,
                offset=base + at,
                path=f"{path}.header".lstrip("."),
            )
    if header.flatbuffer_size < MINIMUM_FLATBUFFER or header.flatbuffer_offset < LENGTH:
        raise FormatError(
            f"a flatbuffer of {header.flatbuffer_size} bytes at byte {header.flatbuffer_offset} is not possible; "
            "the payload is damaged, export again",
            file=file,
            offset=base + 10,
            path=f"{path}.header".lstrip("."),
        )
    if header.constant_data_offset < header.flatbuffer_offset + header.flatbuffer_size:
        raise FormatError(
            f"constant data at byte {header.constant_data_offset} overlaps the flatbuffer, which ends at "
            f"{header.flatbuffer_offset + header.flatbuffer_size}; the payload is damaged, export again",
            file=file,
            offset=base + 18,
            path=f"{path}.header".lstrip("."),
        )
