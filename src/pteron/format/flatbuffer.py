"""Bounds-checked flatbuffer reading, driven by a declared schema.

Everything is checked before it is used, as strictly as the official flatbuffers verifier or more so: offsets,
alignment, vtables, lengths, string terminators and UTF-8, enum values and union members. Offsets in a flatbuffer
only point forwards and the schemas are not recursive, so there are no cycles and nesting is bounded by the schema;
what remains, one table or vector referenced over and over, is bounded by ``Limits.max_tables`` and
``Limits.max_expansion``.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.errors import FormatError, LimitError, TruncatedError
from pteron.format.declare import SCALARS, FieldSpec, FlatbufferSchema, TableSpec
from pteron.format.limits import DEFAULT_LIMITS, Limits

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_EXPANSION_FLOOR = 1 << 16
_UNKNOWN_SLOTS = 64
"""Fields beyond the declaration that are noted per vtable."""

VTable = tuple[tuple[int, ...], int, tuple[int, ...]]
"""Field offsets from the table's start (0: absent), bytes of the table's inline part, numbers of slots that no
declared table has."""
ReadField = Callable[["Reader", int, tuple[int, ...]], Any]


class Fault(Exception):  # noqa: N818 - becomes a FormatError at the door
    """A fault at a byte offset; the path is collected while it travels up, innermost part first."""

    def __init__(self, problem: str, offset: int, kind: type[FormatError] = FormatError) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset
        self.kind = kind
        self.parts: list[str] = []

    def error(self, file: str, base: int, root: str) -> FormatError:
        path = "".join(reversed(self.parts)).lstrip(".") or root
        return self.kind(self.problem, file=file, offset=base + self.offset, path=path)


class Reader:
    """Reads tables out of one flatbuffer.

    ``unknown`` collects places that hold fields newer than the declaration (path of the table, slot number).
    """

    def __init__(
        self,
        buffer: memoryview,
        schema: FlatbufferSchema,
        *,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.buffer = buffer
        self.size = len(buffer)
        self.limits = limits
        self.tables = _compiled(schema)
        self.unknown: set[tuple[str, int]] = set()
        self._slots = max(table.slots for table in self.tables.values())
        self._vtables: dict[int, VTable] = {}
        self._tables_left = limits.max_tables
        self._bytes_left = limits.max_expansion * self.size + _EXPANSION_FLOOR

    def root(self, table: str) -> Any:
        """The record of the root table; raises :class:`Fault`."""
        if self.size < 8:
            raise Fault(f"a flatbuffer needs 8 bytes, there are {self.size}", 0, TruncatedError)
        return self.table(self.tables[table], self.reference(0))

    def table(self, table: _Table, position: int) -> Any:
        slots, size, further = self.vtable(position)
        self._tables_left -= 1
        if self._tables_left < 0:
            raise Fault(
                f"more than {self.limits.max_tables:,} tables; raise Limits.max_tables to read it",
                position,
                LimitError,
            )
        self.spend(size, position)
        count = len(slots)
        values = []
        for number, default, name, read in table.fields:
            if number < count and slots[number]:
                try:
                    values.append(read(self, position + slots[number], slots))
                except Fault as fault:
                    fault.parts.append(f".{name}")
                    raise
            else:
                values.append(default)
        if further or count > table.slots:
            beyond = (n for n in range(table.slots, count) if slots[n])
            self.unknown.update((table.name, n) for n in (*beyond, *further))
        return table.record(*values)

    def vtable(self, position: int) -> VTable:
        """The vtable of the table at ``position``."""
        if position & 3 or position + 4 > self.size:
            raise Fault(f"a table cannot start at byte {position} of {self.size}", position)
        start = position - _I32.unpack_from(self.buffer, position)[0]
        known = self._vtables.get(start)
        if known is None:
            known = self._read_vtable(start, position)
        size = known[1]
        if position + size > self.size:
            raise Fault(f"a table of {size} bytes does not fit", position, TruncatedError)
        return known

    def _read_vtable(self, start: int, position: int) -> VTable:
        if start < 0 or start & 1 or start + 4 > self.size:
            raise Fault(f"the table's vtable would be at byte {start}", position)
        length, size = struct.unpack_from("<HH", self.buffer, start)
        if length < 4 or length & 1 or start + length > self.size:
            raise Fault(f"a vtable of {length} bytes is not possible here", start)
        slots = struct.unpack_from(f"<{(length - 4) >> 1}H", self.buffer, start + 4)
        if size < 4 or any(offset >= size or 0 < offset < 4 for offset in slots):
            raise Fault("the vtable points outside of its table", start)
        further = tuple(n for n in range(self._slots, len(slots)) if slots[n])[:_UNKNOWN_SLOTS]
        known = (slots[: self._slots], size, further)
        self._vtables[start] = known
        return known

    def reference(self, position: int) -> int:
        """Follow the offset stored at ``position``."""
        if position & 3 or position + 4 > self.size:
            raise Fault("an offset is not stored where one must be", position)
        offset = _U32.unpack_from(self.buffer, position)[0]
        target: int = position + offset
        if offset == 0 or target + 4 > self.size:
            raise Fault(f"offset {offset} points outside of the {self.size} bytes", position)
        return target

    def vector(self, position: int, itemsize: int) -> tuple[int, int]:
        """Start of the elements and their count, for the vector referenced at ``position``."""
        start = self.reference(position)
        if start & 3:
            raise Fault("a vector does not start at a multiple of 4 bytes", start)
        count = _U32.unpack_from(self.buffer, start)[0]
        if count * itemsize > self.size - start - 4:
            raise Fault(
                f"a vector of {count} × {itemsize} bytes does not fit in the {self.size} bytes",
                start,
                TruncatedError,
            )
        return start + 4, count

    def spend(self, count: int, position: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise Fault(
                "shared tables and vectors expand to more than "
                f"{self.limits.max_expansion} times the file; raise Limits.max_expansion to read it",
                position,
                LimitError,
            )


class _Table:
    """A table declaration, compiled to one reading function per field."""

    __slots__ = ("fields", "name", "record", "slots")

    def __init__(self, spec: TableSpec) -> None:
        self.name = spec.name
        self.record = spec.record
        self.slots = spec.slots
        self.fields: list[tuple[int, Any, str, ReadField]] = []


@functools.cache
def _compiled(schema: FlatbufferSchema) -> dict[str, _Table]:
    tables = {name: _Table(spec) for name, spec in schema.tables.items()}
    for name, spec in schema.tables.items():
        tables[name].fields = [(f.slot, f.default, f.name, _field_reader(f, schema, tables)) for f in spec.fields]
    return tables


def _field_reader(field: FieldSpec, schema: FlatbufferSchema, tables: dict[str, _Table]) -> ReadField:
    kind = field.type
    if kind in SCALARS:
        return _scalar(kind)
    if kind in schema.enums:
        enum = schema.enums[kind]
        return _enum(_scalar(enum.scalar), enum.values)
    if kind in schema.unions:
        members = {number: tables[name] for number, name in schema.unions[kind].members.items()}
        return _union(kind, field.slot - 1, members)
    if kind == "string":
        return _string
    if kind == "bytes":
        return _bytes
    if kind.startswith("["):
        item = kind[1:-1]
        return _scalar_vector(item) if item in SCALARS else _table_vector(tables[item])
    return _subtable(tables[kind])


def _scalar(kind: str) -> ReadField:
    code, size = SCALARS[kind]
    unpack = struct.Struct(f"<{code}").unpack_from
    mask = size - 1
    convert = bool if kind == "bool" else None

    def read(reader: Reader, position: int, slots: tuple[int, ...]) -> Any:
        if position & mask or position + size > reader.size:
            raise Fault(f"a {kind} cannot be stored at byte {position}", position)
        value = unpack(reader.buffer, position)[0]
        return convert(value) if convert else value

    return read


def _enum(scalar: ReadField, values: type[Any]) -> ReadField:
    known = {int(member): member for member in values}

    def read(reader: Reader, position: int, slots: tuple[int, ...]) -> Any:
        number = scalar(reader, position, slots)
        try:
            return known[number]
        except KeyError:
            raise Fault(
                f"{number} is no {values.__name__}: the file is damaged or newer than Pteron knows", position
            ) from None

    return read


def _union(name: str, type_slot: int, members: dict[int, _Table]) -> ReadField:
    def read(reader: Reader, position: int, slots: tuple[int, ...]) -> Any:
        type_offset = slots[type_slot]
        number = reader.buffer[position - slots[type_slot + 1] + type_offset] if type_offset else 0
        if number not in members:
            raise Fault(f"{number} is no member of {name}: damaged, or newer than Pteron knows", position)
        return reader.table(members[number], reader.reference(position))

    return read


def _string(reader: Reader, position: int, slots: tuple[int, ...]) -> str:
    start, count = reader.vector(position, 1)
    if start + count >= reader.size or reader.buffer[start + count] != 0:
        raise Fault("a string does not end in a zero byte", start)
    reader.spend(count, start)
    try:
        return str(reader.buffer[start : start + count], "utf-8")
    except UnicodeDecodeError:
        raise Fault("a string is not UTF-8", start) from None


def _bytes(reader: Reader, position: int, slots: tuple[int, ...]) -> memoryview:
    start, count = reader.vector(position, 1)
    return reader.buffer[start : start + count]


def _scalar_vector(kind: str) -> ReadField:
    code, size = SCALARS[kind]
    dtype = np.dtype(f"<{code}")

    def read(reader: Reader, position: int, slots: tuple[int, ...]) -> tuple[Any, ...]:
        start, count = reader.vector(position, size)
        reader.spend(count * size, start)
        if count > 64:
            items = np.frombuffer(reader.buffer, dtype, count, start)
            return tuple((items != 0).tolist() if kind == "bool" else items.tolist())
        unpacked = struct.unpack_from(f"<{count}{code}", reader.buffer, start)
        return tuple(map(bool, unpacked)) if kind == "bool" else unpacked

    return read


def _table_vector(table: _Table) -> ReadField:
    def read(reader: Reader, position: int, slots: tuple[int, ...]) -> tuple[Any, ...]:
        start, count = reader.vector(position, 4)
        reader.spend(count * 4, start)
        items = []
        index = 0
        try:
            for index in range(count):
                items.append(reader.table(table, reader.reference(start + 4 * index)))
        except Fault as fault:
            fault.parts.append(f"[{index}]")
            raise
        return tuple(items)

    return read


def _subtable(table: _Table) -> ReadField:
    def read(reader: Reader, position: int, slots: tuple[int, ...]) -> Any:
        return reader.table(table, reader.reference(position))

    return read


def read_root(
    buffer: memoryview,
    schema: FlatbufferSchema,
    table: str,
    *,
    file: str,
    base: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[Any, frozenset[tuple[str, int]]]:
    """The root record of a flatbuffer and the fields in it that the declaration does not know.

    ``base`` is the buffer's byte offset in the file, for messages. Raises ``FormatError`` naming the field path and
    byte offset.
    """
    reader = Reader(buffer, schema, limits=limits)
    try:
        record = reader.root(table)
    except Fault as fault:
        raise fault.error(file, base, table) from None
    return record, frozenset(reader.unknown)


_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")


def locate(buffer: memoryview, schema: FlatbufferSchema, table: str, path: str) -> int | None:
    """The byte offset of a field named by path (``execution_plan[0].values[12].val.sizes``), or None.

    The path may go on where the file does not: the offset of the last part that exists is given.
    """
    reader = Reader(buffer, schema)
    kind = table
    found: int | None = None
    try:
        position = reader.reference(0)
        for name, index in _STEP.findall(path):
            step = _item if index else _field
            place = step(reader, schema, kind, position, index or name)
            if place is None:
                return found
            found, kind = place
            position = found
            if kind in schema.tables:
                position = reader.reference(found)
            if index and kind in schema.tables:
                found = position
    except Fault:
        return found
    return found


def _item(reader: Reader, schema: FlatbufferSchema, kind: str, position: int, index: str) -> tuple[int, str] | None:
    """Where an element of the vector referenced at ``position`` is stored, and its type."""
    if not kind.startswith("["):
        return None
    kind = kind[1:-1]
    size = SCALARS[kind][1] if kind in SCALARS else 4
    start, count = reader.vector(position, size)
    number = int(index) if len(index) < 11 else count
    return (start + number * size, kind) if number < count else None


def _field(reader: Reader, schema: FlatbufferSchema, kind: str, position: int, name: str) -> tuple[int, str] | None:
    """Where a field of the table at ``position`` is stored, and its type; a union's is the member's table."""
    if kind not in schema.tables:
        return None
    spec = next((field for field in schema.tables[kind].fields if field.name == name), None)
    slots = reader.vtable(position)[0]
    if spec is None or spec.slot >= len(slots) or not slots[spec.slot]:
        return None
    kind = spec.type
    if kind in schema.unions:
        type_offset = slots[spec.slot - 1]
        number = reader.buffer[position + type_offset] if type_offset else 0
        kind = schema.unions[kind].members.get(number, "")
    return position + slots[spec.slot], kind
