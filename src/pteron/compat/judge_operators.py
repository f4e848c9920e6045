"""Judges the operators of a file, and the known faults of their kernels, against a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from packaging.version import Version

from pteron.compat.case import Case
from pteron.compat.facts import library_links, load_table, minor_of, release_facts, releases
from pteron.compat.fault_search import FaultUse
from pteron.compat.operator_use import OperatorUse
from pteron.compat.profile import Profile
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason
from pteron.format.scalar_type import ScalarType

_OWN_NAMESPACES = frozenset({"aten", "executorch_prim", "dim_order_ops", "quantized_decomposed", "et_copy", "llama"})
"""Namespaces whose operators ExecuTorch itself brings; the operators of any other belong to somebody else."""
_EXPORT = "export so that it is decomposed or delegated"


def operator_reasons(case: Case, profile: Profile) -> Iterator[Reason]:
    """What the file's operators mean to the build."""
    for use in (*case.requirements.operators, *case.requirements.prim_ops):
        counts = profile.argument_counts(use.name)
        if counts is None:
            yield RULES["PT-OP-011"].reason(use.place, operator=use.name, build=profile.title)
        elif not counts:
            yield _missing(use, profile)
        elif use.argument_count not in counts:
            yield _count(use, counts, profile)
        yield from _dtypes(use, profile)
        yield from _kernels(use, profile)
        yield from _numerics(use, case, profile)
    held = {id(fault) for fault in profile.faults}
    for found in case.faults:
        # A fault of an XNNPACK node has no operator of that name.
        present = found.operator.startswith("XNN") or profile.has_operator(found.operator)
        if id(found.fault) in held and present:
            yield fault_reason(found)


def fault_reason(found: FaultUse) -> Reason:
    """The reason for a known fault that the file runs into."""
    fault = found.fault
    if not fault.certain:
        everywhere = not fault.releases.since and not fault.releases.until and fault.outcome == "wrong"
        rule = "PT-OP-015" if everywhere else "PT-OP-010"
    else:
        rule = "PT-OP-008" if fault.outcome == "wrong" else "PT-OP-009"
    ends = "" if not fault.releases.until else f" Releases after {fault.releases.until} do not have the fault."
    remedy = f"{RULES[rule].remedy}{ends}"
    return RULES[rule].reason(found.place, fault.evidence, remedy=remedy, operator=found.operator, fact=fault.sentence)


def _missing(use: OperatorUse, profile: Profile) -> Reason:
    library = _library_of(use.name, profile.release) if profile.release is not None else ""
    if library and not use.prim:
        assert profile.release is not None
        known = {count for count in _counts(use.name, profile.release) if count is not None}
        if known and use.argument_count not in known:
            # Linking the library would not help.
            return _count(use, frozenset(known), profile)
        link = library_links().get(library)
        remedy = link_remedy(library) if link is not None else ""
        return RULES["PT-OP-002"].reason(
            use.place,
            remedy=remedy,
            operator=use.name,
            library=library,
            build=profile.title,
            release=profile.release,
        )
    having = operator_releases(use.name)
    if not having:
        own = use.name.partition("::")[0] in _OWN_NAMESPACES
        return RULES["PT-OP-004" if own else "PT-OP-003"].reason(use.place, operator=use.name)
    release = str(profile.release) if profile.release is not None else profile.title
    rule = RULES["PT-OP-013" if use.prim else "PT-OP-001"]
    other = "rewrite the file with `pteron migrate`" if use.name.startswith("dim_order_ops::") else _EXPORT
    remedy = f"{_first(having, profile.release)} has it; or {other}."
    return rule.reason(use.place, remedy=remedy, operator=use.name, release=release)


def _first(having: tuple[Version, ...], release: Version | None) -> str:
    later = [r for r in having if release is None or r > release]
    return f"Release {later[0]} is the first that" if later else f"Release {having[-1]} is the last that"


