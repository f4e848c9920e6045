"""``pteron runtimes``: the real releases on this machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pteron.cli.options import Format, FormatOption, answer
from pteron.errors import UnsupportedError

if TYPE_CHECKING:
    from packaging.version import Version

    from pteron.prove.install import Plan, Progress

app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def runtimes() -> None:
    """The real ExecuTorch releases that `pteron prove` runs files on, each in an environment of its own.

    They are in the user's cache folder, or in the folder that PTERON_RUNTIMES names. uv makes them where it is
    installed (pip install 'pteron[prove]'), else venv and pip do.
    """


@app.command("list")
def list_runtimes(form: FormatOption = Format.TEXT) -> None:
    """Releases that can be installed, and what is installed."""
    from pteron.prove.environments import environments, home
    from pteron.report.runtimes import print_runtimes, runtimes_document

    answer(runtimes_document(home(), environments()), form, print_runtimes)


@app.command()
def install(
    releases: Annotated[list[str], typer.Argument(help="Releases (1.4.1) or ranges ('>=1.4').", metavar="RELEASE...")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be downloaded.")] = False,
) -> None:
    """Install releases; what was interrupted goes on where it was."""
    from pteron.prove.install import install as install_releases

    install_releases(_releases(releases), announce=announce, progress=download_progress, only_plan=dry_run)


@app.command()
def remove(
    releases: Annotated[
        list[str] | None, typer.Argument(help="Releases (1.4.1) or ranges ('>=1.4').", metavar="RELEASE...")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all that is installed.")] = False,
) -> None:
    """Remove releases from the disk."""
    from pteron.prove.environments import environment, environments
    from pteron.prove.environments import remove as remove_environment
    from pteron.report.words import size

    if everything == bool(releases):
        raise typer.BadParameter("name releases, or give --all", param_hint="RELEASE...")
    chosen = list(environments()) if everything else [environment(release) for release in _releases(releases or [])]
    for place in chosen:
        if place.state == "absent":
            if not everything:
                announce(f"executorch {place.release} is not installed")
            continue
        announce(f"executorch {place.release} removed, {size(remove_environment(place))} freed")


def _releases(texts: list[str]) -> list[Version]:
    from pteron.compat.targets import targets
    from pteron.prove.environments import recipe

    found = []
    for target in targets(texts):
        if target.release is None or not target.name[:1].isdigit():
            raise UnsupportedError(f"{target.name} is no release; give one such as 1.4.1, or a range")
        found.append(recipe(target.release).release)
    return found


def announce(sentence: str) -> None:
    """A sentence about what goes on, on stderr: stdout is for the answer."""
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def download_progress(plan: Plan) -> Iterator[Progress]:
    """A bar of the bytes on disk on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(f"installing {plan.release}", total=plan.disk)
        yield lambda done, total: bars.update(task, completed=min(done, total), total=total)
