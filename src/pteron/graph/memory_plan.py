"""Memory planning: where tensors go in one buffer, so that those alive at the same time never overlap.

Largest first: each tensor goes to the lowest gap that is wide enough among those already placed that live at the same
time; of several gaps the one that it leaves least of. Ties go by lifetime, so that a plan depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pteron.format.relocate import align_up

ALIGNMENT = 16
"""Bytes; exporters align every planned tensor so."""


@dataclass(frozen=True, slots=True)
class Request:
    """A tensor of ``nbytes`` that is alive from instruction ``first`` to instruction ``last``, both included."""

    nbytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """The byte offset of each request, in their order, and the size of the buffer in bytes."""

    offsets: tuple[int, ...]
    size: int


def plan_memory(requests: Sequence[Request], alignment: int = ALIGNMENT) -> MemoryPlan:
    """Place the requests in one buffer, each at a multiple of ``alignment`` bytes."""
    offsets = [0] * len(requests)
    placed: list[tuple[int, int, Request]] = []
    size = 0
    for index in sorted(range(len(requests)), key=lambda i: (-requests[i].nbytes, requests[i].first, i)):
        request = requests[index]
        neighbours = sorted(
            (start, end) for start, end, other in placed if request.first <= other.last and other.first <= request.last
        )
        offsets[index] = _gap(neighbours, request.nbytes, alignment)
        end = align_up(offsets[index] + request.nbytes, alignment)
        if request.nbytes:
            placed.append((offsets[index], end, request))
        size = max(size, end)
    return MemoryPlan(tuple(offsets), size)


def _gap(neighbours: list[tuple[int, int]], nbytes: int, alignment: int) -> int:
    """The offset of the tightest gap between neighbours (start, end), or behind the last of them."""
    best, least = -1, 0
    position = 0
    for start, end in neighbours:
        room = start - position
        if room >= align_up(nbytes, alignment) and (best < 0 or room < least):
            best, least = position, room
        position = max(position, end)
    return best if best >= 0 else position
