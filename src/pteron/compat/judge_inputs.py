"""Judges inputs, outputs and the way of driving the runtime."""

from __future__ import annotations

from collections.abc import Iterator

from pteron.compat.case import Case
from pteron.compat.distribution import InputLimit
from pteron.compat.profile import Profile
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason


def input_reasons(case: Case, profile: Profile) -> Iterator[Reason]:
    """Inputs and outputs that the build, or what drives it, cannot take; each limit once a method."""
    methods = {method.name: method for method in case.requirements.methods}
    for limit in profile.input_limits:
        if limit.feature:
            yield from _feature(limit, case)
            continue
        seen: set[str] = set()
        for use in case.requirements.arguments:
            if use.method not in seen and limit.matches(use, methods[use.method]):
                seen.add(use.method)
                rule = RULES["PT-DI-001" if limit.outcome == "crash" else "PT-DI-002"]
                argument = f"{use.method}, {use.role} {use.index}"
                yield rule.reason(use.place, limit.evidence, argument=argument, fact=limit.sentence)


def _feature(limit: InputLimit, case: Case) -> Iterator[Reason]:
    needed = case.requirements
    if limit.feature == "external_data":
        place = needed.external_keys[0].place if needed.external_keys else None
    else:
        feature = needed.feature(limit.feature)
        place = feature.place if feature is not None else None
    if place is not None:
        yield RULES["PT-DI-003"].reason(place, limit.evidence, fact=limit.sentence)
