"""Memory planning: where tensors go in one buffer, so that those alive at the same time never overlap.

Each tensor in turn goes to a gap that is wide enough among those already placed that live at the same time. Which is
next (the largest, the longest lived, the first, and again with those on top first) and which gap it takes (the lowest,
the tightest) makes plans of several sizes, of which the smallest is taken. Ties go by lifetime, so that a plan depends
on nothing else.
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
_ROUNDS = 16
_MANY = 500
"""Requests above which each order is tried once: a plan takes time by the square of their number."""


def plan_memory(requests: Sequence[Request], alignment: int = ALIGNMENT) -> MemoryPlan:
    """Place the requests in one buffer, each at a multiple of ``alignment`` bytes."""
    best: MemoryPlan | None = None
    for order in _ORDERS:
        # What ends up on top is placed first the next time, which often makes room for it below.
        sequence = sorted(range(len(requests)), key=lambda i: (*order(requests[i]), i))
        for _ in range(_ROUNDS if len(requests) <= _MANY else 1):
            plans = [_placed(requests, alignment, sequence, tight) for tight in (True, False)]
            plan = min(plans, key=lambda plan: plan.size)
            if best is None or plan.size < best.size:
                best = plan
            top = [i for i in sequence if plan.offsets[i] + align_up(requests[i].nbytes, alignment) == plan.size]
            if sequence[: len(top)] == top:
                break
            sequence = top + [i for i in sequence if i not in top]
    assert best is not None
    return best


def _placed(requests: Sequence[Request], alignment: int, sequence: Sequence[int], tight: bool) -> MemoryPlan:
    offsets = [0] * len(requests)
    placed: list[tuple[int, int, Request]] = []
    size = 0
    for index in sequence:
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
