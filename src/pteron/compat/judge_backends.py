"""Judges the delegated payloads of a file against the backends of a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.version import Version

from pteron.compat.backend_use import BackendUse
from pteron.compat.case import Case
from pteron.compat.facts import load_table, minor_of
from pteron.compat.judge_operators import link_remedy
from pteron.compat.profile import XNNPACK, BackendSupport, Profile, backend_support
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason


@dataclass(frozen=True, slots=True)
class LayoutChange:
    """A backend's payload changed in ``release`` under the same identifier; the older side never reads the newer's."""

    backend: str
    release: Version
    newer_reads_older: bool
    sentence: str
    evidence: tuple[str, ...]


def backend_reasons(case: Case, profile: Profile) -> Iterator[Reason]:
    """What the file's delegates mean to the build."""
    for use in case.requirements.backends:
        place = use.places[0]
        renamed = _renamed(use.id, profile)
        if renamed is not None:
            yield renamed
            continue
        support = profile.backends.get(use.id)
        if support is None:
            yield RULES["PT-BE-001"].reason(place, remedy=link_remedy(use.id), backend=use.id, build=profile.title)
        elif not support.available:
            yield RULES["PT-BE-002"].reason(place, (support.evidence,), backend=use.id, build=profile.title)
        if use.problem:
            yield RULES["PT-BE-009"].reason(place, problem=use.problem)
        elif profile.release is not None and use.id == XNNPACK:
            yield from _xnnpack(use, support or backend_support(XNNPACK, True, profile.facts), profile, profile.release)
        elif profile.release is not None:
            yield from _other(use, case, profile.release)


def _xnnpack(use: BackendUse, support: BackendSupport, profile: Profile, release: Version) -> Iterator[Reason]:
    place = use.places[0]
    evidence = (support.evidence,) if support.evidence else ()
    found = False
    for feature in use.features:
        row = profile.support(f"xnnpack.{feature}")
        if row is not None and row.outcome != "accepted":
            rule = "PT-BE-004" if row.outcome == "refused" else "PT-BE-007"
            found = True
            yield RULES[rule].reason(
                place,
                row.evidence,
                fact=row.sentence,
                payload=use.format,
                accepted="other payloads",
                release=release,
            )
    if support.payloads is not None and use.format not in support.payloads:
        accepted = " and ".join(sorted(support.payloads))
        yield RULES["PT-BE-004"].reason(place, evidence, payload=use.format, accepted=accepted, release=release)
        found = True
    for what, names, known in (("node", use.node_types, support.node_types), ("", use.datatypes, support.datatypes)):
        for name in sorted(set(names) - known) if known is not None else ():
            found = True
            yield _unknown(use, f"{what} {name}".strip(), name, release, evidence)
    if support.max_rank is not None and use.max_rank > support.max_rank:
        found = True
        what = f"tensors of {use.max_rank} dimensions"
        yield RULES["PT-BE-008"].reason(place, evidence, what=what, range="in none", release=release)
    if not found:
        yield from _needs(use, release)


def _unknown(use: BackendUse, what: str, name: str, release: Version, evidence: tuple[str, ...]) -> Reason:
    """A node or element type that the release lacks: never had, or no longer has."""
    need = next((need for need in use.needs if need.what.endswith(f" {name}")), None)
    if need is not None and need.until and minor_of(Version(need.until)) < minor_of(release):
        remedy = f"Run the file on {need.until} or earlier, or export it again with {release}."
        return RULES["PT-BE-006"].reason(use.places[0], evidence, remedy=remedy, node=what, until=need.until)
    remedy = f"Run the file on {need.since} or later, or lower without it." if need is not None else ""
    return RULES["PT-BE-005"].reason(use.places[0], evidence, remedy=remedy, node=what, release=release)


def _needs(use: BackendUse, release: Version) -> Iterator[Reason]:
    for need in use.needs:
        since, until = Version(need.since), Version(need.until) if need.until else None
        if minor_of(since) > minor_of(release) or (until is not None and minor_of(until) < minor_of(release)):
            span = f"from {need.since}" + (f" to {need.until}" if need.until else " on")
            place = f"{use.places[0]}.{need.path}"
            yield RULES["PT-BE-008"].reason(place, what=need.what, range=span, release=release)


def _other(use: BackendUse, case: Case, release: Version) -> Iterator[Reason]:
    """What is known of other backends' payloads: changes of layout between who made the file and who runs it."""
    sure = False
    for change in layout_changes().get(use.id, ()):
        newer = minor_of(release) >= change.release
        sides = {minor_of(producer) >= change.release for producer in case.producers}
        bad = {side for side in sides if side != newer and not (newer and change.newer_reads_older)}
        if not bad:
            continue
        sure = True
        rule = ("PT-BE-013" if change.newer_reads_older else "PT-BE-011") if bad == sides else "PT-BE-012"
        yield RULES[rule].reason(use.places[0], change.evidence, fact=change.sentence)
    if not sure:
        form = " ".join(filter(None, (use.format, use.version)))
        yield RULES["PT-BE-010"].reason(use.places[0], release=release, backend=use.id, form=form)


def _renamed(backend: str, profile: Profile) -> Reason | None:
    if profile.release is None or backend in profile.backends:
        return None
    for row in load_table("payload_layouts.json")["renames"]:
        newer = minor_of(profile.release) >= Version(row["release"])
        if backend == (row["old"] if newer else row["new"]):
            other = row["new"] if newer else row["old"]
            return RULES["PT-BE-003"].reason("", row["evidence"], backend=backend, other=other, release=profile.release)
    return None


@cache
def layout_changes() -> Mapping[str, tuple[LayoutChange, ...]]:
    """Backend id → changes of its payload's layout."""
    found: dict[str, list[LayoutChange]] = {}
    for row in load_table("payload_layouts.json")["changes"]:
        change = LayoutChange(
            row["backend"],
            Version(row["release"]),
            row["newer_reads_older"],
            row["sentence"],
            tuple(row["evidence"]),
        )
        found.setdefault(change.backend, []).append(change)
    return {backend: tuple(changes) for backend, changes in found.items()}
