"""Regions: which value each byte of a method's memory holds, at one point of a block.

Memory is a set of spaces. ``arena`` spaces are the planned buffers (the key is the memory id), an ``own`` space is the
memory of one unplanned tensor (the key is its value index), ``const`` spaces are data of the file (the key is the
buffer's index, or the name of external data).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from pteron.graph.ir import TensorType, Value


class Space(NamedTuple):
    """One stretch of memory that no other overlaps."""

    kind: Literal["arena", "own", "const"]
    key: int | str


class Pointer(NamedTuple):
    """A window on a space, in bytes."""

    space: Space
    offset: int
    nbytes: int

    @property
    def end(self) -> int:
        return self.offset + self.nbytes

    def overlaps(self, other: Pointer) -> bool:
        """Whether the two have a byte in common."""
        return self.space == other.space and self.offset < other.end and other.offset < self.end


ViewKey: TypeAlias = TensorType | int | None


@dataclass(eq=False, slots=True)
class Segment:
    """Bytes ``start`` to ``end`` of a space hold a part of ``value``, whose first byte would lie at ``base``.

    ``captured`` says that they did so when the block began, and nothing in the block wrote them. ``views`` are other
    forms of the same value that were asked for: by type, by value index (a dynamic tensor) or flat (None).
    """

    start: int
    end: int
    base: int
    size: int
    value: Value
    captured: bool
    views: dict[ViewKey, Value] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every byte of the value is still there."""
        return self.start == self.base and self.end - self.start == self.size


class Regions:
    """The segments of every space, in order and without overlap."""

    def __init__(self) -> None:
        self._starts: dict[Space, list[int]] = {}
        self._segments: dict[Space, list[Segment]] = {}

    def put(self, place: Pointer, value: Value, *, captured: bool = False) -> Segment:
        """From now on the window holds ``value``; what was there before is cut away."""
        space, start, end = place.space, place.offset, place.end
        new = Segment(start, end, start, place.nbytes, value, captured)
        starts = self._starts.setdefault(space, [])
        segments = self._segments.setdefault(space, [])
        first, last = self._range(starts, segments, start, end)
        pieces = [new]
        if first < last:
            head, tail = segments[first], segments[last - 1]
            if head.start < start:
                pieces.insert(0, Segment(head.start, start, head.base, head.size, head.value, head.captured))
            if tail.end > end:
                pieces.append(Segment(end, tail.end, tail.base, tail.size, tail.value, tail.captured))
        segments[first:last] = pieces
        starts[first:last] = [piece.start for piece in pieces]
        return new

    def exact(self, place: Pointer) -> Segment | None:
        """The segment that fills just this window with the whole of a value, or None."""
        starts = self._starts.get(place.space)
        if starts:
            at = bisect_left(starts, place.offset)
            if at < len(starts):
                segment = self._segments[place.space][at]
                if segment.start == place.offset and segment.end == place.end and segment.whole:
                    return segment
        return None

    def overlapping(self, place: Pointer) -> list[Segment]:
        """The segments that have a byte in the window, in order."""
        starts = self._starts.get(place.space)
        if not starts:
            return []
        segments = self._segments[place.space]
        first, last = self._range(starts, segments, place.offset, place.end)
        return segments[first:last]

    def gaps(self, place: Pointer) -> Iterator[Pointer]:
        """The parts of the window that hold what they held when the block began, and were not asked for yet."""
        at = place.offset
        for segment in self.overlapping(place):
            if segment.start > at:
                yield Pointer(place.space, at, segment.start - at)
            at = segment.end
        if at < place.end:
            yield Pointer(place.space, at, place.end - at)

    def written(self, place: Pointer) -> bool:
        """Whether the block wrote any byte of the window."""
        return any(not segment.captured for segment in self.overlapping(place))

    @staticmethod
    def _range(starts: list[int], segments: list[Segment], start: int, end: int) -> tuple[int, int]:
        first = max(bisect_right(starts, start) - 1, 0)
        if first < len(segments) and segments[first].end <= start:
            first += 1
        return first, max(bisect_left(starts, end), first)
