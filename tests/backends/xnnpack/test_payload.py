"""Reading payloads: both formats, constants from all three places, and damage that ends in one typed error."""

from __future__ import annotations

import contextlib
import random
import re
from dataclasses import replace

import pytest

from pteron.backends.identify import describe, identify_payload
from pteron.backends.xnnpack.nodes import XNNAdd
from pteron.backends.xnnpack.payload import read_payload
from pteron.backends.xnnpack.releases import runtimes
from pteron.backends.xnnpack.schema import ConstantDataOffset
from pteron.backends.xnnpack.values import XNNDatatype
from pteron.backends.xnnpack.verify import verify_payload
from pteron.errors import ExternalDataError, FormatError, LimitError, PteronError, TruncatedError
from pteron.format.limits import Limits
from xnnpack_payloads import add_graph, bare, headered, payloads

DELEGATE = "execution_plan[0].delegates[2]"
BY_OFFSET = (ConstantDataOffset(), ConstantDataOffset(offset=16, size=24))
BY_KEY = (ConstantDataOffset(named_key=""), ConstantDataOffset(offset=2**64 - 1, size=24, named_key="w"))


def test_a_bare_xn00_payload_keeps_its_constants_in_the_flatbuffer() -> None:
    payload = read_payload(bare(add_graph()))
    verify_payload(payload)
    assert (payload.format, payload.has_header, payload.header) == ("XN00", False, None)
    assert payload.graph == add_graph()
    assert payload.node_kinds == {"XNNAdd": 1}
    assert payload.datatypes == {XNNDatatype.xnn_datatype_fp32: 3}
    assert payload.constant(1) == bytes(range(24))
    assert payload.constant_size(1) == 24
    assert payload.named_keys == ()


def test_a_region_constant_is_a_view_of_the_payload() -> None:
    data = headered(add_graph(constant_buffer=None, constant_data=BY_OFFSET), bytes(16) + bytes(range(100, 124)))
    payload = read_payload(data)
    verify_payload(payload)
    assert (payload.format, payload.has_header) == ("XN01", True)
    constant = payload.constant(1)
    assert constant == bytes(range(100, 124))
    assert constant.obj is data.obj


def test_a_named_constant_comes_from_the_data_given() -> None:
    payload = read_payload(headered(add_graph(constant_data=BY_KEY)), file="m.pte", path=DELEGATE)
    verify_payload(payload)
    assert payload.named_keys == ("w",)
    assert payload.constant(1, {"w": memoryview(bytes(range(24)))}) == bytes(range(24))
    place = re.escape(f"m.pte, {DELEGATE}.constant_data[1]: ")
    with pytest.raises(ExternalDataError, match=place + r"no data with key 'w'; give the \.ptd file"):
        payload.constant(1)
    with pytest.raises(ExternalDataError, match=place + "the data with key 'w' has 23 bytes and should have 24"):
        payload.constant(1, {"w": memoryview(bytes(23))})
    with pytest.raises(ExternalDataError):
        verify_payload(payload, {})


def test_a_payload_with_header_ignores_constants_in_the_flatbuffer_as_runtimes_do() -> None:
    payload = read_payload(headered(add_graph(), bytes(40), identifier="XN00"))
    with pytest.raises(FormatError, match=r"constant 1 does not exist \(indices go up to -1\)"):
        payload.constant(1)


@pytest.mark.parametrize("index", [0, 2, 2**32 - 1])
@pytest.mark.parametrize("data", [bare(add_graph()), headered(add_graph(constant_data=BY_OFFSET), bytes(40))])
def test_a_constant_out_of_range_is_an_error(data: memoryview, index: int) -> None:
    payload = read_payload(data)
    with pytest.raises(FormatError, match=rf"constant {index} does not exist \(indices go up to 1\)"):
        payload.constant(index)
    with pytest.raises(FormatError, match="does not exist"):
        payload.constant_size(index)


@pytest.mark.parametrize(
    ("offset", "size", "region"), [(16, 24, 39), (17, 24, 40), (2**64 - 1, 24, 40), (0, 2**64 - 1, 40), (41, 0, 40)]
)
def test_a_constant_outside_of_the_region_is_an_error(offset: int, size: int, region: int) -> None:
    entries = (ConstantDataOffset(), ConstantDataOffset(offset, size))
    payload = read_payload(headered(add_graph(constant_data=entries), bytes(region)), file="m.pte", path=DELEGATE)
    with pytest.raises(TruncatedError, match=f"the constant would end at byte {offset + size:,} of a region of") as e:
        payload.constant(1)
    assert e.value.path == f"{DELEGATE}.constant_data[1]"


def unknown_node(number: int) -> tuple[memoryview, int]:
    """The graph with another number for its node, and where the number is."""
    data = bytearray(bare(add_graph()))
    table = next(i for i in range(4, len(data)) if data[i] == 7 and data[i + 1 : i + 4] == b"\0\0\0")
    at = next(i for i in range(table - 16, table + 16) if data[i] == 1 and _reads_another(data, i))
    data[at] = number
    return memoryview(bytes(data)), at


