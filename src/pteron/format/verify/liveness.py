"""Planned values that overwrite each other while they are still needed.

The instruction list of a method is followed once, keeping for every byte of planned memory the value that was written
there last. Where a value is read and its bytes belong to another one by then, the plan is wrong. Three things share
memory on purpose: ``et_view`` results, views that the exporter elided (a value that no instruction writes, at the
place of one that was written), and the value that an in-place operator returns.

Which arguments an instruction writes follows from the calling convention (exir/emit/_emitter.py): a kernel call ends
in one entry per return, which repeats the out argument or names a list of them. Jumps make the order uncertain; then
only what every path would do is reported: a read is checked again where its loop ends, and a write in one branch is
not held against a read in the other. Values that a MoveCall replaces are left out.
"""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from pteron.format import schema
from pteron.format.schema import ExecutionPlan, TensorDataLocation

_BUDGET = 1_000_000
"""Values looked at per method before the analysis gives up: lists shared by many calls must not take minutes."""
_MAX_PIECES = 100_000
_VIEW = "executorch_prim::et_view.default"
_COPY_INDEX = "executorch_prim::et_copy_index.tensor"
_SIZES_ONLY = frozenset({"aten::sym_size.int", "aten::sym_numel"})
_BEFORE = -1
"""Position of what is in memory before the first instruction: inputs and initial state."""


@dataclass(frozen=True, slots=True)
class Overwrite:
    """``value`` is read at instruction ``read``, after ``by`` overwrote bytes of it at ``write``.

    Positions count through all chains; -1 is before the first instruction and the number of instructions is the end.
    """

    value: int
    by: int
    write: int
    read: int


class TooMuch(Exception):  # noqa: N818 - control flow, not an error
    """The plan takes more work than the analysis may do."""


def overwrites(plan: ExecutionPlan) -> list[Overwrite]:
    """Values of a well-formed plan that are overwritten before their last use, each reported once."""
    tracker = _Tracker(plan)
    with contextlib.suppress(TooMuch):
        tracker.run()
    return list(tracker.found.values())


