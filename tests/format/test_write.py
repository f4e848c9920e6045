"""Programs written in every layout: read → write → read over the whole corpus, and the bytes of the layout itself."""

import dataclasses
import random
import struct
import time
from pathlib import Path

import pytest

import corpus_files
from pteron.errors import FileAccessError, FormatError, LimitError, PteronError, UnsupportedError
from pteron.format import schema
from pteron.format.declare import FlatbufferSchema, slot, table
from pteron.format.encode import encode
from pteron.format.header import ExtendedHeader
from pteron.format.program import Program, read_program
from pteron.format.relocate import constant_sizes
from pteron.format.write import HeaderForm, Layout, Place, save_program, write_program


def corpus_program(release: str, name: str) -> Program:
    return read_program(corpus_files.read(release, name), file=f"{release}/{name}")


def addresses(data: bytes, views: list[memoryview | None]) -> list[int]:
    """Where in the file the views are that are not empty."""
    return [data.index(bytes(view)) for view in views if view]


def means_the_same(one: Program, other: Program) -> None:
    """Every constant, payload, named blob and initial state has the same bytes; all else but indices is equal."""
    assert constant_sizes(one) == constant_sizes(other)
    for index, size in constant_sizes(one).items():
        assert one.constant(index, size) == other.constant(index, size)
    assert dict(one.named_data) == dict(other.named_data)
    for group, place in enumerate(one.root.mutable_data_segments or ()):
        for index in range(len(place.offsets or ())):
            assert one.mutable_data(group, index, 0) == other.mutable_data(group, index, 0)
        mine, theirs = place.segment_index, (other.root.mutable_data_segments or ())[group].segment_index
        assert one.segment(mine) == other.segment(theirs)
    for plan, again in zip(one.root.execution_plan or (), other.root.execution_plan or (), strict=True):
        for delegate, moved in zip(plan.delegates or (), again.delegates or (), strict=True):
            assert one.payload(delegate) == other.payload(moved)
            assert dataclasses.replace(delegate, processed=None) == dataclasses.replace(moved, processed=None)
        assert dataclasses.replace(plan, delegates=None) == dataclasses.replace(again, delegates=None)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_what_is_read_is_written_and_read_again_without_change(release: str) -> None:
    names = corpus_files.names(release)
    assert names
    for name in names:
        program = corpus_program(release, name)
        again = read_program(write_program(program))
        assert again.root == program.root, name
        assert again.segment_data == program.segment_data, name
        assert (again.header is None) == (program.header is None), name
        if program.header and again.header:
            assert again.header.length == program.header.length, name


@pytest.mark.parametrize("release", corpus_files.releases())
def test_every_layout_keeps_the_meaning(release: str) -> None:
    layouts = [
        Layout(constants=constants, delegates=delegates, segment_alignment=alignment, constant_tensor_alignment=64)
        for constants in Place
        for delegates in Place
        for alignment in (1, 128, 4096)
    ]
    names = corpus_files.names(release)
    for index, name in enumerate([n for n in names if "ops/" not in n] + names[::9]):
        program = corpus_program(release, name)
        layout = layouts[index % len(layouts)]
        moved = read_program(write_program(program, layout))
        means_the_same(program, moved)
        if layout.constants is Place.INLINE:
            assert moved.root.constant_segment is None or not moved.root.constant_segment.offsets
        if layout.constants is Place.SEGMENT:
            assert not moved.root.constant_buffer
        for plan in moved.root.execution_plan or ():
            for delegate in plan.delegates or ():
                assert delegate.processed is not None
                if layout.delegates is Place.INLINE:
                    assert delegate.processed.location is schema.DataLocation.INLINE
                elif layout.delegates is Place.SEGMENT and moved.payload(delegate):
                    assert delegate.processed.location is schema.DataLocation.SEGMENT


