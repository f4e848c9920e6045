"""Workflow commands of GitHub Actions: problems as annotations of the run."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.compat.rules import RULES
from pteron.report.problems import Problem


def to_github(found: Sequence[Problem]) -> str:
    """One ``::error`` or ``::warning`` line per problem."""
    return "".join(f"{_command(problem)}\n" for problem in found)


def _command(problem: Problem) -> str:
    rule = RULES[problem.reason.rule]
    kind = "error" if problem.failing else "warning"
    title = f"{rule.id} {rule.name}"
    return f"::{kind} file={_property(problem.file)},title={_property(title)}::{_data(problem.message)}"


def _data(text: str) -> str:
    """Escaped as the runner undoes it (actions/toolkit, command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
