"""PTD files: tensor data and blobs by key, kept outside of the program.

A PTD file is a flatbuffer with the header ``FH01`` spliced in after its first 8 bytes, and segments after it
(extension/flat_tensor/serialize). Three layouts share the identifier ``FT01``; which one a file has is found by reading
it as each and taking the one that is consistent in every part.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from pteron.errors import FormatError, TruncatedError, UnsupportedError
from pteron.format import flat_tensor_schema as fts
from pteron.format.declare import FlatbufferSchema
from pteron.format.encode import encode
from pteron.format.flatbuffer import read_root
from pteron.format.identify import FileKind, expect
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.relocate import align_up
from pteron.format.save import save_parts
from pteron.format.scalar_type import ScalarType
from pteron.format.source import FileSource, memory_address, read_source
from pteron.format.tensor_bytes import layout_problem, tensor_array

if TYPE_CHECKING:
    from typing_extensions import Buffer

PtdLayout: TypeAlias = Literal["0.5", "0.6", "0.7+"]
"""The release that a layout came with; 0.7's is still current."""

MAGIC = b"FH01"
OFFSET = 8
"""Byte offset of the header in the file."""
MINIMUM_LENGTH = 40
_HEADER = struct.Struct("<4sIQQQQ")
_FLATBUFFER_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class FlatTensorHeader:
    """The flatbuffer ends at ``flatbuffer_offset + flatbuffer_size``; all are bytes from the start of the file."""

    length: int
    flatbuffer_offset: int
    flatbuffer_size: int
    segment_base_offset: int
    segment_data_size: int


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One key of a PTD file. ``data`` are its bytes, for a tensor as many as its sizes take.

    ``scalar_type``, ``sizes`` and ``dim_order`` (dimensions from outermost to innermost) are None for an opaque blob.
    ``file`` is the name of the file that the entry was read from.
    """

    key: str
    data: memoryview
    scalar_type: ScalarType | None = None
    sizes: tuple[int, ...] | None = None
    dim_order: tuple[int, ...] | None = None
    file: str = field(default="", compare=False)

    def array(self) -> np.ndarray[Any, np.dtype[Any]]:
        """A view of the data as an array; raises ``UnsupportedError`` for a blob."""
        if self.scalar_type is None or self.sizes is None or self.dim_order is None:
            raise UnsupportedError(f"{self.key} is an opaque blob without dtype and sizes; use its data")
        return tensor_array(self.data, self.scalar_type, self.sizes, self.dim_order)


@dataclass(frozen=True)
class TensorData:
    """A PTD file: its entries by key in the file's order, as views into the file."""

    file: str
    layout: PtdLayout
    entries: Mapping[str, TensorEntry]
    header: FlatTensorHeader
    tensor_alignment: int | None = None
    """Bytes that tensors are aligned to within a segment (0.5 and 0.6 only)."""
    unknown_fields: frozenset[tuple[str, int]] = frozenset()


def read_tensor_data(source: FileSource, *, limits: Limits = DEFAULT_LIMITS, file: str | None = None) -> TensorData:
    """Read a PTD file of any release; every entry's bytes are inside the file and fit its sizes.

    Raises ``UnknownFileError`` for another kind of file, ``TruncatedError`` where it ends too soon, ``LimitError``
    beyond ``limits``, ``FormatError`` for anything else that cannot be read, also for a key that stands twice and for
    a file that reads well in two layouts.
    """
    buffer, name = read_source(source)
    name = file or name
    expect(buffer, FileKind.PTD, name)
    reading = _Reading(buffer, _read_header(buffer, name), name, limits)
    faults: dict[str, FormatError] = {}
    found: list[TensorData] = []
    candidates: tuple[tuple[str, Callable[[], TensorData]], ...] = (("0.6", reading.old), ("0.7+", reading.new))
    for layout, read in candidates:
        try:
            found.append(read())
        except FormatError as error:
            faults[layout] = error
    if not found:
        # Segments stood in slot 3 up to 0.6; since 0.7 there is no slot 3.
        likely, other = ("0.6", "0.7+") if reading.segments_in_slot_3 else ("0.7+", "0.6")
        fault = faults[likely]
        problem = f"{fault.problem} (read as the {likely} layout; as {other}: {faults[other].problem})"
        raise type(fault)(problem, file=name, offset=fault.offset, path=fault.path)
    if len(found) > 1 and found[1].entries:
        raise FormatError(
            "the entries can be read as the 0.6 and as the 0.7 layout, so what they mean is not certain; "
            "make the file again with 0.7 or later",
            file=name,
        )
    return found[0]


