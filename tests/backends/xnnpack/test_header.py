"""The XH00 header byte by byte."""

import pytest

from pteron.backends.xnnpack.header import LENGTH, XNNHeader, read_header
from pteron.errors import FormatError, TruncatedError

# Flatbuffer of 40 bytes at 32, constants of 16 bytes at 80; 96 bytes in all.
HEADER = bytes.fromhex("00000000 58483030 1e00 20000000 28000000 50000000 1000000000000000")
PAYLOAD = memoryview(HEADER + bytes(66))


def changed(at: int, *values: int) -> memoryview:
    data = bytearray(PAYLOAD)
    data[at : at + len(values)] = values
    return memoryview(bytes(data))


def test_the_fields_are_where_the_runtime_looks_for_them() -> None:
    assert read_header(PAYLOAD) == XNNHeader(32, 40, 80, 16, length=30)
    assert len(HEADER) == LENGTH


def test_packing_gives_the_same_bytes() -> None:
    assert XNNHeader(32, 40, 80, 16).pack() == HEADER


def test_the_length_is_not_believed_since_no_runtime_reads_it() -> None:
    header = read_header(changed(8, 99))
    assert header is not None
    assert (header.length, header.flatbuffer_offset) == (99, 32)


@pytest.mark.parametrize("data", [b"", b"\x10\0\0\0XN01", b"\x10\0\0\0XN00" + bytes(40), b"XH00" + bytes(40)])
def test_a_payload_without_the_magic_has_no_header(data: bytes) -> None:
    assert read_header(memoryview(data)) is None


@pytest.mark.parametrize(
    ("payload", "kind", "message"),
    [
        (PAYLOAD[:29], TruncatedError, "m.pte, d at byte 1000: the payload ends inside its 30-byte header (29 bytes)"),
        (PAYLOAD[:71], TruncatedError, "m.pte, d.header at byte 1010: the flatbuffer would end at byte 72 of a"),
        (PAYLOAD[:95], TruncatedError, "m.pte, d.header at byte 1018: the constant data would end at byte 96 of"),
        (changed(29, 0x80), TruncatedError, "m.pte, d.header at byte 1018: the constant data would end at byte 9,223,"),
        (changed(14, 7), FormatError, "m.pte, d.header at byte 1010: a flatbuffer of 7 bytes at byte 32"),
        (changed(10, 29), FormatError, "m.pte, d.header at byte 1010: a flatbuffer of 40 bytes at byte 29 is not"),
        (changed(18, 71), FormatError, "m.pte, d.header at byte 1018: constant data at byte 71 overlaps"),
    ],
)  # fmt: skip
def test_regions_that_cannot_be_are_refused(payload: memoryview, kind: type[FormatError], message: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_header(payload, file="m.pte", path="d", base=1000)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)
