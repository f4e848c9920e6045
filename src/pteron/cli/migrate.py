"""``pteron migrate``: rewrite a file so that another release runs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pteron.cli import exit_codes
from pteron.cli.interruption import Interrupted
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.errors import FileAccessError

if TYPE_CHECKING:
    from pteron.compat.evidence import Evidence
    from pteron.migration import Comparison, Migrated


def migrate(
    file: Annotated[str, typer.Argument(help="A .pte or .bpte file.", metavar="FILE")],
    to: Annotated[str, typer.Option("--to", help="A release (0.5.0), or a profile (build.toml).")],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Where to write; FILE-RELEASE.pte by default.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", "-d", help="A .ptd that belongs to it; may be repeated.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="Compare outputs on these: in.npz, in0.npy in order, or name=in.npy."),
    ] = None,
    method: Annotated[str | None, typer.Option(help="The method that --input is for; forward, or the first.")] = None,
    step: Annotated[
        list[str] | None, typer.Option("--step", help="Take this step in any case; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Also run what was written on the real release (see pteron prove).")
    ] = False,
    produced_by: Annotated[
        str | None, typer.Option("--produced-by", help="The release that made the file, if known.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the inputs that outputs are compared on.")] = 0,
    form: FormatOption = Format.TEXT,
) -> None:
    """Rewrite a file so that another release runs it.

    The plan is made of named steps (docs/migrate.md). The rewritten file is read back, verified, and run beside the
    original before it is written, on generated inputs or those of --input; the original is never touched. Exit code
    1: no step helps, and the reasons are listed; nothing is written.

    \b
    Examples:
      pteron migrate model.pte --to 0.5.0 --dry-run
      pteron migrate model.pte --to 1.5.1 -o new.pte
      pteron migrate model.pte --to 0.6.0 --data weights.ptd
      pteron migrate model.pte --to 0.6.0 --input x.npz
    """
    if prove and dry_run:
        raise typer.BadParameter("a dry run writes nothing that could be run", param_hint="--prove")
    if method is not None and not given:
        raise typer.BadParameter("inputs are compared of all methods; give some with --input", param_hint="--method")
    from pteron.migration import plan
    from pteron.report.migration import migration_document, print_migration

    with Waiting(f"planning {file}"):
        migrated = plan(file, to, data=data or (), steps=step or (), produced_by=produced_by)
    changed = migrated.plan.possible and not migrated.plan.unchanged
    inputs = _inputs(migrated, method, given or [])
    comparison: Comparison | None = None
    written: tuple[str | None, str | None] = (None, None)
    if changed:
        target = Path(output) if output is not None else default_output(file, migrated.plan.target)
        if not dry_run:
            _refuse_output(target, file, force)
        with Waiting("comparing outputs"):
            comparison = migrated.checked(seed, inputs)
        if not dry_run:
            written = _write(migrated, target, force)
    tried = written[0] or (file if migrated.plan.possible else None)
    proof: Evidence | None = None
    if prove and tried is not None:
        try:
            proof = _prove(tried, to, [written[1]] if written[1] is not None else data or [], seed, inputs)
        except Interrupted as interrupted:
            interrupted.note = f" before {to} was asked" + (f"; {written[0]} is written" if written[0] else "")
            raise
    answer(migration_document(migrated, comparison, *written, proof), form, print_migration)
    if not migrated.plan.possible or (proof is not None and proof.outcome not in ("ok", "ran")):
        raise typer.Exit(exit_codes.NO)


def default_output(file: str, target: str) -> Path:
    """``model-0.5.0.pte`` beside ``model.pte``."""
    path = Path(file)
    return path.with_name(f"{path.stem}-{Path(target).stem if target.endswith('.toml') else target}{path.suffix}")


def _inputs(migrated: Migrated, method: str | None, given: list[str]) -> dict[str, list[Any]]:
    """The inputs given, by method; none where there are none. Raises ``InputError``, ``MethodNotFoundError``."""
    if not given:
        return {}
    from pteron.cli.inputs import read_inputs
    from pteron.prove.cases import chosen_methods
    from pteron.prove.subject import default_method

    name = method or default_method(migrated.original)
    (chosen,) = chosen_methods(migrated.original, name)
    return {name: [item.value for item in read_inputs(chosen, given, migrated.plan.file)]}


def _prove(file: str, to: str, data: list[str], seed: int, inputs: dict[str, list[Any]]) -> Evidence:
    """What the real release did with the file that was written, or with the original that it runs as it is."""
    from pteron.prove import prove

    (method, values) = next(iter(inputs.items()), (None, None))
    with Waiting(f"running {file} on {to}"):
        (evidence,) = prove(file, [to], data=data, seed=seed, method=method, inputs=values).values()
    return evidence


def _refuse_output(target: Path, file: str, force: bool) -> None:
    if target.exists() and target.samefile(file):
        raise FileAccessError(f"{target}: this is the original, which is never overwritten; give another --output")
    if target.exists() and not force:
        raise FileAccessError(f"{target}: exists already; give another name, or --force to overwrite it")


def _write(migrated: Migrated, target: Path, force: bool) -> tuple[str, str | None]:
    from pteron.format.save import save_files

    data_target = target.with_suffix(".ptd")
    image = migrated.data_image
    if image is not None and data_target.exists() and not force:
        raise FileAccessError(f"{data_target}: exists already; give another --output, or --force to overwrite it")
    files = {target: [migrated.image]} if image is None else {data_target: [image], target: [migrated.image]}
    save_files(files)
    return str(target), str(data_target) if image is not None else None