def _read_header(buffer: memoryview, file: str) -> FlatTensorHeader:
    size = len(buffer)
    if size < OFFSET + MINIMUM_LENGTH:
        raise TruncatedError(f"the file ends inside its header ({size} bytes); get the whole file", file=file)
    magic, length, *places = _HEADER.unpack_from(buffer, OFFSET)
    if magic != MAGIC:
        raise FormatError("tensor data without the header FH01; the file is damaged", file=file, offset=OFFSET)
    if length < MINIMUM_LENGTH:
        raise FormatError(
            f"header length {length} is below {MINIMUM_LENGTH}; the file is damaged",
            file=file,
            offset=OFFSET + 4,
            path="header.length",
        )
    header = FlatTensorHeader(length, *places)
    end = header.flatbuffer_offset + header.flatbuffer_size
    data_end = header.segment_base_offset + header.segment_data_size
    for name, at, needed in (("flatbuffer_size", 16, end), ("segment_data_size", 32, data_end)):
        if needed > size:
            raise TruncatedError(
                f"the file should have {needed:,} bytes and has {size:,}; get the whole file",
                file=file,
                offset=OFFSET + at,
                path=f"header.{name}",
            )
    if header.segment_data_size and header.segment_base_offset < end:
        raise FormatError(
            f"segments start at byte {header.segment_base_offset}, inside the flatbuffer of {end} bytes; the file is "
            "damaged",
            file=file,
            offset=OFFSET + 24,
            path="header.segment_base_offset",
        )
    return header


