"""``pteron prove``: run files on the real releases and keep the evidence."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pteron.cli import exit_codes
from pteron.cli.interruption import Interrupted
from pteron.cli.options import Format, answer
from pteron.cli.progress import Waiting
from pteron.cli.runtimes import announce, download_progress
from pteron.errors import FileAccessError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.version import Version

    from pteron.compat.evidence import Evidence
    from pteron.prove.cases import Case
    from pteron.prove.job import Cell, Target
    from pteron.prove.subject import Options, Source


class MatrixFormat(StrEnum):
    """How the matrix is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def prove(
    paths: Annotated[
        list[str] | None, typer.Argument(help=".pte and .bpte files, or folders with such.", metavar="PATH...")
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="A release (1.3.1), a range ('>=1.4'), or a profile with a command; may be repeated."),
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="Inputs: in.npz, in0.npy in order, or name=in.npy.")
    ] = None,
    data: Annotated[list[str] | None, typer.Option("--data", "-d", help="A .ptd with weights.")] = None,
    method: Annotated[str | None, typer.Option(help="The method to run; all by default.")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Run so many times, each from the start.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of inputs made here.")] = 0,
    rtol: Annotated[float, typer.Option(min=0, help="Relative tolerance.")] = 1e-3,
    atol: Annotated[float, typer.Option(min=0, help="Absolute tolerance.")] = 1e-5,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that one case may take.")] = 60.0,
    memory: Annotated[int, typer.Option(min=16, help="MB that one case may take beyond the runtime itself.")] = 4096,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Cells to work on at a time.")] = 1,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Write the evidence to this .json.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    install: Annotated[bool, typer.Option("--install/--no-install", help="Install releases that are missing.")] = True,
    replay: Annotated[str | None, typer.Option(help="Repeat what this evidence records.")] = None,
    form: Annotated[MatrixFormat, typer.Option("--format", help="How to print the matrix.")] = MatrixFormat.TEXT,
) -> None:
    """Run files on real ExecuTorch releases; a crash, a hang or a wrong number is a result.

    Outputs are compared with Pteron's reference engine, with a .bpte's own expected outputs, and with each other.
    Without --input, inputs are made from the signatures. With --output an interrupted job goes on where it was when
    the same command is given again. The exit code is 1 where a file does not run as it should.

    \b
    Examples:
      pteron prove model.pte --runtime 1.3.1 --runtime '>=1.4'
      pteron prove model.pte --runtime 1.5.1 --input x.npz --repeat 3 -o evidence.json
      pteron prove models/ --runtime '>=1.0' --jobs 2 -o evidence.json --format markdown
      pteron prove --replay evidence.json
    """
    from pteron.compat.check import find_programs
    from pteron.prove.subject import Options

    options = Options(method, seed, repeat, timeout, memory, rtol, atol)
    files = list(map(Path, find_programs(paths or [])))
    if replay is not None:
        _replay(Path(replay), files, data or [], given or [], options, jobs, install, form)
        return
    if not files or not runtime:
        raise typer.BadParameter("name a file and a --runtime, or --replay evidence", param_hint="PATH...")
    if output is not None and Path(output).exists() and not force:
        raise FileAccessError(f"{output}: exists already; give another name, or --force to overwrite it")
    sources = _sources(files, data or [], given or [], options)
    targets = _targets(runtime, install)
    records = _run(sources, targets, options, jobs, output)
    _print(records, form, output or "")
    if any(not record.outcome.runs for record in records):
        raise typer.Exit(exit_codes.NO)


def _sources(files: Sequence[Path], data: Sequence[str], given: Sequence[str], options: Options) -> list[Source]:
    from pteron.prove.api import program_of
    from pteron.prove.subject import Source

    if given and len(files) > 1:
        raise typer.BadParameter("inputs are given for one file; name one", param_hint="--input")
    sources = []
    for path in files:
        program_of(path)  # what is no program is said before anything runs
        sources.append(Source(path, tuple(map(Path, data)), _given(path, given, options)))
    return sources


