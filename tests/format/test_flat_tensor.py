"""Tensor data: the three layouts that share one identifier, told apart by content; every .ptd of the corpus."""

import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import corpus_files
import pteron.format.flat_tensor_schema as fts
from pteron.errors import FormatError, LimitError, PteronError, TruncatedError, UnknownFileError, UnsupportedError
from pteron.format.declare import FlatbufferSchema, slot, table
from pteron.format.encode import encode
from pteron.format.flat_tensor import PtdLayout, TensorEntry, read_tensor_data, save_tensor_data, write_tensor_data
from pteron.format.limits import Limits
from pteron.format.scalar_type import ScalarType

FILES = [(release, name) for release in corpus_files.releases() for name in corpus_files.names(release, ".ptd")]
LAYOUTS: tuple[PtdLayout, ...] = ("0.5", "0.6", "0.7+")


def tensor(key: str, values: Any, dim_order: tuple[int, ...] | None = None) -> TensorEntry:
    array = np.asarray(values, np.float32)
    order = dim_order or tuple(range(array.ndim))
    data = memoryview(np.ascontiguousarray(array.transpose(order)).tobytes())
    return TensorEntry(key, data, ScalarType.FLOAT, array.shape, order)


def test_the_corpus_has_files_of_both_layouts_in_use() -> None:
    releases = {release for release, _ in FILES}
    assert "0.6.0" in releases
    assert len(releases) == 8


@pytest.mark.parametrize(("release", "name"), FILES)
def test_every_file_is_read_in_its_release_s_layout(release: str, name: str) -> None:
    data = corpus_files.read(release, name)
    read = read_tensor_data(data, file=name)
    assert read.file == name
    assert read.layout == ("0.6" if release == "0.6.0" else "0.7+")
    assert read.tensor_alignment == (16 if release == "0.6.0" else None)
    assert read.unknown_fields == frozenset()
    # The same model has the same weights in every release; only delegates' keys are hashes.
    if name in corpus_files.names("1.5.1", ".ptd") and "xnnpack" not in name:
        newest = read_tensor_data(corpus_files.read("1.5.1", name))
        assert dict(read.entries) == dict(newest.entries)
    start = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    for entry in read.entries.values():
        address = np.frombuffer(entry.data, np.uint8).__array_interface__["data"][0]
        assert start < address < start + len(data), "data is a view into the file"


