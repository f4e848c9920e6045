"""The ``pteron.check/1`` document, and verdicts for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pteron.compat.calendar import Calendar, calendar
from pteron.compat.check import CheckResult
from pteron.compat.lock import Change
from pteron.compat.verdict import Reason, Status, Verdict
from pteron.report.document import Document, document
from pteron.report.printer import Cell, Printer, Styled
from pteron.report.problems import fails, of_evidence, telling
from pteron.report.words import count

SCHEMA = "pteron.check/1"

_STYLES = {
    Status.GUARANTEED: "green",
    Status.EXPECTED: "green",
    Status.CONDITIONAL: "yellow",
    Status.INCOMPATIBLE: "bold red",
    Status.BROKEN: "bold red",
}


def to_document(
    results: Sequence[CheckResult], changes: Sequence[Change], fail_on: Status | None, *, dates: bool
) -> Document:
    """The document over all files; ``passes`` is the answer. With ``dates`` each file has its ``calendar``."""
    failing = [result.file for result in results if fails(result, fail_on)]
    return document(
        SCHEMA,
        fail_on=fail_on.value if fail_on is not None else None,
        passes=not failing and not any(change.bad for change in changes),
        files=[_file(result, dates=dates) for result in results],
        lock=[
            {"rule": change.rule, "model": change.model, "sentence": change.sentence, "bad": change.bad}
            for change in changes
        ],
        totals={"files": len(results), "failing": len(failing), "changes": sum(change.bad for change in changes)},
    )


def _file(result: CheckResult, *, dates: bool) -> dict[str, Any]:
    described = result.to_dict()
    if dates and not result.error:
        described["calendar"] = _calendar(result).to_dict()
    return described


def print_results(
    results: Sequence[CheckResult], changes: Sequence[Change], fail_on: Status | None, out: Printer, *, dates: bool
) -> None:
    """Each file with its verdicts, builds that are alike together; then what changed since the lock."""
    for result in results:
        _print_result(result, out, dates=dates)
    if changes:
        out.line()
        out.heading("since the lock file was written")
        rows: list[tuple[Cell, ...]] = []
        rows += [(_mark(change.bad), change.rule, change.model, change.sentence) for change in changes]
        out.table(rows)
    if len(results) > 1:
        failing = sum(fails(result, fail_on) for result in results)
        out.line()
        worse = len({change.model for change in changes if change.bad})
        counts = [f"{failing} failing"] if failing else []
        counts += [f"{worse} worse than the lock file"] if worse else []
        out.heading(f"{count(len(results), 'file')}: {', '.join(counts) or 'all pass'}")


def _mark(bad: bool) -> Styled:
    return Styled("worse", "bold red") if bad else Styled("note", "dim")


def _print_result(result: CheckResult, out: Printer, *, dates: bool) -> None:
    if result.error:
        out.heading(f"{result.file}: cannot be judged")
        out.line(result.error, 2)
        return
    made = result.produced_by
    assert made is not None
    how = {"given": "as told", "provenance": "by its own record"}.get(made.source, "dated from its bytes")
    out.heading(f"{result.file}: made by {made} ({how})")
    lying = [name for name, verdict in result.verdicts.items() if verdict.wrong_numbers]
    if lying:
        out.line(f"would run and return wrong numbers, or end the process, on {', '.join(lying)}", 2, style="bold red")
    for remark in result.remarks:
        out.line(f"{remark.rule}: {remark.sentence}", 2, style="yellow")
    groups = [list(group) for _, group in groupby(result.verdicts.items(), key=lambda item: _alike(item[1]))]
    rows: list[tuple[Cell, ...]] = []
    for group in groups:
        rows += _rows([name for name, _ in group], group[0][1])
    out.table(rows)
    if any(not verdict.runs for verdict in result.verdicts.values()):
        out.line(_advice(result), 2)
    if dates:
        _print_calendar(result, out)


def _alike(verdict: Verdict) -> tuple[Any, ...]:
    # Who would be covered differs from release to release; other sentences of one rule differ in the release only.
    reasons = telling(verdict)
    covered = tuple(reason.sentence for reason in reasons if reason.rule == "PT-PR-004" or of_evidence(reason))
    return (verdict.status, tuple((reason.rule, reason.place) for reason in reasons), covered)


def _rows(names: list[str], verdict: Verdict) -> list[tuple[Cell, ...]]:
    builds = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    status: Cell = Styled(verdict.status.value, _STYLES[verdict.status])
    rows: list[tuple[Cell, ...]] = []
    for reason in telling(verdict) or (None,):
        rows.append((builds, status, *_cells(reason)))
        builds, status = "", ""
        if reason is not None and reason.status is not None and reason.remedy:
            rows.append(("", "", "", f"→ {reason.remedy}"))
    return rows


def _cells(reason: Reason | None) -> tuple[str, str]:
    if reason is None:
        return ("", "")
    return (reason.rule, f"{reason.sentence} ({reason.place})" if reason.place else reason.sentence)


def _advice(result: CheckResult) -> str:
    """Where the file runs as it is, and the smallest of these releases."""
    if not result.serving:
        return "no official wheel that Pteron knows runs this file as it is"
    if len(result.serving) == 1:
        return f"runs as it is on {result.serving[0]}"
    return f"runs as it is on {', '.join(result.serving)}; the smallest is {result.serving[0]}"


def _calendar(result: CheckResult) -> Calendar:
    fleet = [verdict.release for verdict in result.verdicts.values() if verdict.release is not None]
    return calendar(result.producers, fleet)


def _print_calendar(result: CheckResult, out: Printer) -> None:
    dates = _calendar(result)
    out.heading(f"calendar, as made by {dates.producer}", 2)
    rows = []
    if dates.by_count is None:
        rows.append(("promise", "none: the policy covers what 0.4.0 and later made"))
    else:
        until = f"{dates.last}" if dates.last is not None else "the next non-patch release"
        rows.append(("promised by releases", f"up to {until}; ends when the one after it comes, {dates.by_count}"))
        rows.append(("promised by months", f"until {dates.by_time}" if dates.by_time is not None else "not known"))
    if dates.operators is not None:
        rows.append(("Core ATen operators", f"until {dates.operators}, 180 days after the release"))
    for entry in dates.fleet:
        time = {True: "yes", False: "no", None: "not known"}[entry.by_time]
        rows.append((f"runtime {entry.runtime}", f"by releases {'yes' if entry.by_count else 'no'}, by months {time}"))
    for pace, policy in dates.upcoming:
        rows.append(("release due", f"{pace} at the pace of the last ones, {policy} at the stated three months"))
    out.table(rows, indent=4)
