"""``pteron explain``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pteron.error_codes import ERROR_CODES
from pteron.errors import PteronError
from pteron.format.verify.rules import RULES


def test_text_of_a_code(pteron: Callable[..., Any]) -> None:
    assert pteron("explain", "36").out == (
        """\
0x24 InvalidExternalData: ExecuTorch error code, 36 in decimal, since release 0.6.0
  The contents of a .ptd file are not what the program needs.

usual causes
  -  The .ptd belongs to another export: a tensor has another dtype, shape or dim order.
  -  The .ptd was written by 0.5 or 0.6, whose layout later runtimes misread.
  -  The .ptd is cut off, or a tensor that should come from it has no name.

what to do
  -  Run `pteron show` on both files and compare the keys.
  -  Export program and data together, with 0.7 or newer.
"""
    )


def test_text_of_a_rule(pteron: Callable[..., Any]) -> None:
    rule = RULES["PT-VF-006"]
    assert pteron("explain", "pt-vf-6").out == (
        f"""\
PT-VF-006 output-index: rule of pteron verify, error
  {rule.meaning}

usual causes
  -  {rule.cause}

what to do
  -  {rule.remedy}

ExecuTorch checks it in {rule.source}.
"""
    )


def test_text_of_an_error_of_pteron(pteron: Callable[..., Any]) -> None:
    ran = pteron("explain", "missingoperatorerror")
    assert "MissingOperatorError: error of Pteron\n" in ran.out
    assert "ExecuTorch reports the same fault as 0x14 OperatorMissing." in ran.out


@pytest.mark.parametrize("text", ["0x12", "18", "0x:12", "InvalidArgument", "Error::InvalidArgument"])
def test_spellings_of_a_code(pteron: Callable[..., Any], text: str) -> None:
    explained = pteron("explain", text, "--format", "json").json
    assert (explained["schema"], explained["id"], explained["number"]) == ("pteron.explain/1", "0x12", 18)
    assert explained["query"] == text


def test_a_decimal_that_may_be_hexadecimal_says_so(pteron: Callable[..., Any]) -> None:
    ran = pteron("explain", "20")
    assert ran.out.startswith("0x14 OperatorMissing")
    assert ran.out.endswith("If the number was hexadecimal, it is 0x20 NotFound.\n")


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("12", "did you mean 0x12 (InvalidArgument)?"),
        ("InvalidArgumnt", "did you mean InvalidArgument (0x12)"),
        ("PT-VF-6O", "PT-VF-06"),
        ("jump-targt", "jump-target (PT-VF-046)"),
        ("0x99", "`pteron explain --list` lists all"),
        ("", "`pteron explain --list` lists all"),
        ("\x1b[31m", "nothing is known of '\\x1b[31m'"),
    ],
)
def test_unknown_is_2_with_what_may_have_been_meant(pteron: Callable[..., Any], text: str, near: str) -> None:
    ran = pteron("explain", text)
    assert (ran.code, ran.out) == (2, "")
    assert near in ran.err


def test_list_has_everything(pteron: Callable[..., Any]) -> None:
    listed = pteron("explain", "--list", "--format", "json").json
    assert [code["id"] for code in listed["error_codes"]] == [code.hex for code in ERROR_CODES.values()]
    assert [rule["id"] for rule in listed["rules"]] == list(RULES)
    assert {error["id"] for error in listed["errors"]} == _names(PteronError)
    text = pteron("explain", "--list").out
    for entry in (*listed["error_codes"], *listed["rules"], *listed["errors"]):
        assert entry["id"] in text
        assert entry["meaning"] in text


def _names(error: type[PteronError]) -> set[str]:
    own = {cls.__name__ for cls in error.__subclasses__() if cls.__module__ == "pteron.errors"}
    return own.union(*map(_names, error.__subclasses__()))


def test_everything_listed_can_be_explained(pteron: Callable[..., Any]) -> None:
    for name in [*(code.name for code in ERROR_CODES.values()), *RULES, *_names(PteronError)]:
        assert pteron("explain", name).code == 0
