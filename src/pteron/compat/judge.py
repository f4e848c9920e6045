"""The judge: what a file requires × what a build provides × what is promised → a verdict with reasons.

Facts decide whether the file runs; promises decide what that is worth. ``broken`` is kept for what was promised and
does not hold: the facts say that the file ran on the releases that can have made it, and does not here.
"""

from __future__ import annotations

from packaging.version import Version

from pteron.compat.case import Case
from pteron.compat.facts import minor_of, releases
from pteron.compat.history import History, known_history
from pteron.compat.judge_backends import backend_reasons
from pteron.compat.judge_format import format_reasons
from pteron.compat.judge_inputs import input_reasons
from pteron.compat.judge_operators import operator_reasons
from pteron.compat.judge_promises import promise_reasons
from pteron.compat.profile import Profile, profile_for
from pteron.compat.promises import Promises, known_promises
from pteron.compat.verdict import Reason, Status, Verdict, worst_first


def judge(
    case: Case,
    profile: Profile,
    *,
    runtime: Version | None = None,
    promises: Promises | None = None,
    history: History | None = None,
) -> Verdict:
    """The verdict on one file and one build.

    ``runtime`` is the exact release where the profile's facts are those of another patch of the same minor; patches of
    one minor are judged alike, but a file is never promised to run on an older patch than its own.
    """
    reasons = list(fact_reasons(case, profile))
    status = max((r.status for r in reasons if r.status is not None), key=lambda s: s.rank, default=Status.EXPECTED)
    release = runtime or profile.release
    promised = False
    if release is not None:
        promised, about = promise_reasons(case, release, promises or known_promises(), history or known_history())
        reasons += about
    if promised and status is Status.EXPECTED:
        status = Status.GUARANTEED
    elif promised and status is Status.INCOMPATIBLE and ran_where_made(case, profile):
        status = Status.BROKEN
    return Verdict(status, worst_first(reasons), profile.title, release, promised)


def fact_reasons(case: Case, profile: Profile) -> tuple[Reason, ...]:
    """What the facts say, without promises, in no particular order."""
    return (
        *format_reasons(case, profile),
        *operator_reasons(case, profile),
        *backend_reasons(case, profile),
        *input_reasons(case, profile),
    )


def ran_where_made(case: Case, profile: Profile) -> bool:
    """Whether the facts let the file run on the wheel of every release that can have made it, the build's not among
    them."""
    known = {minor_of(release): release for release in releases()}
    for producer in case.producers:
        minor = minor_of(producer)
        if profile.release is not None and minor == minor_of(profile.release):
            return False
        if minor in known and not _clean(case, profile_for(known[minor])):
            return False
    return True


def _clean(case: Case, profile: Profile) -> bool:
    return all(reason.status is not Status.INCOMPATIBLE for reason in fact_reasons(case, profile))