class _Reading:
    """One file, read as either layout; each attempt raises ``FormatError`` at the first thing that does not fit."""

    def __init__(self, buffer: memoryview, header: FlatTensorHeader, file: str, limits: Limits) -> None:
        self.body = buffer[: header.flatbuffer_offset + header.flatbuffer_size]
        end = header.segment_base_offset + header.segment_data_size
        self.data = buffer[header.segment_base_offset : end]
        self.header = header
        self.file = file
        self.limits = limits
        self.segments_in_slot_3 = False

    def old(self) -> TensorData:
        root, unknown = self._root(fts.OLD)
        self.segments_in_slot_3 = root.segments is not None
        if unknown:
            raise self._fault("the layouts of 0.5 and 0.6 have no further fields", min(unknown)[0])
        alignment = root.tensor_alignment
        if root.tensors is None or alignment < 1 or alignment & (alignment - 1):
            raise self._fault(f"tensors are missing or their alignment {alignment} is not possible", "tensors")
        segments = self._segments(root.segments)
        entries: dict[str, TensorEntry] = {}
        for index, tensor in enumerate(root.tensors):
            path = f"tensors[{index}]"
            data = self._segment(segments, tensor.segment_index, path)
            if tensor.offset > len(data) or tensor.offset % alignment:
                raise self._fault(f"offset {tensor.offset} is not possible in the segment", f"{path}.offset")
            self._add(entries, tensor.fully_qualified_name, data[tensor.offset :], tensor, path)
        for index, blob in enumerate(root.named_data or ()):
            path = f"named_data[{index}]"
            self._add(entries, blob.key, self._segment(segments, blob.segment_index, path), None, path)
        layout: PtdLayout = "0.5" if root.named_data is None else "0.6"
        return TensorData(self.file, layout, MappingProxyType(entries), self.header, alignment)

    def new(self) -> TensorData:
        root, unknown = self._root(fts.SCHEMA)
        if root.named_data is None:
            raise self._fault("the file has no named_data", "named_data")
        segments = self._segments(root.segments)
        entries: dict[str, TensorEntry] = {}
        for index, entry in enumerate(root.named_data):
            path = f"named_data[{index}]"
            data = self._segment(segments, entry.segment_index, path)
            self._add(entries, entry.key, data, entry.tensor_layout, path)
        return TensorData(self.file, "0.7+", MappingProxyType(entries), self.header, None, unknown)

    def _root(self, schema: FlatbufferSchema) -> tuple[Any, frozenset[tuple[str, int]]]:
        return read_root(self.body, schema, "FlatTensor", file=self.file, limits=self.limits)

    def _segments(self, records: tuple[Any, ...] | None) -> list[memoryview]:
        if records is None:
            raise self._fault("the file has no segments", "segments")
        for index, record in enumerate(records):
            if record.offset + record.size > len(self.data):
                raise self._fault(
                    f"the segment ends at byte {record.offset + record.size:,} of {len(self.data):,} bytes of data",
                    f"segments[{index}]",
                )
        return [self.data[record.offset : record.offset + record.size] for record in records]

    def _segment(self, segments: list[memoryview], index: int, path: str) -> memoryview:
        if index >= len(segments):
            raise self._fault(f"segment {index} does not exist (the file has {len(segments)})", f"{path}.segment_index")
        return segments[index]

    def _add(
        self,
        entries: dict[str, TensorEntry],
        key: str | None,
        data: memoryview,
        layout: fts.TensorMetadata | fts.TensorLayout | None,
        path: str,
    ) -> None:
        if key is None:
            raise self._fault("the entry has no key", path)
        if key in entries:
            raise self._fault(f"the key {key!r} stands twice, so which data it means is not certain", path)
        if layout is None:
            entries[key] = TensorEntry(key, data, file=self.file)
            return
        kind, sizes, dim_order = layout.scalar_type, layout.sizes, layout.dim_order
        problem = layout_problem(kind, sizes, dim_order, len(data), self.limits)
        if problem:
            raise self._fault(f"{key!r}: {problem}", path)
        used = data[: math.prod(sizes or ()) * kind.itemsize]
        entries[key] = TensorEntry(key, used, kind, sizes, dim_order, self.file)

    def _fault(self, problem: str, path: str) -> FormatError:
        return FormatError(problem, file=self.file, path=path)


def write_tensor_data(
    entries: Iterable[TensorEntry],
    *,
    layout: PtdLayout = "0.7+",
    segment_alignment: int = 128,
    tensor_alignment: int = 16,
) -> bytes:
    """The bytes of a PTD file in the layout asked for; alignments are bytes.

    ``tensor_alignment`` aligns tensors within their one segment in the layouts of 0.5 and 0.6 (a power of two); since
    0.7 each has a segment of its own. Entries whose data is one and the same piece of memory share it in the file.
    Raises ``FormatError`` for entries that do not fit their sizes, ``UnsupportedError`` for blobs in the 0.5 layout,
    which has no place for them.
    """
    return b"".join(_parts(entries, layout, segment_alignment, tensor_alignment))


def save_tensor_data(
    entries: Iterable[TensorEntry],
    path: str | os.PathLike[str],
    *,
    layout: PtdLayout = "0.7+",
    segment_alignment: int = 128,
    tensor_alignment: int = 16,
) -> None:
    """Write the file whole or not at all; see :func:`write_tensor_data`. Raises ``FileAccessError`` as well."""
    save_parts(path, _parts(entries, layout, segment_alignment, tensor_alignment))


class _Segments:
    """Data placed one after the other, aligned; what is the same piece of memory is placed once."""

    def __init__(self, alignment: int) -> None:
        self.alignment = alignment
        self.places: list[tuple[int, int]] = []
        self.parts: list[Buffer] = []
        self.end = 0
        self._known: dict[tuple[int, int], int] = {}

    def add(self, data: memoryview) -> int:
        """The number of the place that holds the data."""
        identity = (memory_address(data), data.nbytes)
        if identity not in self._known:
            self._known[identity] = len(self.places)
            start = align_up(self.end, self.alignment)
            self.parts += [bytes(start - self.end), data]
            self.places.append((start, data.nbytes))
            self.end = start + data.nbytes
        return self._known[identity]


