"""``pteron check``: where a file runs, where it is promised to run, why, and what to do."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pteron.cli import exit_codes
from pteron.cli.progress import Waiting
from pteron.errors import PteronError

if TYPE_CHECKING:
    from pteron.compat.check import CheckResult
    from pteron.compat.evidence_files import EvidenceFiles
    from pteron.compat.lock import Change
    from pteron.compat.targets import Target
    from pteron.compat.verdict import Status


class CheckFormat(StrEnum):
    """How verdicts are printed."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    GITHUB = "github"


class Level(StrEnum):
    """The mildest verdict that fails a check."""

    EXPECTED = "expected"
    CONDITIONAL = "conditional"
    INCOMPATIBLE = "incompatible"
    NEVER = "never"


RuntimeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--runtime",
        "-r",
        help="A release (1.5.1), a range ('>=1.2'), or a build: a .toml or selected_operators.yaml. May be repeated.",
        metavar="RUNTIME",
    ),
]
ProducedByOption = Annotated[
    str | None,
    typer.Option("--produced-by", help="The release that made the files, if that is known.", metavar="X.Y.Z"),
]
DataOption = Annotated[
    list[str] | None, typer.Option("--data", "-d", help="A .ptd file that the programs run with.", metavar="FILE")
]
EvidenceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--evidence",
        "-e",
        help="What pteron prove wrote, or a folder with files named *evidence.json. May be repeated.",
        metavar="PATH",
    ),
]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, help="Processes; by default as many as pay off.", metavar="N")
]


def check(
    paths: Annotated[list[str], typer.Argument(help="Files, or folders to search for them.", metavar="PATH...")],
    runtime: RuntimeOption = None,
    produced_by: ProducedByOption = None,
    data: DataOption = None,
    evidence: EvidenceOption = None,
    no_evidence: Annotated[
        bool, typer.Option("--no-evidence", help="Predict only; pass over evidence beside the files as well.")
    ] = False,
    platform: Annotated[
        str, typer.Option("--platform", help="Use evidence of this platform only (linux-x86_64).", metavar="NAME")
    ] = "",
    fail_on: Annotated[
        Level | None, typer.Option("--fail-on", help="The mildest verdict that fails; incompatible by default.")
    ] = None,
    form: Annotated[CheckFormat, typer.Option("--format", help="See docs/check.md.")] = CheckFormat.TEXT,
    lock: Annotated[
        bool, typer.Option("--lock", help="Also fail where a model needs more than the lock file says.")
    ] = False,
    lock_file: Annotated[str, typer.Option("--lock-file", help="The lock file.", metavar="FILE")] = "pteron.lock",
    dates: Annotated[bool, typer.Option("--calendar", help="Also say what is promised until when.")] = False,
    jobs: JobsOption = None,
) -> None:
    """Where files run, where they are promised to run, why, and what to do. Nothing is run.

    A verdict is guaranteed (promised, and the facts agree), expected (not promised; the facts say that it runs),
    conditional (runs if a named thing is supplied), incompatible, or broken (promised, yet known not to run). Each
    reason has a rule id; `pteron explain` tells more. What `pteron prove` saw a real release do with the very bytes
    ranks above predictions: give it with --evidence, or leave it beside the file as model.pte.evidence.json.

    Exit code 1 where a verdict is as bad as --fail-on says, or, without --runtime, where a file runs on no release.

    \b
    Examples:
      pteron check model.pte
      pteron check model.pte --runtime 1.5.1 --produced-by 1.2.0
      pteron check models/ --runtime '>=1.2' --fail-on conditional --format sarif
      pteron check model.pte --runtime build.toml --data weights.ptd
      pteron check model.pte --runtime 1.5.1 --evidence evidence.json
      pteron check models/ --lock
    """
    from pteron.compat.evidence_files import NOTHING, collect
    from pteron.compat.lock import compare, read_lock
    from pteron.compat.verdict import Status

    if no_evidence and evidence:
        raise typer.BadParameter("evidence is given as well", param_hint="--no-evidence")
    known = NOTHING if no_evidence else collect(evidence or (), platform=platform)
    locked = read_lock(lock_file) if lock else None
    asked = runtime or (list(locked.runtimes) if locked is not None else None)
    if fail_on is None and runtime:
        fail_on = Level.INCOMPATIBLE
    level = Status(fail_on) if fail_on is not None and fail_on is not Level.NEVER else None
    results = run_check(paths, asked, produced_by, data, jobs, keep=lock, evidence=known)
    changes = compare(locked, results, Path(lock_file).parent) if locked is not None else ()
    _print(results, changes, level, form, dates=dates)
    finish(results, changes, level, never=fail_on is Level.NEVER)


