"""The ``pteron`` command: subcommands, errors as one sentence on stderr, exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, TextIO

import typer

from pteron import __version__
from pteron.cli import exit_codes
from pteron.cli.bench import bench
from pteron.cli.check import check
from pteron.cli.date import date
from pteron.cli.diff import diff
from pteron.cli.explain import explain
from pteron.cli.interruption import Interrupted, raising
from pteron.cli.lock import lock
from pteron.cli.migrate import migrate
from pteron.cli.profile import profile
from pteron.cli.prove import prove
from pteron.cli.requires import requires
from pteron.cli.run import run
from pteron.cli.runtimes import app as runtimes
from pteron.cli.show import show
from pteron.cli.stamp import stamp
from pteron.cli.to_onnx import to_onnx
from pteron.cli.verify import verify
from pteron.errors import PteronError
from pteron.report.words import escape

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""The base of all usage errors; typer has it from Click in some versions and of its own in others."""


@dataclass
class Session:
    """What the options before the subcommand say."""

    debug: bool = False


app = typer.Typer(
    name="pteron",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(short_help="Where files run, where they are promised to, and why.")(check)
app.command(short_help="What files need of a runtime.")(requires)
app.command(short_help="Which releases can have made a file.")(date)
app.command(short_help="Write down what models require, for check --lock.")(lock)
app.command(short_help="Describe a build of a runtime in a file.")(profile)
app.command(short_help="Write into a file who made it.")(stamp)
app.command(short_help="Run a method on inputs, or a .bpte's own test cases.")(run)
app.command(short_help="How fast a method loads and runs, and where the time goes.")(bench)
app.command("to-onnx", short_help="Write a method as one ONNX model.")(to_onnx)
app.command(short_help="What is inside a file, and where every byte goes.")(show)
app.command(short_help="Check files against the rules of the format.")(verify)
app.command(short_help="Rewrite a file so that another release runs it.")(migrate)
app.command(short_help="Run files on real releases, and keep the evidence.")(prove)
app.add_typer(runtimes, name="runtimes", short_help="The real releases on this machine.")
app.command(short_help="What changed between two files.")(diff)
app.command(short_help="What an error code or a rule means.")(explain)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"pteron {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def pteron(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", hidden=True)] = False,
) -> None:
    """Read, verify and run the .pte files of every ExecuTorch release, without torch, and tell where they run.

    \b
    pteron check model.pte                where it runs, where that is promised, and why
    pteron requires model.pte             what it needs of a runtime
    pteron show model.pte                 what is inside, where every byte goes
    pteron verify models/                 does it follow the rules of the format
    pteron run model.pte --input x.npy    run it
    pteron bench model.pte                how fast it is, and where the time goes
    pteron to-onnx model.pte              write it as an ONNX model
    pteron migrate model.pte --to 0.5.0   rewrite it so that another release runs it
    pteron diff old.pte new.pte           what changed, and does it break anything
    pteron explain 0x12                   what an ExecuTorch error code means

    Exit codes: 0 fine, 1 the answer is no, 2 the question was wrong.
    """
    context.obj.debug = debug
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")
        raise typer.Exit(exit_codes.WRONG_QUESTION)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` by default) and give the exit code; nothing is raised."""
    session = Session()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with raising(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _show_warning
            given = None if arguments is None else list(arguments)
            code = app(args=given, prog_name="pteron", obj=session, standalone_mode=False)
        sys.stdout.flush()
        if code == exit_codes.INTERRUPTED:  # what typer makes of a KeyboardInterrupt
            return _say("interrupted", code)
        return int(code or exit_codes.FINE)
    except BaseException as error:
        if session.debug and not isinstance(error, SystemExit | Interrupted):
            raise
        return _end(error)


def _end(error: BaseException) -> int:
    """Say in one sentence what ended the command; the exit code for it."""
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        error = error.__context__  # typer makes an exit of its own of it
    match error:
        case PteronError():
            return _say(str(error), exit_codes.exit_code(error))
        case Interrupted():
            return _say(str(error), error.code)
        case typer.Abort() | KeyboardInterrupt():
            return _say("interrupted", exit_codes.INTERRUPTED)
        case BrokenPipeError():
            # What is still buffered would raise again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return exit_codes.BROKEN_PIPE
        case MemoryError():
            return _say("there is not enough memory", exit_codes.NO)
        case SystemExit():
            return error.code if isinstance(error.code, int) else exit_codes.BUG
    if isinstance(error, USAGE_ERROR):
        command = getattr(getattr(error, "ctx", None), "command_path", "pteron")
        message = getattr(error, "format_message", error.__str__)().rstrip(".")
        return _say(f"{message}; see {command} --help", exit_codes.WRONG_QUESTION)
    return _say(
        f"internal error, {type(error).__name__}: {error}; please report it with what `pteron --debug` prints",
        exit_codes.BUG,
    )


def _say(message: str, code: int) -> int:
    sys.stderr.write(f"pteron: {escape(message)}\n")
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one sentence, without the place in Pteron's sources."""
    sys.stderr.write(f"pteron: warning: {escape(str(message))}\n")