def test_the_header_is_spliced_in_after_eight_bytes() -> None:
    program = corpus_program("1.5.1", "mlp.pte")
    without = write_program(program, Layout(constants=Place.INLINE, delegates=Place.INLINE))
    data = write_program(program, Layout(header=HeaderForm.BYTES_32, segment_alignment=4096))
    magic, length, program_size, base, data_size = struct.unpack_from("<4sIQQQ", data, 8)
    assert without[4:8] == data[4:8] == b"ET12"
    assert without[8:12] != b"eh00"
    assert (magic, length) == (b"eh00", 32)
    assert base == -(-program_size // 4096) * 4096
    assert data_size == sum(len(segment) for segment in program.segment_data)
    assert len(data) == base + data_size
    assert not any(data[program_size:base])
    assert struct.unpack_from("<I", data)[0] >= 8 + 32


@pytest.mark.parametrize(("form", "length"), [(HeaderForm.BYTES_24, 24), (HeaderForm.BYTES_32, 32)])
def test_header_forms(form: HeaderForm, length: int) -> None:
    program = corpus_program("1.5.1", "mlp.pte")
    data = write_program(program, Layout(header=form))
    again = read_program(data)
    assert again.header is not None
    assert again.header.length == length
    assert (again.header.segment_data_size is None) == (length == 24)
    # Either form takes 32 bytes of file, so nothing else moves.
    assert data[40:] == write_program(program, Layout(header=HeaderForm.BYTES_24))[40:]
    assert again.segment_data == program.segment_data


def test_no_header_is_possible_only_without_segment_data() -> None:
    with pytest.raises(UnsupportedError, match=r"mlp\.pte: a file with .* bytes of segments needs a header"):
        write_program(corpus_program("1.5.1", "mlp.pte"), Layout(header=HeaderForm.NONE))
    add = corpus_program("1.5.1", "add.pte")
    bare = write_program(add, Layout(header=HeaderForm.NONE))
    assert bare[8:12] != b"eh00"
    assert bare == write_program(add, Layout())
    assert read_program(bare).root == add.root


def test_a_header_that_is_asked_for_is_written_without_segments_too() -> None:
    add = corpus_program("1.5.1", "add.pte")
    data = write_program(add, Layout(header=HeaderForm.BYTES_24))
    header = read_program(data).header
    assert header == ExtendedHeader(24, len(data), 0, None)
    assert Layout.as_read(read_program(data)).header is HeaderForm.BYTES_24


def test_a_large_force_align_pads_the_header() -> None:
    program = corpus_program("0.2.1", "mlp.pte")
    layout = Layout(constants=Place.INLINE, header=HeaderForm.BYTES_32, constant_tensor_alignment=256)
    data = write_program(program, layout)
    again = read_program(data)
    views = [buffer.storage for buffer in again.root.constant_buffer or ()]
    assert all(address % 256 == 0 for address in addresses(data, views))
    assert len([view for view in views if view]) > 3
    assert data[40 : 8 + 256] == bytes(8 + 256 - 40)
    assert Layout.as_read(again).constant_tensor_alignment >= 256


@pytest.mark.parametrize(
    "name",
    [
        "mlp_cfg_segment_alignment_4096.pte",
        "mlp_cfg_segment_alignment_64.pte",
        "mlp_cfg_constant_alignment_256.pte",
        "initialized_mutable_buffer.pte",
        "xnnpack_mlp.pte",
    ],
)
def test_the_layout_as_read_keeps_places(name: str) -> None:
    program = corpus_program("1.5.1", name)
    again = read_program(write_program(program))
    assert program.header is not None
    assert again.header is not None
    assert again.root.segments == program.root.segments
    assert again.header.segment_base_offset % Layout.as_read(program).segment_alignment == 0
    assert again.header.segment_base_offset == program.header.segment_base_offset


def test_segments_are_aligned_to_the_common_multiple() -> None:
    blobs = [bytes([number]) * size for number, size in enumerate((5, 300, 7), 1)]
    program = Program(
        schema.Program(
            segments=tuple(schema.DataSegment(0, len(blob)) for blob in blobs),
            named_data=tuple(schema.NamedData(key, index) for index, key in enumerate("abc")),
        ),
        tuple(map(memoryview, blobs)),
    )
    layout = Layout(segment_alignment=128, named_data_alignment={"b": 48, "c": 1024})
    again = read_program(write_program(program, layout))
    assert [(s.offset, s.size) for s in again.root.segments or ()] == [(0, 5), (384, 300), (1024, 7)]
    assert again.header is not None
    assert again.header.segment_base_offset % 128 == 0
    assert again.header.segment_data_size == 1031
    assert [bytes(again.named_data[key]) for key in "abc"] == blobs


@pytest.mark.parametrize("layout", [Layout(segment_alignment=0), Layout(named_data_alignment={"a": -1})])
def test_an_impossible_segment_alignment_is_refused(layout: Layout) -> None:
    with pytest.raises(UnsupportedError, match="positive"):
        write_program(corpus_program("1.5.1", "mlp.pte"), layout)


def constants_program(*tensors: schema.Tensor, data: bytes, offsets: tuple[int, ...]) -> Program:
    plan = schema.ExecutionPlan(name="forward", values=tuple(schema.EValue(tensor) for tensor in tensors))
    root = schema.Program(
        execution_plan=(plan,),
        segments=(schema.DataSegment(0, len(data)),),
        constant_segment=schema.SubsegmentOffsets(0, offsets),
    )
    return Program(root, (memoryview(data),), "made.pte")


def constant(index: int, count: int) -> schema.Tensor:
    return schema.Tensor(schema.ScalarType.INT, sizes=(count,), dim_order=(0,), data_buffer_idx=index)


def test_constants_that_tensors_share_have_the_size_of_the_largest() -> None:
    program = constants_program(
        constant(1, 2), constant(1, 3), constant(2, 1), data=bytes(range(20)), offsets=(0, 0, 16)
    )
    assert constant_sizes(program) == {1: 12, 2: 4}
    inline = read_program(write_program(program, Layout(constants=Place.INLINE)))
    assert inline.header is None
    assert inline.root.segments == ()
    storages = [bytes(buffer.storage or b"") for buffer in inline.root.constant_buffer or ()]
    assert storages == [b"", bytes(range(12)), bytes(range(16, 20))]
    packed = read_program(write_program(inline, Layout(constants=Place.SEGMENT)))
    assert packed.root.constant_segment == schema.SubsegmentOffsets(0, (0, 0, 16))
    assert bytes(packed.segment_data[0]) == bytes(range(12)) + bytes(4) + bytes(range(16, 20))
    assert packed.root.constant_buffer == ()


def test_a_constant_segment_is_packed_again_for_a_larger_alignment() -> None:
    program = constants_program(constant(1, 4), constant(2, 1), data=bytes(range(20)), offsets=(0, 0, 16))
    again = read_program(write_program(program, Layout(constants=Place.SEGMENT, constant_tensor_alignment=64)))
    assert again.root.constant_segment == schema.SubsegmentOffsets(0, (0, 0, 64))
    assert bytes(again.segment_data[0]) == bytes(range(16)) + bytes(48) + bytes(range(16, 20))


def test_a_constant_of_unknown_size_is_not_moved() -> None:
    program = constants_program(constant(1, 4), data=bytes(20), offsets=(0, 0, 16))
    with pytest.raises(UnsupportedError, match=r"made\.pte: no tensor uses constant 2, so its size is not known"):
        write_program(program, Layout(constants=Place.INLINE))
    assert read_program(write_program(program)).segment_data == program.segment_data


def test_a_constant_longer_than_its_segment_is_a_format_error() -> None:
    program = constants_program(constant(1, 6), data=bytes(20), offsets=(0, 0))
    with pytest.raises(FormatError, match=r"constant_segment\.offsets\[1\]"):
        write_program(program, Layout(constants=Place.INLINE))


def test_planned_and_external_tensors_are_no_constants() -> None:
    planned = dataclasses.replace(constant(1, 9), allocation_info=schema.AllocationDetails(1))
    external = dataclasses.replace(
        constant(1, 9), extra_tensor_info=schema.ExtraTensorInfo(location=schema.TensorDataLocation.EXTERNAL)
    )
    program = constants_program(planned, external, constant(1, 2), constant(0, 9), data=bytes(8), offsets=(0, 0))
    assert constant_sizes(program) == {1: 8}


def test_constants_in_both_places_are_not_moved() -> None:
    program = constants_program(constant(1, 1), data=bytes(4), offsets=(0, 0))
    both = program.replace(root=dataclasses.replace(program.root, constant_buffer=(schema.Buffer(memoryview(b"x")),)))
    with pytest.raises(UnsupportedError, match="both inline and in a segment"):
        write_program(both, Layout(constants=Place.INLINE))


def test_a_program_without_constants_gets_the_placeholder_segment() -> None:
    program = corpus_program("0.2.1", "add.pte")
    assert [bytes(buffer.storage or b"") for buffer in program.root.constant_buffer or ()] == [b""]
    moved = read_program(write_program(program, Layout(constants=Place.SEGMENT)))
    assert moved.header is None
    assert moved.root.constant_segment == schema.SubsegmentOffsets(0, (0,))
    assert moved.root.segments == (schema.DataSegment(0, 0),)


def delegates_program() -> Program:
    """Two methods; payloads a (shared by both), b (equal bytes to a), an empty one and one that nobody uses."""

    def delegate(index: int) -> schema.BackendDelegate:
        return schema.BackendDelegate(
            "B", schema.BackendDelegateDataReference(schema.DataLocation.INLINE, index), compile_specs=()
        )

    payloads = (b"unused", b"payload", b"", b"payload", b"other")
    root = schema.Program(
        execution_plan=(
            schema.ExecutionPlan(name="one", delegates=(delegate(1), delegate(2))),
            schema.ExecutionPlan(name="two", delegates=(delegate(1), delegate(3), delegate(4))),
            schema.ExecutionPlan(name="three"),
        ),
        backend_delegate_data=tuple(schema.BackendDelegateInlineData(memoryview(p)) for p in payloads),
        segments=(schema.DataSegment(0, 3), schema.DataSegment(128, 4)),
        mutable_data_segments=(schema.SubsegmentOffsets(0, (0, 0)),),
        named_data=(schema.NamedData("w", 1),),
    )
    return Program(root, (memoryview(b"mut"), memoryview(b"blob")), "made.pte")


def test_payloads_move_to_segments_and_back() -> None:
    program = delegates_program()
    moved = read_program(write_program(program, Layout(delegates=Place.SEGMENT)))
    assert [bytes(segment) for segment in moved.segment_data] == [b"mut", b"payload", b"other", b"blob"]
    assert [bytes(inline.data or b"") for inline in moved.root.backend_delegate_data or ()] == [b"unused", b""]
    means_the_same(program, moved)
    assert moved.root.execution_plan is not None
    assert moved.root.execution_plan[2].delegates is None
    back = read_program(write_program(moved, Layout(delegates=Place.INLINE)))
    assert [bytes(segment) for segment in back.segment_data] == [b"mut", b"blob"]
    means_the_same(program, back)
    assert len(back.root.backend_delegate_data or ()) == 4


def test_a_segment_with_another_use_stays() -> None:
    program = delegates_program()
    shared = dataclasses.replace(
        program.root,
        execution_plan=(
            schema.ExecutionPlan(
                name="one",
                delegates=(
                    schema.BackendDelegate("B", schema.BackendDelegateDataReference(schema.DataLocation.SEGMENT, 1)),
                ),
            ),
        ),
    )
    inline = read_program(write_program(program.replace(root=shared), Layout(delegates=Place.INLINE)))
    assert [bytes(segment) for segment in inline.segment_data] == [b"mut", b"blob"]
    assert bytes((inline.root.backend_delegate_data or ())[-1].data or b"") == b"blob"


def test_a_payload_that_is_missing_is_a_format_error() -> None:
    program = delegates_program()
    broken = program.replace(root=dataclasses.replace(program.root, backend_delegate_data=()))
    with pytest.raises(FormatError, match=r"execution_plan\[0\]\.delegates\[0\]"):
        write_program(broken, Layout(delegates=Place.SEGMENT))


def test_segments_and_records_must_agree() -> None:
    program = delegates_program().replace(segment_data=())
    with pytest.raises(FormatError, match="2 segments are on record, there is data of 0"):
        write_program(program)


def with_newer_field() -> bytes:
    newer = FlatbufferSchema("program of tomorrow", identifiers=("ET12",))

    @table(newer, since="9.0.0", name="Program")
    class Tomorrow:
        version: int = slot(0, "uint", default=0, since="0.1.0")
        motto: str | None = slot(8, "string", default=None, since="9.0.0")

    return bytes(encode(Tomorrow(3, "onwards"), newer, identifier="ET12").data)


def test_fields_that_would_be_lost_are_refused_unless_allowed() -> None:
    program = read_program(with_newer_field(), file="tomorrow.pte")
    with pytest.raises(UnsupportedError, match=r"tomorrow.pte: table Program has a field in slot 8"):
        write_program(program)
    data = write_program(program, drop_unknown_fields=True)
    assert b"onwards" not in data
    assert read_program(data).root == program.root


def test_trailing_data_is_not_kept() -> None:
    data = corpus_files.read("1.5.1", "mlp.pte")
    assert write_program(read_program(data + b"trailing" * 100)) == write_program(read_program(data))


def overlapping(second: bytes) -> Program:
    data = b"".join((b"abcdefgh", bytes(56)))
    root = schema.Program(segments=(schema.DataSegment(0, 8), schema.DataSegment(4, 6), schema.DataSegment(2, 0)))
    header = ExtendedHeader(24, 0, 0, None)
    return Program(root, (memoryview(data)[:8], memoryview(second), memoryview(b"")), "o.pte", header, memoryview(data))


def test_overlapping_segments_keep_their_places() -> None:
    program = overlapping(b"efghij")
    again = read_program(write_program(program))
    assert again.root == program.root
    assert [bytes(segment) for segment in again.segment_data] == [b"abcdefgh", b"efghij", b""]
    apart = read_program(write_program(program, Layout()))
    assert [bytes(segment) for segment in apart.segment_data] == [b"abcdefgh", b"efghij", b""]
    assert [segment.offset for segment in apart.root.segments or ()] == [0, 128, 256]


def test_overlapping_segments_with_other_bytes_are_refused() -> None:
    with pytest.raises(FormatError, match=r"segments\[1\]: segment 1 overlaps another one"):
        write_program(overlapping(b"xxghij"))


def test_a_segment_inside_of_another_keeps_its_place() -> None:
    program = overlapping(b"efghij")
    records = (schema.DataSegment(0, 8), schema.DataSegment(2, 3))
    parts = (program.segment_data[0], memoryview(b"cde"))
    inside = dataclasses.replace(program, root=dataclasses.replace(program.root, segments=records), segment_data=parts)
    again = read_program(write_program(inside))
    assert again.root.segments == records
    assert [bytes(segment) for segment in again.segment_data] == [b"abcdefgh", b"cde"]


def test_bytes_that_are_shared_stay_shared() -> None:
    storage = memoryview(bytes(range(256)) * 64)
    buffers = (schema.Buffer(memoryview(b"")), *[schema.Buffer(storage)] * 100)
    tensors = tuple(constant(index, len(storage) // 4) for index in range(1, 101))
    plan = schema.ExecutionPlan(name="forward", values=tuple(schema.EValue(tensor) for tensor in tensors))
    program = Program(schema.Program(execution_plan=(plan,), constant_buffer=buffers), (), "made.pte")
    data = write_program(program)
    assert len(data) < 2 * len(storage)
    assert read_program(data).root == program.root
    packed = read_program(write_program(program, Layout(constants=Place.SEGMENT)))
    assert packed.root.constant_segment == schema.SubsegmentOffsets(0, (0,) * 101)
    assert packed.segment_data == (storage,)


def test_constants_that_overlap_without_end_are_not_unfolded() -> None:
    count = 10_000
    tensors = tuple(constant(index, 250_000) for index in range(1, count + 1))
    program = constants_program(*tensors, data=bytes(2_000_000), offsets=(0, *range(0, 16 * count, 16)))
    with pytest.raises(LimitError, match="constants overlap so that they take 10,000,000,000 bytes"):
        write_program(program, Layout(constants=Place.INLINE))


def test_thousands_of_payloads_move_in_a_moment() -> None:
    delegates = tuple(
        schema.BackendDelegate("B", schema.BackendDelegateDataReference(schema.DataLocation.SEGMENT, index))
        for index in range(5000)
    )
    payloads = tuple(memoryview(index.to_bytes(4, "little")) for index in range(5000))
    root = schema.Program(
        execution_plan=(schema.ExecutionPlan(name="forward", delegates=delegates),),
        segments=tuple(schema.DataSegment(0, 4) for _ in payloads),
    )
    start = time.process_time()
    inline = read_program(write_program(Program(root, payloads), Layout(delegates=Place.INLINE)))
    again = read_program(write_program(inline, Layout(delegates=Place.SEGMENT, segment_alignment=16)))
    assert time.process_time() - start < 20
    assert inline.segment_data == ()
    assert again.segment_data == payloads


def test_offsets_beyond_the_file_are_not_kept() -> None:
    program = overlapping(b"efghij")
    far = dataclasses.replace(program.root, segments=(schema.DataSegment(1 << 60, 8), *program.root.segments[1:]))  # type: ignore[index]
    again = read_program(write_program(program.replace(root=far)))
    assert [bytes(segment) for segment in again.segment_data] == [b"abcdefgh", b"efghij", b""]


def test_saving_replaces_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(corpus_files.read("1.5.1", "mlp.pte"))
    program = read_program(path)
    save_program(program, path, Layout(segment_alignment=4096))
    assert path.read_bytes() == write_program(program, Layout(segment_alignment=4096))
    assert [p.name for p in tmp_path.iterdir()] == ["model.pte"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.pte"
    path.write_bytes(b"old")
    program = corpus_program("1.5.1", "mlp.pte")
    with pytest.raises(UnsupportedError):
        save_program(program, path, Layout(header=HeaderForm.NONE))
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.pte"]


@pytest.mark.parametrize("name", ["missing/model.pte", "a\0b.pte"])
def test_a_folder_that_is_missing_is_a_typed_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileAccessError, match="cannot be written"):
        save_program(corpus_program("1.5.1", "add.pte"), tmp_path / name)


def test_a_folder_in_the_way_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "model.pte").mkdir()
    with pytest.raises(FileAccessError, match="cannot be written"):
        save_program(corpus_program("1.5.1", "add.pte"), tmp_path / "model.pte")
    assert [p.name for p in tmp_path.iterdir()] == ["model.pte"]


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("0.2.1", "xnnpack_inline_delegate.pte"),
        ("0.2.1", "add.pte"),
        ("1.5.1", "initialized_mutable_buffer.pte"),
        ("1.5.1", "xnnpack_multi_method.pte"),
    ],
)
def test_a_damaged_program_is_written_or_refused_with_a_typed_error(release: str, name: str) -> None:
    data = corpus_files.read(release, name)
    program_end = struct.unpack_from("<Q", data, 16)[0] if data[8:12] == b"eh00" else len(data)
    chance = random.Random(f"{release}/{name}")
    layouts = [None, *(Layout(constants=c, delegates=d) for c in Place for d in Place)]
    written = 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            damaged[chance.randrange(min(program_end, 6000))] = chance.randrange(256)
        try:
            program = read_program(damaged)
            again = write_program(program, chance.choice(layouts), drop_unknown_fields=True)
        except PteronError:
            continue
        assert len(again) < 10 * len(data) + (1 << 16)
        written += 1
    assert written > 20
