"""Finding: one broken rule at one place of a file, and the collector that the checks report to."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from pteron.format import flatbuffer, schema
from pteron.format.limits import Limits
from pteron.format.program import Program
from pteron.format.verify.rules import Rule, Severity, rule

_MORE = "PT-VF-099"


@dataclass(frozen=True)
class Finding:
    """A rule that a file breaks. ``path`` is the field (``execution_plan[0].values[12].val.sizes``)."""

    rule: Rule
    path: str
    message: str
    buffer: memoryview = field(default=memoryview(b""), repr=False, compare=False)

    @property
    def severity(self) -> Severity:
        """How bad it is, as the rule says."""
        return self.rule.severity

    @cached_property
    def offset(self) -> int | None:
        """Byte offset of the field in the file, or of the nearest part of the path that exists; else None."""
        return flatbuffer.locate(self.buffer, schema.SCHEMA, "Program", self.path)

    def __str__(self) -> str:
        at = f" at byte {self.offset}" if self.offset is not None else ""
        return f"{self.severity.value} {self.rule.id} {self.path}{at}: {self.message}"


class EnoughFindingsError(Exception):
    """The file has as many errors as may be listed; the checks stop."""


class Report:
    """Collects findings up to ``Limits.max_findings``: errors push warnings and notes out, never the reverse."""

    def __init__(self, program: Program, limits: Limits) -> None:
        self.program = program
        self.limits = limits
        self._found: dict[Severity, list[Finding]] = {severity: [] for severity in Severity}
        self._dropped = False

    @property
    def errors(self) -> int:
        """Errors found so far."""
        return len(self._found[Severity.ERROR])

    def add(self, rule_id: str, path: str, message: str) -> None:
        """Report; raises :class:`EnoughFindingsError` once there are errors enough."""
        broken = rule(rule_id)
        same = self._found[broken.severity]
        if len(same) < self.limits.max_findings:
            same.append(Finding(broken, path, message, self.program.buffer))
        else:
            self._dropped = True
            if broken.severity is Severity.ERROR:
                raise EnoughFindingsError

    def findings(self) -> tuple[Finding, ...]:
        """Worst first, in the order of discovery within a severity; the last says if there were more."""
        found = [finding for severity in Severity for finding in self._found[severity]]
        limit = max(self.limits.max_findings, 1)
        if len(found) <= limit and not self._dropped:
            return tuple(found)
        more = Finding(rule(_MORE), "", f"more than {limit} findings; raise Limits.max_findings to see the rest")
        return (*found[: limit - 1], more)
