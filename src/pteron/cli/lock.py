"""``pteron lock``: write down what each model requires and its verdicts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pteron.cli.check import DataOption, JobsOption, ProducedByOption, RuntimeOption, run_check


def lock(
    paths: Annotated[list[str], typer.Argument(help="Files, or folders to search for them.", metavar="PATH...")],
    runtime: RuntimeOption = None,
    produced_by: ProducedByOption = None,
    data: DataOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="The lock file.", metavar="FILE")] = "pteron.lock",
    jobs: JobsOption = None,
) -> None:
    """Write pteron.lock: what each model requires, and its verdicts on the releases that you care about.

    Keep the file under version control; `pteron check --lock` fails when a model needs more than it says.

    \b
    Examples:
      pteron lock models/ --runtime '>=1.2'
      pteron check models/ --lock
    """
    from pteron.compat.lock import make_lock, write_lock
    from pteron.report.words import count, escape

    results = run_check(paths, runtime, produced_by, data, jobs, keep=True)
    made = make_lock(results, Path(output).parent)
    write_lock(made, output)
    sys.stdout.write(f"{escape(output)}: {count(len(made.models), 'model')} on {', '.join(made.runtimes)}\n")
