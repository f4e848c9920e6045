"""Dating: which releases can have made a file, from evidence in its bytes.

No file says who made it, so the answer is a range. It always has the true release in it, because only what a release's
exporter cannot do otherwise narrows it; what its default configuration does makes some releases in it ``likely``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from packaging.version import InvalidVersion, Version

from pteron.compat.dating_rules import MINORS, RULES, Rule
from pteron.compat.dating_sample import Sample
from pteron.compat.fingerprints import Writer
from pteron.compat.provenance import Provenance, read_provenance
from pteron.compat.requirements import Requirements
from pteron.errors import FormatError, UnsupportedError
from pteron.format.program import Program


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that a file shows; ``releases`` are the minor releases that can show it, as in the rule."""

    rule: str
    sentence: str
    releases: tuple[str, ...]
    place: str
    hard: bool


@dataclass(frozen=True)
class ProducedBy:
    """The minor releases that can have made a file, oldest first, and why.

    ``likely`` are those that make such files by default. ``source`` is ``evidence``, ``given`` (somebody said it) or
    ``provenance`` (the file's own record says it). ``open_end`` says that releases newer than those known could have
    made it as well. ``contradictory``: the evidence fits no release, for instance after a tool wrote the file again;
    ``releases`` are then those that its content alone allows.
    """

    releases: tuple[str, ...]
    likely: tuple[str, ...]
    evidence: tuple[Evidence, ...] = ()
    source: str = "evidence"
    contradictory: bool = False

    @property
    def first(self) -> str:
        """The oldest release in the range, such as ``0.6``."""
        return self.releases[0]

    @property
    def last(self) -> str:
        """The newest release in the range."""
        return self.releases[-1]

    @property
    def open_end(self) -> bool:
        return self.source == "evidence" and self.last == MINORS[-1]

    def contains(self, release: str) -> bool:
        """Whether the release (``1.2.0``, ``1.2``) can have made the file.

        Raises ``UnsupportedError`` for what is no version.
        """
        name = minor(release)
        return name in self.releases or (self.open_end and Version(name) > Version(self.last))

    def to_dict(self) -> dict[str, Any]:
        """For JSON: every field by name."""
        return {
            "releases": list(self.releases),
            "likely": list(self.likely),
            "first": self.first,
            "last": self.last,
            "open_end": self.open_end,
            "source": self.source,
            "contradictory": self.contradictory,
            "evidence": [
                {
                    "rule": item.rule,
                    "sentence": item.sentence,
                    "releases": list(item.releases),
                    "place": item.place,
                    "hard": item.hard,
                }
                for item in self.evidence
            ],
        }

    def __str__(self) -> str:
        span = self.first if len(self.releases) == 1 else f"{self.first} to {self.last}"
        return f"{span} or later" if self.open_end else span


def minor(release: str) -> str:
    """``1.2.0`` → ``1.2``; raises ``UnsupportedError`` for what is no version number."""
    try:
        version = Version(release)
    except (InvalidVersion, TypeError):
        raise UnsupportedError(f"{release!r} is no ExecuTorch release; give one such as 1.2.0") from None
    return f"{version.major}.{version.minor}"


def date(program: Program, *, produced_by: str | None = None, requirements: Requirements | None = None) -> ProducedBy:
    """Which releases can have made the program that was read.

    ``produced_by`` is the release where it is known; else the provenance record inside or beside the file decides
    where there is one, else the evidence; a damaged record counts as none. ``requirements`` spares working them out
    again. Raises ``UnsupportedError`` for a ``produced_by`` that is no version.
    """
    if produced_by is not None:
        return _stated(minor(produced_by), "given")
    record = _record(program)
    if record is not None and record.producer:
        return _stated(minor(record.producer), "provenance")
    known = tuple(name for name in MINORS if record is not None and name in record.dated)
    if known:
        return ProducedBy(known, known, source="provenance")
    found = tuple(_evidence(Sample(program, requirements)))
    return _concluded(found)


def _stated(release: str, source: str) -> ProducedBy:
    return ProducedBy((release,), (release,), source=source)


def _record(program: Program) -> Provenance | None:
    try:
        return read_provenance(program)
    except FormatError:
        return None


def _evidence(sample: Sample) -> Iterable[tuple[Rule, Evidence]]:
    for rule in RULES:
        if rule.layout and sample.writer is Writer.OTHER:
            continue
        place = rule.find(sample)
        if place is not None:
            allowed = tuple(name for name in MINORS if name in rule.releases)
            yield rule, Evidence(rule.id, rule.sentence, allowed, place, rule.hard)


def _concluded(found: tuple[tuple[Rule, Evidence], ...]) -> ProducedBy:
    evidence = tuple(item for _, item in found)
    hard = _common(rule for rule, _ in found if rule.hard)
    contradictory = not hard
    if contradictory:
        hard = _common(rule for rule, _ in found if rule.hard and not rule.layout) or MINORS
    both = tuple(name for name in hard if name in _common(rule for rule, _ in found if not rule.hard))
    return ProducedBy(hard, both or hard, evidence, contradictory=contradictory)


def _common(rules: Iterable[Rule]) -> tuple[str, ...]:
    allowed = frozenset(MINORS)
    for rule in rules:
        allowed &= rule.releases
    return tuple(name for name in MINORS if name in allowed)
