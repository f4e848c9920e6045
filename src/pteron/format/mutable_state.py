"""Which values of a method keep their contents from one call to the next.

A file says so only for buffers with initial data. For the others it follows from the plan: a planned tensor that
instructions read although none writes it as a result lives in memory that nothing else uses, and is changed in place
(exir emits ``aten::copy_`` into the buffer, or a custom operator with an argument that it writes).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator

from pteron.format import schema
from pteron.format.schema import ExecutionPlan, TensorDataLocation

Region = tuple[int, int, int]
"""Planned buffer, first byte, end."""

_COPY = "aten::copy_"
"""Overwrites its first argument: a buffer's new contents at the end of a call, or a loop's first ones."""
_COPY_INDEX = "executorch_prim::et_copy_index.tensor"
"""Fills its first argument row by row (``map`` and ``scan``)."""


def has_initial_data(tensor: schema.Tensor) -> bool:
    """Whether a planned tensor starts from data of the file or of a .ptd."""
    extra = tensor.extra_tensor_info
    external = extra is not None and extra.location == TensorDataLocation.EXTERNAL
    return tensor.allocation_info is not None and (external or tensor.data_buffer_idx != 0)


def mutable_state(plan: ExecutionPlan) -> tuple[int, ...]:
    """Indices of the values that hold state, in order; of several at one place the first."""
    values = plan.values or ()
    regions = {index: region for index, value in enumerate(values) if (region := _region(value.val))}
    read, written = _uses(plan, values)
    taken = _Taken(regions[index] for index in {*written, *(plan.inputs or ())} if index in regions)
    state: dict[Region, int] = {}
    for index, region in regions.items():
        val = values[index].val
        initial = isinstance(val, schema.Tensor) and has_initial_data(val)
        if initial or (index in read and index not in written and not taken.overlaps(region)):
            state.setdefault(region, index)
    return tuple(state.values())


def _region(val: schema.KernelTypes | None) -> Region | None:
    if not isinstance(val, schema.Tensor) or val.allocation_info is None:
        return None
    place = val.allocation_info
    nbytes = math.prod(val.sizes or ()) * val.scalar_type.itemsize
    return (place.memory_id, place.memory_offset, place.memory_offset + nbytes) if nbytes > 0 else None


def _uses(plan: ExecutionPlan, values: tuple[schema.EValue, ...]) -> tuple[set[int], set[int]]:
    """Values that kernels read, and values that they write as results.

    A call ends in its result (or a list of them), except that an in-place operator's result is its own argument. What a
    delegate call writes is not on record, so all its arguments count as written, as do both ends of a move.
    """
    operators = [operator.qualified_name for operator in plan.operators or ()]
    read, written = _Values(values), _Values(values)
    for chain in plan.chains or ():
        for instruction in chain.instructions or ():
            call = instruction.instr_args
            if isinstance(call, schema.KernelCall) and call.args:
                name = operators[call.op_index] if 0 <= call.op_index < len(operators) else ""
                if name == _COPY and call.args[0] not in read.found:
                    written.add(call.args[:1])
                read.add(call.args[:-1])
                if name == _COPY_INDEX:
                    written.add(call.args[:1])
                elif not name.partition(".")[0].endswith("_"):
                    written.add(call.args[-1:])
            elif isinstance(call, schema.DelegateCall):
                written.add(call.args or ())
            elif isinstance(call, schema.MoveCall):
                written.add((call.move_from, call.move_to))
    return read.found, written.found


class _Values:
    """Values that arguments name, also through lists; a list is gone through once, however many calls share it."""

    def __init__(self, values: tuple[schema.EValue, ...]) -> None:
        self.found: set[int] = set()
        self._values = values

    def add(self, args: tuple[int, ...]) -> None:
        for arg in args:
            if arg not in self.found:
                self.found.add(arg)
                val = self._values[arg].val if 0 <= arg < len(self._values) else None
                if isinstance(val, schema.TensorList | schema.OptionalTensorList):
                    self.found.update(val.items or ())


class _Taken:
    """Regions merged per buffer, to ask quickly whether another one overlaps any of them."""

    def __init__(self, regions: Iterator[Region]) -> None:
        self._starts: dict[int, list[int]] = {}
        self._ends: dict[int, list[int]] = {}
        for memory_id, start, end in sorted(regions):
            starts = self._starts.setdefault(memory_id, [])
            ends = self._ends.setdefault(memory_id, [])
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)

    def overlaps(self, region: Region) -> bool:
        memory_id, start, end = region
        starts = self._starts.get(memory_id, [])
        before = bisect_right(starts, end - 1) - 1
        return before >= 0 and self._ends[memory_id][before] > start