def _reads_another(data: bytearray, at: int) -> bool:
    """Whether the byte is the node's number: with a 12 there, the node is a minimum."""
    changed = bytearray(data)
    changed[at] = 12
    try:
        return read_payload(memoryview(bytes(changed))).node_kinds == {"XNNMinimum": 1}
    except FormatError:
        return False


@pytest.mark.parametrize("number", [48, 200, 255])
def test_a_node_of_a_newer_release_is_named_by_its_number(number: int) -> None:
    data, _ = unknown_node(number)
    with pytest.raises(FormatError) as caught:
        read_payload(data, file="m.pte", path=DELEGATE, base=5000)
    assert caught.value.path == f"{DELEGATE}.xnodes[0].xnode_union"
    assert caught.value.problem.startswith(
        f"node number {number} is not known: written by a release newer than 1.5.1, or damaged"
    )
    assert caught.value.offset is not None
    assert 5000 <= caught.value.offset < 5000 + len(data)


def test_number_0_is_damage_and_not_a_newer_release() -> None:
    with pytest.raises(FormatError, match="0 is no member of XNodeUnion"):
        read_payload(unknown_node(0)[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"identifier b'' is not that of an XNNPACK payload \(XN00 or XN01\)"),
        (bytes(64), r"identifier b'\\x00\\x00\\x00\\x00' is not that of"),
        (bytes(bare(add_graph(), "VK00")), "identifier b'VK00' is not that of"),
        (bytes(bare(add_graph(), "XN02")), "identifier b'XN02' is not that of"),
        (b"\x10\0\0\0XN01", "offset 16 points outside of the 8 bytes"),
    ],
)
def test_other_bytes_are_no_payload(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_payload(memoryview(data))


def test_the_caps_hold() -> None:
    with pytest.raises(LimitError, match="more than 4 tables"):
        read_payload(bare(add_graph()), limits=Limits(max_tables=4))
    with pytest.raises(LimitError, match="a tensor of 24 bytes"):
        verify_payload(read_payload(bare(add_graph()), limits=Limits(max_tensor_bytes=23)))


SMALL = (
    bare(add_graph()),
    headered(add_graph(constant_data=BY_OFFSET), bytes(40)),
    min((found.data for found in payloads("1.5.1") if "int8_linear" in found.file), key=len),
)


def use(data: memoryview) -> str:
    """Everything that can be asked of a payload; what came of it. Anything but a PteronError escapes."""
    identify_payload("XnnpackBackend", data)
    describe("XnnpackBackend", data)
    try:
        payload = read_payload(data)
    except PteronError as error:
        return type(error).__name__
    with contextlib.suppress(PteronError):
        runtimes(payload)
        assert len(payload.node_kinds) <= len(payload.graph.xnodes or ())
        assert len(payload.datatypes) <= len(payload.graph.xvalues or ())
        for index, path in payload.constant_uses():
            payload.constant(index, dict.fromkeys(payload.named_keys, data), path=path)
    try:
        verify_payload(payload)
    except PteronError as error:
        return type(error).__name__
    return "fine"


@pytest.mark.parametrize("number", range(3))
def test_a_payload_cut_anywhere_is_refused_or_whole(number: int) -> None:
    data = SMALL[number]
    assert use(data) == "fine"
    whole = [length for length in range(len(data)) if use(data[:length]) == "fine"]
    assert [length for length in whole if any(data[length:])] == []  # only padding may go
    assert len(whole) < 4


@pytest.mark.parametrize("number", range(3))
def test_every_flipped_bit_ends_in_a_payload_or_one_typed_error(number: int) -> None:
    data = SMALL[number]
    outcomes = []
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        outcomes.append(use(memoryview(bytes(flipped))))
    assert outcomes.count("FormatError") > len(data)


def test_random_damage_ends_in_a_payload_or_one_typed_error() -> None:
    draw = random.Random(4)
    for data in SMALL:
        for _ in range(2000):
            damaged = bytearray(data)
            for _ in range(draw.randint(1, 8)):
                start = draw.randrange(len(damaged))
                damaged[start : start + 4] = draw.choice((b"\xff\xff\xff\xff", b"\0\0\0\x80", draw.randbytes(4)))
            use(memoryview(bytes(damaged)))


def test_a_payload_is_told_from_its_header_alone() -> None:
    region = bytes(40)
    info = identify_payload("XnnpackBackend", headered(add_graph(constant_data=BY_OFFSET), region))
    assert (info.format, info.description) == ("XN01", "XN01 behind an XH00 header")
    assert (info.details["has_header"], info.details["constant_bytes"]) == (True, 40)
    bare_info = identify_payload("XnnpackBackend", bare(add_graph()))
    assert (bare_info.format, bare_info.details) == ("XN00", {"has_header": False})
    assert describe("XnnpackBackend", memoryview(b"XN00" * 10)).startswith("XNNPACK payload XN00")
    damaged = identify_payload("XnnpackBackend", headered(add_graph())[:40])
    assert damaged.format == "unknown"
    assert damaged.description.startswith("a damaged XH00 header: the flatbuffer would end at byte")


def test_equal_payloads_are_equal() -> None:
    first, second = read_payload(bare(add_graph())), read_payload(bare(add_graph()))
    assert first == second
    assert replace(first, graph=add_graph(num_externs=3)) != second
    assert isinstance((first.graph.xnodes or ())[0].xnode_union, XNNAdd)
