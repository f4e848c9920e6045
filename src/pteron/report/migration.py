"""The ``pteron.migrate/1`` document: what a migration does, and what it cannot do."""

from __future__ import annotations

from typing import Any

from pteron.compat.evidence import Evidence
from pteron.compat.verdict import Verdict
from pteron.migration import Comparison, Migrated
from pteron.report.document import Document, document
from pteron.report.printer import Printer
from pteron.report.words import size

SCHEMA = "pteron.migrate/1"


def migration_document(
    migrated: Migrated,
    comparison: Comparison | None,
    output: str | None,
    data_output: str | None,
    proof: Evidence | None = None,
) -> Document:
    """The document; ``comparison`` is None where nothing was run, the outputs None where nothing was written.

    ``proof`` is what the real release did with the result.
    """
    plan = migrated.plan
    changed = plan.possible and not plan.unchanged
    return document(
        SCHEMA,
        file=plan.file,
        to=plan.target,
        possible=plan.possible,
        unchanged=plan.unchanged,
        before=_verdict(plan.before),
        after=_verdict(plan.after),
        steps=[
            {"name": a.step, "sentence": a.sentence, "solves": list(a.rules), "layout_only": a.layout_only}
            for a in plan.applied
        ],
        obstacles=[reason.to_dict() for reason in plan.obstacles],
        refusals=list(plan.refusals),
        compared=None if comparison is None else _comparison(comparison),
        bytes=len(migrated.image) if changed else None,
        output=output,
        data_output=data_output,
        proof=None if proof is None else {"outcome": proof.outcome.value, "sentence": proof.sentence},
    )


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"status": verdict.status.value, "rules": list(dict.fromkeys(verdict.rules))}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "methods": list(comparison.methods),
        "given": list(comparison.given),
        "unrun": list(comparison.unrun),
        "exact": comparison.exact,
        "max_abs": comparison.max_abs,
        "problem": comparison.problem or None,
    }


def print_migration(found: Document, out: Printer) -> None:
    """The document for people."""
    file, to = found["file"], found["to"]
    if found["possible"] and found["unchanged"]:
        out.line(f"{file}: {to} runs it as it is ({found['before']['status']}); nothing to do")
        _print_proof(found, out)
        return
    out.heading(f"{file} for {to}: {found['before']['status']} → {found['after']['status']}")
    for step in found["steps"]:
        solves = f" ({', '.join(step['solves'])})" if step["solves"] else ""
        out.line(f"{step['name']}: {step['sentence']}{solves}", 1)
    for refusal in found["refusals"]:
        out.line(f"cannot: {refusal}", 1, "yellow")
    if not found["possible"]:
        out.line("In the way:")
        for reason in found["obstacles"]:
            out.line(f"{reason['rule']}: {reason['sentence']}", 1, "red")
            if reason["remedy"]:
                out.line(reason["remedy"], 2)
        return
    _print_comparison(found["compared"], out)
    if found["output"]:
        also = f" and {found['data_output']}" if found["data_output"] else ""
        out.line(f"wrote {found['output']}{also} ({size(found['bytes'])})")
    else:
        out.line(f"not written ({size(found['bytes'])})")
    _print_proof(found, out)


def _print_proof(found: Document, out: Printer) -> None:
    if found["proof"] is not None:
        out.line(f"on the real {found['to']}: {found['proof']['outcome']}, {found['proof']['sentence']}")


def _print_comparison(compared: dict[str, Any] | None, out: Printer) -> None:
    if compared is None:
        return
    generated = [name for name in compared["methods"] if name not in compared["given"]]
    said = "the same bit for bit" if compared["exact"] else f"the same within {compared['max_abs']:.3g}"
    for methods, whose in ((compared["given"], "the inputs given"), (generated, "generated inputs")):
        if methods:
            out.line(f"outputs on {whose}: {said} ({', '.join(methods)})")
    for unrun in compared["unrun"]:
        out.line(f"not compared: {unrun}", 0, "yellow")
