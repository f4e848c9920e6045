"""Known faults: kernels and backends that fail or give wrong results in some releases, as conditions on their use.

A fault names an operator (or a backend's node), the releases that have it, and a condition on one call that is stated
on dtypes, shapes and values (:mod:`pteron.compat.conditions`), so that it judges programs never seen before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from pteron.compat.facts import Range, load_table


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. ``outcome`` is ``wrong``, ``crash`` or ``error`` (``error`` then has ExecuTorch's code, if known);
    ``library`` is the operator library whose kernel has it, or empty for all; ``condition`` names a predicate of
    :mod:`pteron.compat.conditions` and ``parameters`` are its arguments."""

    id: str
    operators: frozenset[str]
    releases: Range
    library: str
    outcome: str
    error: int | None
    condition: str
    parameters: Mapping[str, Any]
    sentence: str
    evidence: tuple[str, ...]


@cache
def faults() -> tuple[Fault, ...]:
    """Every known fault, of every release."""
    return tuple(_fault(row) for row in load_table("faults.json")["faults"])


def _fault(row: Mapping[str, Any]) -> Fault:
    return Fault(
        row["id"],
        frozenset(row["operators"]),
        Range(row["since"], row["until"]),
        row.get("library", ""),
        row["outcome"],
        int(row["error"], 16) if row.get("error") else None,
        row["condition"],
        MappingProxyType(dict(row.get("parameters", {}))),
        row["sentence"],
        tuple(row["evidence"]),
    )