def _parts(
    entries: Iterable[TensorEntry], layout: PtdLayout, segment_alignment: int, tensor_alignment: int
) -> list[Buffer]:
    entries = list(entries)
    if layout not in get_args(PtdLayout):
        raise UnsupportedError(f"{layout!r} is no PTD layout; take one of {', '.join(get_args(PtdLayout))}")
    for alignment in (segment_alignment, tensor_alignment):
        if alignment < 1 or alignment & (alignment - 1):
            raise UnsupportedError(f"alignment {alignment} is not a power of two")
    _check(entries)
    segments = _Segments(segment_alignment)
    if layout == "0.7+":
        root: Any = _new_root(entries, segments)
        schema = fts.SCHEMA
    else:
        root = _old_root(entries, segments, layout, tensor_alignment)
        schema = fts.OLD
    body, alignment = encode(root, schema, identifier=schema.identifiers[0], file="<tensor data>")
    padded = align_up(MINIMUM_LENGTH, max(alignment, _FLATBUFFER_ALIGNMENT))
    end = padded + len(body)
    base = align_up(end, segment_alignment)
    header = _HEADER.pack(MAGIC, MINIMUM_LENGTH, padded, len(body), base, segments.end)
    start = struct.pack("<I", struct.unpack_from("<I", body)[0] + padded)
    view = memoryview(body)
    padding = bytes(padded - MINIMUM_LENGTH)
    return [start, view[4:OFFSET], header, padding, view[OFFSET:], bytes(base - end), *segments.parts]


def _check(entries: list[TensorEntry]) -> None:
    keys: set[str] = set()
    for entry in entries:
        problem = ""
        if entry.key in keys:
            problem = "the key stands twice"
        elif entry.scalar_type is not None:
            problem = layout_problem(entry.scalar_type, entry.sizes, entry.dim_order, len(entry.data))
            needed = math.prod(entry.sizes or ()) * entry.scalar_type.itemsize
            if not problem and needed != len(entry.data):
                problem = f"the tensor takes {needed:,} bytes, the data has {len(entry.data):,}"
        if problem:
            raise FormatError(problem, file="<tensor data>", path=entry.key)
        keys.add(entry.key)


def _new_root(entries: list[TensorEntry], segments: _Segments) -> fts.FlatTensor:
    named = tuple(
        fts.NamedData(
            entry.key,
            segments.add(entry.data),
            None if entry.scalar_type is None else fts.TensorLayout(entry.scalar_type, entry.sizes, entry.dim_order),
        )
        for entry in entries
    )
    return fts.FlatTensor(0, tuple(fts.DataSegment(*place) for place in segments.places), named)


def _old_root(
    entries: list[TensorEntry], segments: _Segments, layout: PtdLayout, tensor_alignment: int
) -> fts.OldFlatTensor:
    tensors = _Segments(tensor_alignment)
    records = []
    for entry in entries:
        if entry.scalar_type is not None:
            offset, _ = tensors.places[tensors.add(entry.data)]
            records.append(fts.TensorMetadata(entry.key, entry.scalar_type, entry.sizes, entry.dim_order, 0, offset))
    segments.places.append((0, tensors.end))
    segments.parts += tensors.parts
    segments.end = tensors.end
    blobs = [entry for entry in entries if entry.scalar_type is None]
    if blobs and layout == "0.5":
        raise UnsupportedError(f"the 0.5 layout has no place for opaque blobs such as {blobs[0].key!r}; take 0.7+")
    named = tuple(fts.OldNamedData(entry.key, segments.add(entry.data)) for entry in blobs)
    return fts.OldFlatTensor(
        0,
        tensor_alignment,
        tuple(records),
        tuple(fts.OldDataSegment(*place) for place in segments.places),
        named if layout == "0.6" else None,
    )
