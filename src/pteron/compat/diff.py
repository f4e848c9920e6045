"""diff: what changed between two files, and whether the second can take the place of the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pteron.compat.case import examine
from pteron.compat.judge import judge
from pteron.compat.requirements import Requirements
from pteron.compat.targets import Runtime, targets
from pteron.compat.weights import Weight, weights
from pteron.format.flat_tensor import TensorData
from pteron.format.method import ValueInfo
from pteron.format.program import Program


class Change(StrEnum):
    """How much a difference matters to who runs the file."""

    SAME = "same"
    COMPATIBLE = "compatible"
    """The second file can take the place of the first."""
    BREAKING = "breaking"
    """Callers or runtimes that the first file suits would not do for the second."""


@dataclass(frozen=True, slots=True)
class Item:
    """One difference. ``section`` is ``methods``, ``requirements``, ``operators``, ``weights``, ``memory`` or
    ``verdicts``; ``before`` and ``after`` are empty for what one side lacks. ``why`` is the reason of a verdict that
    got worse: its rule and sentence."""

    section: str
    what: str
    before: str
    after: str
    change: Change
    why: str = ""

    def __str__(self) -> str:
        if not self.before:
            return f"+ {self.what}" + (f": {self.after}" if self.after else "")
        if not self.after:
            return f"- {self.what}" + (f": {self.before}" if self.before != self.what else "")
        return f"  {self.what}: {self.before} → {self.after}" + (f", {self.why}" if self.why else "")


@dataclass(frozen=True)
class FileDiff:
    """The differences of two files, in the order of the sections."""

    before: str
    after: str
    items: tuple[Item, ...]
    same_bytes: bool

    @property
    def change(self) -> Change:
        """The weightiest of the differences."""
        changes = {item.change for item in self.items}
        return next((change for change in (Change.BREAKING, Change.COMPATIBLE) if change in changes), Change.SAME)

    def section(self, name: str) -> tuple[Item, ...]:
        """The differences of one section."""
        return tuple(item for item in self.items if item.section == name)


def diff(
    before: Program,
    after: Program,
    *,
    before_data: Sequence[TensorData] = (),
    after_data: Sequence[TensorData] = (),
    runtime: Runtime | Iterable[Runtime] | None = None,
) -> FileDiff:
    """Compare two programs: methods, requirements, operators, weights, planned memory, and verdicts per runtime.

    Layout alone is no difference. ``runtime`` is as in :func:`pteron.check`, every known release by default.

    Breaking are: a method that is gone, an input or output of another kind, dtype, rank or size (a larger upper bound
    of a dynamic input excepted), a further key expected from a .ptd file, and a runtime that ran the first file and
    does not run the second as it is. Everything else is compatible.
    """
    first, second = examine(before, before_data), examine(after, after_data)
    items = [
        *_methods(before, after),
        *_requirements(first.requirements, second.requirements),
        *_operators(before, after),
        *_weights(weights(before, before_data), weights(after, after_data)),
        *_memory(before, after),
    ]
    verdicts = []
    for target in targets(runtime):
        old = judge(first, target.profile, runtime=target.release)
        new = judge(second, target.profile, runtime=target.release)
        # Who made a file is guessed from its layout as well, and with it what is promised.
        if old.status != new.status and (items or not (old.runs and new.runs)):
            change = Change.BREAKING if old.runs and not new.runs else Change.COMPATIBLE
            worse = new.status.rank > old.status.rank and new.reasons and new.reasons[0].status is not None
            why = str(new.reasons[0]) if worse else ""
            verdicts.append(Item("verdicts", target.name, old.status.value, new.status.value, change, why))
    return FileDiff(before.file, after.file, (*items, *verdicts), before.buffer == after.buffer)


def _methods(before: Program, after: Program) -> Iterator[Item]:
    for name in dict.fromkeys((*before.methods, *after.methods)):
        old, new = before.methods.get(name), after.methods.get(name)
        if old is None:
            yield Item("methods", name, "", "new", Change.COMPATIBLE)
        elif new is None:
            yield Item("methods", name, name, "", Change.BREAKING)
        else:
            yield from _values(f"{name}, input", old.inputs, new.inputs)
            yield from _values(f"{name}, output", old.outputs, new.outputs)


def _values(what: str, before: Sequence[ValueInfo], after: Sequence[ValueInfo]) -> Iterator[Item]:
    for number in range(max(len(before), len(after))):
        old = before[number] if number < len(before) else None
        new = after[number] if number < len(after) else None
        left, right = "" if old is None else _said(old), "" if new is None else _said(new)
        if left == right:
            continue
        wider = old is not None and new is not None and what.endswith("input") and _wider(old, new)
        change = Change.COMPATIBLE if wider else Change.BREAKING
        yield Item("methods", f"{what} {number}", left, right, change)


def _said(info: ValueInfo) -> str:
    order = "" if info.dim_order == tuple(range(len(info.shape))) else f" order {list(info.dim_order)}"
    return f"{info}{order}"


def _wider(old: ValueInfo, new: ValueInfo) -> bool:
    """Whether every tensor that the old input took is one for the new input."""
    return (
        old.scalar_type is not None
        and (old.scalar_type, old.dim_order, len(old.shape)) == (new.scalar_type, new.dim_order, len(new.shape))
        and new.dynamic
        and all(a <= b for a, b in zip(old.shape, new.shape, strict=True))
    )


def _requirements(before: Requirements, after: Requirements) -> Iterator[Item]:
    old = {feature.id: feature.sentence for feature in before.features}
    new = {feature.id: feature.sentence for feature in after.features}
    # How bytes are laid out matters only through the verdicts.
    layout = ("header.", "constants.", "delegate.")
    yield from _sets(
        "requirements",
        {key: value for key, value in old.items() if not key.startswith(layout)},
        {key: value for key, value in new.items() if not key.startswith(layout)},
    )
    yield from _sets("requirements", _formats(before), _formats(after))
    yield from _sets("requirements", _nodes(before), _nodes(after))
    yield from _sets("requirements", _keys(before), _keys(after), added=Change.BREAKING)


def _formats(needed: Requirements) -> dict[str, str]:
    return {use.id: use.format for use in needed.backends}


def _nodes(needed: Requirements) -> dict[str, str]:
    return {f"{use.id} {node}": node for use in needed.backends for node in use.node_types}


def _keys(needed: Requirements) -> dict[str, str]:
    return {f"external data {key.key}": key.key for key in needed.external_keys}


def _sets(
    section: str, before: dict[str, str], after: dict[str, str], added: Change = Change.COMPATIBLE
) -> Iterator[Item]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield Item(section, name, "", new or name, added)
        elif new is None:
            yield Item(section, name, old or name, "", Change.COMPATIBLE)
        elif old != new:
            yield Item(section, name, old, new, Change.COMPATIBLE)


def _operators(before: Program, after: Program) -> Iterator[Item]:
    yield from _sets("operators", _calls(before), _calls(after))


def _calls(program: Program) -> dict[str, str]:
    counts: Counter[str] = Counter()
    for method in program.methods.values():
        counts.update(method.operators)
    return {name: f"{number} call{'s' * (number != 1)}" for name, number in counts.items()}


def _weights(before: dict[str, Weight], after: dict[str, Weight]) -> Iterator[Item]:
    removed = {name: weight for name, weight in before.items() if name not in after}
    added = {name: weight for name, weight in after.items() if name not in before}
    # The same bytes under another name were moved or renamed, not changed.
    for name, weight in list(added.items()):
        old = next((old for old in removed if removed[old].sha256 == weight.sha256), None)
        if old is not None:
            del removed[old], added[name]
            if not (_unnamed(old) or _unnamed(name)):
                yield Item("weights", old, old, name, Change.COMPATIBLE)
    known = {weight.sha256 for weight in before.values()}
    for name, weight in removed.items():
        yield Item("weights", name, weight.kind, "", Change.COMPATIBLE)
    for name, weight in added.items():
        if weight.sha256 not in known:
            yield Item("weights", name, "", weight.kind, Change.COMPATIBLE)
    for name, weight in before.items():
        other = after.get(name)
        if other is not None and other.sha256 != weight.sha256:
            left, right = f"{weight.kind} {weight.sha256[:8]}", f"{other.kind} {other.sha256[:8]}"
            yield Item("weights", name, left, right, Change.COMPATIBLE)


def _unnamed(name: str) -> bool:
    return name.startswith(("constant ", "initial state ")) or " delegate " in name


def _memory(before: Program, after: Program) -> Iterator[Item]:
    for name in before.methods.keys() & after.methods.keys():
        old, new = (sum(program.methods[name].memory_plan) for program in (before, after))
        if old != new:
            yield Item("memory", f"{name}, planned bytes", f"{old:,}", f"{new:,}", Change.COMPATIBLE)
