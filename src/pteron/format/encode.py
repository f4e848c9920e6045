"""Records → flatbuffer bytes, driven by the same declaration as reading.

What flatbuffers leaves out is left out: a scalar that equals its default, a field that is None. An empty vector is
stored, so ``()`` and None stay apart. Bytes that records share in memory are stored once. Reading the bytes back gives
equal records.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flatbuffers.builder import Builder, BuilderSizeError

from pteron.errors import FormatError, UnsupportedError
from pteron.format.declare import SCALARS, FieldSpec, FlatbufferSchema, TableSpec
from pteron.format.source import memory_address

_PREPEND: dict[str, Callable[[Any, Any], None]] = {
    "bool": Builder.PrependBool,
    "byte": Builder.PrependInt8,
    "ubyte": Builder.PrependUint8,
    "short": Builder.PrependInt16,
    "ushort": Builder.PrependUint16,
    "int": Builder.PrependInt32,
    "uint": Builder.PrependUint32,
    "long": Builder.PrependInt64,
    "ulong": Builder.PrependUint64,
    "float": Builder.PrependFloat32,
    "double": Builder.PrependFloat64,
}

MAX_ALIGNMENT = 1 << 16
"""Largest alignment of a vector, in bytes; more would only be padding."""

Encode = Callable[[Any, Any], int]
Store = Callable[[Any, Any], None]


class _Builder(Builder):  # type: ignore[misc]  # flatbuffers is not typed
    """A builder that knows which bytes it has placed: (address, length, alignment) → offset."""

    __slots__ = ("placed",)
    placed: dict[tuple[int, int, int], int]


class Encoded(NamedTuple):
    """A finished flatbuffer, and the alignment in bytes that it needs in memory and in a file."""

    data: bytearray
    alignment: int


class _UnstorableError(Exception):
    """A value that cannot be stored; the path is collected while it travels up, innermost part first."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.parts: list[str] = []


def encode(
    record: Any,
    schema: FlatbufferSchema,
    *,
    identifier: str,
    align: Mapping[str, int] | None = None,
    file: str = "<records>",
) -> Encoded:
    """The flatbuffer whose root is ``record``, with a four-character file identifier.

    ``align`` overrides the declared ``force_align`` of vectors, in bytes, by field: ``{"Buffer.storage": 64}``. Raises
    ``FormatError`` naming the field whose value cannot be stored, ``UnsupportedError`` beyond flatbuffers' 2 GiB.
    """
    wanted = tuple(sorted((align or {}).items()))
    for field, alignment in wanted:
        if not 1 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise FormatError(
                f"alignment {alignment} is not a power of two up to {MAX_ALIGNMENT}", file=file, path=field
            )
    table = _compiled(schema, wanted)[schema.by_record[type(record)].name]
    builder = _Builder(1024)
    builder.placed = {}
    try:
        builder.Finish(table.encode(builder, record), identifier.encode("ascii"))
    except _UnstorableError as fault:
        path = "".join(reversed(fault.parts)).lstrip(".") or table.spec.name
        raise FormatError(fault.problem, file=file, path=path) from None
    except BuilderSizeError:
        raise UnsupportedError(
            f"{file}: a flatbuffer holds at most 2 GiB; move constants and payloads to segments"
        ) from None
    return Encoded(builder.Output(), builder.minalign)


class _Inline(NamedTuple):
    """One entry of a table's inline part: a scalar of the record, or the offset (or union type) of a child."""

    name: str
    slot: int
    size: int
    default: Any
    store: Store
    child: bool


class _Table:
    """A table declaration, compiled to one writing function per field."""

    __slots__ = ("children", "inline", "spec", "unions")

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.children: list[tuple[str, Encode]] = []
        self.unions: dict[str, dict[type[Any], int]] = {}
        self.inline: list[_Inline] = []

    def encode(self, builder: Any, record: Any) -> int:
        if type(record) is not self.spec.record:
            raise _UnstorableError(f"a {self.spec.name} belongs here, not {_described(record)}")
        children: dict[str, int] = {}
        name = ""
        try:
            for name, write in self.children:
                value = getattr(record, name)
                if value is not None:
                    children[name] = write(builder, value)
                    if name in self.unions:
                        children[_union_type(name)] = self.unions[name][type(value)]
            builder.StartObject(self.spec.slots)
            for name, slot, _, default, store, child in self.inline:
                value = children.get(name) if child else getattr(record, name)
                if value != default or _negative_zero(value):
                    store(builder, value)
                    builder.Slot(slot)
        except _UnstorableError as fault:
            fault.parts.append(f".{name}")
            raise
        end: int = builder.EndObject()
        return end


def _negative_zero(value: Any) -> bool:
    """Whether the value is -0.0, which equals the default 0.0 and is still another value."""
    return type(value) is float and value == 0 and math.copysign(1, value) < 0


def _union_type(name: str) -> str:
    return f"{name}_type"


@functools.lru_cache(maxsize=64)
def _compiled(schema: FlatbufferSchema, align: tuple[tuple[str, int], ...]) -> dict[str, _Table]:
    alignments = dict(align)
    tables = {name: _Table(spec) for name, spec in schema.tables.items()}
    for name, table in tables.items():
        for field in table.spec.fields:
            alignment = alignments.pop(f"{name}.{field.name}", field.align)
            _compile_field(table, field, schema, tables, alignment)
        # Widest first, as flatc does, so that little padding is needed.
        table.inline.sort(key=lambda item: -item.size)
    if alignments:
        raise FormatError(f"{next(iter(alignments))} is no vector of {schema.name}; check the spelling")
    return tables


