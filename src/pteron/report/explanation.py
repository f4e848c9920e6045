"""The ``pteron.explain/1`` document: what a code, rule or error means, its usual causes, what to do."""

from __future__ import annotations

import difflib
import inspect
import re
from typing import Any

from pteron import errors
from pteron.compat import rules as compat_rules
from pteron.error_codes import ERROR_CODES, ErrorCode, find, hexadecimal_reading
from pteron.errors import PteronError
from pteron.format.verify.rules import RULES, Rule
from pteron.report.document import Document, document
from pteron.report.printer import Printer

SCHEMA = "pteron.explain/1"

ERRORS: dict[str, type[PteronError]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, PteronError) and value is not PteronError
}
"""Pteron's own errors by class name."""


def explanation(text: str) -> Document | None:
    """The document for an ExecuTorch error code, a rule id or name, or an error of Pteron; None for anything else."""
    word = text.strip()
    code = find(word)
    if code is not None:
        other = hexadecimal_reading(word)
        also = None if other is None else {"id": other.hex, "name": other.name}
        return document(SCHEMA, query=text, **_code(code), also=also)
    rule = _rule(word)
    if rule is not None:
        return document(SCHEMA, query=text, **_describe_rule(rule), also=None)
    verdict = _verdict_rule(word)
    if verdict is not None:
        return document(SCHEMA, query=text, **_describe_verdict_rule(verdict), also=None)
    for name, error in ERRORS.items():
        if name.lower() == word.lower():
            return document(SCHEMA, query=text, **_describe_error(name, error), also=None)
    return None


def everything() -> Document:
    """All that can be explained, in short."""
    return document(
        SCHEMA,
        query=None,
        error_codes=[{"id": code.hex, "name": code.name, "meaning": code.meaning} for code in ERROR_CODES.values()],
        rules=[
            {"id": rule.id, "name": rule.name, "severity": rule.severity.value, "meaning": rule.meaning}
            for rule in RULES.values()
        ],
        verdict_rules=[
            {"id": rule.id, "name": rule.name, "gives": rule.gives and rule.gives.value, "meaning": rule.meaning}
            for rule in compat_rules.RULES.values()
        ],
        errors=[{"id": name, "name": name, "meaning": _first_line(error)} for name, error in ERRORS.items()],
    )


def near_matches(text: str) -> list[str]:
    """What the caller may have meant, best first; names with their codes."""
    word = text.strip().removeprefix("Error::").lower()
    other = hexadecimal_reading(word)
    matches = [f"{other.hex} ({other.name})"] if other is not None else []
    if not re.fullmatch(r"(0x:?)?[0-9a-f]+", word):
        names = {code.name.lower(): f"{code.name} ({code.hex})" for code in ERROR_CODES.values()}
        names |= {rule.id.lower(): rule.id for rule in RULES.values()}
        names |= {rule.name: f"{rule.name} ({rule.id})" for rule in RULES.values()}
        names |= {rule.id.lower(): rule.id for rule in compat_rules.RULES.values()}
        names |= {rule.name: f"{rule.name} ({rule.id})" for rule in compat_rules.RULES.values()}
        names |= {name.lower(): name for name in ERRORS}
        matches += [names[name] for name in difflib.get_close_matches(word, names, n=3, cutoff=0.7)]
    return matches


def _rule(word: str) -> Rule | None:
    match = re.fullmatch(r"(?:pt-)?(?:vf-)(\d{1,3})", word.lower())
    if match:
        return RULES.get(f"PT-VF-{int(match[1]):03}")
    return next((rule for rule in RULES.values() if rule.name == word.lower()), None)


def _verdict_rule(word: str) -> compat_rules.Rule | None:
    rules = compat_rules.RULES
    match = re.fullmatch(r"(?:pt-)?([a-z]{2})-(\d{1,3})", word.lower())
    if match:
        return rules.get(f"PT-{match[1].upper()}-{int(match[2]):03}")
    return next((rule for rule in rules.values() if rule.name == word.lower()), None)


