"""From a reply to evidence: compare, name the outcome, say it in a sentence."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pteron.compat.evidence import WORST_FIRST, CaseEvidence, Difference, Evidence, Outcome
from pteron.error_codes import find
from pteron.prove.cases import Case
from pteron.prove.compare import Tolerance, compare, digest
from pteron.prove.exchange import Reply
from pteron.prove.runtimes import Runtime
from pteron.prove.subject import Options, Subject

_REFUSED = {"load": Outcome.LOAD_ERROR, "method_load": Outcome.METHOD_LOAD_ERROR, "execute": Outcome.EXEC_ERROR}


def prove_cell(subject: Subject, runtime: Runtime) -> Evidence:
    """Run every case of the file on the runtime."""
    cases, outputs = [], []
    for number, case in enumerate(subject.cases):
        reply = runtime.run(subject.work(case))
        cases.append(_case_evidence(subject, number, case, reply))
        outputs.append(reply.outputs if reply.outcome == "ran" else None)
    subject.outputs[runtime.used.name] = tuple(outputs)
    worst = min(cases, key=lambda case: WORST_FIRST.index(case.outcome), default=None)
    return Evidence(
        subject.source.title,
        subject.sha256,
        subject.size,
        runtime.used,
        worst.outcome if worst else Outcome.RAN,
        sentence(worst) if worst else "there is no method to run",
        tuple(cases),
        subject.data,
        platform_facts(),
        options_record(subject.options, subject.source.cases),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def options_record(options: Options, given: Sequence[Case]) -> dict[str, Any]:
    """The options as evidence keeps them, with the hash of given inputs; tells one cell of a job from another."""
    record = asdict(options)
    if given:
        record["inputs_sha256"] = digest(value for case in given for value in case.values)
    return record


def platform_facts() -> dict[str, str]:
    """The machine, as far as it matters for numbers."""
    libc = " ".join(platform.libc_ver()).strip()
    facts = {"system": platform.system(), "machine": platform.machine(), "libc": libc, "cpu": _cpu()}
    return {**{key: value for key, value in facts.items() if value}, "cores": str(os.cpu_count())}


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _case_evidence(subject: Subject, number: int, case: Case, reply: Reply) -> CaseEvidence:
    reference = subject.reference[number]
    differences: list[Difference] = []
    outcome = _REFUSED[reply.stage] if reply.outcome == "refused" else Outcome(reply.outcome)
    if reply.outcome == "ran":
        differences = _differences(subject, number, case, reply.outputs)
        judged = [d for d in differences if d.against == ("expected" if case.expected is not None else "reference")]
        if judged or (case.expected is None and reference.outcome == "ran"):
            outcome = Outcome.OK if all(d.within for d in judged) else Outcome.WRONG
    return CaseEvidence(
        case.name,
        case.source,
        outcome,
        digest(case.values),
        case.seed,
        tuple(map(str, case.calls)),
        reply.stage,
        reply.call,
        reply.error_code,
        reply.text,
        reply.seconds,
        reply.repeatable,
        reply.peak_memory,
        digest(value for outputs in reply.outputs for value in outputs) if reply.outcome == "ran" else "",
        "ran" if reference.outcome == "ran" else f"{reference.outcome}: {reference.text}"[:300],
        tuple(differences),
        () if outcome.runs else reply.log,
    )


def _differences(subject: Subject, number: int, case: Case, outputs: tuple[tuple[Any, ...], ...]) -> list[Difference]:
    found: list[Difference] = []
    if case.expected is not None:
        expected = case.expected
        kept = [o[: len(e)] if case.ignore_extra else o for o, e in zip(outputs, expected, strict=False)]
        found += _compared(subject, case, kept, expected, case.tolerance, "expected")
    if subject.reference[number].outcome == "ran":
        found += _compared(subject, case, outputs, subject.reference[number].outputs, case.tolerance, "reference")
    for name, others in subject.outputs.items():
        theirs = others[number] if number < len(others) else None
        if theirs is not None:
            found += _compared(subject, case, outputs, theirs, case.tolerance, name)
    return found


def _compared(
    subject: Subject,
    case: Case,
    actual: Sequence[Sequence[Any]],
    other: Sequence[Sequence[Any]],
    tolerance: Tolerance,
    against: str,
) -> list[Difference]:
    found = []
    for index, (call, mine, theirs) in enumerate(zip(case.calls, actual, other, strict=False)):
        scales = subject.scales.get(call.method, ()) if against != "expected" else ()
        found += compare(mine, theirs, tolerance, against=against, call=index, scales=scales)
    return found


def sentence(case: CaseEvidence) -> str:
    """What came of a case, in one sentence."""
    match case.outcome:
        case Outcome.OK | Outcome.RAN:
            return _good(case)
        case Outcome.WRONG:
            against = "expected" if any(d.against == "expected" for d in case.differences) else "reference"
            wrong = next(d for d in case.differences if d.against == against and not d.within)
            return f"runs, but call {wrong.call} {wrong.output} is not what the {_other(against)}: {wrong.text}"
        case Outcome.LOAD_ERROR:
            return f"refused when opened: {_reason(case)}"
        case Outcome.METHOD_LOAD_ERROR:
            return f"refused when the method was loaded: {_reason(case)}"
        case Outcome.EXEC_ERROR:
            return f"refused when executed: {_reason(case)}"
    return case.text


def _other(against: str) -> str:
    return "expected values are" if against == "expected" else "reference engine gives"


def _good(case: CaseEvidence) -> str:
    against = "expected" if any(d.against == "expected" for d in case.differences) else "reference"
    compared = [d for d in case.differences if d.against == against]
    again = "" if case.repeatable is not False else "; not the same from run to run"
    if case.outcome is Outcome.RAN:
        return f"runs; there is nothing to compare with (reference engine: {case.reference}){again}"
    if all(d.exact for d in compared):
        return f"runs, bit for bit as {'expected' if against == 'expected' else 'the reference engine'}{again}"
    largest = max((d.max_abs or 0.0 for d in compared), default=0.0)
    return f"runs, within {largest:.2g} of {'the expected values' if against == 'expected' else 'the reference'}{again}"


def _reason(case: CaseEvidence) -> str:
    code = find(case.error_code) if case.error_code else None
    named = f"{case.error_code} {code.name}" if code else case.error_code
    said = next((line for line in reversed(case.log) if _tells(line)), case.text)
    return f"{named}, {said}" if named else said


def _tells(line: str) -> bool:
    return any(word in line for word in ("issing operator", "failed", "Failed", "rror", "ttempted", "disabled", "not "))