def _compile_field(
    table: _Table, field: FieldSpec, schema: FlatbufferSchema, tables: dict[str, _Table], alignment: int
) -> None:
    kind = field.type
    if kind in SCALARS or kind in schema.enums:
        scalar = schema.enums[kind].scalar if kind in schema.enums else kind
        known = schema.enums[kind].values if kind in schema.enums else None
        size = SCALARS[scalar][1]
        table.inline.append(_Inline(field.name, field.slot, size, field.default, _scalar(scalar, known), False))
        return
    if kind in schema.unions:
        numbers = {schema.tables[member].record: number for number, member in schema.unions[kind].members.items()}
        members = {schema.tables[member].record: tables[member] for member in schema.unions[kind].members.values()}
        table.unions[field.name] = numbers
        table.children.append((field.name, _union(kind, members)))
        table.inline.append(_Inline(_union_type(field.name), field.slot - 1, 1, None, _scalar("ubyte", None), True))
    else:
        table.children.append((field.name, _child(kind, tables, alignment)))
    table.inline.append(_Inline(field.name, field.slot, 4, None, Builder.PrependUOffsetTRelative, True))


def _child(kind: str, tables: dict[str, _Table], alignment: int) -> Encode:
    if kind == "string":
        return _string
    if kind == "bytes":
        return _bytes(alignment)
    if not kind.startswith("["):
        return tables[kind].encode
    item = kind[1:-1]
    return _scalar_vector(item, alignment) if item in SCALARS else _table_vector(tables[item])


def _scalar(kind: str, known: type[Any] | None) -> Store:
    prepend = _PREPEND[kind]
    numbers = frozenset(int(member) for member in known) if known else None
    accepted = (int, float) if kind in ("float", "double") else (int,)

    def store(builder: Any, value: Any) -> None:
        if not isinstance(value, accepted):
            raise _UnstorableError(f"a {kind} belongs here, not {_described(value)}")
        if numbers is not None and known is not None and value not in numbers:
            raise _UnstorableError(f"{value} is no {known.__name__}")
        try:
            prepend(builder, value)
        except (TypeError, OverflowError, struct.error):
            raise _UnstorableError(f"{value} does not fit in a {kind}") from None

    return store


def _union(name: str, members: dict[type[Any], _Table]) -> Encode:
    def write(builder: Any, value: Any) -> int:
        if type(value) not in members:
            raise _UnstorableError(f"a member of {name} belongs here, not {_described(value)}")
        return members[type(value)].encode(builder, value)

    return write


def _string(builder: Any, value: Any) -> int:
    if not isinstance(value, str):
        raise _UnstorableError(f"a string belongs here, not {_described(value)}")
    try:
        offset: int = builder.CreateString(value)
    except UnicodeEncodeError:
        raise _UnstorableError("the string cannot be written as UTF-8") from None
    return offset


def _vector(builder: Any, data: Any, itemsize: int, count: int, alignment: int) -> int:
    """Place the bytes of a vector at once; the builder itself would take one element at a time."""
    builder.StartVector(itemsize, count, alignment)
    end = builder.head
    builder.head = end - itemsize * count
    builder.Bytes[builder.head : end] = data
    offset: int = builder.EndVector()
    return offset


def _bytes(alignment: int) -> Encode:
    alignment = max(alignment, 1)

    def write(builder: Any, value: Any) -> int:
        try:
            data = memoryview(value).cast("B")
        except TypeError:
            raise _UnstorableError(f"contiguous bytes belong here, not {_described(value)}") from None
        if not data:
            return _vector(builder, data, 1, 0, alignment)
        # The records stay alive while they are written, so an address means the same bytes throughout.
        identity = (memory_address(data), len(data), alignment)
        offset = builder.placed.get(identity)
        if offset is None:
            offset = builder.placed[identity] = _vector(builder, data, 1, len(data), alignment)
        return int(offset)

    return write


def _scalar_vector(kind: str, alignment: int) -> Encode:
    code, size = SCALARS[kind]
    code = "?" if kind == "bool" else code

    def write(builder: Any, value: Any) -> int:
        if not isinstance(value, tuple | list):
            raise _UnstorableError(f"a tuple belongs here, not {_described(value)}")
        try:
            data = struct.pack(f"<{len(value)}{code}", *value)
        except (struct.error, OverflowError):
            raise _UnstorableError(f"an item does not fit in a {kind}") from None
        return _vector(builder, data, size, len(value), max(alignment, size))

    return write


def _table_vector(table: _Table) -> Encode:
    def write(builder: Any, value: Any) -> int:
        if not isinstance(value, tuple | list):
            raise _UnstorableError(f"a tuple belongs here, not {_described(value)}")
        items: list[int] = []
        try:
            for record in value:
                items.append(table.encode(builder, record))
        except _UnstorableError as fault:
            fault.parts.append(f"[{len(items)}]")
            raise
        count = len(items)
        builder.StartVector(4, count, 4)
        # Both kinds of offset count from the end of the buffer; item i lies 4 × (count - i) before what is there now.
        here = builder.Offset()
        data = struct.pack(f"<{count}I", *(here + 4 * (count - i) - item for i, item in enumerate(items)))
        end = builder.head
        builder.head = end - len(data)
        builder.Bytes[builder.head : end] = data
        offset: int = builder.EndVector()
        return offset

    return write


def _described(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r:.40}"
