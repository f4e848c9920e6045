"""A case: everything about one file that a judgement needs, worked out once and judged against many builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.version import Version

from pteron.compat.dating import ProducedBy, date
from pteron.compat.facts import parse_release
from pteron.compat.fault_search import FaultUse, fault_uses
from pteron.compat.provenance import Provenance, read_provenance
from pteron.compat.requirements import Requirements, requirements
from pteron.errors import FormatError
from pteron.format.flat_tensor import TensorData
from pteron.format.program import Program
from pteron.format.verify import Finding, Severity, verify_program

_TELLING = frozenset({"PT-VF-065"})
"""Warnings of the format's rules that make results doubtful."""


@dataclass(frozen=True)
class Case:
    """One file. ``producers`` are the releases that can have made it, ``findings`` the rules of the format that it
    breaks, ``api_stability`` what its provenance record says of the exporter's interface (``unknown`` without one)."""

    requirements: Requirements
    faults: tuple[FaultUse, ...]
    findings: tuple[Finding, ...]
    produced_by: ProducedBy
    producers: tuple[Version, ...]
    api_stability: str = "unknown"


def examine(program: Program, data: Sequence[TensorData] = (), *, produced_by: str | None = None) -> Case:
    """Work out what a program needs, who can have made it, and what is wrong with it.

    ``data``: the .ptd files that it is going to run with, if they are known. ``produced_by``: the release that made
    it, if that is known. Raises ``UnsupportedError`` for a ``produced_by`` that is no release.
    """
    needed = requirements(program, data)
    record = _record(program)
    made = date(program, produced_by=produced_by, requirements=needed)
    exact = produced_by or (record.producer if record is not None else "")
    findings = verify_program(program)
    return Case(
        needed,
        fault_uses(program),
        tuple(f for f in findings if f.severity is Severity.ERROR or f.rule.id in _TELLING),
        made,
        (parse_release(exact),) if exact else tuple(map(Version, made.releases)),
        record.api_stability if record is not None else "unknown",
    )


def _record(program: Program) -> Provenance | None:
    try:
        return read_provenance(program)
    except FormatError:
        return None
