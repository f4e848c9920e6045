"""Which nodes of a graph the nodes of an optimised ONNX model came from.

ONNX Runtime fuses nodes, moves them and gives them new names, so a profile of its nodes says nothing of the program's
operators by itself. What stays are the names of most values. So a node of the optimised model stands for the nodes of
the original one that lie between the values it takes and those it gives.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

_LABEL = re.compile(r"(?<![\w.])(n\d+)\.\d+(?!\d)")
_NCHWC = re.compile(r"^(.+)_nchwc(?:_token_\d+)?$")


@dataclass(frozen=True, slots=True)
class ReadNode:
    """What counts of a NodeProto."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def label(self) -> str:
        """The graph node that the name speaks of (``n7``), or an empty string."""
        found = _LABEL.search(self.name)
        return found[1] if found else ""


def read_nodes(model: bytes | memoryview) -> list[ReadNode]:
    """The nodes of a ModelProto, those inside of branches not included."""
    nodes = []
    for number, graph in _fields(memoryview(model)):
        if number == 7:
            nodes += [_node(content) for field, content in _fields(graph) if field == 1]
    return nodes


def _node(content: memoryview) -> ReadNode:
    text: dict[int, list[str]] = {1: [], 2: [], 3: [""], 4: [""]}
    for number, value in _fields(content):
        if number in text:
            text[number].append(bytes(value).decode())
    return ReadNode(text[3][-1], text[4][-1], tuple(text[1]), tuple(text[2]))


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a protobuf message; others are passed over."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        kind = tag & 7
        if kind == 2:
            length, place = _varint(content, place)
            yield tag >> 3, content[place : place + length]
            place += length
        elif kind == 0:
            _, place = _varint(content, place)
        else:
            place += 8 if kind == 1 else 4


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def origins(
    original: Sequence[ReadNode], optimised: Sequence[ReadNode], inputs: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """For each node of the optimised model, by name, the labels of the graph nodes that it does the work of, in order.

    None for a node that only turns memory into another layout. ``inputs`` are those of the original model.
    """
    producers = {value: node for node in original for value in node.outputs if value}
    by_name = {node.name: node for node in original}
    constant = _constants(original, producers, inputs)
    ends = {node.name: _ends(node, producers, by_name) for node in optimised}
    stops = {value for node in optimised for value in (*node.inputs, *node.outputs)}
    stops.update(value for values in ends.values() for value in values)
    claimed: set[str] = set()
    order = {node.name: number for number, node in enumerate(original)}
    found: dict[str, tuple[str, ...]] = {}
    # Nodes that say by their name what they are come first: what is left over of a value's way is a change of layout.
    for node in sorted(optimised, key=lambda node: not (node.label or _NCHWC.match(node.name))):
        covered = _between(ends[node.name], producers, stops, constant)
        names = covered - claimed
        claimed |= names
        labels = dict.fromkeys(by_name[name].label for name in sorted(names, key=order.__getitem__))
        found[node.name] = tuple(labels) or ((node.label,) if node.label else ())
    return found


def _ends(node: ReadNode, producers: Mapping[str, ReadNode], by_name: Mapping[str, ReadNode]) -> tuple[str, ...]:
    """The values of the original model that the node computes, be it in another layout."""
    known = tuple(value for value in node.outputs if value in producers)
    if known:
        return known
    blocked = _NCHWC.match(node.name)
    if blocked and blocked[1] in producers:
        return (blocked[1],)
    for value in (*node.outputs, node.name):
        found = _LABEL.search(value)
        if found and found[0] in by_name:
            return by_name[found[0]].outputs
    return ()


def _between(ends: Sequence[str], producers: Mapping[str, ReadNode], stops: set[str], constant: set[str]) -> set[str]:
    """Names of the original nodes that lead to the values, back to values that the optimised model has."""
    covered: set[str] = set()
    waiting = list(ends)
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or node.name in covered or node.name in constant:
            continue
        covered.add(node.name)
        waiting += [value for value in node.inputs if value not in stops]
    return covered


def _constants(original: Sequence[ReadNode], producers: Mapping[str, ReadNode], inputs: Collection[str]) -> set[str]:
    """Names of the nodes whose results are known beforehand: they are computed from weights alone."""
    constant: set[str] = set()
    known: set[str] = set()
    for node in original:
        if all(not v or v in known or (v not in producers and v not in inputs) for v in node.inputs):
            constant.add(node.name)
            known.update(node.outputs)
    return constant
