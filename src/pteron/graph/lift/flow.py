"""Flow: a method's instructions cut into basic blocks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from pteron.graph.lift.plan import JumpFalse, Plan, PlanTensor


@dataclass(frozen=True, slots=True)
class Range:
    """Instructions ``start`` up to ``end``, then one of ``targets`` (indices of ranges).

    One target: go on there. Two: the last instruction is a jump, the first target is where its condition is true.
    None: the method ends.
    """

    start: int
    end: int
    targets: tuple[int, ...]


def basic_blocks(plan: Plan) -> list[Range]:
    """The reachable blocks; the first is the entry, and nothing jumps to it.

    A jump whose condition is a constant of the file is no branch. Raises ``UnsupportedError`` for a condition that is
    a constant of another kind than bool.
    """
    count = len(plan.instructions)
    jumps = {i: _targets(plan, i, jump) for i, jump in enumerate(plan.instructions) if isinstance(jump, JumpFalse)}
    leaders = sorted({0, count, *(i + 1 for i in jumps), *(t for targets in jumps.values() for t in targets)})
    ends = dict(itertools.pairwise(leaders)) | {count: count}
    links: dict[int, tuple[int, ...]] = {}
    pending = [0]
    while pending:
        start = pending.pop()
        if start not in links:
            links[start] = jumps.get(ends[start] - 1, (ends[start],)) if start < count else ()
            pending.extend(links[start])
    before_end = [start for start, targets in links.items() if count in targets]
    if len(before_end) == 1 and links[before_end[0]] == (count,):
        links[before_end[0]] = ()
        del links[count]
    order = sorted(links)
    # A block before the first one takes the inputs where the method jumps back to its first instruction.
    first = int(any(0 in targets for targets in links.values()))
    index = {start: i + first for i, start in enumerate(order)}
    ranges = [Range(start, ends[start], tuple(index[t] for t in links[start])) for start in order]
    return [Range(0, 0, (1,)), *ranges] if first else ranges


def _targets(plan: Plan, number: int, jump: JumpFalse) -> tuple[int, ...]:
    if jump.condition not in plan.written_slots:
        condition = plan.slots[jump.condition]
        if isinstance(condition, bool):
            return (number + 1,) if condition else (jump.destination,)
        if not isinstance(condition, PlanTensor):
            raise plan.unsupported(f"the condition of a jump is {type(condition).__name__}, not bool", number)
    return (number + 1, jump.destination)
