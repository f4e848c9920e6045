"""``pteron bench``: how fast a method loads and runs, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pteron.cli.options import Format, FormatOption, answer
from pteron.cli.progress import Waiting
from pteron.cli.run import Engine, default_method
from pteron.errors import ExternalDataError

if TYPE_CHECKING:
    from pteron.cli.inputs import GivenInput
    from pteron.runtime.module import Module


def bench(
    file: Annotated[str, typer.Argument(help="A .pte or .bpte file.", metavar="FILE")],
    method: Annotated[
        str | None, typer.Option(help="The method to call; forward, or the only one, by default.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="Inputs: in.npz, in0.npy in order, or name=in.npy; may be repeated."),
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", "-d", help="A .ptd with weights; may be repeated.")
    ] = None,
    engine: Annotated[Engine, typer.Option(help="What runs it; auto takes the fastest there is.")] = Engine.AUTO,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for one operator of ONNX Runtime; all cores by default.")
    ] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Time so many calls, however long they take.")] = None,
    seconds: Annotated[float, typer.Option(min=0, help="Without --repeat: time calls for so long, 3 at least.")] = 2.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of inputs made here and of random operators.")] = 0,
    form: FormatOption = Format.TEXT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Measure a method: load time, first call, median, p90 and minimum of calls, peak memory, time by operator.

    Without --input, inputs that fit the method's signature are made from the seed. Calls are warmed up for 0.3 s before
    they count. The time by operator comes from further calls, as timing each operator makes them slower; the plan says
    which engine runs what, and why.

    \b
    Examples:
      pteron bench model.pte
      pteron bench model.pte --threads 1 --seconds 10
      pteron bench model.pte --input x.npz --repeat 100 --json
      pteron bench model.pte --engine reference
    """
    from pteron.cli.inputs import made_inputs, read_inputs
    from pteron.report.bench import bench_document, print_bench
    from pteron.runtime.benchmark import measure

    items: list[GivenInput] = []

    def choose(module: Module) -> str:
        return method or default_method(module)

    def make(module: Module, name: str) -> list[Any]:
        chosen = module.methods[name]
        items.extend(
            read_inputs(chosen, given, file) if given else made_inputs(chosen, seed, module.program.limits, file)
        )
        return [item.value for item in items]

    try:
        with Waiting(f"measuring {file}"):
            measured = measure(
                file,
                choose,
                make,
                data=data or (),
                engine=engine.value,
                threads=threads,
                seed=seed,
                repeat=repeat,
                seconds=seconds,
            )
    except ExternalDataError as error:
        hint = "" if data else " (on the command line: --data FILE.ptd)"
        raise ExternalDataError(f"{error}{hint}") from None
    with Waiting("timing operators"):
        profile = measured.profile()
    sources = [(item.info, item.value, item.source) for item in items]
    found = bench_document(file, measured, profile, sources, threads)
    answer(found, Format.JSON if as_json else form, print_bench)
