"""Judging files of the corpus: cases by name, told or dated, changed in single places, against any profile."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

from packaging.version import Version

import confusion
from program_edits import edited, program
from pteron.compat.case import Case, examine
from pteron.compat.features import Feature
from pteron.compat.history import History
from pteron.compat.judge import judge
from pteron.compat.operator_use import OperatorUse
from pteron.compat.profile import Profile, profile_for
from pteron.compat.promises import Promises
from pteron.compat.verdict import Verdict


@functools.cache
def dated(file: str) -> Case:
    """``1.5.1/mlp.pte`` with its .ptd files, dated from its bytes."""
    return confusion.case_of(file)


def told(file: str, *producers: str) -> Case:
    """The file as made by the release that made it, or by one of others."""
    releases = producers or (file.partition("/")[0],)
    return dataclasses.replace(dated(file), producers=tuple(map(Version, releases)))


def without_data(file: str) -> Case:
    return made_by(examine(program(file)), file.partition("/")[0])


def changed(file: str, changes: dict[str, Any]) -> Case:
    """The file with single fields changed (see ``program_edits``)."""
    return made_by(examine(edited(program(file), changes)), file.partition("/")[0])


def made_by(case: Case, producer: str) -> Case:
    return dataclasses.replace(case, producers=(Version(producer),))


def with_feature(file: str, identifier: str, since: str) -> Case:
    """The case with one more format feature, for features that no file of the corpus uses."""
    case = told(file)
    feature = Feature(identifier, "The file does something new.", since, "somewhere")
    needed = dataclasses.replace(case.requirements, features=(*case.requirements.features, feature))
    return dataclasses.replace(case, requirements=needed)


def with_operator(file: str, old: str, **fields: Any) -> Case:
    """The case with the use of one operator or prim op changed."""
    case = told(file)

    def uses(all_uses: tuple[OperatorUse, ...]) -> tuple[OperatorUse, ...]:
        return tuple(dataclasses.replace(use, **fields) if use.name == old else use for use in all_uses)

    needed = case.requirements
    needed = dataclasses.replace(needed, operators=uses(needed.operators), prim_ops=uses(needed.prim_ops))
    return dataclasses.replace(case, requirements=needed)


def with_backend(file: str, **fields: Any) -> Case:
    """The case with its backends' uses changed."""
    case = told(file)
    uses = tuple(dataclasses.replace(use, **fields) for use in case.requirements.backends)
    return dataclasses.replace(case, requirements=dataclasses.replace(case.requirements, backends=uses))


def on(
    case: Case, build: str | Profile, *, promises: Iterable[Any] | None = None, history: History | None = None
) -> Verdict:
    """The verdict on an official wheel or a profile."""
    profile = profile_for(build) if isinstance(build, str) else build
    runtime = Version(build) if isinstance(build, str) else None
    known = Promises(tuple(promises)) if promises is not None else None
    return judge(case, profile, runtime=runtime, promises=known, history=history)
