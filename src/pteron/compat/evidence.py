"""Evidence: what a real runtime did with a file. ``pteron prove`` makes it; judgements rank it above predictions.

A document of the schema ``pteron.evidence/1`` (docs/prove.md) holds one record per file and runtime. The records are
plain values, so that a reader needs neither the runtime nor what drove it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from packaging.version import InvalidVersion, Version

from pteron.errors import FileAccessError, FormatError

SCHEMA = "pteron.evidence/1"
MAX_BYTES = 256 << 20
_SHA256 = re.compile("[0-9a-f]{64}")


class Outcome(StrEnum):
    """What came of running a file, from best to worst."""

    OK = "ok"
    """It ran, and every output is what was expected."""
    RAN = "ran"
    """It ran, but there was nothing to compare its outputs with."""
    WRONG = "wrong"
    """It ran, and an output has other values, another shape or dtype."""
    LOAD_ERROR = "load_error"
    """The runtime refused the program when it was opened."""
    METHOD_LOAD_ERROR = "method_load_error"
    """An operator or backend is missing, or a delegate refused its payload."""
    EXEC_ERROR = "exec_error"
    """The runtime refused the inputs, or a step of the method failed."""
    CRASH = "crash"
    """The process died."""
    TIMEOUT = "timeout"
    """No answer within the time limit."""
    OUT_OF_MEMORY = "out_of_memory"
    """It needed more memory than it was given."""
    NOT_RUN = "not_run"
    """The runtime's binding has no way to pass what the file needs; says nothing about the file."""
    NOT_INSTALLABLE = "not_installable"
    """The runtime could not be installed or started; says nothing about the file."""
    NO_ANSWER = "no_answer"
    """What drives the runtime broke off, or answered something else; says nothing about the file."""

    @property
    def runs(self) -> bool:
        """Whether the file ran without anything being wrong."""
        return self in (Outcome.OK, Outcome.RAN)

    @property
    def conclusive(self) -> bool:
        """Whether this says something about the file, not only about the attempt."""
        return self not in (Outcome.NOT_RUN, Outcome.NOT_INSTALLABLE, Outcome.NO_ANSWER, Outcome.RAN)


WORST_FIRST = (
    Outcome.CRASH,
    Outcome.TIMEOUT,
    Outcome.OUT_OF_MEMORY,
    Outcome.WRONG,
    Outcome.LOAD_ERROR,
    Outcome.METHOD_LOAD_ERROR,
    Outcome.EXEC_ERROR,
    Outcome.NOT_INSTALLABLE,
    Outcome.NO_ANSWER,
    Outcome.NOT_RUN,
    Outcome.RAN,
    Outcome.OK,
)
"""Outcomes in the order in which those of several cases make the outcome of a record."""