@pytest.mark.parametrize("release", ["0.6.0", "0.7.0", "1.5.1"])
def test_the_weights_give_the_recorded_outputs(release: str) -> None:
    name = "external_constants_mlp._default_external_constant.ptd"
    weights = {key: entry.array() for key, entry in read_tensor_data(corpus_files.read(release, name)).entries.items()}
    arrays = corpus_files.npz(release, "external_constants_mlp.npz")
    hidden = np.tanh(arrays["in0"] @ weights["a.weight"].T + weights["a.bias"])
    hidden = np.maximum(hidden @ weights["b.weight"].T + weights["b.bias"], 0)
    np.testing.assert_allclose(hidden @ weights["c.weight"].T + weights["c.bias"], arrays["out0"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", ["0.6", "0.7+"])
@pytest.mark.parametrize(("release", "name"), FILES[::3])
def test_entries_written_in_a_layout_come_back(release: str, name: str, layout: PtdLayout) -> None:
    read = read_tensor_data(corpus_files.read(release, name))
    data = write_tensor_data(read.entries.values(), layout=layout)
    again = read_tensor_data(data)
    assert again.layout == layout
    assert dict(again.entries) == dict(read.entries)


keys = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=5, unique=True)


@settings(max_examples=150, deadline=None)
@given(keys, st.data(), st.sampled_from(LAYOUTS), st.sampled_from([1, 2, 4, 8, 16, 32, 64, 4096]))
def test_any_entries_are_read_in_the_layout_they_were_written_in(
    names: list[str], data: st.DataObject, layout: PtdLayout, alignment: int
) -> None:
    entries = []
    for name in names:
        if layout != "0.5" and data.draw(st.booleans()):
            entries.append(TensorEntry(name, memoryview(data.draw(st.binary(max_size=40)))))
            continue
        kind = data.draw(st.sampled_from(list(ScalarType)))
        sizes = tuple(data.draw(st.lists(st.integers(0, 3), max_size=4)))
        order = tuple(data.draw(st.permutations(range(len(sizes)))))
        nbytes = kind.itemsize * int(np.prod(sizes, dtype=int))
        entries.append(TensorEntry(name, memoryview(bytes(range(256)) * 20)[:nbytes], kind, sizes, order))
    written = write_tensor_data(entries, layout=layout, tensor_alignment=alignment, segment_alignment=alignment)
    read = read_tensor_data(written)
    assert read.layout == layout
    assert dict(read.entries) == {entry.key: entry for entry in entries}
    for entry in read.entries.values():
        if entry.sizes is not None:
            assert entry.array().shape == entry.sizes


def test_the_bytes_of_a_file() -> None:
    data = write_tensor_data([tensor("w", [1.0, 2.0])], segment_alignment=128)
    assert data[4:12] == b"FT01FH01"
    length, flatbuffer_offset, flatbuffer_size, base, size = struct.unpack_from("<IQQQQ", data, 12)
    assert (length, flatbuffer_offset, size) == (40, 48, 8)
    assert base == -(-(flatbuffer_offset + flatbuffer_size) // 128) * 128
    assert data[base:] == np.float32([1, 2]).tobytes()
    assert data[48:56] == bytes(8), "the header is padded to a multiple of 16"


def test_data_in_one_piece_of_memory_is_stored_once() -> None:
    blob = memoryview(bytes(range(100)))
    one = write_tensor_data([TensorEntry("a", blob), TensorEntry("b", blob), TensorEntry("c", blob[:50])])
    read = read_tensor_data(one)
    assert read.header.segment_data_size == 128 + 50
    assert all(entry.data == blob[: len(entry.data)] for entry in read.entries.values())


def test_dim_order_gives_the_strides() -> None:
    values = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    read = read_tensor_data(write_tensor_data([tensor("w", values, (0, 2, 3, 1))]))
    array = read.entries["w"].array()
    np.testing.assert_array_equal(array, values)
    assert array.strides == (96, 4, 32, 8)
    assert not array.flags.writeable


def test_a_blob_is_no_array() -> None:
    with pytest.raises(UnsupportedError, match="opaque blob"):
        TensorEntry("x", memoryview(b"1")).array()


def with_root(root: Any, owner: FlatbufferSchema, data: bytes) -> bytes:
    """A PTD file around a root record."""
    body = encode(root, owner, identifier="FT01").data
    base = -(-(len(body) + 48) // 16) * 16
    header = struct.pack("<4sIQQQQ", b"FH01", 40, 48, len(body), base, len(data)) + bytes(8)
    start = struct.pack("<I", struct.unpack_from("<I", body)[0] + 48)
    return start + body[4:8] + header + body[8:] + bytes(base - 48 - len(body)) + data


LAYOUT = fts.TensorLayout(ScalarType.FLOAT, (2,), (0,))
SEGMENTS = (fts.DataSegment(0, 8),)


@pytest.mark.parametrize(
    ("root", "path", "problem"),
    [
        (fts.FlatTensor(0, None, ()), "segments", "no segments"),
        (fts.FlatTensor(0, SEGMENTS, None), "named_data", "no named_data"),
        (fts.FlatTensor(0, (fts.DataSegment(0, 9),), ()), "segments[0]", "ends at byte 9 of 8"),
        (fts.FlatTensor(0, (fts.DataSegment(1 << 63, 1 << 63),), ()), "segments[0]", "ends at byte"),
        (fts.FlatTensor(0, SEGMENTS, (fts.NamedData("w", 1, LAYOUT),)), "named_data[0].segment_index", "segment 1"),
        (fts.FlatTensor(0, SEGMENTS, (fts.NamedData(None, 0, LAYOUT),)), "named_data[0]", "no key"),
        (
            fts.FlatTensor(0, SEGMENTS, (fts.NamedData("w", 0, LAYOUT), fts.NamedData("w", 0, LAYOUT))),
            "named_data[1]",
            "the key 'w' stands twice",
        ),
        *(
            (fts.FlatTensor(0, SEGMENTS, (fts.NamedData("w", 0, layout),)), "named_data[0]", problem)
            for layout, problem in (
                (dataclasses.replace(LAYOUT, sizes=(3,)), "takes 12 bytes, there are 8"),
                (dataclasses.replace(LAYOUT, sizes=(2**31 - 1,) * 8, dim_order=tuple(range(8))), "takes"),
                (dataclasses.replace(LAYOUT, sizes=(-2,)), "a negative size"),
                (dataclasses.replace(LAYOUT, sizes=None), "no sizes"),
                (dataclasses.replace(LAYOUT, dim_order=None), "no dim_order"),
                (dataclasses.replace(LAYOUT, dim_order=(1,)), "no permutation"),
                (dataclasses.replace(LAYOUT, sizes=(0,) * 17, dim_order=tuple(range(17))), "17 dimensions"),
            )
        ),
    ],
)
def test_faults_of_the_current_layout_are_named(root: fts.FlatTensor, path: str, problem: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_tensor_data(with_root(root, fts.SCHEMA, bytes(8)), file="w.ptd")
    assert caught.value.path == path
    assert problem in str(caught.value)
    assert str(caught.value).startswith("w.ptd, ")


OLD_TENSOR = fts.TensorMetadata("w", ScalarType.FLOAT, (1,), (0,), 0, 0)
OLD_ROOT = fts.OldFlatTensor(0, 4, (OLD_TENSOR,), (fts.OldDataSegment(0, 8),))


@pytest.mark.parametrize(
    ("root", "path", "problem"),
    [
        (dataclasses.replace(OLD_ROOT, tensors=(dataclasses.replace(OLD_TENSOR, offset=8),)), "tensors[0]", "4 bytes"),
        (
            dataclasses.replace(OLD_ROOT, tensors=(dataclasses.replace(OLD_TENSOR, offset=2),)),
            "tensors[0].offset",
            "offset 2 is not possible",
        ),
        (
            dataclasses.replace(OLD_ROOT, tensors=(dataclasses.replace(OLD_TENSOR, offset=1 << 63),)),
            "tensors[0].offset",
            "is not possible",
        ),
        (dataclasses.replace(OLD_ROOT, tensor_alignment=3), "tensors", "alignment 3"),
        (dataclasses.replace(OLD_ROOT, tensor_alignment=0), "tensors", "alignment 0"),
        (dataclasses.replace(OLD_ROOT, tensors=None), "tensors", "missing"),
        (dataclasses.replace(OLD_ROOT, tensors=(OLD_TENSOR, OLD_TENSOR)), "tensors[1]", "stands twice"),
        (
            dataclasses.replace(OLD_ROOT, named_data=(fts.OldNamedData("w", 0),)),
            "named_data[0]",
            "stands twice",
        ),
    ],
)
def test_faults_of_the_older_layouts_are_named(root: fts.OldFlatTensor, path: str, problem: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_tensor_data(with_root(root, fts.OLD, bytes(8)))
    assert caught.value.path == path
    assert problem in str(caught.value)


def test_the_layout_of_0_5_has_no_named_data() -> None:
    assert read_tensor_data(with_root(OLD_ROOT, fts.OLD, bytes(8))).layout == "0.5"
    with_blobs = dataclasses.replace(OLD_ROOT, named_data=(fts.OldNamedData("blob", 0),))
    read = read_tensor_data(with_root(with_blobs, fts.OLD, bytes(8)))
    assert read.layout == "0.6"
    assert read.entries["blob"].scalar_type is None
    assert len(read.entries["blob"].data) == 8


def test_a_newer_field_is_noted() -> None:
    newer = FlatbufferSchema("flat_tensor of tomorrow", identifiers=("FT01",))

    @table(newer, since="0.5.0", name="DataSegment")
    class Segment:
        offset: int = slot(0, "ulong", default=0, since="0.5.0")
        size: int = slot(1, "ulong", default=0, since="0.5.0")

    @table(newer, since="0.6.0", name="NamedData")
    class Named:
        key: str | None = slot(0, "string", default=None, since="0.6.0")
        segment_index: int = slot(1, "uint", default=0, since="0.6.0")

    @table(newer, since="9.0.0", name="FlatTensor")
    class Tomorrow:
        segments: tuple[Segment, ...] | None = slot(1, "[DataSegment]", default=None, since="0.7.0")
        named_data: tuple[Named, ...] | None = slot(2, "[NamedData]", default=None, since="0.7.0")
        motto: str | None = slot(3, "string", default=None, since="9.0.0")

    read = read_tensor_data(with_root(Tomorrow((Segment(0, 8),), (Named("w", 0),), "onwards"), newer, bytes(8)))
    assert read.layout == "0.7+"
    assert read.unknown_fields == {("FlatTensor", 3)}
    assert list(read.entries) == ["w"]


def two_faced_file() -> bytearray:
    """A file that is consistent in both layouts; no exporter can have made it.

    The root's slot 1 is 64: a tensor alignment, and the offset of the segments 64 bytes on. The entry's slot 2 leads
    to a place that is a TensorLayout (its vtable 12 bytes before) and a vector of 12 sizes, most of them 0.
    """
    file = bytearray(320 + 64)

    def put(at: int, form: str, *values: int | bytes) -> None:
        struct.pack_into(f"<{form}", file, at, *values)

    put(0, "I4s", 68, b"FT01")
    put(8, "4sIQQQQ", b"FH01", 40, 48, 272, 320, 64)
    put(56, "6H", 12, 16, 0, 4, 8, 12)  # root: slots 1, 2 and 3
    put(68, "iIII", 12, 64, 176 - 76, 136 - 80)
    put(136, "II", 1, 160 - 140)  # segments: one
    put(152, "4H", 8, 16, 0, 8)
    put(160, "iIQ", 8, 0, 64)  # of 64 bytes at offset 0
    put(176, "II", 1, 200 - 180)  # entries: one
    put(188, "6H", 12, 16, 4, 0, 8, 12)  # with slots 0, 2 and 3
    put(200, "iIII", 12, 216 - 204, 236 - 208, 304 - 212)
    put(216, "I2s", 1, b"w")
    put(224, "5H", 10, 12, 0, 4, 8)  # TensorLayout: slots 1 and 2
    put(236, "iII", 12, 288 - 240, 296 - 244)
    put(288, "Ii", 1, 4)  # its sizes
    put(296, "IB", 1, 0)  # and dim order
    put(304, "I12B", 12, *range(12))  # the dim order of 12 sizes
    return file


def test_a_file_that_reads_well_in_both_layouts_is_refused() -> None:
    with pytest.raises(FormatError, match=r"as the 0\.6 and as the 0\.7 layout"):
        read_tensor_data(two_faced_file())
    only_new = two_faced_file()
    only_new[56 + 10] = 0  # the root without slot 3
    read = read_tensor_data(only_new)
    assert (read.layout, read.entries["w"].sizes) == ("0.7+", (4,))
    only_old = two_faced_file()
    only_old[224 + 8] = 0  # the TensorLayout without dim order
    old = read_tensor_data(only_old)
    assert (old.layout, old.entries["w"].sizes) == ("0.5", (48, 52, *[0] * 10))


def test_other_files_are_refused_by_name() -> None:
    with pytest.raises(UnknownFileError, match=r"is an ExecuTorch program \(\.pte\), not ExecuTorch tensor data"):
        read_tensor_data(corpus_files.read("1.5.1", "mlp.pte"))
    with pytest.raises(UnknownFileError, match="empty"):
        read_tensor_data(b"")


@pytest.mark.parametrize(
    ("at", "form", "value", "path", "kind"),
    [
        (8, "I", 0, "", FormatError),
        (12, "I", 39, "header.length", FormatError),
        (24, "Q", 1 << 40, "header.flatbuffer_size", TruncatedError),
        (40, "Q", 1 << 40, "header.segment_data_size", TruncatedError),
        (32, "Q", 8, "header.segment_base_offset", FormatError),
    ],
)
def test_a_damaged_header_is_named(at: int, form: str, value: int, path: str, kind: type[FormatError]) -> None:
    data = bytearray(write_tensor_data([tensor("w", [1.0, 2.0])]))
    struct.pack_into(f"<{form}", data, at, value)
    with pytest.raises(kind) as caught:
        read_tensor_data(data)
    assert caught.value.path == path


def test_a_longer_header_is_accepted() -> None:
    data = bytearray(write_tensor_data([tensor("w", [1.0, 2.0])]))
    struct.pack_into("<I", data, 12, 48)
    assert list(read_tensor_data(data).entries) == ["w"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_truncation_and_bit_flip_ends_in_entries_or_a_typed_error(layout: PtdLayout) -> None:
    data = write_tensor_data([tensor("w", [1.0, 2.0]), tensor("b", [[3.0]])], layout=layout, segment_alignment=16)
    for end in range(len(data)):
        with pytest.raises(PteronError):
            read_tensor_data(data[:end])
    refused = 0
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            read = read_tensor_data(damaged)
        except PteronError:
            refused += 1
        else:
            assert sum(len(entry.data) for entry in read.entries.values()) <= len(data)
    assert refused > len(data)


def test_limits_hold() -> None:
    with pytest.raises(LimitError, match="max_tables"):
        read_tensor_data(write_tensor_data([tensor("w", [1.0])]), limits=Limits(max_tables=2))


@pytest.mark.parametrize(
    ("entries", "problem"),
    [
        ([tensor("w", [1.0]), tensor("w", [1.0])], "stands twice"),
        ([TensorEntry("w", memoryview(bytes(4)), ScalarType.FLOAT, (2,), (0,))], "takes 8 bytes, there are 4"),
        ([TensorEntry("w", memoryview(bytes(9)), ScalarType.FLOAT, (2,), (0,))], "takes 8 bytes, the data has 9"),
        ([TensorEntry("w", memoryview(bytes(8)), ScalarType.FLOAT, (2,))], "no dim_order"),
    ],
)
def test_entries_that_do_not_fit_are_not_written(entries: list[TensorEntry], problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        write_tensor_data(entries)


def test_the_layout_of_0_5_has_no_place_for_blobs() -> None:
    with pytest.raises(UnsupportedError, match="no place for opaque blobs such as 'x'"):
        write_tensor_data([TensorEntry("x", memoryview(b"1"))], layout="0.5")
    with pytest.raises(UnsupportedError, match="no PTD layout"):
        write_tensor_data([], layout="0.8")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="power of two"):
        write_tensor_data([], segment_alignment=48)


def test_saving_writes_the_same_bytes(tmp_path: Path) -> None:
    entries = [tensor("w", [1.0, 2.0])]
    save_tensor_data(entries, tmp_path / "w.ptd", layout="0.6")
    assert (tmp_path / "w.ptd").read_bytes() == write_tensor_data(entries, layout="0.6")
    assert read_tensor_data(tmp_path / "w.ptd").file.endswith("w.ptd")
