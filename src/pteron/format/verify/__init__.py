"""Verification: rules of the format beyond what reading checks, each with an id, a place and a remedy.

    for finding in verify_program(program):
        print(finding)

Rules are data in :mod:`pteron.format.verify.rules`, which is cheap to import. The checks never raise for a bad
program, and take time in proportion to its size.
"""

from __future__ import annotations

import contextlib

from pteron.format.limits import Limits
from pteron.format.program import Program
from pteron.format.verify import data, memory, structure, values
from pteron.format.verify.finding import EnoughFindingsError, Finding, Report
from pteron.format.verify.instructions import Arity, check_instructions
from pteron.format.verify.rules import RULES, Rule, Severity, rule

__all__ = ["RULES", "Arity", "Finding", "Rule", "Severity", "rule", "verify_program"]


def verify_program(
    program: Program, *, limits: Limits | None = None, arity: Arity | None = None
) -> tuple[Finding, ...]:
    """What is wrong with a program, worst first; empty where nothing is.

    ``limits`` default to those the program was read with; at most ``limits.max_findings`` are given. ``arity`` maps
    an operator's name to the argument counts that its calls may have (one entry per schema argument, and one per
    return); without it, or where it gives None, counts are not checked.
    """
    report = Report(program, limits or program.limits)
    with contextlib.suppress(EnoughFindingsError):
        _check(report, arity)
    return report.findings()


def _check(report: Report, arity: Arity | None) -> None:
    structure.check_program(report)
    data.check_segments(report)
    data.check_constants(report)
    data.check_state(report)
    data.check_named_data(report)
    for index, plan in enumerate(report.program.root.execution_plan or ()):
        path = f"execution_plan[{index}]"
        before = report.errors
        structure.check_lists(report, plan, path)
        structure.check_delegates(report, plan, path)
        values.check_values(report, plan, path)
        check_instructions(report, plan, path, arity)
        memory.check_buffers(report, plan, path)
        memory.check_allocations(report, plan, path)
        if report.errors == before:
            memory.check_liveness(report, plan, path)