@dataclass(frozen=True, slots=True)
class Package:
    """One package of the runtime's environment: the wheel's file name and SHA-256, where the installer told them."""

    name: str
    version: str
    wheel: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeUsed:
    """The runtime that ran: ``release`` is empty for a command of the user's own that does not say; ``kind`` is
    ``wheel`` or ``command``."""

    name: str
    release: str = ""
    kind: str = "wheel"
    python: str = ""
    torch: str = ""
    packages: tuple[Package, ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """How one output of one call differs from what it is compared with.

    ``against`` is ``expected`` (values that came with the inputs), ``reference`` (Pteron's reference engine) or the
    name of another runtime. ``max_abs`` and ``max_rel`` are over the values that are finite on both sides; ``steps``
    is the largest difference in quantisation steps, where the output is quantised; ``other_nan`` counts positions
    where only one side is NaN or infinite. ``text`` says in words what is wrong, empty where it is within tolerance.
    """

    against: str
    call: int
    output: str
    exact: bool
    within: bool
    max_abs: float | None = None
    max_rel: float | None = None
    steps: float | None = None
    other_nan: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class CaseEvidence:
    """One sequence of calls on a freshly loaded program.

    ``source`` is ``seed``, ``given`` or ``bundled``; ``inputs_sha256`` is over dtypes, shapes and values of all inputs;
    ``outputs_sha256`` likewise, empty where it did not run. ``stage`` is ``load``, ``method_load`` or ``execute``.
    """

    name: str
    source: str
    outcome: Outcome
    inputs_sha256: str
    seed: int | None = None
    calls: tuple[str, ...] = ()
    stage: str = ""
    call: int | None = None
    error_code: str = ""
    text: str = ""
    seconds: tuple[float, ...] = ()
    repeatable: bool | None = None
    peak_memory: int | None = None
    outputs_sha256: str = ""
    reference: str = ""
    differences: tuple[Difference, ...] = ()
    log: tuple[str, ...] = ()

    @property
    def judged(self) -> tuple[Difference, ...]:
        """The differences that decide: from expected values where there are such, else from the reference engine."""
        expected = tuple(d for d in self.differences if d.against == "expected")
        return expected or tuple(d for d in self.differences if d.against == "reference")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A .ptd file that was given along."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one runtime did with one file; ``outcome`` is the worst of the cases'."""

    file: str
    sha256: str
    size: int
    runtime: RuntimeUsed
    outcome: Outcome
    sentence: str
    cases: tuple[CaseEvidence, ...] = ()
    data: tuple[DataFile, ...] = ()
    platform: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    made: str = ""

    def to_document(self) -> dict[str, Any]:
        """The record as plain values for JSON, defaults left out."""
        return _document(self)


def from_document(raw: Any, file: str = "<evidence>") -> Evidence:
    """One record from its plain values; raises ``FormatError`` naming the field that is not as it must be."""
    return _evidence(raw, "record", file)


def read_evidence(path: str | os.PathLike[str]) -> tuple[Evidence, ...]:
    """The records of an evidence file (JSON, or a journal with one record per line whose last line may be cut off).

    Raises ``FileAccessError`` and ``FormatError``.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileAccessError(f"{name}: cannot be opened ({error.strerror}); check the path") from error
    if len(content) > MAX_BYTES:
        raise FormatError(f"has more than {MAX_BYTES:,} bytes, so it is no evidence file", file=name)
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError):
        return _journal(content, name)
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise FormatError(f"does not follow the schema {SCHEMA}; make it with `pteron prove --output`", file=name)
    records = raw.get("records", [raw] if "runtime" in raw else None)
    if not isinstance(records, list):
        raise FormatError("must be a list", file=name, path="records")
    return tuple(_evidence(item, f"records[{index}]", name) for index, item in enumerate(records))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _journal(content: bytes, name: str) -> tuple[Evidence, ...]:
    lines = content.split(b"\n")
    try:
        raws = [json.loads(line) for line in lines[:-1] if line.strip()]
    except (ValueError, RecursionError):
        raise FormatError("is neither JSON nor a journal with one JSON record per line", file=name) from None
    if not raws or not all(isinstance(raw, dict) and raw.get("schema") == SCHEMA for raw in raws):
        raise FormatError(f"has no records of the schema {SCHEMA}; make it with `pteron prove --output`", file=name)
    return tuple(_evidence(raw, f"line {number}", name) for number, raw in enumerate(raws, 1))


def _evidence(raw: Any, place: str, file: str) -> Evidence:
    """A record whose fields agree with each other: what decides a verdict must not hang on one word in a file."""
    record: Evidence = _typed(raw, Evidence, place, file)

    def refuse(problem: str, path: str) -> FormatError:
        return FormatError(problem, file=file, path=f"{place}.{path}")

    if not _SHA256.fullmatch(record.sha256):
        raise refuse("must be a SHA-256 of 64 lowercase hexadecimal digits", "sha256")
    for number, data in enumerate(record.data):
        if not _SHA256.fullmatch(data.sha256):
            raise refuse("must be a SHA-256 of 64 lowercase hexadecimal digits", f"data[{number}].sha256")
    release = _version(record.runtime.release)
    if record.runtime.release and release is None:
        raise refuse(f"is {record.runtime.release!r}, which is no release", "runtime.release")
    for number, package in enumerate(record.runtime.packages):
        installed = _version(package.version) if package.name == "executorch" else None
        if installed is not None and release is not None and installed.base_version != release.base_version:
            problem = f"is {package.version!r}, but the release is {release}"
            raise refuse(problem, f"runtime.packages[{number}].version")
    worst = min((case.outcome for case in record.cases), key=WORST_FIRST.index, default=Outcome.RAN)
    if record.outcome is not worst:
        raise refuse(f"is {str(record.outcome)!r}, but the worst of its cases is {str(worst)!r}", "outcome")
    for number, case in enumerate(record.cases):
        if case.outcome is Outcome.OK and not all(difference.within for difference in case.judged):
            raise refuse("is 'ok', but a difference is not within the tolerance", f"cases[{number}].outcome")
    return record


def _document(record: Any) -> dict[str, Any]:
    plain = {}
    for item in dataclasses.fields(record):
        value = getattr(record, item.name)
        if (item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING) or (
            value != item.default and not (item.default is dataclasses.MISSING and not value)
        ):
            plain[item.name] = _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _document(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"  # JSON has no such numbers
    return dict(value) if isinstance(value, Mapping) else str(value) if isinstance(value, StrEnum) else value


_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _typed(raw: Any, kind: Any, place: str, file: str) -> Any:
    """``raw`` as the annotated type says; unknown fields of records are passed over, as newer versions add some."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return None if raw is None else _typed(raw, next(k for k in get_args(kind) if k is not type(None)), place, file)
    if origin is tuple:
        if not isinstance(raw, list):
            raise FormatError("must be a list", file=file, path=place)
        return tuple(_typed(item, get_args(kind)[0], f"{place}[{index}]", file) for index, item in enumerate(raw))
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(raw, kind, place, file)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(raw, dict):
            raise FormatError("must be an object", file=file, path=place)
        return {key: _typed(value, get_args(kind)[1], f"{place}.{key}", file) for key, value in raw.items()}
    return _scalar(raw, kind, place, file)


def _record(raw: Any, kind: type[Any], place: str, file: str) -> Any:
    if not isinstance(raw, dict):
        raise FormatError("must be an object", file=file, path=place)
    hints = get_type_hints(kind)
    values = {}
    for item in dataclasses.fields(kind):
        if item.name in raw:
            values[item.name] = _typed(raw[item.name], hints[item.name], f"{place}.{item.name}", file)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise FormatError("is missing", file=file, path=f"{place}.{item.name}")
    return kind(**values)


def _scalar(raw: Any, kind: Any, place: str, file: str) -> Any:
    if kind is Any:
        return raw
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        try:
            return kind(raw)
        except ValueError:
            known = ", ".join(kind)
            raise FormatError(f"is {raw!r}, but must be one of {known}", file=file, path=place) from None
    if kind is float:
        raw = _NUMBERS.get(raw, raw) if isinstance(raw, str) else raw
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return float(raw)
    elif isinstance(raw, kind) and not (kind is int and isinstance(raw, bool)):
        return raw
    raise FormatError(f"must be {'a number' if kind in (int, float) else kind.__name__}", file=file, path=place)
