"""Judges who promised what about a file on a release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from packaging.version import Version

from pteron.compat.case import Case
from pteron.compat.facts import minor_of
from pteron.compat.history import History
from pteron.compat.promises import Coverage, Promise, Promises, coverage
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason

MAP_OPERATOR = "executorch_prim::et_copy_index.tensor"
"""Collects the rows of torch's map; nothing else is exported to it (exir/emit/_emitter.py at every tag)."""
_MAP_EVIDENCE = ("v1.4.1:exir/emit/_emitter.py (_emit_map)", "torch 2.13: torch/_higher_order_ops/map.py, a prototype")
_SHOWN = 3


@dataclass(frozen=True)
class _Asked:
    """One question: is the case promised on that release."""

    case: Case
    runtime: Version
    promises: Promises
    history: History

    def coverage(self, promise: Promise, producer: Version) -> Coverage:
        return coverage(promise, producer, self.runtime, self.history)


def promise_reasons(
    case: Case, runtime: Version, promises: Promises, history: History
) -> tuple[bool, tuple[Reason, ...]]:
    """Whether the file is promised to run on the release, by the count of releases, and why or why not.

    It is only if it is for every release that can have made the file, and for every operator and backend in it.
    """
    asked = _Asked(case, runtime, promises, history)
    against = (*_interface(asked), *_operators(asked), *_backends(asked), *_data(asked), *_program(asked))
    if against:
        return False, against
    program = promises.about("program")
    assert program is not None, "without a promise about programs there is a reason against"
    newest = case.producers[-1]
    sentence = RULES["PT-PR-001"].reason(
        "", program.evidence, producer=case.produced_by, runtime=runtime, promise=program.sentence
    )
    found = asked.coverage(program, newest)
    if found.by_time is False and found.until is not None:
        differs = RULES["PT-PR-011"].reason("", program.evidence, runtime=runtime, until=found.until.isoformat())
        return True, (sentence, differs)
    return True, (sentence,)


def _interface(asked: _Asked) -> Iterator[Reason]:
    program = asked.promises.about("program")
    if program is None or not program.stable_api_only:
        return
    stability = asked.case.api_stability
    if stability in ("experimental", "deprecated"):
        yield RULES["PT-PR-008"].reason(what=f"The file was made with an {stability} interface".replace("an d", "a d"))
    for use in asked.case.requirements.prim_ops:
        if use.name == MAP_OPERATOR:
            what = "The program loops with torch's map, which is a prototype"
            yield RULES["PT-PR-008"].reason(use.place, _MAP_EVIDENCE, what=what)
            return


def _operators(asked: _Asked) -> Iterator[Reason]:
    unpromised: dict[str, str] = {}
    beyond: dict[str, str] = {}
    for use in (*asked.case.requirements.operators, *asked.case.requirements.prim_ops):
        promise = asked.promises.about("operator", use.name)
        if promise is None or promise.nothing:
            unpromised.setdefault(use.name, use.place)
        elif promise.owner not in ("ExecuTorch", "PyTorch") and not _holds(asked, promise):
            beyond.setdefault(use.name, use.place)
    for rule, found in (("PT-PR-006", unpromised), ("PT-PR-010", beyond)):
        if found:
            place = next(iter(found.values()))
            yield RULES[rule].reason(place, operators=_list(tuple(found)), runtime=asked.runtime)


def _backends(asked: _Asked) -> Iterator[Reason]:
    for use in asked.case.requirements.backends:
        promise = asked.promises.about("backend", use.id)
        if promise is None:
            yield RULES["PT-PR-007"].reason(use.places[0], backend=use.id, promise="nobody promises anything.")
        elif promise.nothing or (promise.owner != "ExecuTorch" and not _holds(asked, promise)):
            yield RULES["PT-PR-007"].reason(use.places[0], promise.evidence, backend=use.id, promise=promise.sentence)


def _data(asked: _Asked) -> Iterator[Reason]:
    keys = asked.case.requirements.external_keys
    if not keys:
        return
    promise = asked.promises.about("data")
    if promise is None or not _holds(asked, promise):
        sentence = promise.sentence if promise is not None else "nobody promises anything about .ptd files."
        yield RULES["PT-PR-009"].reason(keys[0].place, promise.evidence if promise else (), promise=sentence)


def _holds(asked: _Asked, promise: Promise) -> bool:
    return all(asked.coverage(promise, producer).by_count for producer in asked.case.producers)


def _program(asked: _Asked) -> Iterator[Reason]:
    """Why the promise for programs does not hold; nothing where it does for every possible producer."""
    promise = asked.promises.about("program")
    if promise is None:
        yield RULES["PT-PR-003"].reason(
            producer=asked.case.produced_by, runtime=asked.runtime, steps="some", next="its own release", time=""
        )
        return
    found = {producer: asked.coverage(promise, producer) for producer in asked.case.producers}
    covered = [producer for producer, result in found.items() if result.by_count]
    if len(covered) == len(found):
        return
    whys = {result.why for result in found.values() if not result.by_count}
    if covered or len(whys) > 1:
        others = [producer for producer in found if producer not in covered]
        yield RULES["PT-PR-004"].reason(
            "", promise.evidence, covered=_list(covered) or "none of them", others=_list(others)
        )
        return
    describe: dict[str, Callable[[], Reason]] = {
        "before": lambda: RULES["PT-PR-002"].reason("", promise.evidence, producer=asked.case.produced_by),
        "forward": lambda: RULES["PT-PR-005"].reason(
            "", promise.evidence, producer=asked.case.produced_by, runtime=asked.runtime
        ),
        "beyond": lambda: _beyond(asked, promise, found),
        "nothing": lambda: _beyond(asked, promise, found),
    }
    yield describe[whys.pop()]()


def _beyond(asked: _Asked, promise: Promise, found: dict[Version, Coverage]) -> Reason:
    newest = asked.case.producers[-1]
    following = asked.history.following(newest, promise.next_releases)
    result = found[newest]
    time = ""
    if result.until is not None:
        reach = "would reach that far" if result.by_time else "does not reach that far either"
        time = f" The time of about {promise.months} months, until {result.until.isoformat()}, {reach}."
    return RULES["PT-PR-003"].reason(
        "",
        promise.evidence,
        producer=asked.case.produced_by,
        runtime=asked.runtime,
        steps=asked.history.steps(newest, asked.runtime),
        next=following[-1] if following else minor_of(newest),
        time=time,
    )


def _list(names: tuple[str, ...] | list[Version]) -> str:
    shown = [str(name) for name in names[:_SHOWN]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
