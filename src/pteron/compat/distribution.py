"""Inputs and outputs that some releases cannot take: limits of the official Python binding, or of every build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pteron.compat.facts import Range, load_table
from pteron.compat.requirements import ArgumentUse, MethodUse
from pteron.format.scalar_type import ScalarType


@dataclass(frozen=True, slots=True)
class InputLimit:
    """One limit, matched against a method's inputs and outputs or against a feature of the file.

    ``distribution`` is ``python`` for a limit of the Python binding, empty for one that every build has.
    ``role`` is ``input`` or ``output``, ``kind`` the argument's kind (``tensor``, ``double``, …), ``trait`` one of
    :class:`pteron.compat.requirements.ArgumentUse`'s traits and ``scalar_types`` its element types; empty ones match
    everything. ``without_memory`` limits it to arguments that have no planned memory. ``feature`` is a format feature
    instead, or ``external_data`` for any need of a .ptd file; then the others are empty. ``outcome`` is ``crash`` or
    ``refused``, ``error`` ExecuTorch's code if there is one.
    """

    id: str
    releases: Range
    distribution: str
    role: str
    kind: str
    trait: str
    scalar_types: frozenset[ScalarType]
    feature: str
    without_memory: bool
    outcome: str
    error: int | None
    sentence: str
    evidence: tuple[str, ...]

    def matches(self, argument: ArgumentUse, method: MethodUse) -> bool:
        """Whether an input or output of the method runs into the limit."""
        if self.without_memory and any(method.memory_plan) and "caller_memory" not in argument.traits:
            return False
        return (
            not self.feature
            and argument.role == self.role
            and self.kind in ("", argument.kind)
            and (not self.trait or self.trait in argument.traits)
            and (not self.scalar_types or argument.scalar_type in self.scalar_types)
        )


@cache
def input_limits() -> tuple[InputLimit, ...]:
    """Every limit, of every release."""
    return tuple(_input_limit(row) for row in load_table("distribution.json")["limits"])


def _input_limit(row: Mapping[str, Any]) -> InputLimit:
    return InputLimit(
        row["id"],
        Range(row["since"], row["until"]),
        row["distribution"],
        row.get("role", ""),
        row.get("kind", ""),
        row.get("trait", ""),
        frozenset(ScalarType[name] for name in row.get("scalar_types", ())),
        row.get("feature", ""),
        row.get("without_memory", False),
        row["outcome"],
        int(row["error"], 16) if row.get("error") else None,
        row["sentence"],
        tuple(row["evidence"]),
    )