def _given(path: Path, given: Sequence[str], options: Options) -> tuple[Case, ...]:
    if not given:
        return ()
    from pteron.cli.inputs import read_inputs
    from pteron.prove.api import program_of
    from pteron.prove.cases import chosen_methods
    from pteron.prove.subject import default_method, given_case

    program = program_of(path)
    name = options.method or default_method(program)
    inputs = read_inputs(chosen_methods(program, name)[0], given, str(path))
    return (given_case(program, name, [item.value for item in inputs], options.tolerance),)


def _targets(runtime: Sequence[str], install: bool) -> list[Target]:
    from pteron.prove.api import resolve_targets
    from pteron.prove.install import install as install_releases

    def make(releases: Sequence[Version]) -> None:
        install_releases(releases, announce=announce, progress=download_progress)

    return resolve_targets(runtime, make if install else None)


def _run(
    sources: Sequence[Source], targets: Sequence[Target], options: Options, jobs: int, output: str | None
) -> list[Evidence]:
    from pteron.prove.job import cells_of
    from pteron.prove.journal import Journal, journal_of, write_evidence

    cells = cells_of(sources, targets, options)
    if output is None:
        return _work(cells, jobs, None)
    with Journal(journal_of(Path(output))) as journal:
        before = len(journal.records)
        if before:
            announce(f"{journal.path}: going on with a job that was interrupted, {before} of {len(cells)} are done")
        try:
            records = _work(cells, jobs, journal)
        except Interrupted as interrupted:
            done = journal.on_disk()
            interrupted.note = f" with {done} of {len(cells)} done; the same command goes on from there"
            raise
        write_evidence(Path(output), records)
        journal.discard()
    return records


def _work(cells: Sequence[Cell], jobs: int, journal: object) -> list[Evidence]:
    from pteron.prove.job import run_job
    from pteron.prove.journal import Journal

    kept = journal if isinstance(journal, Journal) else None
    with Waiting("proving", total=len(cells)) as waiting:
        return run_job(cells, jobs=jobs, journal=kept, report=lambda record: waiting.advance())


def _print(records: Sequence[Evidence], form: MatrixFormat, written: str) -> None:
    from pteron.report.evidence import evidence_document, print_evidence, to_markdown

    if form is MatrixFormat.MARKDOWN:
        sys.stdout.write(to_markdown(records))
    else:
        chosen = Format.JSON if form is MatrixFormat.JSON else Format.TEXT
        answer(evidence_document(records), chosen, lambda document, out: print_evidence(records, out, written=written))


def _replay(
    path: Path,
    files: Sequence[Path],
    data: Sequence[str],
    given: Sequence[str],
    options: Options,
    jobs: int,
    install: bool,
    form: MatrixFormat,
) -> None:
    from pteron.compat.evidence import read_evidence
    from pteron.prove.job import run_job
    from pteron.prove.replay import cell_of, find_files, options_of, repeated
    from pteron.prove.subject import sha256_of
    from pteron.report.evidence import print_replay, replay_document

    records = read_evidence(path)
    found = find_files(records, path.parent, files)
    weights = {sha256_of(Path(item)): Path(item) for item in data}
    names = list(dict.fromkeys(record.runtime.name for record in records))
    targets = {target.name: target for target in _targets(names, install)}
    cells = []
    for record in records:
        file = found.get(record.sha256)
        needs = "inputs_sha256" in record.options
        cases = _given(file, given, options_of(record.options)) if file is not None and needs else ()
        cells.append(cell_of(record, targets[record.runtime.name], found, weights, cases))
    with Waiting("proving", total=len(cells)) as waiting:
        again = run_job(cells, jobs=jobs, report=lambda record: waiting.advance())
    replayed = replay_document([repeated(before, after) for before, after in zip(records, again, strict=True)])
    answer(replayed, Format.JSON if form is MatrixFormat.JSON else Format.TEXT, print_replay)
    if not replayed["same"]:
        raise typer.Exit(exit_codes.NO)
