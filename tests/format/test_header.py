"""The extended header, byte by byte (schema/extended_header.h)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pteron.errors import FormatError, TruncatedError
from pteron.format.header import HEAD_BYTES, ExtendedHeader, read_header

ROOT = bytes.fromhex("30000000 45543132")
OLD = bytes.fromhex("65683030 18000000 8000000000000000 0001000000000000")
NEW = bytes.fromhex("65683030 20000000 8000000000000000 0001000000000000 0800000000000000")


def file(header: bytes, size: int = 264) -> memoryview:
    return memoryview((ROOT + header).ljust(size, b"\0"))


def test_a_file_without_the_magic_has_no_header() -> None:
    assert read_header(memoryview(ROOT.ljust(64, b"\0")), "f") is None
    assert read_header(memoryview(b""), "f") is None
    assert read_header(memoryview(ROOT + b"eh0"), "f") is None


def test_the_24_byte_form_of_exporters_up_to_0_7() -> None:
    assert read_header(file(OLD), "f") == ExtendedHeader(24, 128, 256, None)


def test_the_32_byte_form_since_1_0() -> None:
    assert read_header(file(NEW), "f") == ExtendedHeader(32, 128, 256, 8)


def test_a_longer_header_is_read_as_far_as_it_is_known() -> None:
    longer = NEW.replace(b"\x20\0\0\0", b"\x28\0\0\0", 1) + b"\xff" * 8
    assert read_header(file(longer), "f") == ExtendedHeader(40, 128, 256, 8)
    between = NEW.replace(b"\x20\0\0\0", b"\x1c\0\0\0", 1)
    assert read_header(file(between), "f") == ExtendedHeader(28, 128, 256, None)


def test_a_program_without_segments_may_have_a_header() -> None:
    plain = bytes.fromhex("65683030 20000000 8000000000000000 0000000000000000 0000000000000000")
    assert read_header(file(plain, 128), "f") == ExtendedHeader(32, 128, 0, 0)


@pytest.mark.parametrize("size", [12, 16, 31])
def test_a_file_that_ends_in_its_header_is_truncated(size: int) -> None:
    with pytest.raises(TruncatedError, match="ends inside its header"):
        read_header(file(OLD)[:size], "f")
    with pytest.raises(TruncatedError, match="ends inside its header"):
        read_header(file(NEW)[:39], "f")


@pytest.mark.parametrize(
    ("offset", "new", "path", "at"),
    [
        (12, "17000000", "header.length", 12),
        (12, "00000000", "header.length", 12),
        (12, "79000000", "header.program_size", 16),
        (16, "0901000000000000", "header.program_size", 16),
        (16, "ffffffffffffffff", "header.program_size", 16),
        (16, "2700000000000000", "header.program_size", 16),
        (24, "7f00000000000000", "header.segment_base_offset", 24),
        (24, "0100000000000000", "header.segment_base_offset", 24),
        (24, "ffffffffffffffff", "header.segment_data_size", 32),
        (32, "0900000000000000", "header.segment_data_size", 32),
        (32, "ffffffffffffffff", "header.segment_data_size", 32),
    ],
)
def test_numbers_that_cannot_be_are_refused_where_they_are(offset: int, new: str, path: str, at: int) -> None:
    data = bytearray(file(NEW))
    raw = bytes.fromhex(new)
    data[offset : offset + len(raw)] = raw
    with pytest.raises(FormatError) as caught:
        read_header(memoryview(bytes(data)), "model.pte")
    assert (caught.value.path, caught.value.offset) == (path, at)
    assert str(caught.value).startswith(f"model.pte, {path} at byte {at}: ")


def test_a_download_cut_off_in_its_segments_is_truncated() -> None:
    assert read_header(file(NEW, 264), "f") is not None
    with pytest.raises(TruncatedError, match="should have 264 bytes and has 263"):
        read_header(file(NEW, 263), "f")
    with pytest.raises(TruncatedError, match="should have 256 bytes and has 200"):
        read_header(file(OLD, 200), "f")


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.none() | st.integers(0, 2**40),
)
def test_pack_is_what_the_declared_layout_says(program_size: int, base: int, data_size: int | None) -> None:
    length = 24 if data_size is None else 32
    packed = ExtendedHeader(length, program_size, base, data_size).pack()
    expected = [b"eh00", struct.pack("<I", length), struct.pack("<Q", program_size), struct.pack("<Q", base)]
    assert packed == b"".join(expected) + (b"" if data_size is None else struct.pack("<Q", data_size))


def test_runtimes_read_64_bytes_first() -> None:
    assert HEAD_BYTES == 64
    assert len(ROOT) + len(NEW) <= HEAD_BYTES
