"""Program: one PTE file as records, with its data as views into the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from pteron.errors import FormatError, TruncatedError
from pteron.format import flatbuffer, schema
from pteron.format.header import ExtendedHeader, read_header
from pteron.format.identify import FileKind, expect
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.method import Method
from pteron.format.source import FileSource, read_source


@dataclass(frozen=True)
class Program:
    """A PTE file: the root record exactly as on disk, and the bytes of its segments.

    ``root`` is the flatbuffer's root table, index for index. ``segment_data[i]`` are the bytes of
    ``root.segments[i]``: views, never copies. ``header`` is None for a file without segments. ``buffer`` is the whole
    file and ``unknown_fields`` names fields of newer releases that the records leave out, as (table, slot).
    Editing makes a new Program (``dataclasses.replace``).
    """

    root: schema.Program
    segment_data: tuple[memoryview, ...] = ()
    file: str = "<bytes>"
    header: ExtendedHeader | None = None
    buffer: memoryview = field(default=memoryview(b""), repr=False, compare=False)
    unknown_fields: frozenset[tuple[str, int]] = frozenset()
    limits: Limits = field(default=DEFAULT_LIMITS, repr=False, compare=False)

    @cached_property
    def methods(self) -> Mapping[str, Method]:
        """The methods by name; of two with one name the first counts, as in the runtime."""
        table: dict[str, Method] = {}
        for index, plan in enumerate(self.root.execution_plan or ()):
            table.setdefault(plan.name or "", Method(plan, index))
        return MappingProxyType(table)

    @cached_property
    def named_data(self) -> Mapping[str, memoryview]:
        """Blobs by key (delegates' weights since 0.6); of two with one key the first counts, as in the runtime."""
        table: dict[str, memoryview] = {}
        for index, entry in enumerate(self.root.named_data or ()):
            data = self.segment(entry.segment_index, f"named_data[{index}].segment_index")
            table.setdefault(entry.key or "", data)
        return MappingProxyType(table)

    def segment(self, index: int, path: str = "segments") -> memoryview:
        """The bytes of a segment; raises ``FormatError`` where there is none of that index."""
        if not 0 <= index < len(self.segment_data):
            raise self.fault(f"segment {index} does not exist (the file has {len(self.segment_data)})", path)
        return self.segment_data[index]

    def constant(self, index: int, nbytes: int, path: str = "constant_segment") -> memoryview:
        """``nbytes`` of constant number ``index``, from the constant segment or the inline buffers."""
        place = self.root.constant_segment
        if place is not None and place.offsets:
            data = self.segment(place.segment_index, "constant_segment.segment_index")
            return self._slice(data, place.offsets, index, nbytes, path)
        buffers = self.root.constant_buffer or ()
        if not 0 <= index < len(buffers):
            raise self.fault(f"constant {index} does not exist (the file has {len(buffers)})", path)
        storage = buffers[index].storage
        if storage is None or len(storage) < nbytes:
            have = 0 if storage is None else len(storage)
            raise self.fault(f"constant {index} has {have} bytes, {nbytes} are needed", path)
        return storage[:nbytes]

    def mutable_data(self, group: int, index: int, nbytes: int, path: str = "mutable_data_segments") -> memoryview:
        """``nbytes`` of the initial state number ``index`` in group ``group`` of ``mutable_data_segments``."""
        groups = self.root.mutable_data_segments or ()
        if not 0 <= group < len(groups):
            raise self.fault(f"mutable data segment {group} does not exist (the file has {len(groups)})", path)
        place = groups[group]
        data = self.segment(place.segment_index, f"mutable_data_segments[{group}].segment_index")
        return self._slice(data, place.offsets or (), index, nbytes, path)

    def payload(self, delegate: schema.BackendDelegate, path: str = "delegates") -> memoryview:
        """The payload that a delegate's backend gets."""
        processed = delegate.processed
        if processed is None:
            return memoryview(b"")
        if processed.location == schema.DataLocation.SEGMENT:
            return self.segment(processed.index, f"{path}.processed.index")
        inline = self.root.backend_delegate_data or ()
        if not 0 <= processed.index < len(inline):
            raise self.fault(
                f"inline payload {processed.index} does not exist (the file has {len(inline)})",
                f"{path}.processed.index",
            )
        return inline[processed.index].data or memoryview(b"")

    def fault(self, problem: str, path: str) -> FormatError:
        """A ``FormatError`` at a field of this file, with its byte offset where it can be found."""
        offset = flatbuffer.locate(self.buffer, schema.SCHEMA, "Program", path)
        return FormatError(problem, file=self.file, path=path, offset=offset)

    def replace(self, **changes: object) -> Program:
        """A new Program with other fields (``root``, ``segment_data`` …)."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def _slice(self, data: memoryview, offsets: tuple[int, ...], index: int, nbytes: int, path: str) -> memoryview:
        if not 0 <= index < len(offsets):
            raise self.fault(f"data {index} does not exist (the segment has {len(offsets)} offsets)", path)
        start = offsets[index]
        if start + nbytes > len(data):
            raise self.fault(f"data {index} would end at byte {start + nbytes} of a segment of {len(data)} bytes", path)
        return data[start : start + nbytes]


def read_program(source: FileSource, *, limits: Limits = DEFAULT_LIMITS, file: str | None = None) -> Program:
    """Read a PTE file of any release: header, records, segment bounds; no more than bounds is checked.

    Raises ``UnknownFileError`` for another kind of file, ``TruncatedError`` where it ends too soon, ``LimitError``
    where it asks for more than ``limits`` allow, ``FormatError`` for anything else that cannot be read.
    """
    buffer, name = read_source(source)
    name = file or name
    expect(buffer, FileKind.PTE, name)
    header = read_header(buffer, name)
    body = buffer[: header.program_size] if header else buffer
    root, unknown = flatbuffer.read_root(body, schema.SCHEMA, "Program", file=name, limits=limits)
    segments = _segments(root, header, buffer, name)
    return Program(root, segments, name, header, buffer, unknown, limits)


def _segments(
    root: schema.Program, header: ExtendedHeader | None, buffer: memoryview, file: str
) -> tuple[memoryview, ...]:
    base = header.segment_base_offset if header else 0
    data: list[memoryview] = []
    for index, segment in enumerate(root.segments or ()):
        start = base + segment.offset
        if segment.size and not base:
            raise FormatError(
                f"a segment of {segment.size} bytes, but the header gives no place for segments",
                file=file,
                path=f"segments[{index}]",
            )
        if start + segment.size > len(buffer):
            raise TruncatedError(
                f"the segment ends at byte {start + segment.size:,}, the file has {len(buffer):,}; get the whole file",
                file=file,
                path=f"segments[{index}]",
                offset=flatbuffer.locate(buffer, schema.SCHEMA, "Program", f"segments[{index}]"),
            )
        data.append(buffer[start : start + segment.size] if segment.size else buffer[:0])
    return tuple(data)
