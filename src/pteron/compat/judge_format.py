"""Judges the format features, external data and findings of a file against a build."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from pteron.compat.case import Case
from pteron.compat.facts import Support, minor_of
from pteron.compat.features import Feature
from pteron.compat.profile import Profile
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason
from pteron.format.verify import Severity

_INLINE = ("constants.inline", "constants.no_segment")
_DEVICE = ("device.tensor", "device.memory")
_SHOWN_KEYS = 3
_CONSTANTS_IN_ORDER = Version("1.2")
"""The first release whose exporter writes constants in the order that their dim order says (exir/emit/_emitter.py)."""


def format_reasons(case: Case, profile: Profile) -> Iterator[Reason]:
    """What the file's format means to the build."""
    yield from _damage(case)
    if profile.release is None:
        yield RULES["PT-FM-014"].reason(build=profile.title)
        return
    inline = False
    for feature in case.requirements.features:
        if feature.id in _INLINE:
            # Both say the same of a file whose constants are inline.
            if inline:
                continue
            inline = True
        yield from _feature(feature, profile, profile.release)
    yield from _constants(case)
    yield from _data(case, profile)
    limit = profile.limit("method.instructions")
    loop = case.requirements.feature("control.loop")
    if limit is not None and loop is not None:
        yield RULES["PT-FM-010"].reason(loop.place, limit.evidence, release=profile.release, limit=limit.value)


def _damage(case: Case) -> Iterator[Reason]:
    for finding in case.findings:
        rule = RULES["PT-FM-011" if finding.severity is Severity.ERROR else "PT-FM-012"]
        message = f"{finding.rule.id}: {finding.message.rstrip('.')}."
        yield rule.reason(finding.path, remedy=finding.rule.remedy, finding=message)


def _feature(feature: Feature, profile: Profile, release: Version) -> Iterator[Reason]:
    row = profile.support(feature.id)
    if row is not None:
        rule = _rule_for(feature.id, row)
        if rule:
            yield RULES[rule].reason(feature.place, row.evidence, fact=row.sentence, release=release)
    elif not feature.since or feature.id == "header.longer":
        yield RULES["PT-FM-006"].reason(feature.place, what=feature.sentence, release=release)
    elif Version(feature.since) > release:
        unknown = RULES["PT-FM-004"]
        yield unknown.reason(feature.place, what=feature.sentence, since=feature.since, release=release)


def _rule_for(feature: str, row: Support) -> str:
    """The rule for how a release treats a feature; empty where it takes it."""
    if row.outcome == "accepted":
        return ""
    if feature in _INLINE:
        return "PT-FM-001"
    if feature == "constants.inline_oversized":
        return "PT-FM-013"
    if row.outcome == "ignored":
        return "PT-FM-015" if feature in _DEVICE else "PT-FM-005"
    return "PT-FM-002" if row.outcome == "refused" else "PT-FM-003"


def _constants(case: Case) -> Iterator[Reason]:
    """Exporters up to 1.1 wrote constants in another dim order wrongly, so no runtime reads them right."""
    feature = case.requirements.feature("constants.dim_order")
    wrong = [producer for producer in case.producers if minor_of(producer) < _CONSTANTS_IN_ORDER]
    if feature is not None and wrong:
        rule = RULES["PT-FM-016" if len(wrong) == len(case.producers) else "PT-FM-017"]
        yield rule.reason(feature.place, producer=" or ".join(map(str, wrong)))


def _data(case: Case, profile: Profile) -> Iterator[Reason]:
    needed = case.requirements
    for use in needed.data:
        row = profile.support(f"ptd.{use.layout.removesuffix('+')}")
        if row is not None and row.outcome != "accepted":
            rule = "PT-FM-009" if row.outcome == "refused" else "PT-FM-007"
            yield RULES[rule].reason("", row.evidence, fact=f"{use.file}: {row.sentence}")
    missing = needed.missing_keys
    if missing:
        shown = ", ".join(map(repr, missing[:_SHOWN_KEYS]))
        more = f" and {len(missing) - _SHOWN_KEYS} more" if len(missing) > _SHOWN_KEYS else ""
        place = next(key.place for key in needed.external_keys if key.key == missing[0])
        yield RULES["PT-FM-008"].reason(place, keys=shown + more, it="it" if len(missing) == 1 else "them")
