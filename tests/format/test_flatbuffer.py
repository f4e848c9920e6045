"""Reading flatbuffers: byte by byte against literals, against the official builder, and against encode."""

import contextlib
import dataclasses
import struct
from enum import IntEnum
from typing import Any

import flatbuffers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pteron.errors import FormatError, LimitError, TruncatedError
from pteron.format.declare import FlatbufferSchema, slot, table
from pteron.format.encode import encode
from pteron.format.flatbuffer import locate, read_root
from pteron.format.limits import Limits


class Colour(IntEnum):
    RED = 0
    BLUE = 3


SCHEMA = FlatbufferSchema("test_flatbuffer", identifiers=("TEST",))
SCHEMA.enum(Colour, "byte")


@table(SCHEMA, since="0.1.0")
class Leaf:
    number: int = slot(0, "int", default=7, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class Note:
    text: str | None = slot(0, "string", default=None, since="0.1.0")


SCHEMA.union("Any", Leaf=1, Note=2)


@table(SCHEMA, since="0.1.0")
class Root:
    flag: bool = slot(0, "bool", default=False, since="0.1.0")
    small: int = slot(1, "byte", default=0, since="0.1.0")
    large: int = slot(2, "ulong", default=0, since="0.1.0")
    real: float = slot(3, "double", default=0.0, since="0.1.0")
    colour: Colour = slot(4, "Colour", default=Colour.RED, since="0.1.0")
    text: str | None = slot(5, "string", default=None, since="0.1.0")
    numbers: tuple[int, ...] | None = slot(6, "[int]", default=None, since="0.1.0")
    flags: tuple[bool, ...] | None = slot(7, "[bool]", default=None, since="0.1.0")
    data: memoryview | None = slot(8, "bytes", default=None, since="0.1.0")
    leaf: Leaf | None = slot(9, "Leaf", default=None, since="0.1.0")
    leaves: tuple[Leaf, ...] | None = slot(10, "[Leaf]", default=None, since="0.1.0")
    choice: Leaf | Note | None = slot(12, "Any", default=None, since="0.1.0")
    longs: tuple[int, ...] | None = slot(13, "[long]", default=None, since="0.1.0")


# Root offset 16, identifier, vtable at 8 (one slot), table at 16 with the int 42.
LEAF = bytes.fromhex("10000000 54455354 0600 0800 0400 0000 08000000 2a000000")


def leaf(buffer: bytes, **limits: int) -> Any:
    return read_root(memoryview(buffer), SCHEMA, "Leaf", file="f", limits=Limits(**limits))


def root(buffer: bytes, **limits: int) -> Any:
    return read_root(memoryview(buffer), SCHEMA, "Root", file="f", limits=Limits(**limits))[0]


def patched(buffer: bytes, offset: int, new: str) -> bytes:
    raw = bytes.fromhex(new)
    return buffer[:offset] + raw + buffer[offset + len(raw) :]


def one_field(number: int, body: str, tail: str = "") -> bytes:
    """A Root with one field: ``body`` is what the table holds after its first four bytes, ``tail`` follows it."""
    inline = bytes.fromhex(body)
    slots = struct.pack("<" + "H" * (number + 1), *([0] * number), 4)
    vtable = struct.pack("<HH", 4 + len(slots), 4 + len(inline)) + slots
    start = (8 + len(vtable) + 3) // 4 * 4
    data = struct.pack("<I", start) + b"TEST" + vtable
    return data.ljust(start, b"\0") + struct.pack("<i", start - 8) + inline + bytes.fromhex(tail)


def test_a_scalar_is_read_and_an_absent_one_has_its_default() -> None:
    assert leaf(LEAF) == (Leaf(42), frozenset())
    assert leaf(patched(LEAF, 12, "0000"))[0] == Leaf(7)
    short = bytes.fromhex("0c000000 54455354 0400 0400 04000000")
    assert leaf(short)[0] == Leaf(7)


def test_a_vtable_may_come_after_its_table() -> None:
    after = bytes.fromhex("08000000 54455354 f8ffffff 2a000000 0600 0800 0400")
    assert leaf(after)[0] == Leaf(42)


@pytest.mark.parametrize(
    ("offset", "new", "at", "message"),
    [
        (0, "00000000", 0, "offset 0 points outside"),
        (0, "0000ffff", 0, "points outside"),
        (0, "15000000", 0, "points outside"),
        (0, "0e000000", 14, "a table cannot start at byte 14"),
        (16, "11000000", 16, "vtable would be at byte -1"),
        (16, "07000000", 16, "vtable would be at byte 9"),
        (16, "00000080", 16, "vtable would be at byte 2147483664"),
        (8, "0300", 8, "a vtable of 3 bytes"),
        (8, "0500", 8, "a vtable of 5 bytes"),
        (8, "0200", 8, "a vtable of 2 bytes"),
        (8, "1200", 8, "a vtable of 18 bytes"),
        (10, "0300", 8, "points outside of its table"),
        (10, "0400", 8, "points outside of its table"),
        (12, "0300", 8, "points outside of its table"),
        (12, "0800", 8, "points outside of its table"),
        (12, "0600", 22, "a int cannot be stored at byte 22"),
    ],
)
def test_each_broken_offset_is_refused_where_it_is(offset: int, new: str, at: int, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        leaf(patched(LEAF, offset, new))
    assert caught.value.offset == at


def test_a_table_that_does_not_fit_is_truncated() -> None:
    with pytest.raises(TruncatedError, match="a table of 8 bytes does not fit"):
        leaf(LEAF[:-1])
    with pytest.raises(TruncatedError, match="needs 8 bytes"):
        leaf(LEAF[:7])
    with pytest.raises(FormatError):
        leaf(b"\x10\0\0\0TEST")


def test_strings_need_their_zero_byte_and_utf8() -> None:
    good = one_field(5, "04000000", "03000000 c3a461 00")
    assert root(good).text == "äa"
    with pytest.raises(FormatError, match="does not end in a zero byte"):
        root(good[:-1] + b"x")
    with pytest.raises(FormatError, match="does not end in a zero byte"):
        root(good[:-1])
    with pytest.raises(FormatError, match="not UTF-8"):
        root(good.replace(b"\xc3\xa4a", b"\xc3aa"))
    with pytest.raises(TruncatedError, match="a vector of 255 × 1 bytes"):
        root(good.replace(b"\x03\0\0\0", b"\xff\0\0\0"))


def test_vectors_are_checked_against_the_size_before_anything_is_read() -> None:
    assert root(one_field(6, "04000000", "02000000 01000000 ffffffff")).numbers == (1, -1)
    assert root(one_field(6, "04000000", "00000000")).numbers == ()
    assert root(one_field(7, "04000000", "03000000 00 01 02")).flags == (False, True, True)
    assert bytes(root(one_field(8, "04000000", "03000000 010203")).data) == b"\1\2\3"
    for count in ("03000000", "ffffffff", "00000040"):
        with pytest.raises(TruncatedError) as caught:
            root(one_field(6, "04000000", f"{count} 01000000 ffffffff"))
        assert caught.value.path == "numbers"
    with pytest.raises(FormatError, match="multiple of 4"):
        root(one_field(6, "06000000", "00000000 00000000 00000000"))


def test_long_vectors_read_the_same_as_short_ones() -> None:
    for count in (64, 65, 1000):
        items = [(-1) ** i * i for i in range(count)]
        body = struct.pack(f"<I{count}i", count, *items).hex()
        assert root(one_field(6, "04000000", body)).numbers == tuple(items)
        assert all(type(item) is int for item in root(one_field(6, "04000000", body)).numbers)
        flags = root(
            one_field(7, "04000000", struct.pack("<I", count).hex() + "0100" * (count // 2) + "01" * (count % 2))
        )
        assert flags.flags[:4] == (True, False, True, False)
        assert type(flags.flags[0]) is bool


def test_enum_and_union_members_must_be_known() -> None:
    assert root(one_field(4, "03000000")).colour is Colour.BLUE
    with pytest.raises(FormatError, match="2 is no Colour") as caught:
        root(one_field(4, "02000000"))
    assert caught.value.path == "colour"
    note = encode(Root(choice=Note("x")), SCHEMA, identifier="TEST").data
    assert root(bytes(note)).choice == Note("x")
    place = locate(memoryview(note), SCHEMA, "Root", "choice")
    assert place is not None
    type_byte = next(i for i in range(len(note)) if note[i] == 2 and _choice_type(note, i))
    for number in (0, 3, 255):
        broken = bytes(note[:type_byte]) + bytes([number]) + bytes(note[type_byte + 1 :])
        with pytest.raises(FormatError, match=f"{number} is no member of Any"):
            root(broken)


def _choice_type(buffer: bytearray, at: int) -> bool:
    """Whether the byte is the type of ``choice``: changing it to 1 makes a Leaf of the Note."""
    changed = bytes(buffer[:at]) + b"\1" + bytes(buffer[at + 1 :])
    try:
        return isinstance(root(changed).choice, Leaf)
    except FormatError:
        return False


def test_errors_name_the_path_and_the_offset_in_the_file() -> None:
    good = one_field(10, "04000000", "02000000 14000000 04000000 08000000")
    with pytest.raises(FormatError) as caught:
        read_root(memoryview(good), SCHEMA, "Root", file="model.pte", base=100)
    assert caught.value.path == "leaves[0]"
    assert caught.value.file == "model.pte"
    assert caught.value.offset is not None
    assert caught.value.offset >= 100
    assert str(caught.value).startswith("model.pte, leaves[0] at byte ")


def test_fields_that_the_declaration_lacks_are_noted() -> None:
    newer = bytes.fromhex("14000000 54455354 0a00 0c00 0400 0000 0800 0000 0c000000 2a000000 63000000")
    record, unknown = leaf(newer)
    assert record == Leaf(42)
    assert unknown == {("Leaf", 2)}
    many = 40
    vtable = struct.pack("<HH", 4 + 2 * many, 8) + struct.pack("<" + "H" * many, *([4] * many))
    start = (8 + len(vtable) + 3) // 4 * 4
    buffer = struct.pack("<I", start) + b"TEST" + vtable.ljust(start - 8, b"\0") + struct.pack("<ii", start - 8, 5)
    assert leaf(buffer)[1] == {("Leaf", n) for n in range(1, many)}


def test_caps_hold_against_shared_tables_and_vectors() -> None:
    count = 30_000
    shared = _shared_leaves(count)
    assert len(root(shared).leaves) == count
    with pytest.raises(LimitError, match="max_tables"):
        root(shared, max_tables=1000)
    nested = _shared_vector(3000, 3000)
    with pytest.raises(LimitError, match="max_expansion"):
        read_root(memoryview(nested), NESTED, "Top", file="f", limits=Limits())


NESTED = FlatbufferSchema("test_nested", identifiers=("TEST",))


@table(NESTED, since="0.1.0")
class Inner:
    numbers: tuple[int, ...] | None = slot(0, "[int]", default=None, since="0.1.0")


@table(NESTED, since="0.1.0")
class Top:
    inners: tuple[Inner, ...] | None = slot(0, "[Inner]", default=None, since="0.1.0")


def _shared_leaves(count: int) -> bytes:
    """A Root whose ``leaves`` are one table, ``count`` times."""
    return one_field(10, "04000000", _references(count) + "0600 0800 0400 0000 08000000 2a000000")


def _references(count: int) -> str:
    """A vector of references that all lead to the table 8 bytes behind the vector."""
    return struct.pack(f"<I{count}I", count, *(4 * (count - i) + 8 for i in range(count))).hex()


def _shared_vector(tables: int, numbers: int) -> bytes:
    """A Top of as many tables as asked for that are one, which holds a vector of numbers."""
    inner = "0600 0800 0400 0000 08000000 04000000" + struct.pack(f"<I{numbers}i", numbers, *range(numbers)).hex()
    return one_field(0, "04000000", _references(tables) + inner)


numbers = st.integers(-(2**31), 2**31 - 1)
leaves = st.builds(Leaf, numbers)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
roots = st.builds(
    Root,
    flag=st.booleans(),
    small=st.integers(-128, 127),
    large=st.integers(0, 2**64 - 1),
    real=st.floats(allow_nan=False),
    colour=st.sampled_from(Colour),
    text=st.none() | texts,
    numbers=st.none() | st.lists(numbers, max_size=80).map(tuple),
    flags=st.none() | st.lists(st.booleans(), max_size=80).map(tuple),
    data=st.none() | st.binary(max_size=40).map(memoryview),
    leaf=st.none() | leaves,
    leaves=st.none() | st.lists(leaves, max_size=4).map(tuple),
    choice=st.none() | leaves | st.builds(Note, st.none() | texts),
    longs=st.none() | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=80).map(tuple),
)


@given(roots)
@settings(max_examples=150, deadline=None)
def test_what_encode_writes_reads_back_the_same(record: Root) -> None:
    buffer = bytes(encode(record, SCHEMA, identifier="TEST").data)
    assert root(buffer) == record


@given(st.integers(0, 2**64 - 1), st.lists(numbers, max_size=90), texts, st.lists(numbers, max_size=5))
@settings(max_examples=100, deadline=None)
def test_what_the_official_builder_writes_is_read(large: int, items: list[int], text: str, leafs: list[int]) -> None:
    builder = flatbuffers.Builder(0)
    children = []
    for number in leafs:
        builder.StartObject(1)
        builder.PrependInt32Slot(0, number, 7)
        children.append(builder.EndObject())
    builder.StartVector(4, len(children), 4)
    for child in reversed(children):
        builder.PrependUOffsetTRelative(child)
    leaf_vector = builder.EndVector()
    string = builder.CreateString(text)
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependInt32(item)
    number_vector = builder.EndVector()
    builder.StartObject(14)
    builder.PrependUint64Slot(2, large, 0)
    builder.PrependUOffsetTRelativeSlot(5, string, 0)
    builder.PrependUOffsetTRelativeSlot(6, number_vector, 0)
    builder.PrependUOffsetTRelativeSlot(10, leaf_vector, 0)
    builder.Finish(builder.EndObject(), b"TEST")
    record = root(bytes(builder.Output()))
    assert record == Root(large=large, text=text, numbers=tuple(items), leaves=tuple(map(Leaf, leafs)))


@given(roots, st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_buffer_reads_or_raises_a_format_error(record: Root, data: st.DataObject) -> None:
    buffer = bytearray(encode(record, SCHEMA, identifier="TEST").data)
    for _ in range(data.draw(st.integers(1, 3))):
        buffer[data.draw(st.integers(0, len(buffer) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        root(bytes(buffer))
    for path in ("large", "leaves[0].number", "numbers[3]", "choice.text", "choice.number", "longs[70]", "text[1]"):
        place = locate(memoryview(buffer), SCHEMA, "Root", path)
        assert place is None or 0 <= place < len(buffer)


def test_locate_finds_what_a_reader_reads_there() -> None:
    record = Root(large=2**40 + 5, numbers=(5, 6, 7), leaves=(Leaf(1), Leaf(99)), choice=Note("hi"), text="abc")
    buffer = bytes(encode(record, SCHEMA, identifier="TEST").data)
    view = memoryview(buffer)

    def found(path: str, code: str) -> Any:
        place = locate(view, SCHEMA, "Root", path)
        assert place is not None
        return struct.unpack_from(f"<{code}", buffer, place)[0]

    assert found("large", "Q") == 2**40 + 5
    assert found("numbers[2]", "i") == 7
    assert found("leaves[1].number", "i") == 99
    text = locate(view, SCHEMA, "Root", "choice.text")
    assert text is not None
    start = text + struct.unpack_from("<I", buffer, text)[0]
    assert buffer[start + 4 : start + 6] == b"hi"


def test_locate_gives_the_last_part_that_exists() -> None:
    record = Root(numbers=(5, 6), leaves=(Leaf(1),), text="abc")
    view = memoryview(bytes(encode(record, SCHEMA, identifier="TEST").data))
    assert locate(view, SCHEMA, "Root", "leaf.number") is None
    assert locate(view, SCHEMA, "Root", "nothing") is None
    assert locate(view, SCHEMA, "Root", "") is None
    assert locate(view, SCHEMA, "Root", "numbers[9]") == locate(view, SCHEMA, "Root", "numbers")
    assert locate(view, SCHEMA, "Root", "leaves[0].missing") == locate(view, SCHEMA, "Root", "leaves[0]")
    assert locate(view, SCHEMA, "Root", "text.number") == locate(view, SCHEMA, "Root", "text")
    assert locate(memoryview(b""), SCHEMA, "Root", "text") is None


def test_records_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        leaf(LEAF)[0].number = 3
