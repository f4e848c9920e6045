"""Payload: one XNNPACK payload as records, with its constants as views.

payload = read_payload(program.payload(delegate), file="model.pte", path="execution_plan[0].delegates[0]")
payload.node_kinds                                     # {"XNNConv2d": 2, "XNNAdd": 1}
payload.constant(1, program.named_data)                # bytes of constant 1, wherever they are
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pteron.backends.xnnpack.header import XNNHeader, read_header
from pteron.backends.xnnpack.schema import ROOT, SCHEMA, XNNGraph
from pteron.backends.xnnpack.values import PerChannelGroupQuant, PerChannelQuant, XNNDatatype, XValue
from pteron.errors import ExternalDataError, FormatError, TruncatedError
from pteron.format.flatbuffer import Reader, locate, read_root
from pteron.format.limits import DEFAULT_LIMITS, Limits

NEWEST = "1.5.1"
"""The newest release whose schema the declaration was compared with."""

NamedData = Mapping[str, memoryview]


@dataclass(frozen=True)
class Payload:
    """A payload: the graph exactly as on disk, and the bytes of its constant region.

    ``format`` is the flatbuffer's identifier, ``XN00`` or ``XN01``. ``header`` is None for a bare flatbuffer.
    ``unknown_fields`` names fields of newer releases that the records leave out, as (table, slot). ``file``, ``path``
    (of the delegate in the file) and ``base`` (the payload's byte offset there) are for messages.
    """

    format: str
    header: XNNHeader | None
    graph: XNNGraph
    flatbuffer: memoryview = field(default=memoryview(b""), repr=False, compare=False)
    constant_region: memoryview = field(default=memoryview(b""), repr=False, compare=False)
    file: str = "<bytes>"
    path: str = ""
    base: int = 0
    unknown_fields: frozenset[tuple[str, int]] = frozenset()
    limits: Limits = field(default=DEFAULT_LIMITS, repr=False, compare=False)

    @property
    def has_header(self) -> bool:
        """Whether an XH00 header comes before the flatbuffer; 0.1 wrote none."""
        return self.header is not None

    @cached_property
    def node_kinds(self) -> dict[str, int]:
        """Kinds of nodes with their number, in the order of first use."""
        return dict(Counter(node.kind for node in self.graph.xnodes or () if node.kind))

    @cached_property
    def datatypes(self) -> dict[XNNDatatype, int]:
        """Datatypes of the values with their number, in the order of first use."""
        return dict(Counter(value.tensor.datatype for value in self.graph.xvalues or () if value.tensor))

    @cached_property
    def values(self) -> Mapping[int, XValue]:
        """The values by id; of two with one id the first counts, as in the runtime."""
        table: dict[int, XValue] = {}
        for value in self.graph.xvalues or ():
            if value.tensor is not None:
                table.setdefault(value.tensor.id_out, value)
        return table

    @cached_property
    def named_keys(self) -> tuple[str, ...]:
        """Keys of the named data that its constants are in, each once; a .ptd may have to bring them."""
        entries = self.graph.constant_data or ()
        used = (entries[index].named_key for index, _ in self.constant_uses() if self.is_named(index))
        return tuple(dict.fromkeys(key for key in used if key is not None))

    def constant_uses(self) -> Iterator[tuple[int, str]]:
        """Every use of a constant by a value or its scales: the constant's index, and the field that names it."""
        for number, value in enumerate(self.graph.xvalues or ()):
            path = f"xvalues[{number}].xvalue_union"
            params = value.quant_params
            if value.tensor is not None and value.tensor.constant_buffer_idx:
                inner = ".tensor_value" if value.tensor is not value.xvalue_union else ""
                yield value.tensor.constant_buffer_idx, f"{path}{inner}.constant_buffer_idx"
            if isinstance(params, PerChannelQuant | PerChannelGroupQuant) and params.scale_buffer_idx:
                yield params.scale_buffer_idx, f"{path}.quant_params.scale_buffer_idx"

    def is_named(self, index: int) -> bool:
        """Whether constant ``index`` is in named data, so that its bytes are not in the payload."""
        entries = self.graph.constant_data or ()
        return self.has_header and 0 < index < len(entries) and entries[index].named_key is not None

    def constant_size(self, index: int, path: str = "") -> int:
        """Bytes of a constant as the payload declares them; no data is looked at.

        ``path`` is the field that holds the index, for messages. Raises ``FormatError`` where there is none.
        """
        if self.header is None:
            return len(self._inline(index, path))
        return self._entry(index, path)

    def constant(self, index: int, named_data: NamedData | None = None, *, path: str = "") -> memoryview:
        """The bytes of constant ``index``: from the flatbuffer, from the payload's region, or from ``named_data``.

        ``named_data`` are the blobs of the program and of its .ptd files by key; ``path`` is the field that holds the
        index, for messages. Raises ``FormatError`` where there is no such constant or it lies outside of the payload,
        ``ExternalDataError`` where the blob is missing or too short.
        """
        if self.header is None:
            return self._inline(index, path)
        size = self._entry(index, path)
        entry = (self.graph.constant_data or ())[index]
        place = f"constant_data[{index}]"
        if entry.named_key is None:
            end = entry.offset + size
            if end > len(self.constant_region):
                raise self.fault(
                    f"the constant would end at byte {end:,} of a region of {len(self.constant_region):,} bytes; "
                    "the payload is damaged, export again",
                    place,
                    TruncatedError,
                )
            return self.constant_region[entry.offset : end]
        blob = (named_data or {}).get(entry.named_key)
        where = f"{self.file}, {self._located(place)}"
        if blob is None:
            raise ExternalDataError(
                f"{where}: no data with key {entry.named_key!r}; give the .ptd file that was exported with the program"
            )
        if len(blob) < size:
            raise ExternalDataError(
                f"{where}: the data with key {entry.named_key!r} has {len(blob):,} bytes and should have {size:,}; "
                "give the .ptd file that was exported with the program"
            )
        return blob[:size]

    def fault(self, problem: str, path: str, kind: type[FormatError] = FormatError) -> FormatError:
        """An error at a field of the graph, with the delegate's path before it and its byte offset in the file."""
        offset = locate(self.flatbuffer, SCHEMA, ROOT, path)
        if offset is not None:
            offset += self.base + (self.header.flatbuffer_offset if self.header else 0)
        return kind(problem, file=self.file, offset=offset, path=self._located(path))

    def _located(self, path: str) -> str:
        return f"{self.path}.{path}" if self.path else path

    def _inline(self, index: int, path: str) -> memoryview:
        buffers = self.graph.constant_buffer or ()
        if not 0 < index < len(buffers):
            raise self.fault(f"constant {index} does not exist (indices go up to {len(buffers) - 1})", path)
        storage = buffers[index].storage
        if storage is None:
            raise self.fault(f"constant {index} has no bytes", f"constant_buffer[{index}]")
        return storage

    def _entry(self, index: int, path: str) -> int:
        entries = self.graph.constant_data or ()
        if not 0 < index < len(entries):
            raise self.fault(f"constant {index} does not exist (indices go up to {len(entries) - 1})", path)
        return entries[index].size


def read_payload(
    payload: memoryview,
    *,
    file: str = "<bytes>",
    path: str = "",
    base: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Payload:
    """Read a payload of any release; no more than bounds is checked, :func:`.verify.verify_payload` does the rest.

    ``file``, ``path`` (the delegate's field path, such as ``execution_plan[0].delegates[0]``) and ``base`` (the
    payload's byte offset in the file) are for messages. Raises ``FormatError`` for bytes that are no XNNPACK payload or
    a node kind that is not known, ``TruncatedError`` where it ends too soon, ``LimitError`` for more than ``limits``.
    """
    header = read_header(payload, file=file, path=path, base=base)
    start, size = (header.flatbuffer_offset, header.flatbuffer_size) if header else (0, len(payload))
    flatbuffer = payload[start : start + size]
    identifier = bytes(flatbuffer[4:8])
    if identifier.decode("latin-1") not in SCHEMA.identifiers:
        raise FormatError(
            f"identifier {identifier!r} is not that of an XNNPACK payload ({' or '.join(SCHEMA.identifiers)}); "
            "the file is damaged, or the payload is another backend's",
            file=file,
            offset=base + start + 4,
            path=path,
        )
    try:
        graph, unknown = read_root(flatbuffer, SCHEMA, ROOT, file=file, base=base + start, limits=limits)
    except FormatError as error:
        problem = _unknown_node(flatbuffer, error.path) or error.problem
        where = f"{path}.{error.path}" if path else error.path
        raise type(error)(problem, file=file, offset=error.offset, path=where) from None
    region = payload[:0]
    if header:
        region = payload[header.constant_data_offset : header.constant_data_offset + header.constant_data_size]
    return Payload(identifier.decode("ascii"), header, graph, flatbuffer, region, file, path, base, unknown, limits)


_NODE = re.compile(r"(xnodes\[\d+\])\.xnode_union")


def _unknown_node(flatbuffer: memoryview, path: str) -> str:
    """What to say of a node whose number is beyond the declaration; empty where the fault is another."""
    found = _NODE.fullmatch(path)
    position = locate(flatbuffer, SCHEMA, ROOT, found[1]) if found else None
    if position is None:
        return ""
    slots = Reader(flatbuffer, SCHEMA).vtable(position)[0]
    number = flatbuffer[position + slots[0]] if slots[0] else 0
    known = SCHEMA.unions["XNodeUnion"].members
    if number <= max(known):
        return ""
    return (
        f"node number {number} is not known: written by a release newer than {NEWEST}, or damaged; "
        f"use a Pteron that knows that release"
    )
