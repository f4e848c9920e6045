"""What a memory plan shows of the planner that made it.

The default planner is greedy in every release (exir/memory_planning.py). It puts each tensor into an object whose
other tensors do not live at the same time, or makes a new object; objects follow each other in the order in which they
were made. Up to 0.5 it visits tensors in the order of the graph, so the objects' first tensors are in that order. Since
0.6 it visits them by size, largest first and among equals the last one of the graph first, so tensors that all live at
the same time follow each other in that order; and where a method delegates to XNNPACK, 64 bytes end the buffer.

The other built-in planner, ``naive``, never lets two tensors share memory: a plan in which that happens although
lifetimes would allow it says nothing. Plans with branches, with several buffers, with holes (another alignment, or
tensors that were planned and then not emitted) or with tensors that nothing writes say nothing either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from pteron.format import schema
from pteron.format.schema import ExecutionPlan

XNNPACK = "XnnpackBackend"
_ALIGNMENT = 16
_XNNPACK_PADDING = 64
_VIEW = "executorch_prim::et_view.default"


@dataclass(frozen=True, slots=True)
class PlanHabits:
    """What one method's memory plan shows, as the index of a value or None.

    ``not_by_graph`` is a tensor that a planner visiting in the order of the graph cannot have put where it is,
    ``not_by_size`` one that a planner visiting by size cannot. ``padded`` says that XNNPACK's 64 bytes end the buffer,
    ``unpadded`` that the method delegates to XNNPACK and they do not.
    """

    not_by_graph: int | None = None
    not_by_size: int | None = None
    padded: bool = False
    unpadded: bool = False


@dataclass(frozen=True, slots=True)
class _Planned:
    """A tensor of ``size`` bytes at byte ``start``, alive from instruction ``first`` (-1: an input) to ``last``."""

    index: int
    start: int
    size: int
    first: int
    last: int

    @property
    def end(self) -> int:
        return self.start + self.size


def plan_habits(plan: ExecutionPlan) -> PlanHabits:
    """What the method's plan shows; nothing where it is not the default planner's for sure."""
    sizes = plan.non_const_buffer_sizes or ()
    if len(sizes) != 2 or _branches(plan):
        return PlanHabits()
    planned = _owners(plan)
    if not planned or not _is_covered(planned):
        return PlanHabits()
    left = sizes[1] - max(tensor.end for tensor in planned)
    delegated = any(delegate.id == XNNPACK for delegate in plan.delegates or ())
    if left not in (0, _XNNPACK_PADDING) or (left and not delegated):
        return PlanHabits()
    naive = _never_shared(planned)
    # An in-place operator's result shares its argument's record since 1.3, whose place in the order is another then.
    by_size = not naive and not _writes_in_place(plan)
    return PlanHabits(
        _not_by_graph(planned),
        _not_by_size(planned) if by_size else None,
        padded=bool(left),
        unpadded=delegated and not left and not naive,
    )


def _branches(plan: ExecutionPlan) -> bool:
    return any(
        isinstance(instruction.instr_args, schema.JumpFalseCall | schema.MoveCall)
        for chain in plan.chains or ()
        for instruction in chain.instructions or ()
    )


def _writes_in_place(plan: ExecutionPlan) -> bool:
    return any((operator.name or "").endswith("_") for operator in plan.operators or ())


def _owners(plan: ExecutionPlan) -> list[_Planned]:
    """Planned tensors that take memory, in the order of the graph, without those that are views of another one.

    Empty where a tensor has memory of its own that nothing writes: what its place in the order is is not on record.
    """
    lives = _Lives(plan)
    found: list[_Planned] = []
    views: list[_Planned] = []
    for index, value in enumerate(plan.values or ()):
        val = value.val
        if isinstance(val, schema.Tensor) and val.allocation_info is not None:
            nbytes = math.prod(val.sizes or ()) * val.scalar_type.itemsize
            size = -(-nbytes // _ALIGNMENT) * _ALIGNMENT
            if size > 0:
                start = val.allocation_info.memory_offset
                tensor = _Planned(index, start, size, lives.first.get(index, 0), lives.last.get(index, lives.end))
                (found if index in lives.written else views).append(tensor)
    owners: dict[int, list[_Planned]] = {}
    for tensor in found:
        owners.setdefault(tensor.start, []).append(tensor)
    for view in views:
        if not any(view.end <= owner.end and owner.first <= view.first for owner in owners.get(view.start, ())):
            return []
    return found


class _Lives:
    """From which instruction to which values are used, and which of them are inputs or results."""

    def __init__(self, plan: ExecutionPlan) -> None:
        self.values = plan.values or ()
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.written: set[int] = set(plan.inputs or ())
        self.end = 0
        names = [operator.qualified_name for operator in plan.operators or ()]
        for chain in plan.chains or ():
            for instruction in chain.instructions or ():
                call = instruction.instr_args
                if isinstance(call, schema.KernelCall):
                    self._touch(call.args or ())
                    name = names[call.op_index] if 0 <= call.op_index < len(names) else ""
                    if name != _VIEW:
                        self.written.update(self._flat((call.args or ())[-1:]))
                    if name.partition(".")[0].endswith("_"):
                        self.written.update((call.args or ())[:1])
                elif isinstance(call, schema.DelegateCall):
                    self._touch(call.args or ())
                    self.written.update(call.args or ())
                self.end += 1
        for index in plan.inputs or ():
            # An input's memory is used again after its last use.
            self.first[index] = -1
            self.last.setdefault(index, -1)
        self._touch(plan.outputs or ())

    def _flat(self, indices: tuple[int, ...]) -> list[int]:
        """The indices, with those of lists followed by their elements'."""
        flat = list(indices)
        for index in indices:
            val = self.values[index].val if 0 <= index < len(self.values) else None
            if isinstance(val, schema.TensorList | schema.OptionalTensorList):
                flat += val.items or ()
        return flat

    def _touch(self, indices: tuple[int, ...]) -> None:
        for index in self._flat(indices):
            self.first.setdefault(index, self.end)
            self.last[index] = self.end


