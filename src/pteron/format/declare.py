"""How a flatbuffer schema is declared: one frozen record class per table, one line per field.

    SCHEMA = FlatbufferSchema("program", identifiers=("ET12",))

    @table(SCHEMA, since="0.1.0")
    class AllocationDetails:
        memory_id: int = slot(0, "uint", default=0, since="0.1.0")
        memory_offset_low: int = slot(1, "uint", default=0, since="0.1.0", was="memory_offset")

The declaration is the only source for reading (:mod:`pteron.format.flatbuffer`), writing
(:mod:`pteron.format.encode`), documentation and since-when facts. Types are flatbuffers' own words: ``bool``,
``byte`` … ``double``, ``string``, ``[int]``, the name of a table, ``[Table]``, an enum or a union; ``bytes`` is a
``[ubyte]`` kept as a view into the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

# Flatbuffer scalar: (struct code, bytes)
SCALARS: dict[str, tuple[str, int]] = {
    "bool": ("B", 1),
    "byte": ("b", 1),
    "ubyte": ("B", 1),
    "short": ("h", 2),
    "ushort": ("H", 2),
    "int": ("i", 4),
    "uint": ("I", 4),
    "long": ("q", 8),
    "ulong": ("Q", 8),
    "float": ("f", 4),
    "double": ("d", 8),
}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a table: its vtable slot, flatbuffer type, default, and the releases that know it.

    ``since`` is the first release whose schema has it, ``until`` the last (empty: still there), ``was`` the name that
    earlier releases used, ``align`` the ``force_align`` of a vector in bytes.
    """

    name: str
    slot: int
    type: str
    default: Any
    since: str
    until: str
    was: str
    align: int


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One table: its record class and fields in declaration order."""

    name: str
    record: type[Any]
    fields: tuple[FieldSpec, ...]
    since: str
    until: str

    @property
    def slots(self) -> int:
        """Number of vtable slots that the declaration knows."""
        return max((f.slot for f in self.fields), default=-1) + 1


@dataclass(frozen=True, slots=True)
class UnionSpec:
    """One union: table name by type number; number 0 is NONE."""

    name: str
    members: dict[int, str]


@dataclass(frozen=True, slots=True)
class EnumSpec:
    """One enum with the flatbuffer scalar that stores it."""

    name: str
    scalar: str
    values: type[IntEnum]
    since: dict[str, str]


def slot(
    number: int,
    type: str,
    *,
    default: Any,
    since: str,
    until: str = "",
    was: str = "",
    align: int = 0,
) -> Any:
    """Declare a field. Absent on disk means ``default``: a number, or None for strings, vectors and tables."""
    meta = {"slot": number, "type": type, "since": since, "until": until, "was": was, "align": align}
    return dataclasses.field(default=default, metadata=meta)


class FlatbufferSchema:
    """The tables, unions and enums of one ``.fbs`` file."""

    def __init__(self, name: str, *, identifiers: tuple[str, ...]) -> None:
        self.name = name
        self.identifiers = identifiers
        self.tables: dict[str, TableSpec] = {}
        self.unions: dict[str, UnionSpec] = {}
        self.enums: dict[str, EnumSpec] = {}
        self.by_record: dict[type[Any], TableSpec] = {}

    def union(self, name: str, **members: int) -> None:
        """Declare a union: ``schema.union("KernelTypes", Null=1, Int=2)``."""
        self.unions[name] = UnionSpec(name, {number: member for member, number in members.items()})

    def enum(self, values: type[IntEnum], scalar: str, since: dict[str, str] | None = None) -> None:
        """Declare an enum stored as ``scalar``; ``since`` gives the first release of members that came later."""
        self.enums[values.__name__] = EnumSpec(values.__name__, scalar, values, since or {})


@dataclass_transform(frozen_default=True, field_specifiers=(slot,))
def table(schema: FlatbufferSchema, *, since: str, until: str = "", name: str = "") -> Callable[[type[T]], type[T]]:
    """Declare the decorated class as a table of the schema; it becomes a frozen dataclass with slots."""

    def declare(cls: type[T]) -> type[T]:
        record = dataclass(frozen=True, slots=True)(cls)
        fields = tuple(_field_spec(f) for f in dataclasses.fields(record))  # type: ignore[arg-type]
        spec = TableSpec(name or cls.__name__, record, fields, since, until)
        schema.tables[spec.name] = spec
        schema.by_record[record] = spec
        return record

    return declare


def _field_spec(f: dataclasses.Field[Any]) -> FieldSpec:
    meta = f.metadata
    return FieldSpec(
        f.name,
        meta["slot"],
        meta["type"],
        f.default,
        meta["since"],
        meta["until"],
        meta["was"],
        meta["align"],
    )
