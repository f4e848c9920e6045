"""The ``pteron.verify/1`` document: what is wrong with each file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pteron.errors import FormatError, PteronError
from pteron.format.bundled_program import read_bundled_program
from pteron.format.flat_tensor import read_tensor_data
from pteron.format.identify import FileKind, identify
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.program import read_program
from pteron.format.source import read_source
from pteron.format.verify import Finding
from pteron.report.document import Document, document
from pteron.report.printer import Printer, Styled
from pteron.report.words import count
from pteron.runtime.opening import verify

SCHEMA = "pteron.verify/1"

_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def check_file(path: str, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The entry of one file: its findings, or the error for which it cannot be read.

    A .bpte is read whole and the program inside is checked; a .ptd has no rules beyond what reading it checks.
    """
    try:
        findings = _check(path, limits)
    except PteronError as error:
        place = error if isinstance(error, FormatError) else None
        unreadable = {
            "type": type(error).__name__,
            "message": place.problem if place else str(error).removeprefix(f"{path}: "),
            "path": place.path if place else "",
            "offset": place.offset if place else None,
        }
        return {"file": path, "error": unreadable, "findings": []}
    return {"file": path, "error": None, "findings": [_describe(finding) for finding in findings]}


def wrong_question(file: dict[str, Any]) -> bool:
    """Whether the file cannot be judged at all: not there, or of a kind that has no rules."""
    return file["error"] is not None and file["error"]["type"] in ("FileAccessError", "UnknownFileError")


def _check(path: str, limits: Limits) -> tuple[Finding, ...]:
    buffer, name = read_source(path)
    kind = identify(buffer)
    if kind is FileKind.PTD:
        read_tensor_data(buffer, limits=limits, file=name)
        return ()
    if kind is FileKind.BUNDLED_PROGRAM:
        return verify(read_bundled_program(buffer, limits=limits, file=name).program, limits=limits)
    return verify(read_program(buffer, limits=limits, file=name), limits=limits)


def _describe(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule.id,
        "name": finding.rule.name,
        "severity": finding.severity.value,
        "path": finding.path,
        "offset": finding.offset,
        "message": finding.message,
    }


def summary(files: Sequence[dict[str, Any]], *, strict: bool) -> Document:
    """The document over all files; ``sound`` is the answer, warnings counted where ``strict``."""
    totals = {severity: sum(_count(file, severity) for file in files) for severity in _STYLES}
    unreadable = sum(file["error"] is not None for file in files)
    bad = totals["error"] + unreadable + (totals["warning"] if strict else 0)
    return document(
        SCHEMA,
        strict=strict,
        sound=bad == 0,
        files=list(files),
        totals={"files": len(files), "unreadable": unreadable, **{f"{key}s": n for key, n in totals.items()}},
    )


def _count(file: dict[str, Any], severity: str) -> int:
    return sum(finding["severity"] == severity for finding in file["findings"])


def print_summary(checked: Document, out: Printer) -> None:
    """Each file with its findings, worst first, and a last line where there are several files."""
    for file in checked["files"]:
        _print_file(file, out)
    totals = checked["totals"]
    if totals["files"] > 1:
        counts = [count(totals[f"{severity}s"], severity) for severity in _STYLES if totals[f"{severity}s"]]
        if totals["unreadable"]:
            counts.insert(0, f"{totals['unreadable']} unreadable")
        out.line()
        out.heading(f"{count(totals['files'], 'file')}: {', '.join(counts) or 'all sound'}")


def _print_file(file: dict[str, Any], out: Printer) -> None:
    error = file["error"]
    if error is not None:
        out.heading(f"{file['file']}: cannot be read")
        out.table([(_severity("error"), error["type"], _offset(error), error["path"], error["message"])])
        return
    counts = [count(n, severity) for severity in _STYLES if (n := _count(file, severity))]
    out.heading(f"{file['file']}: {', '.join(counts) or 'sound'}")
    rows = [(_severity(f["severity"]), f["rule"], _offset(f), f["path"], f["message"]) for f in file["findings"]]
    out.table(rows)


def _severity(severity: str) -> Styled:
    return Styled(severity, _STYLES[severity])


def _offset(place: dict[str, Any]) -> str:
    return "" if place["offset"] is None else f"byte {place['offset']:,}"
