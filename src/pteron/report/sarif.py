"""SARIF 2.1.0, which code scanning services and editors read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from pteron.compat.rules import RULES
from pteron.report.problems import Problem, of_evidence
from pteron.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def to_sarif(found: Sequence[Problem]) -> dict[str, Any]:
    """The SARIF log of the problems: a failing one is an ``error``, any other a ``warning``."""
    rules = sorted({problem.reason.rule for problem in found})
    results = [_result(problem, rules.index(problem.reason.rule)) for problem in found]
    driver = {"name": "pteron", "version": __version__, "rules": [_rule(rule) for rule in rules]}
    run = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(identifier: str) -> dict[str, Any]:
    rule = RULES[identifier]
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.name.replace("-", " ")},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": rule.remedy or rule.meaning},
    }


def _result(problem: Problem, index: int) -> dict[str, Any]:
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": uri(problem.file)}}}
    if problem.reason.place:
        location["logicalLocations"] = [{"fullyQualifiedName": problem.reason.place}]
    return {
        "ruleId": problem.reason.rule,
        "ruleIndex": index,
        "level": "error" if problem.failing else "warning",
        "message": {"text": problem.message},
        "locations": [location],
        "partialFingerprints": {"pteron/v1": _fingerprint(problem)},
        "properties": {
            "runtimes": list(problem.builds),
            "evidence": list(problem.reason.evidence),
            "wrongNumbers": problem.reason.wrong_numbers,
        },
    }


def uri(file: str) -> str:
    """A path as a URI reference: relative ones stay relative."""
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _fingerprint(problem: Problem) -> str:
    """The same for the same problem in later runs, whatever the releases that were asked for."""
    # What evidence says is of one run: the sentence belongs to it.
    own = problem.reason.sentence if of_evidence(problem.reason) else ""
    text = "\0".join((problem.reason.rule, problem.file, problem.reason.place, *filter(None, (own,))))
    return hashlib.sha256(text.encode()).hexdigest()
