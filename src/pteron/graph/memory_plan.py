"""Memory planning: where tensors go in one buffer, so that those alive at the same time never overlap.

Each tensor in turn goes to a gap that is wide enough among those already placed that live at the same time. Which is
next (the largest, the longest lived, the first) and which gap it takes (the lowest, the tightest) makes plans of
several sizes, of which the smallest is taken. Ties go by lifetime, so that a plan depends on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


Order = Callable[[Request], tuple[int, ...]]
_ORDERS: tuple[Order, ...] = (
    lambda r: (-r.nbytes, r.first, r.last),
    lambda r: (r.first - r.last, -r.nbytes, r.first),
    lambda r: (r.first, -r.nbytes, r.last),
)
_MANY = 2000
"""Requests above which only the first way is tried: each takes time by the square of their number."""


def plan_memory(requests: Sequence[Request], alignment: int = ALIGNMENT) -> MemoryPlan:
    """Place the requests in one buffer, each at a multiple of ``alignment`` bytes."""
    ways = [(order, tight) for order in _ORDERS for tight in (True, False)]
    if len(requests) > _MANY:
        ways = ways[:1]
    return min((_placed(requests, alignment, *way) for way in ways), key=lambda plan: plan.size)


def _placed(requests: Sequence[Request], alignment: int, order: Order, tight: bool) -> MemoryPlan:
    offsets = [0] * len(requests)
    placed: list[tuple[int, int, Request]] = []
    size = 0
    for index in sorted(range(len(requests)), key=lambda i: (*order(requests[i]), i)):
        request = requests[index]
        if not request.nbytes:
            continue
        neighbours = sorted(
            (start, end) for start, end, other in placed if request.first <= other.last and other.first <= request.last
        )
        room = align_up(request.nbytes, alignment)
        offsets[index] = _gap(neighbours, room, tight)
        placed.append((offsets[index], offsets[index] + room, request))
        size = max(size, offsets[index] + room)
    return MemoryPlan(tuple(offsets), size)


def _gap(neighbours: list[tuple[int, int]], needed: int, tight: bool) -> int:
    """The offset of the lowest or the tightest gap between neighbours (start, end), or behind the last of them."""
    best, least = -1, 0
    position = 0
    for start, end in neighbours:
        room = start - position
        if room >= needed and (best < 0 or (tight and room < least)):
            best, least = position, room
        position = max(position, end)
    return best if best >= 0 else position
