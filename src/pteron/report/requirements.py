"""The ``pteron.requires/1`` document: what files need of a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pteron.compat.judge_operators import link_remedy, operator_releases
from pteron.compat.requirements import Requirements
from pteron.report.document import Document, document
from pteron.report.printer import Printer
from pteron.report.words import count, size

SCHEMA = "pteron.requires/1"
_SHOWN = 8


def to_document(found: Sequence[Requirements]) -> Document:
    """The document over all files; each operator with the first release that has a kernel, each backend with what to
    link."""
    return document(SCHEMA, files=[_file(needed) for needed in found])


def _file(needed: Requirements) -> dict[str, Any]:
    described = needed.to_dict()
    for operator in (*described["operators"], *described["prim_ops"]):
        having = operator_releases(operator["name"])
        operator["since"] = str(having[0]) if having else None
    for backend in described["backends"]:
        backend["link"] = link_remedy(backend["id"]) or None
    return described


def print_requirements(listed: Document, out: Printer) -> None:
    """Each file: operators, backends, data, what the caller gives, format features."""
    for number, file in enumerate(listed["files"]):
        if number:
            out.line()
        out.heading(file["file"])
        for title, key in (("operators", "operators"), ("prim ops", "prim_ops")):
            _operators(title, file[key], out)
        if file["backends"]:
            out.heading("backends", 2)
            out.table([_backend(backend) for backend in file["backends"]], indent=4)
        if file["external_keys"]:
            out.heading("data from .ptd files", 2)
            out.table([(key["key"], key["backend"] or "tensor") for key in file["external_keys"]], indent=4)
        out.heading("format", 2)
        out.table([(feature["id"], feature["since"], feature["sentence"]) for feature in file["features"]], indent=4)


def _operators(title: str, operators: list[dict[str, Any]], out: Printer) -> None:
    if not operators:
        return
    out.heading(title, 2)
    rows = [
        (
            operator["name"],
            count(operator["calls"], "call"),
            ", ".join(operator["dtypes"]),
            f"since {operator['since']}" if operator["since"] else "in no release",
        )
        for operator in operators
    ]
    out.table(rows, indent=4)


def _backend(backend: dict[str, Any]) -> tuple[str, ...]:
    nodes = list(backend["node_types"])
    more = f" and {len(nodes) - _SHOWN} more" if len(nodes) > _SHOWN else ""
    inside = backend["problem"] or ", ".join(nodes[:_SHOWN]) + more
    form = " ".join(filter(None, (backend["format"], backend["version"])))
    return (
        backend["id"],
        form,
        f"{count(backend['payloads'], 'payload')}, {size(backend['bytes'])}",
        inside,
        backend["link"] or "",
    )
