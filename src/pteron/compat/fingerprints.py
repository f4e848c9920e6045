"""What the bytes of a file show of the program that wrote them.

Up to 1.1 the exporter wrote JSON and had ``flatc`` turn it into a flatbuffer; since 1.2 it packs the classes that flatc
generates for Python (exir/_serialize/_program.py at v1.1.0 and v1.2.0). Both store the same fields, in another order:
flatc lays a table's fields out by width and, among equals, in the order of their slots; the generated classes add them
slot by slot from the end of the buffer, so that the order is the reverse, whatever the width.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from pteron.format.flatbuffer import Fault, Reader
from pteron.format.program import Program
from pteron.format.schema import SCHEMA

_PLANS = 1
"""Slot of ``Program.execution_plan``."""
_VALUES = 2
"""Slot of ``ExecutionPlan.values``."""
_LOOKED_AT = 16
"""Values per plan whose layout is looked at; one is enough, more guard against a writer that mixes."""


class Writer(Enum):
    """What laid a file's flatbuffer out."""

    FLATC = "flatc"
    GENERATED_CLASSES = "generated classes"
    OTHER = "other"


def writer_of(program: Program) -> Writer:
    """Who laid out the flatbuffer that the program was read from; ``OTHER`` for no exporter that Pteron knows."""
    header = program.header
    body = program.buffer[: header.program_size] if header else program.buffer
    reader = Reader(body, SCHEMA)
    try:
        orders = set(_orders(reader))
    except Fault:
        return Writer.OTHER
    if orders == {("up", "up")}:
        return Writer.FLATC
    if orders == {("down", "down")}:
        return Writer.GENERATED_CLASSES
    return Writer.OTHER


def _orders(reader: Reader) -> Iterator[tuple[str, str]]:
    """Per plan, the order of its own fields and that of its values, which have a byte before an offset."""
    root = reader.reference(0)
    slots = reader.vtable(root)[0]
    if len(slots) <= _PLANS or not slots[_PLANS]:
        return
    start, count = reader.vector(root + slots[_PLANS], 4)
    for index in range(min(count, _LOOKED_AT)):
        plan = reader.reference(start + 4 * index)
        plan_slots = reader.vtable(plan)[0]
        own = _direction(plan_slots)
        if len(plan_slots) > _VALUES and plan_slots[_VALUES]:
            values, size = reader.vector(plan + plan_slots[_VALUES], 4)
            for item in range(min(size, _LOOKED_AT)):
                yield own, _direction(reader.vtable(reader.reference(values + 4 * item))[0])


def _direction(slots: tuple[int, ...]) -> str:
    offsets = [offset for offset in slots if offset]
    if len(offsets) < 2:
        return "none"
    if offsets == sorted(offsets):
        return "up"
    return "down" if offsets == sorted(offsets, reverse=True) else "mixed"


def segment_starts(program: Program) -> tuple[int, ...]:
    """Bytes from the file's start to the segments that hold data, in ascending order and each once."""
    base = program.header.segment_base_offset if program.header else 0
    starts = {base + segment.offset for segment in program.root.segments or () if segment.size}
    return tuple(sorted(starts))
