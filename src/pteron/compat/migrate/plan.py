"""Planning a migration: what the judge finds wrong, and the steps that put it right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from pteron.compat.case import Case, examine
from pteron.compat.judge import fact_reasons, judge
from pteron.compat.migrate import (
    complex_numbers,
    delegates,
    dim_order,
    external,
    layout,
    memory,
    operators,
    payload,
    wider,
)
from pteron.compat.migrate.step import STEPS, Step, Subject
from pteron.compat.profile import Profile
from pteron.compat.targets import Runtime, Target, targets
from pteron.compat.verdict import Reason, Status, Verdict, worst_first
from pteron.errors import UnsupportedError
from pteron.format.flat_tensor import PtdLayout, TensorData
from pteron.format.program import Program, read_program
from pteron.format.write import Layout, write_program

MODULES = (layout, external, dim_order, payload, delegates, operators, wider, memory, complex_numbers)
"""Where the steps are."""


@dataclass(frozen=True)
class Applied:
    """A step that was taken: its name, what it did, and the rules that spoke against the file before it."""

    step: str
    sentence: str
    rules: tuple[str, ...]
    layout_only: bool


@dataclass(frozen=True)
class Migration:
    """What is to be done to a file so that ``target`` runs it, and the outcome.

    ``before`` and ``after`` are the verdicts on the file as it is and as it becomes. ``program`` and ``data`` are what
    it becomes, read back from the bytes ``image``; they are the original where nothing was done. ``obstacles``
    are the reasons for which it still would not run, ``refusals`` what steps say that could not do their work.
    """

    file: str
    target: str
    before: Verdict
    after: Verdict
    applied: tuple[Applied, ...]
    obstacles: tuple[Reason, ...]
    refusals: tuple[str, ...]
    program: Program
    image: bytes | None
    data: tuple[TensorData, ...] = ()
    ptd_layout: PtdLayout | None = None

    @property
    def unchanged(self) -> bool:
        """Whether nothing need be done, or nothing can be."""
        return not self.applied

    @property
    def possible(self) -> bool:
        """Whether the target runs the file, as it is or as it becomes."""
        return not self.obstacles

    @property
    def layout_only(self) -> bool:
        """Whether every step only moved bytes, so that outputs stay the same bit for bit."""
        return all(applied.layout_only for applied in self.applied)


def plan_migration(
    program: Program,
    to: Runtime,
    data: Sequence[TensorData] = (),
    *,
    steps: Sequence[str] = (),
    produced_by: str | None = None,
) -> Migration:
    """Plan how to rewrite a program for one build (a release such as ``0.5.0``, or a profile); nothing is written.

    ``data`` are the .ptd files that belong to the program. ``steps`` are taken first, whether the target asks for them
    or not. A file that the target runs already is left alone. Raises ``UnsupportedError`` for a target that is
    none or several, or a step that is none.
    """
    target = _target(to)
    case = examine(program, data, produced_by=produced_by)
    before = judge(case, target.profile, runtime=target.release)
    subject = Subject(program, Layout.as_read(program), tuple(data))
    work = _Work(subject, case, target.profile)
    for name in steps:
        if name not in STEPS:
            raise UnsupportedError(f"{name!r} is no step; there are {', '.join(STEPS)}")
        work.take(STEPS[name], ())
    work.solve()
    after = judge(work.case, target.profile, runtime=target.release) if work.applied else before
    return Migration(
        program.file,
        target.name,
        before,
        after,
        tuple(work.applied),
        worst_first(work.obstacles()),
        tuple(work.refusals.values()),
        work.subject.program,
        work.image,
        work.subject.data,
        work.subject.ptd_layout,
    )


def _target(to: Runtime) -> Target:
    found = targets(to)
    if len(found) != 1:
        raise UnsupportedError(f"a file is migrated to one runtime, and {to} are {len(found)}; give one release")
    return found[0]


class _Work:
    """One migration while it goes on."""

    def __init__(self, subject: Subject, case: Case, profile: Profile) -> None:
        self.subject, self.case, self.profile = subject, case, profile
        self.applied: list[Applied] = []
        self.refusals: dict[str, str] = {}
        self.image: bytes | None = None

    def solve(self) -> None:
        """Take steps until nothing speaks against the file that a step could solve.

        What one step writes may be for another to rewrite, so it takes as many rounds as it takes; a step that has
        done its work finds nothing more to do.
        """
        taken = -1
        while taken != len(self.applied):
            taken = len(self.applied)
            for step in STEPS.values():
                rules = {reason.rule for reason in self._reasons() if reason.status is not None}
                if rules & step.solves:
                    self.take(step, tuple(sorted(rules & step.solves)))

    def take(self, step: Step, rules: tuple[str, ...]) -> None:
        """Take one step, if it has something to do and can."""
        try:
            done = step.apply(self.subject, self.profile)
        except UnsupportedError as error:
            self.refusals[step.name] = str(error)
            return
        if done is None:
            return
        subject, sentence = done
        # What was rewritten has no offsets that could stay.
        layout = dataclasses.replace(subject.layout, keep_segment_offsets=False)
        subject = dataclasses.replace(subject, layout=layout)
        self.image = write_program(subject.program, subject.layout)
        program = read_program(self.image, limits=subject.program.limits, file=subject.program.file)
        self.subject = dataclasses.replace(subject, program=program)
        case = examine(program, subject.data)
        # Who made the file does not change with its layout.
        self.case = dataclasses.replace(case, produced_by=self.case.produced_by, producers=self.case.producers)
        self.applied.append(Applied(step.name, sentence, rules, step.layout_only))

    def obstacles(self) -> tuple[Reason, ...]:
        """Reasons for which the file would not run."""
        return tuple(reason for reason in self._reasons() if reason.status is Status.INCOMPATIBLE)

    def _reasons(self) -> tuple[Reason, ...]:
        return fact_reasons(self.case, self.profile)