def run_check(
    paths: list[str],
    runtime: list[str] | None,
    produced_by: str | None,
    data: list[str] | None,
    jobs: int | None,
    *,
    keep: bool,
    evidence: EvidenceFiles | None = None,
) -> list[CheckResult]:
    """The results of all files in order; what they require is dropped unless it is to be kept, and evidence is passed
    over unless it is given.

    Raises ``typer.BadParameter`` for a runtime, release or folder that is none.
    """
    from pteron.compat.check import check_files, find_programs
    from pteron.compat.evidence_files import NOTHING

    wanted = _targets(runtime)
    _known_release(produced_by)
    try:
        files = find_programs(paths)
    except PteronError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from None
    results = []
    with Waiting("checking", total=len(files)) as waiting:
        checked = check_files(
            files, wanted, data=data or (), produced_by=produced_by, evidence=evidence or NOTHING, jobs=jobs
        )
        for result in checked:
            results.append(result if keep else dataclasses.replace(result, requirements=None))
            waiting.advance()
    return results


def finish(results: Sequence[CheckResult], changes: Sequence[Change], level: Status | None, *, never: bool) -> None:
    """End with the exit code: 2 where a file is not there or no program, 1 where the answer is no."""
    from pteron.report.problems import fails

    if any(result.missing for result in results):
        raise typer.Exit(exit_codes.WRONG_QUESTION)
    unread = any(result.error for result in results)
    failing = unread if never else any(fails(result, level) for result in results)
    if failing or any(change.bad for change in changes):
        raise typer.Exit(exit_codes.NO)


def _targets(runtime: list[str] | None) -> tuple[Target, ...]:
    from pteron.compat.targets import targets

    try:
        return targets(runtime)
    except PteronError as error:
        raise typer.BadParameter(str(error), param_hint="--runtime") from None


def _known_release(produced_by: str | None) -> None:
    from pteron.compat.facts import parse_release

    try:
        if produced_by is not None:
            parse_release(produced_by)
    except PteronError as error:
        raise typer.BadParameter(str(error), param_hint="--produced-by") from None


def _print(
    results: Sequence[CheckResult],
    changes: Sequence[Change],
    level: Status | None,
    form: CheckFormat,
    *,
    dates: bool,
) -> None:
    from pteron.report.document import to_json
    from pteron.report.github import to_github
    from pteron.report.junit import to_junit
    from pteron.report.printer import Printer
    from pteron.report.problems import problems
    from pteron.report.sarif import to_sarif
    from pteron.report.verdicts import print_results, to_document

    match form:
        case CheckFormat.TEXT:
            print_results(results, changes, level, Printer(sys.stdout), dates=dates)
        case CheckFormat.JSON:
            sys.stdout.write(to_json(to_document(results, changes, level, dates=dates)) + "\n")
        case CheckFormat.JUNIT:
            sys.stdout.write(to_junit(results, changes, level))
        case CheckFormat.SARIF:
            sys.stdout.write(to_json(to_sarif(problems(results, changes, level))) + "\n")
        case CheckFormat.GITHUB:
            sys.stdout.write(to_github(problems(results, changes, level)))
