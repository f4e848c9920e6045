"""Verdicts: what a judgement says of one file on one build, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from packaging.version import Version

SCHEMA_ID = "pteron.verdict/1"


class Status(StrEnum):
    """What to expect of a file on a build, best first."""

    GUARANTEED = "guaranteed"
    """Promised, and the facts agree."""
    EXPECTED = "expected"
    """Not promised; the facts say that it runs."""
    CONDITIONAL = "conditional"
    """Runs if a named thing is supplied or holds."""
    INCOMPATIBLE = "incompatible"
    """The facts say that it cannot run, or runs with wrong numbers."""
    BROKEN = "broken"
    """Promised, yet known not to run."""

    @property
    def rank(self) -> int:
        """0 for the best; incompatible and broken are equally bad for who wants to run the file."""
        return {"guaranteed": 0, "expected": 1, "conditional": 2}.get(self.value, 3)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a verdict.

    ``status`` is what the reason alone makes of the verdict, or None for a reason that only tells something.
    ``wrong_numbers``: the file would run and give wrong results, or none at all, without an error that says so.
    ``place`` is a field path in the file, or empty for the file as a whole; ``evidence`` are sources (``tag:path``) or
    observed runs; ``remedy`` is one sentence, or empty.
    """

    rule: str
    status: Status | None
    sentence: str
    place: str = ""
    evidence: tuple[str, ...] = ()
    remedy: str = ""
    wrong_numbers: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every field by name."""
        return {
            "rule": self.rule,
            "status": self.status.value if self.status else None,
            "sentence": self.sentence,
            "place": self.place,
            "evidence": list(self.evidence),
            "remedy": self.remedy,
            "wrong_numbers": self.wrong_numbers,
        }

    def __str__(self) -> str:
        return f"{self.rule}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one build. ``reasons`` stand worst first; ``build`` is the profile's title.

    ``release`` is the build's release, or None where it is not known; ``promised`` is whether the promises cover the
    file there, whatever the facts say. ``proof`` is ``ran`` or ``failed`` where the status comes from what the real
    runtime did, and then ``predicted`` is the status without that; else it is empty, and ``predicted`` None.
    """

    status: Status
    reasons: tuple[Reason, ...]
    build: str
    release: Version | None
    promised: bool
    proof: str = ""
    predicted: Status | None = None

    @property
    def prediction(self) -> Status:
        """The status without evidence."""
        return self.predicted if self.predicted is not None else self.status

    @property
    def runs(self) -> bool:
        """Whether the file is to run as it is."""
        return self.status in (Status.GUARANTEED, Status.EXPECTED)

    @property
    def wrong_numbers(self) -> bool:
        """Whether the file would run and lie, or die without an error of the runtime's."""
        return any(reason.wrong_numbers for reason in self.reasons)

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the reasons' rules, in order."""
        return tuple(reason.rule for reason in self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every field by name."""
        return {
            "status": self.status.value,
            "promised": self.promised,
            "proof": self.proof or None,
            "predicted": self.prediction.value,
            "wrong_numbers": self.wrong_numbers,
            "build": self.build,
            "release": str(self.release) if self.release is not None else None,
            "reasons": [reason.to_dict() for reason in self.reasons],
        }


def worst_first(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Reasons in the order to read them: silent wrong numbers, then what stops the file, conditions, remarks."""

    def key(reason: Reason) -> tuple[bool, int]:
        return (not reason.wrong_numbers, -(reason.status.rank if reason.status else -1))

    return tuple(sorted(reasons, key=key))
