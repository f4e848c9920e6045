"""JUnit XML, which CI services show as tests: a suite per file, a case per build."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from pteron.compat.check import CheckResult
from pteron.compat.lock import Change
from pteron.compat.verdict import Status, Verdict
from pteron.report.problems import fails, telling

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(results: Sequence[CheckResult], changes: Sequence[Change], fail_on: Status | None) -> str:
    """The XML text. A file that cannot be read is an error; a verdict that fails the check is a failure."""
    root = ElementTree.Element("testsuites", name="pteron check")
    for result in results:
        _suite(root, result, fail_on)
    if changes:
        suite = ElementTree.SubElement(root, "testsuite", name="pteron.lock")
        for change in changes:
            case = ElementTree.SubElement(suite, "testcase", name=_text(change.model), classname="pteron.lock")
            if change.bad:
                _add(case, "failure", change.rule, change.sentence)
        _count(suite)
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _suite(root: ElementTree.Element, result: CheckResult, fail_on: Status | None) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=_text(result.file))
    if result.error:
        case = ElementTree.SubElement(suite, "testcase", name="read", classname=_text(result.file))
        _add(case, "error", "unreadable", result.error)
    if result.remarks:
        said = ElementTree.SubElement(suite, "system-out")
        said.text = _text("\n".join(map(str, result.remarks)))
    nowhere = fail_on is None and fails(result, fail_on)
    for name, verdict in result.verdicts.items():
        case = ElementTree.SubElement(suite, "testcase", name=_text(name), classname=_text(result.file))
        if nowhere or (fail_on is not None and verdict.status.rank >= fail_on.rank):
            _add(case, "failure", verdict.status.value, _why(verdict))
        else:
            out = ElementTree.SubElement(case, "system-out")
            out.text = _text(f"{verdict.status.value}{_proof(verdict)}\n{_why(verdict)}")
    _count(suite)


def _add(case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    element = ElementTree.SubElement(case, tag, type=kind, message=_text(text.partition("\n")[0]))
    element.text = _text(text)


def _proof(verdict: Verdict) -> str:
    return f", proven: {verdict.proof}" if verdict.proof else ""


def _why(verdict: Verdict) -> str:
    return "\n".join(f"{reason} {reason.remedy}".strip() for reason in telling(verdict))


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))


def _text(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold; names come from files that nobody should trust."""
    return _NOT_XML.sub("\ufffd", text)
