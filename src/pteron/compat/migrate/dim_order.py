"""Dim-order operators as the plain ones that releases before them have."""

from __future__ import annotations

import dataclasses

from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.schema import InstructionArguments, KernelCall
from pteron.graph.plan_edit import PlanEdit

TO_COPY = "dim_order_ops::_to_dim_order_copy.out"
CLONE = "dim_order_ops::_clone_dim_order.out"
EMPTY = "dim_order_ops::_empty_dim_order.out"


@step("plain-dim-order", solves=("PT-OP-001",), layout_only=False)
def plain(subject: Subject, profile: Profile) -> Rewritten | None:
    """Call plain copies where the target has no dim-order operators."""
    missing = {name for name in (TO_COPY, CLONE, EMPTY) if not profile.has_operator(name)}
    plans, counts = [], dict.fromkeys(missing, 0)
    for index, plan in enumerate(subject.program.root.execution_plan or ()):
        edit = PlanEdit(plan)
        rewrite = _Plain(edit, missing, counts, profile, f"{subject.program.file}, execution_plan[{index}]")
        plans.append(edit.finish() if edit.replace(rewrite) else plan)
    if not any(counts.values()):
        return None
    root = dataclasses.replace(subject.program.root, execution_plan=tuple(plans))
    said = ", ".join(f"{count} × {name}" for name, count in counts.items() if count)
    return dataclasses.replace(subject, program=subject.program.replace(root=root)), f"called plain copies for {said}"


class _Plain:
    """Replaces the calls of one plan."""

    def __init__(self, edit: PlanEdit, missing: set[str], counts: dict[str, int], profile: Profile, place: str) -> None:
        self.edit, self.missing, self.counts, self.profile, self.place = edit, missing, counts, profile, place

    def __call__(self, instruction: InstructionArguments) -> list[InstructionArguments] | None:
        if not isinstance(instruction, KernelCall):
            return None
        name = self.edit.name(instruction)
        if name not in self.missing or len(instruction.args or ()) != (4 if name == EMPTY else 5):
            return None
        self.counts[name] += 1
        args = instruction.args or ()
        nothing = self.edit.constant(schema.Null())
        if name == EMPTY:
            # What the memory holds is not defined, so its order says nothing.
            return [self.edit.call("aten::empty.out", (args[0], nothing, *args[2:]))]
        source, out = self._tensor(args[0]), self._tensor(args[3])
        if _order(source) == _order(out):
            if name == CLONE:
                return [self.edit.call("aten::clone.out", (args[0], nothing, *args[3:]))]
            if source.scalar_type == out.scalar_type and not _contiguous(source):
                # _to_copy takes contiguous tensors only; with one dtype on both sides, clone copies the bytes.
                return [self.edit.call("aten::clone.out", (args[0], nothing, *args[3:]))]
            if _contiguous(source):
                return [self.edit.call("aten::_to_copy.out", (args[0], args[1], nothing, *args[3:]))]
        elif TO_COPY not in self.missing and name == CLONE:
            return [self.edit.call(TO_COPY, args)]
        return self._turned(args, source, out)

    def _turned(self, args: tuple[int, ...], source: schema.Tensor, out: schema.Tensor) -> list[InstructionArguments]:
        """The tensors under the sizes that they have in memory, where a change of dim order is a permutation."""
        if source.scalar_type != out.scalar_type:
            raise UnsupportedError(f"{self.place}: no operator of the target changes dtype and dim order at once")
        seen_source, seen_out = self._as_stored(args[0]), self._as_stored(args[3])
        position = {dim: place for place, dim in enumerate(_order(source))}
        dims = self.edit.integers([position[dim] for dim in _order(out)])
        return [self.edit.call("aten::permute_copy.out", (seen_source, dims, seen_out, seen_out))]

    def _as_stored(self, index: int) -> int:
        """A second value over the same planned memory, with its dimensions in the order of memory."""
        stored = self.edit.as_stored(index)
        if stored is None:
            raise UnsupportedError(
                f"{self.place}.values[{index}]: the target has no operator that changes the dim order of a tensor "
                "that is dynamic or not memory planned"
            )
        return stored

    def _tensor(self, index: int) -> schema.Tensor:
        val = self.edit.val(index)
        if not isinstance(val, schema.Tensor):
            raise UnsupportedError(f"{self.place}.values[{index}]: a dim-order operator is called without a tensor")
        return val


def _order(tensor: schema.Tensor) -> tuple[int, ...]:
    return tensor.dim_order or ()


def _contiguous(tensor: schema.Tensor) -> bool:
    return _order(tensor) == tuple(range(len(_order(tensor))))