def _code(code: ErrorCode) -> dict[str, Any]:
    return {
        "kind": "ExecuTorch error code",
        "id": code.hex,
        "number": code.code,
        "name": code.name,
        "since": code.since,
        "meaning": code.meaning,
        "causes": list(code.causes),
        "remedies": list(code.remedies),
    }


def _describe_rule(rule: Rule) -> dict[str, Any]:
    return {
        "kind": "rule of pteron verify",
        "id": rule.id,
        "name": rule.name,
        "severity": rule.severity.value,
        "meaning": rule.meaning,
        "causes": [rule.cause],
        "remedies": [rule.remedy],
        "source": rule.source,
    }


def _describe_verdict_rule(rule: compat_rules.Rule) -> dict[str, Any]:
    return {
        "kind": "rule of pteron check",
        "id": rule.id,
        "name": rule.name,
        "gives": rule.gives and rule.gives.value,
        "wrong_numbers": rule.wrong_numbers,
        "meaning": rule.meaning,
        "causes": [],
        "remedies": [rule.remedy] if rule.remedy else [],
        "facts": rule.source,
    }


def _describe_error(name: str, error: type[PteronError]) -> dict[str, Any]:
    code = ERROR_CODES.get(error.et_error) if error.et_error is not None else None
    return {
        "kind": "error of Pteron",
        "id": name,
        "name": name,
        "meaning": _first_line(error),
        "et_error": None if code is None else {"id": code.hex, "name": code.name},
        "causes": [],
        "remedies": ["Read the message: it names the place at fault and what to do."],
    }


def _first_line(error: type[PteronError]) -> str:
    return (inspect.getdoc(error) or "").split("\n\n")[0].replace("``", "").replace("\n", " ")


def print_explanation(explained: Document, out: Printer) -> None:
    """One explanation for people."""
    title = explained["id"] if explained["id"] == explained["name"] else f"{explained['id']} {explained['name']}"
    notes = [explained["kind"]]
    if "number" in explained:
        notes.append(f"{explained['number']} in decimal")
    if "since" in explained:
        notes.append(f"since release {explained['since']}")
    if "severity" in explained:
        notes.append(explained["severity"])
    if "gives" in explained:
        notes.append(f"makes the verdict {explained['gives']}" if explained["gives"] else "a remark")
    out.heading(f"{title}: {', '.join(notes)}")
    out.line(explained["meaning"], 2)
    if explained.get("wrong_numbers"):
        out.line("The file would run and return wrong numbers, or end the process, without an error that says so.", 2)
    for heading, key in (("usual causes", "causes"), ("what to do", "remedies")):
        if explained[key]:
            out.line()
            out.heading(heading)
            out.table([("-", sentence) for sentence in explained[key]])
    if explained.get("source"):
        out.line()
        out.line(f"ExecuTorch checks it in {explained['source']}.")
    if explained.get("facts"):
        out.line()
        out.line(f"The facts come from {explained['facts']}.")
    if explained.get("et_error"):
        out.line()
        out.line(f"ExecuTorch reports the same fault as {explained['et_error']['id']} {explained['et_error']['name']}.")
    if explained["also"]:
        out.line()
        out.line(f"If the number was hexadecimal, it is {explained['also']['id']} {explained['also']['name']}.")


def print_everything(listed: Document, out: Printer) -> None:
    """The list for people."""
    out.heading("ExecuTorch error codes")
    out.table([(code["id"], code["name"], code["meaning"]) for code in listed["error_codes"]])
    out.line()
    out.heading("rules of pteron verify")
    out.table([(r["id"], r["severity"], r["name"], r["meaning"]) for r in listed["rules"]])
    out.line()
    out.heading("rules of pteron check")
    out.table([(r["id"], r["gives"] or "remark", r["name"], r["meaning"]) for r in listed["verdict_rules"]])
    out.line()
    out.heading("errors of Pteron")
    out.table([(error["id"], error["meaning"]) for error in listed["errors"]])