class _Bytes:
    """Owner and time of the last write for every byte of one planned buffer, as disjoint sorted pieces."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.pieces: list[tuple[int, int, int, int]] = []  # start, end, owner, time

    def write(self, start: int, end: int, owner: int, time: int) -> None:
        first = bisect_right(self.starts, start) - 1
        if first < 0 or self.pieces[first][1] <= start:
            first += 1
        last = bisect_left(self.starts, end)
        new = [(start, end, owner, time)]
        if first < last:
            left, right = self.pieces[first], self.pieces[last - 1]
            if left[0] < start:
                new.insert(0, (left[0], start, left[2], left[3]))
            if right[1] > end:
                new.append((end, right[1], right[2], right[3]))
        self.pieces[first:last] = new
        self.starts[first:last] = [piece[0] for piece in new]
        if len(self.starts) > _MAX_PIECES:
            raise TooMuch

    def exact(self, start: int, end: int) -> int | None:
        """The owner of exactly these bytes."""
        index = bisect_left(self.starts, start)
        if index < len(self.pieces) and self.pieces[index][:2] == (start, end):
            return self.pieces[index][2]
        return None

    def other(self, start: int, end: int, owner: int) -> tuple[int, int] | None:
        """Another owner of some of these bytes and when it wrote them."""
        index = max(bisect_right(self.starts, start) - 1, 0)
        while index < len(self.pieces) and self.pieces[index][0] < end:
            piece = self.pieces[index]
            if piece[1] > start and piece[2] != owner:
                return piece[2], piece[3]
            index += 1
        return None


class _Tracker:
    def __init__(self, plan: ExecutionPlan) -> None:
        self.values = plan.values or ()
        self.inputs = plan.inputs or ()
        self.outputs = plan.outputs or ()
        self.operators = [operator.qualified_name for operator in plan.operators or ()]
        self.code = [i.instr_args for chain in plan.chains or () for i in chain.instructions or ()]
        moved = {call.move_to for call in self.code if isinstance(call, schema.MoveCall)}
        self.regions = [None if index in moved else _region(value.val) for index, value in enumerate(self.values)]
        self.memory: dict[int, _Bytes] = {}
        self.alias: dict[int, int] = {}
        self.written_at: dict[int, int] = {}
        self.found: dict[int, Overwrite] = {}
        self.state: list[int] = []
        self.budget = _BUDGET
        self.jumps = _Jumps(plan, self.values)

    def run(self) -> None:
        self.state = [index for index, value in enumerate(self.values) if _has_state(value.val)]
        for index in (*self.state, *self.inputs):
            self._write(index, _BEFORE)
        for position, call in enumerate(self.code):
            self.jumps.enter(position)
            if isinstance(call, schema.KernelCall):
                self._kernel(call, position)
            elif isinstance(call, schema.DelegateCall):
                self._delegate(call, position)
            elif isinstance(call, schema.JumpFalseCall):
                self._read(call.cond_value_index, position)
            elif isinstance(call, schema.MoveCall):
                self._read(call.move_from, position)
            for root, value in self.jumps.leave(position):
                self._check(root, value, position)
        end = len(self.code)
        self.jumps.enter(end)
        for index in (*self.outputs, *self.state):
            for value in self._tensors((index,)):
                self._read(value, end)

    def _kernel(self, call: schema.KernelCall, position: int) -> None:
        args = call.args or ()
        name = self.operators[call.op_index]
        if not args or name in _SIZES_ONLY:
            return
        if name == _VIEW:
            self._read(args[0], position)
            self._view(args[0], args[-1])
            return
        outs = set(self._tensors(args[:1] if name == _COPY_INDEX else args[-1:]))
        for value in self._tensors(args):
            if value not in outs:
                self._read(value, position)
        in_place = name.partition(".")[0].endswith("_")
        for value in outs:
            if in_place and self.regions[value] == self.regions[args[0]] and value not in self.written_at:
                self._view(args[0], value)
            self._write(value, position)

    def _delegate(self, call: schema.DelegateCall, position: int) -> None:
        # Inputs come before outputs, but the record does not say where these begin: at the latest at a value that
        # nothing wrote. One at the place of a dead value may be an output or a view of it, and is left alone.
        outputs = False
        written = []
        for value in self._tensors(call.args or ()):
            outputs = outputs or (self._root(value) not in self.written_at and self._source(value) is None)
            if outputs:
                written.append(value)
            elif self._root(value) in self.written_at:
                self._read(value, position)
        for value in written:
            self._write(value, position)

    def _view(self, base: int, out: int) -> None:
        root = self._root(base)
        if root not in self.written_at:
            self.regions[out] = None  # a view of something that is not followed
        elif root != out:
            self.alias[out] = root

    def _tensors(self, args: tuple[int, ...]) -> Iterator[int]:
        """The planned tensors among arguments and in lists among them."""
        for arg in args:
            val = self.values[arg].val
            items = (val.items or ()) if isinstance(val, schema.TensorList | schema.OptionalTensorList) else (arg,)
            self.budget -= len(items)
            if self.budget < 0:
                raise TooMuch
            yield from (item for item in items if item >= 0 and self.regions[item] is not None)

    def _root(self, value: int) -> int:
        root = value
        while root in self.alias:
            root = self.alias[root]
        while value != root:
            self.alias[value], value = root, self.alias[value]
        return root

    def _source(self, value: int) -> int | None:
        """The value whose bytes an elided view shows, where nothing overwrote a part of them."""
        region = self.regions[value]
        memory = self.memory.get(region[0]) if region else None
        owner = memory.exact(region[1], region[2]) if memory and region else None
        return owner if owner is not None and self.regions[owner] == region else None

    def _write(self, value: int, position: int) -> None:
        root = self._root(value)
        region = self.regions[root]
        if region is not None:
            self.memory.setdefault(region[0], _Bytes()).write(region[1], region[2], root, position)
            self.written_at[root] = position

    def _read(self, value: int, position: int) -> None:
        root = self._root(value)
        if self.regions[root] is None:
            return
        if root not in self.written_at:
            source = self._source(root)
            if source is None:
                self._assume_state(root, position)
                return
            if self._root(source) == root:
                return
            self.alias[root] = root = self._root(source)
        self._check(root, value, position)
        self.jumps.note_read(root, value, self.written_at[root])

    def _assume_state(self, value: int, position: int) -> None:
        """Read before anything wrote it: a mutable buffer, which keeps what an earlier call left there."""
        region = self.regions[value]
        if region is None:
            return
        memory = self.memory.get(region[0])
        if memory is None or not memory.other(region[1], region[2], value):
            self._write(value, position)
            self.state.append(value)

    def _check(self, root: int, value: int, position: int) -> None:
        region = self.regions[root]
        if region is None or root in self.found:
            return
        other = self.memory[region[0]].other(region[1], region[2], root)
        if other is not None and not self.jumps.may_skip(other[1], position):
            self.found[root] = Overwrite(value, other[0], other[1], position)


class _Jumps:
    """What the jumps of a method mean for the order of its instructions."""

    def __init__(self, plan: ExecutionPlan, values: tuple[schema.EValue, ...]) -> None:
        self.loops: dict[int, int] = {}  # first position: last position
        self._skips: dict[int, int] = {}  # position of an unconditional jump forward: destination
        self._loop_end = self._loop_start = _BEFORE - 1
        self._pending: dict[int, int] = {}
        self._active: list[tuple[int, int]] = []
        back: list[tuple[int, int]] = []
        base = 0
        for chain in plan.chains or ():
            for index, instruction in enumerate(chain.instructions or ()):
                call = instruction.instr_args
                if not isinstance(call, schema.JumpFalseCall):
                    continue
                condition = values[call.cond_value_index].val
                if 0 <= call.destination_instruction <= index:
                    back.append((base + call.destination_instruction, base + index))
                elif isinstance(condition, schema.Bool) and not condition.bool_val:
                    self._skips[base + index] = base + call.destination_instruction
            base += len(chain.instructions or ())
        start = end = _BEFORE - 1
        for first, last in sorted(back):
            if first > end:
                start = first
            end = max(end, last)
            self.loops[start] = end

    def enter(self, position: int) -> None:
        """Go to an instruction."""
        if position in self.loops:
            self._loop_start, self._loop_end = position, self.loops[position]
            self._pending = {}
        while self._active and self._active[-1][1] <= position:
            self._active.pop()

    def note_read(self, root: int, value: int, written_at: int) -> None:
        """A read: in a loop it happens again, so that what was written before the loop must live until its end."""
        if written_at < self._loop_start:
            self._pending.setdefault(root, value)

    def leave(self, position: int) -> list[tuple[int, int]]:
        """Finish an instruction; at the end of a loop, gives the reads that happen again as (root, value)."""
        if position in self._skips:
            self._active.append((position, self._skips[position]))
        if position != self._loop_end:
            return []
        self._loop_start = self._loop_end = _BEFORE - 1
        again, self._pending = self._pending, {}
        return list(again.items())

    def may_skip(self, write: int, read: int) -> bool:
        """Whether a jump leads from between the two to behind the read, so that one run may not do both."""
        return any(write <= jump < read < destination for jump, destination in self._active[-1:])


def _region(val: object) -> tuple[int, int, int] | None:
    """Buffer, first byte and end of a planned tensor; None for anything else and for empty ones."""
    if not isinstance(val, schema.Tensor) or val.allocation_info is None:
        return None
    start = val.allocation_info.memory_offset
    nbytes = math.prod(val.sizes or ()) * val.scalar_type.itemsize
    return (val.allocation_info.memory_id, start, start + nbytes) if nbytes else None


def _has_state(val: object) -> bool:
    """Whether memory has a value before the first call."""
    if not isinstance(val, schema.Tensor):
        return False
    extra = val.extra_tensor_info
    return val.data_buffer_idx > 0 or (extra is not None and extra.location == TensorDataLocation.EXTERNAL)
