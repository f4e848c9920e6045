"""Ranks what a real runtime did above what was predicted.

A run whose outputs are right makes a verdict ``expected`` (``guaranteed`` where that is promised too), a failure makes
it ``incompatible`` (``broken`` where it was promised); what had been predicted otherwise is said beside it. Evidence
counts for the build that it is of, with all methods of the file, and only as far as it reaches: a run on some inputs
says nothing about faults that show for others, and a comparison with the reference engine nothing about what is wrong
in the file itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence

from packaging.version import Version

from pteron.compat.case import Case
from pteron.compat.evidence import CaseEvidence, Evidence, Outcome
from pteron.compat.judge import ran_where_made
from pteron.compat.profile import Profile, profile_for
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason, Status, Verdict, worst_first

_DEPENDS_ON_INPUTS = frozenset({"PT-OP-010"})
"""Conditions about numbers that other inputs than those of a run may not meet."""
_IN_THE_FILE = frozenset({"PT-FM-012", "PT-FM-016", "PT-FM-017"})
"""Faults that the reference engine shares, as it does what the file says: only expected outputs can tell."""
_LIMITS = (Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY)
_SENTENCE = 300
_HASH = 16


def about_build(records: Iterable[Evidence], name: str, profile: Profile, release: Version | None) -> list[Evidence]:
    """The records of one build: the official wheel of that very release, or the command that the build's profile
    names; of the same run made twice the later one."""
    official = profile.release is not None and profile is profile_for(profile.release)
    found: dict[str, Evidence] = {}
    for record in records:
        if official:
            used = record.runtime.release if record.runtime.kind == "wheel" else ""
            if not used or Version(used) != release:
                continue
        elif record.runtime.kind != "command" or record.runtime.name != name:
            continue
        inputs = [case.inputs_sha256 for case in record.cases]
        key = json.dumps([dict(record.platform), dict(record.options), inputs], sort_keys=True)
        if key not in found or found[key].made <= record.made:
            found[key] = record
    return list(found.values())


def with_evidence(verdict: Verdict, case: Case, profile: Profile, records: Sequence[Evidence]) -> Verdict:
    """The verdict as these records of the file on the build make it; ``verdict`` is the prediction."""
    told = [_told(record, case) for record in records]
    failures = [record for record, kind in told if kind == "failed"]
    limits = [record for record, kind in told if kind == "limit"]
    runs = [record for record, kind in told if kind == "ran"]
    reasons = [_reason("PT-EV-006", record) for record, kind in told if kind == "unsure"]
    if not (failures or limits or runs):
        return dataclasses.replace(verdict, reasons=worst_first((*reasons, *verdict.reasons)))
    reasons += [_reason("PT-EV-001", record) for record in runs]
    reasons += [_reason("PT-EV-003", record) for record in limits]
    as_foreseen = [record for record in failures if _foreseen(record, verdict)]
    reasons += [_reason("PT-EV-005", record) for record in as_foreseen]
    reasons += [_failure(record) for record in failures if record not in as_foreseen]
    if failures or limits:
        kept = list(verdict.reasons)
        if verdict.runs:
            kept.insert(0, _refuted(f"the verdict was {verdict.status.value}: the facts say that it runs"))
    else:
        kept = [_kept_or_refuted(reason, runs, verdict.status) for reason in verdict.reasons]
    every = worst_first((*reasons, *kept))
    status = max((r.status for r in every if r.status is not None), key=lambda s: s.rank, default=Status.EXPECTED)
    if verdict.promised and status is Status.EXPECTED:
        status = Status.GUARANTEED
    elif verdict.promised and status is Status.INCOMPATIBLE:
        proven = bool(failures) and ran_where_made(case, profile)
        status = Status.BROKEN if proven or verdict.status is Status.BROKEN else status
    proof = "failed" if failures or limits else "ran"
    return dataclasses.replace(verdict, status=status, reasons=every, proof=proof, predicted=verdict.status)


def _told(record: Evidence, case: Case) -> tuple[Evidence, str]:
    """What a record says of the file: ``ran``, ``failed``, ``limit``, or ``unsure``."""
    if record.outcome in _LIMITS:
        return record, "limit" if _fair(record) else "unsure"
    if record.outcome is Outcome.OK:
        run = {call.partition("(")[0] for item in record.cases for call in item.calls}
        return record, "ran" if {method.name for method in case.requirements.methods} <= run else "unsure"
    if not record.outcome.conclusive:
        return record, "unsure"
    return record, "failed" if _fair(record) else "unsure"


def _fair(record: Evidence) -> bool:
    """Whether the worst case was a fair trial: not refused for inputs that the reference engine refuses as well."""
    for item in _worst(record):
        before = item.stage in ("load", "method_load")
        if before or item.reference in ("", "ran") or any(d.against == "expected" for d in item.differences):
            return True
        if item.source == "bundled":
            return True
    return False


def _worst(record: Evidence) -> list[CaseEvidence]:
    return [item for item in record.cases if item.outcome is record.outcome]


def _foreseen(record: Evidence, verdict: Verdict) -> bool:
    """Whether the failure is what a condition spoke of: the run did not meet it."""
    if verdict.status is not Status.CONDITIONAL:
        return False
    return record.outcome is not Outcome.WRONG or bool(_DEPENDS_ON_INPUTS & set(verdict.rules))


def _kept_or_refuted(reason: Reason, runs: Sequence[Evidence], status: Status) -> Reason:
    if reason.status is None or reason.rule in _DEPENDS_ON_INPUTS:
        return reason
    compared = all(any(d.against == "expected" for d in c.differences) for record in runs for c in record.cases)
    if reason.rule in _IN_THE_FILE and not compared:
        return reason
    said = f"the verdict was {status.value} by {reason.rule}: {reason.sentence.rstrip('.')}"
    return _refuted(said, reason.place, reason.evidence)


def _refuted(said: str, place: str = "", evidence: Sequence[str] = ()) -> Reason:
    return RULES["PT-EV-004"].reason(place, evidence, said=said)


def _failure(record: Evidence) -> Reason:
    lies = record.outcome in (Outcome.WRONG, Outcome.CRASH)
    return dataclasses.replace(_reason("PT-EV-002", record), wrong_numbers=lies)


def _reason(rule: str, record: Evidence) -> Reason:
    sentence = " ".join(record.sentence.split()).rstrip(".")
    said = sentence if len(sentence) <= _SENTENCE else f"{sentence[:_SENTENCE]}…"
    return RULES[rule].reason("", (_where(record, long=True),), where=_where(record), said=said)


def _where(record: Evidence, *, long: bool = False) -> str:
    """Which runtime, which wheel, on which machine, when."""
    runtime = record.runtime
    parts = [f"executorch {runtime.release}" if runtime.kind == "wheel" else runtime.name]
    parts.append(" ".join(filter(None, (record.platform.get("system", ""), record.platform.get("machine", "")))))
    wheel = next((package for package in runtime.packages if package.name == "executorch"), None)
    if wheel is not None:
        digest = wheel.sha256 if long else wheel.sha256[:_HASH]
        name = [wheel.wheel] if long else []
        parts += name + ([f"wheel {digest}{'' if long else '…'}"] if digest else [])
    return ", ".join(filter(None, (*parts, record.made[:10] if not long else record.made)))
