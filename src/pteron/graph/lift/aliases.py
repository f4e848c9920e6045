"""Aliases: which tensor each value is, and where its bytes lie, when a block begins.

Three instructions change that: a move makes one value the same tensor as another (as does an in-place operator whose
result is another value than its argument), ``et_view`` makes a tensor share another one's memory, and a free takes a
tensor's memory away. The runtime keeps what they did from one call to the next, so what a method leaves behind is
part of what it may begin with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pteron.graph.lift.flow import Range
from pteron.graph.lift.plan import ET_VIEW, Free, KernelCall, Move, Plan, PlanTensor
from pteron.graph.lift.regions import Pointer, Space

NO_TENSOR = -1
"""Instead of a tensor's value index: a value that is a number, a string or None."""

FREED = Pointer(Space("own", -1), 0, 0)
"""Where a freed tensor's bytes lie."""

STALE = Pointer(Space("own", -2), 0, 0)
"""Memory that nothing but an old alias names any more, such as an input of the call before."""


@dataclass(slots=True)
class Aliases:
    """Possible tensors of values and possible places of tensors, by value index.

    What is not listed is as the file gives it: each value its own tensor, each tensor at its own place.
    """

    tensors: dict[int, frozenset[int]] = field(default_factory=dict)
    places: dict[int, frozenset[Pointer]] = field(default_factory=dict)

    def copy(self) -> Aliases:
        return Aliases(dict(self.tensors), dict(self.places))

    def tensors_of(self, slot: int, plan: Plan) -> frozenset[int]:
        """The tensors that a value may be."""
        known = self.tensors.get(slot)
        return known or frozenset((slot if isinstance(plan.slots[slot], PlanTensor) else NO_TENSOR,))

    def places_of(self, tensor: int, plan: Plan) -> frozenset[Pointer]:
        """The places where a tensor's bytes may lie."""
        known = self.places.get(tensor)
        return known or frozenset((plan.tensor(tensor).pointer,))

    def move(self, source: int, target: int, plan: Plan) -> None:
        self.tensors[target] = self.tensors_of(source, plan)

    def view(self, source: int, out: int, plan: Plan) -> None:
        """``et_view``: the tensor ``out`` shares the memory of ``source``."""
        places = frozenset[Pointer]().union(
            *(self.places_of(t, plan) for t in self.tensors_of(source, plan) if t != NO_TENSOR)
        )
        outs = self.tensors_of(out, plan) - {NO_TENSOR}
        for tensor in outs:
            self.places[tensor] = places if len(outs) == 1 else places | self.places_of(tensor, plan)

    def free(self, slot: int, plan: Plan) -> None:
        for tensor in self.tensors_of(slot, plan) - {NO_TENSOR}:
            self.forget(tensor)
            self.places[tensor] = frozenset((FREED,))

    def forget(self, tensor: int) -> None:
        """The tensor's own memory is replaced: other tensors that share it keep what the plan no longer names."""
        for other, places in self.places.items():
            if other != tensor and any(p.space == Space("own", tensor) for p in places):
                self.places[other] = frozenset(STALE if p.space == Space("own", tensor) else p for p in places)

    def join(self, other: Aliases, plan: Plan) -> bool:
        """Allow for what ``other`` allows; whether that is anything new."""
        changed = False
        for slot in other.tensors:
            mine, theirs = self.tensors_of(slot, plan), other.tensors_of(slot, plan)
            if not theirs <= mine:
                self.tensors[slot] = mine | theirs
                changed = True
        for tensor in other.places:
            here, there = self.places_of(tensor, plan), other.places_of(tensor, plan)
            if not there <= here:
                self.places[tensor] = here | there
                changed = True
        return changed


def entry_aliases(plan: Plan, ranges: list[Range]) -> list[Aliases]:
    """What may be the case at the start of each block, over any number of calls."""
    events = [_events(plan, r) for r in ranges]
    unplanned = {info.value_index for info in plan.method.inputs if info.kind == "tensor" and not info.planned}
    at_start = [Aliases() for _ in ranges]
    known = [False] * len(ranges)
    known[0] = True
    pending = [0]
    while pending:
        number = pending.pop()
        here = at_start[number].copy()
        for event in events[number]:
            _apply(here, event, plan)
        if not ranges[number].targets:
            for slot in unplanned:
                here.forget(slot)
                here.places.pop(slot, None)
        for target in ranges[number].targets or (0,):
            # What only one path lists has its first meaning on the other, so both sides are joined.
            changed = _merge(at_start[target], here, plan, fresh=not known[target])
            if changed or not known[target]:
                known[target] = True
                pending.append(target)
    return at_start


def _merge(into: Aliases, new: Aliases, plan: Plan, *, fresh: bool) -> bool:
    if fresh:
        into.tensors, into.places = dict(new.tensors), dict(new.places)
        return True
    for slot in into.tensors.keys() - new.tensors.keys():
        new.tensors[slot] = new.tensors_of(slot, plan)
    for tensor in into.places.keys() - new.places.keys():
        new.places[tensor] = new.places_of(tensor, plan)
    return into.join(new, plan)


def _events(plan: Plan, block: Range) -> list[Move | Free | KernelCall]:
    kept: list[Move | Free | KernelCall] = []
    for instruction in plan.instructions[block.start : block.end]:
        match instruction:
            case Move() | Free():
                kept.append(instruction)
            case KernelCall() if instruction.operator.name == ET_VIEW or instruction.result_is_argument:
                kept.append(instruction)
    return kept


def _apply(here: Aliases, event: Move | Free | KernelCall, plan: Plan) -> None:
    match event:
        case Move(source, target):
            here.move(source, target, plan)
        case Free(value):
            here.free(value, plan)
        case KernelCall() if event.operator.name == ET_VIEW:
            here.view(event.args[0], event.args[2], plan)
        case KernelCall():
            assert event.result is not None
            if event.written[0] != event.result:
                here.move(event.written[0], event.result, plan)