def link_remedy(name: str) -> str:
    """What to link or import for an operator library or backend; empty where that is not known."""
    link = library_links().get(name)
    if link is None:
        return ""
    parts = []
    if link.cmake_targets:
        options = f" (with -D{' -D'.join(link.cmake_options)})" if link.cmake_options else ""
        parts.append(f"link the CMake target {' and '.join(link.cmake_targets)}{options}")
    if link.python_module:
        parts.append(f"import {link.python_module} in Python")
    text = ", or ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _count(use: OperatorUse, counts: frozenset[int], profile: Profile) -> Reason:
    identifier = "prim_op.argument_count" if use.prim else "kernel.argument_count"
    limit = profile.limit(identifier)
    rule = RULES["PT-OP-005" if limit is not None else "PT-OP-006"]
    taking = [r for r in releases() if use.argument_count in _counts(use.name, r)]
    remedy = f"{rule.remedy} {', '.join(map(str, taking))} take such calls." if taking else ""
    return rule.reason(
        use.place,
        limit.evidence if limit is not None else (),
        remedy=remedy,
        operator=use.name,
        given=use.argument_count,
        accepted=" or ".join(map(str, sorted(counts))),
        release=profile.release or profile.title,
    )


def _dtypes(use: OperatorUse, profile: Profile) -> Iterator[Reason]:
    refused = sorted(profile.refused_dtypes(use.name) & set(use.dtypes))
    if refused:
        names = " or ".join(dtype.torch_name for dtype in refused)
        yield RULES["PT-OP-014"].reason(use.place, operator=use.name, release=profile.release, dtypes=names)


def _kernels(use: OperatorUse, profile: Profile) -> Iterator[Reason]:
    if use.name not in profile.kernel_keys:
        return
    for key in use.kernel_keys:
        if not profile.has_kernel(use.name, key):
            yield RULES["PT-OP-007"].reason(use.place, operator=use.name, key=key, build=profile.title)
            return


@cache
def operator_releases(name: str) -> tuple[Version, ...]:
    """The releases that have a kernel of that name in any of their libraries, oldest first."""
    return tuple(release for release in releases() if _library_of(name, release))


def _library_of(name: str, release: Version) -> str:
    libraries = release_facts(release).libraries.values()
    return next((library.name for library in libraries if name in library.operators), "")


def _counts(name: str, release: Version) -> set[int | None]:
    return {
        library.operators[name] for library in release_facts(release).libraries.values() if name in library.operators
    }


@dataclass(frozen=True, slots=True)
class _Change:
    release: Version
    dtypes: frozenset[ScalarType]
    sentence: str
    evidence: tuple[str, ...]


@cache
def _changes() -> Mapping[str, tuple[_Change, ...]]:
    found: dict[str, list[_Change]] = {}
    for row in load_table("numerics.json")["changes"]:
        change = _change(row)
        for operator in row["operators"]:
            found.setdefault(operator, []).append(change)
    return {operator: tuple(changes) for operator, changes in found.items()}


def _change(row: Mapping[str, Any]) -> _Change:
    dtypes = frozenset(ScalarType[name] for name in row["dtypes"])
    return _Change(Version(row["release"]), dtypes, row["sentence"], tuple(row["evidence"]))


def _numerics(use: OperatorUse, case: Case, profile: Profile) -> Iterator[Reason]:
    """Where a change of accuracy lies between a release that can have made the file and the build."""
    if profile.release is None:
        return
    for change in _changes().get(use.name, ()):
        dtypes = sorted(change.dtypes & set(use.dtypes))
        since = minor_of(profile.release) >= change.release
        if dtypes and any((minor_of(producer) >= change.release) != since for producer in case.producers):
            names = ", ".join(dtype.torch_name for dtype in dtypes)
            rule = RULES["PT-OP-012"]
            yield rule.reason(use.place, change.evidence, operator=use.name, dtype=names, fact=change.sentence)
