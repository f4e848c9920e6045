"""Problems: the reasons of many verdicts as a list of things to fix, each once with the builds that have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pteron.compat.check import CheckResult
from pteron.compat.lock import Change
from pteron.compat.verdict import Reason, Status, Verdict

UNREADABLE = "PT-FM-011"
"""The rule that a file breaks which cannot be read at all."""
_NO_PROBLEM = frozenset({"PT-EV-001", "PT-EV-006"})
_REFUTED = "PT-EV-004"


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason in one file. ``failing``: it is why the check fails; ``builds`` have it, by name."""

    file: str
    reason: Reason
    builds: tuple[str, ...]
    failing: bool

    @property
    def message(self) -> str:
        """The sentence, the builds and what to do."""
        builds = f" [{', '.join(self.builds)}]" if self.builds else ""
        remedy = f" {self.reason.remedy}" if self.reason.remedy else ""
        return f"{self.reason.sentence}{builds}{remedy}"


def problems(results: Sequence[CheckResult], changes: Sequence[Change], fail_on: Status | None) -> tuple[Problem, ...]:
    """Every problem of the checked files, failing ones first within a file, then what changed since the lock."""
    found: list[Problem] = []
    for result in results:
        found += sorted(_of(result, fail_on), key=lambda problem: not problem.failing)
    found += [
        Problem(change.model, Reason(change.rule, Status.INCOMPATIBLE, change.sentence), (), True)
        for change in changes
        if change.bad
    ]
    return tuple(found)


def fails(result: CheckResult, fail_on: Status | None) -> bool:
    """Whether the check of one file fails: at the level given, or (None) if no known release runs the file."""
    if result.error:
        return True
    return result.fails(fail_on) if fail_on is not None else not _somewhere(result)


def telling(verdict: Verdict) -> tuple[Reason, ...]:
    """The reasons that made the verdict what it is: those with a status, else what is said about the promise; and
    what is said about evidence."""
    proven = tuple(reason for reason in verdict.reasons if reason.status is None and of_evidence(reason))
    stopping = tuple(reason for reason in verdict.reasons if reason.status is not None)
    if stopping:
        return (*stopping, *proven)
    return (*proven, *(reason for reason in verdict.reasons if reason.rule.startswith("PT-PR-")))


def of_evidence(reason: Reason) -> bool:
    """Whether the reason tells of a real run; its sentence is then of that run alone."""
    return reason.rule.startswith("PT-EV-")


def _somewhere(result: CheckResult) -> bool:
    conditional = any(verdict.status is Status.CONDITIONAL for verdict in result.verdicts.values())
    return bool(result.serving) or conditional


def _of(result: CheckResult, fail_on: Status | None) -> Iterator[Problem]:
    if result.error:
        yield Problem(result.file, Reason(UNREADABLE, Status.INCOMPATIBLE, result.error), (), True)
        return
    nowhere = fail_on is None and not _somewhere(result)
    yield from (Problem(result.file, reason, (), False) for reason in result.remarks)
    groups: dict[tuple[str, ...], tuple[Reason, list[str], list[bool]]] = {}
    for name, verdict in result.verdicts.items():
        failing = nowhere or (fail_on is not None and verdict.status.rank >= fail_on.rank)
        stopping = any(reason.status is not None or reason.rule == _REFUTED for reason in verdict.reasons)
        if not failing and not stopping:
            continue
        for reason in telling(verdict):
            if reason.rule in _NO_PROBLEM or not (failing or reason.status is not None or of_evidence(reason)):
                continue
            own = reason.sentence if of_evidence(reason) else ""
            key = (reason.rule, reason.place, reason.remedy, own)
            _, builds, flags = groups.setdefault(key, (reason, [], []))
            builds.append(name)
            flags.append(failing)
    for reason, builds, flags in groups.values():
        yield Problem(result.file, reason, tuple(builds), any(flags))
