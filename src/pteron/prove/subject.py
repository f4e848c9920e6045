"""One file to be proven: its bytes' hash, the cases that it runs on, and what Pteron's reference engine gives."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pteron.compat.evidence import DataFile
from pteron.errors import InputError
from pteron.format.bundled_program import read_bundled_program
from pteron.format.identify import FileKind, identify
from pteron.format.limits import DEFAULT_LIMITS
from pteron.format.program import Program, read_program
from pteron.format.source import read_source
from pteron.prove.cases import Call, Case, bundled_cases, chosen_methods, made_cases
from pteron.prove.compare import Tolerance
from pteron.prove.exchange import Reply, Work
from pteron.prove.runtimes import Runtime
from pteron.prove.steps import output_scales


@dataclass(frozen=True)
class Options:
    """How to prove: which method (None: all), the seed of made inputs, how often, and the limits of one case: seconds,
    and MB beyond what the runtime itself takes."""

    method: str | None = None
    seed: int = 0
    repeat: int = 1
    timeout: float = 60.0
    memory: int = 4096
    rtol: float = 1e-3
    atol: float = 1e-5

    @property
    def tolerance(self) -> Tolerance:
        """What counts as the same."""
        return Tolerance(self.rtol, self.atol)


@dataclass(frozen=True)
class Source:
    """What is asked to be proven: a file, its .ptd files, and the inputs where they are given."""

    path: Path
    data: tuple[Path, ...] = ()
    cases: tuple[Case, ...] = ()
    name: str = ""

    @property
    def title(self) -> str:
        """What the file is called in evidence."""
        return self.name or str(self.path)


@dataclass
class Subject:
    """A file made ready; ``reference`` has what the reference engine gave for each case."""

    source: Source
    sha256: str
    size: int
    data: tuple[DataFile, ...]
    cases: tuple[Case, ...]
    scales: dict[str, tuple[float | None, ...]]
    reference: tuple[Reply, ...]
    options: Options
    outputs: dict[str, tuple[tuple[tuple[Any, ...], ...] | None, ...]] = field(default_factory=dict)
    """What runtimes gave so far, to compare them with each other: by runtime, for each case."""

    def work(self, case: Case) -> Work:
        """The case as work for a runtime."""
        options = self.options
        path, data = self.source.path.resolve(), tuple(file.resolve() for file in self.source.data)
        return Work(path, case, data, options.repeat, options.timeout, options.memory)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file; raises ``FileAccessError``."""
    return hashlib.sha256(read_source(path)[0]).hexdigest()


def make_subject(source: Source, options: Options, reference: Runtime) -> Subject:
    """Read the file, find or make its cases, and run them on the reference engine.

    The records are not verified: what a real runtime does with a file that breaks the rules is worth knowing. Raises
    ``FileAccessError``, ``FormatError`` for a file that cannot be read at all, ``MethodNotFoundError``, ``LimitError``.
    """
    buffer, name = read_source(source.path)
    subject = Subject(
        source,
        hashlib.sha256(buffer).hexdigest(),
        len(buffer),
        tuple(DataFile(path.name, sha256_of(path)) for path in source.data),
        source.cases,
        {},
        (),
        options,
    )
    known: dict[int, Reply] = {}

    def runs(case: Case) -> bool:
        known[id(case)] = reference.run(subject.work(case))
        kept.append(case)
        return known[id(case)].outcome == "ran"

    kept: list[Case] = []  # keeps the ids apart
    bundled = identify(buffer) is FileKind.BUNDLED_PROGRAM
    bundle = read_bundled_program(buffer, file=name) if bundled else None
    program: Program = bundle.program if bundle else read_program(buffer, file=name)
    if not subject.cases and bundle:
        subject.cases = tuple(bundled_cases(bundle, options.method, options.tolerance))
    if not subject.cases:
        made = made_cases(program, options.method, options.seed, options.tolerance, DEFAULT_LIMITS, runs)
        subject.cases = tuple(made)
    subject.scales = {method.name: output_scales(method) for method in program.methods.values()}
    subject.reference = tuple(known.get(id(case)) or reference.run(subject.work(case)) for case in subject.cases)
    return subject


def given_case(program: Program, method: str | None, inputs: Sequence[Any], tolerance: Tolerance) -> Case:
    """A case of one call with inputs given in order; raises ``InputError``, ``MethodNotFoundError``."""
    chosen = method or default_method(program)
    info = chosen_methods(program, chosen)[0]
    if len(inputs) != len(info.inputs):
        raise InputError(f"{program.file}: method {chosen!r} takes {len(info.inputs)} inputs, {len(inputs)} are given")
    return Case(chosen, "given", (Call(chosen, tuple(inputs)),), None, tolerance)


def default_method(program: Program) -> str:
    """``forward``, or the first method where there is none of that name."""
    return "forward" if "forward" in program.methods else next(iter(program.methods), "forward")
