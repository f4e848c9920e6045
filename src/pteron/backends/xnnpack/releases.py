"""Which releases' runtimes can run a payload, told from what it uses and the declaration's ``since`` and ``until``.

Nothing of this looks at the numbers inside a payload: it says that a runtime knows every part of it. Facts beyond the
declaration come from backends/xnnpack/runtime/XNNCompiler.cpp at v0.1.0 … v1.4.1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pteron.backends.xnnpack.nodes import XNNNode
from pteron.backends.xnnpack.payload import Payload
from pteron.backends.xnnpack.schema import SCHEMA, SINCE
from pteron.backends.xnnpack.values import XNNDatatype
from pteron.format.declare import FieldSpec

FIRST = "0.1.0"
"""The first release; its runtime knows whatever the declaration dates to it."""

_WORDS = {
    "ConstantDataOffset": "constants behind the flatbuffer",
    "ConstantDataOffset.named_key": "constants in named data",
    "PerChannelQuant.scale_buffer_idx": "scales per channel in a constant",
    "PerChannelGroupQuant.scale_buffer_idx": "scales per block in a constant",
    "PerTokenDynamicQuant": "activations quantised per token",
    "PerChannelGroupQuant": "weights quantised in blocks",
}


@dataclass(frozen=True, slots=True)
class Need:
    """Something that a payload uses: runtimes from ``since`` to ``until`` (empty: still) know it.

    ``what`` says it in words, ``path`` is the first field in the payload that uses it.
    """

    what: str
    since: str
    until: str
    path: str


@dataclass(frozen=True, slots=True)
class Runtimes:
    """Runtimes that know all of a payload: releases ``first`` to ``last`` (empty: no end known), and why."""

    first: str
    last: str
    needs: tuple[Need, ...]

    def __contains__(self, release: str) -> bool:
        key = version(release)
        return version(self.first) <= key and (not self.last or key[:2] <= version(self.last)[:2])


def version(release: str) -> tuple[int, ...]:
    """``"0.10.1"`` as numbers, to compare releases."""
    return tuple(map(int, release.split(".")))


def runtimes(payload: Payload) -> Runtimes:
    """The releases whose runtime can take the payload. ``first`` is after ``last`` where there is none."""
    found = needs(payload)
    first = max((need.since for need in found), key=version, default=FIRST)
    last = min((need.until for need in found if need.until), key=version, default="")
    return Runtimes(first, last, found)


def needs(payload: Payload) -> tuple[Need, ...]:
    """What the payload uses that not every release knows, each thing once, newest first."""
    table: dict[str, Need] = {}
    for need in _found(payload):
        table.setdefault(need.what, need)
    return tuple(sorted(table.values(), key=lambda need: version(need.since), reverse=True))


def _found(payload: Payload) -> Iterator[Need]:
    if SINCE[payload.format] != FIRST:
        yield Need(f"format {payload.format}", SINCE[payload.format], "", "")
    if payload.header is not None:
        yield Need("an XH00 header", "0.2.0", "", "header")
    for number, node in enumerate(payload.graph.xnodes or ()):
        yield from _walk(node, f"xnodes[{number}]")
    for number, value in enumerate(payload.graph.xvalues or ()):
        yield from _walk(value, f"xvalues[{number}]")
    entries = payload.graph.constant_data or ()
    for index, path in payload.constant_uses():
        if payload.header is None or index >= len(entries):
            continue
        yield from _walk(entries[index], f"constant_data[{index}]")
        if path.endswith("scale_buffer_idx") and entries[index].named_key is None:
            yield Need("scales in the payload's own constants", "1.0.0", "", path)


def _walk(record: Any, path: str) -> Iterator[Need]:
    spec = SCHEMA.by_record[type(record)]
    if spec.since != FIRST or spec.until:
        what = f"node {spec.name}" if isinstance(record, XNNNode) else _WORDS.get(spec.name, spec.name)
        yield Need(what, spec.since, spec.until, path)
    for field in spec.fields:
        value = getattr(record, field.name)
        if value == field.default or _idle(record, field):
            continue
        place = f"{path}.{field.name}"
        if field.since not in (spec.since, FIRST) or field.until:
            name = f"{spec.name}.{field.name}"
            yield Need(_WORDS.get(name, name), field.since, field.until, place)
        if isinstance(value, XNNDatatype):
            since = SCHEMA.enums["XNNDatatype"].since.get(value.name, FIRST)
            if since != FIRST:
                yield Need(f"datatype {value.short}", since, "", place)
        elif dataclasses.is_dataclass(value):
            yield from _walk(value, place)


def _idle(record: Any, field: FieldSpec) -> bool:
    """Whether a field is filled but means nothing: a spare id of a shared layout, a count beside an index."""
    if isinstance(record, XNNNode) and field.name.endswith("_id"):
        return field.name not in record.reads + record.writes
    return field.name == "num_scales"
