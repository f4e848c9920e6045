"""``pteron run``: run a method of a program."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pteron.cli import exit_codes
from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.errors import ExternalDataError, FileAccessError, MethodNotFoundError

if TYPE_CHECKING:
    from pteron.format.method import ValueInfo
    from pteron.runtime.module import Module


class Engine(StrEnum):
    """What runs the program."""

    AUTO = "auto"
    REFERENCE = "reference"
    ONNXRUNTIME = "onnxruntime"


def run(
    file: Annotated[str, typer.Argument(help="A .pte or .bpte file.", metavar="FILE")],
    method: Annotated[str | None, typer.Option(help="The method to run; forward, or the only one, by default.")] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="Inputs: in.npz, in0.npy in order, or name=in.npy; may be repeated."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", "-d", help="A .ptd with weights; may be repeated.")
    ] = None,
    engine: Annotated[Engine, typer.Option(help="What runs it; auto takes the fastest there is.")] = Engine.AUTO,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Write the outputs to this .npz.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of inputs made here and of random operators.")] = 0,
    repeat: Annotated[int, typer.Option(min=1, help="Run so many times, from the same state each, and time it.")] = 1,
    profile: Annotated[
        bool, typer.Option("--profile", help="Then call it as often again and show the operators by time.")
    ] = False,
    rtol: Annotated[float, typer.Option(min=0, help="Relative tolerance for a .bpte's own test cases.")] = 1e-3,
    atol: Annotated[float, typer.Option(min=0, help="Absolute tolerance for a .bpte's own test cases.")] = 1e-5,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run a method and print its outputs.

    Without --input, inputs that fit the method's signature are made from the seed; a .bpte runs its own test cases
    and compares with the outputs it expects (exit code 1 where one differs).

    In .npy and .npz files bfloat16 and float8 stand as float32, which holds their values exactly.

    \b
    Examples:
      pteron run model.pte
      pteron run model.pte --input x.npy --output y.npz
      pteron run model.pte --method encode --input tokens=ids.npy
      pteron run model.pte --data weights.ptd
      pteron run model.pte --profile
      pteron run cases.bpte
    """
    if output is not None and Path(output).exists() and not force:
        raise FileAccessError(f"{output}: exists already; give another name, or --force to overwrite it")
    with Waiting(f"loading {file}"):
        start = time.perf_counter()
        module = _load(file, data or [], seed, engine)
        bundled = None if given else _bundled(file)
        load_seconds = time.perf_counter() - start
    if bundled is not None and not profile:
        from pteron.report.cases import cases_document, print_cases, run_cases

        if output is not None:
            raise typer.BadParameter("a .bpte's own test cases are compared, not written", param_hint="--output")
        with Waiting("running test cases"):
            cases = list(run_cases(bundled, module, method=method, rtol=rtol, atol=atol))
        if not cases:
            raise MethodNotFoundError(f"{file}: no test case for {method or 'any method'}; give --input")
        engines = sorted({module[name].engine for name in bundled.test_suites if method in (None, name)})
        ran = cases_document(file, " and ".join(engines), rtol, atol, cases, load_seconds)
        answer(ran, form, print_cases)
        if not ran["matches"]:
            raise typer.Exit(exit_codes.NO)
        return
    _run(file, module, method, given or [], output, seed, repeat, profile, load_seconds, form)


def _load(file: str, data: list[str], seed: int, engine: Engine) -> Module:
    from pteron.runtime.module import load

    try:
        return load(file, data=data, seed=seed, engine=engine.value)
    except ExternalDataError as error:
        hint = "" if data else " (on the command line: --data FILE.ptd)"
        raise ExternalDataError(f"{error}{hint}") from None


def _bundled(file: str) -> Any:
    from pteron.format.bundled_program import read_bundled_program
    from pteron.format.identify import FileKind, identify
    from pteron.format.source import read_source

    buffer, name = read_source(file)
    return read_bundled_program(buffer, file=name) if identify(buffer) is FileKind.BUNDLED_PROGRAM else None


def _run(
    file: str,
    module: Module,
    name: str | None,
    given: Sequence[str],
    output: str | None,
    seed: int,
    repeat: int,
    profile: bool,
    load_seconds: float,
    form: Format,
) -> None:
    from pteron.cli.inputs import made_inputs, read_inputs
    from pteron.report.outputs import print_run, run_document

    chosen = name or default_method(module)
    start = time.perf_counter()
    with Waiting(f"loading method {chosen}"):
        loaded = module[chosen]
    load_seconds += time.perf_counter() - start
    method = loaded.method
    if given:
        inputs = read_inputs(method, given, file)
    else:
        inputs = made_inputs(method, seed, module.program.limits, file)
    seconds = []
    with Waiting(f"running {chosen}", total=repeat if repeat > 1 else None) as waiting:
        for number in range(repeat):
            if number:
                module.reset()
            start = time.perf_counter()
            values = loaded.execute([item.value for item in inputs])
            seconds.append(time.perf_counter() - start)
            waiting.advance()
    outputs = list(zip(method.outputs, values, strict=True))
    if output is not None:
        _write(output, outputs)
    spent = None
    if profile:
        with Waiting("timing operators"):
            spent = module.profile(chosen, [item.value for item in inputs], runs=repeat)
    sources = [(item.info, item.value, item.source) for item in inputs]
    ran = run_document(file, chosen, loaded.engine, sources, outputs, load_seconds, seconds, output, spent)
    answer(ran, form, lambda document, out: print_run(document, out, outputs))


def default_method(module: Module) -> str:
    """``forward``, or the only method; raises ``MethodNotFoundError`` where there are others."""
    names = list(module.methods)
    if "forward" in names or not names:
        return "forward"
    if len(names) == 1:
        return names[0]
    raise MethodNotFoundError(f"{module.program.file}: which method? --method takes {', '.join(names)}")


def _write(path: str, outputs: Sequence[tuple[ValueInfo, Any]]) -> None:
    """The outputs as ``out0``, ``out1`` … in an .npz, written whole or not at all; None is left out."""
    import numpy as np

    from pteron.format.save import save_parts

    arrays: dict[str, Any] = {}
    for number, (_, value) in enumerate(outputs):
        if value is None:
            continue
        array = np.asarray(value)
        # NumPy's format cannot name bfloat16 and float8; float32 holds each of their values exactly.
        arrays[f"out{number}"] = array.astype(np.float32) if array.dtype.kind == "V" else array
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    save_parts(path, [archive.getbuffer()])