def _is_covered(planned: list[_Planned]) -> bool:
    """Whether the tensors cover the buffer from its start to the last one's end without a hole."""
    end = 0
    for tensor in sorted(planned, key=lambda tensor: tensor.start):
        if tensor.start > end:
            return False
        end = max(end, tensor.end)
    return True


def _never_shared(planned: list[_Planned]) -> bool:
    """Whether no two tensors share memory although two of them never live at the same time."""
    apart = min(tensor.last for tensor in planned) < max(tensor.first for tensor in planned)
    ordered = sorted(planned, key=lambda tensor: tensor.start)
    return apart and all(a.end <= b.start for a, b in pairwise(ordered))


def _not_by_graph(planned: list[_Planned]) -> int | None:
    """The first tensor of an object that lives from the start, although a later object's first tensor comes before it.

    One that lives from the start, since a tensor that was planned and then not emitted could have made the object of
    another one.
    """
    objects: dict[int, _Planned] = {}
    for tensor in planned:
        objects.setdefault(tensor.start, tensor)
    earliest = planned[-1].index + 1
    for start in sorted(objects, reverse=True):
        tensor = objects[start]
        if tensor.index > earliest and tensor.first <= 0:
            return tensor.index
        earliest = min(earliest, tensor.index)
    return None


def _not_by_size(planned: list[_Planned]) -> int | None:
    """A tensor out of place among the largest ones, as far down as they all live at the same time."""
    end = 0
    latest_first, earliest_last = -1, math.inf
    for tensor in sorted(planned, key=lambda tensor: (-tensor.size, -tensor.index)):
        if tensor.first > earliest_last or tensor.last < latest_first:
            return None
        if tensor.start != end:
            return tensor.index
        latest_first = max(latest_first, tensor.first)
        earliest_last = min(earliest_last, tensor.last)
        end = tensor.end
    return None
