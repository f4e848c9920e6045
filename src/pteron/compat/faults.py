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
    """One fault of kernels, or of nodes of an XNNPACK graph, in a range of releases.

    ``operators`` are operator names or names of XNNPACK nodes; ``library`` is the operator library whose kernel has the
    fault and ``distribution`` the one it is limited to (``python``), empty for all. ``outcome`` is ``wrong``, ``crash``
    or ``error``, whose code is ``error``. ``condition`` names a predicate of :mod:`pteron.compat.conditions` and
    ``parameters`` are its arguments; where ``certain`` is false, the condition is necessary but the fault also depends
    on numbers that are not in the file.
    """

    id: str
    operators: frozenset[str]
    releases: Range
    library: str
    distribution: str
    outcome: str
    error: int | None
    certain: bool
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
        row["library"],
        row["distribution"],
        row["outcome"],
        int(row["error"], 16) if row.get("error") else None,
        row["certain"],
        row["condition"],
        MappingProxyType(row["parameters"]),
        row["sentence"],
        tuple(row["evidence"]),
    )
