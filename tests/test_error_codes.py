"""The table of ExecuTorch's error codes."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from pteron import errors
from pteron.error_codes import ERROR_CODES, find, hexadecimal_reading

# runtime/core/error.h: name, number, first tag
HEADER = """
Ok 0x00 0.1.0, Internal 0x01 0.1.0, InvalidState 0x02 0.1.0, EndOfMethod 0x03 0.1.0, AlreadyLoaded 0x04 1.2.0,
NotSupported 0x10 0.1.0, NotImplemented 0x11 0.1.0, InvalidArgument 0x12 0.1.0, InvalidType 0x13 0.1.0,
OperatorMissing 0x14 0.1.0, RegistrationExceedingMaxKernels 0x15 1.0.0, RegistrationAlreadyRegistered 0x16 1.0.0,
NotFound 0x20 0.1.0, MemoryAllocationFailed 0x21 0.1.0, AccessFailed 0x22 0.1.0, InvalidProgram 0x23 0.1.0,
InvalidExternalData 0x24 0.6.0, OutOfResources 0x25 0.6.0, DelegateInvalidCompatibility 0x30 0.1.0,
DelegateMemoryAllocationFailed 0x31 0.1.0, DelegateInvalidHandle 0x32 0.1.0
"""


def test_numbers_names_and_first_releases() -> None:
    table = {(code.name, code.hex, code.since) for code in ERROR_CODES.values()}
    assert table == {tuple(entry.split()) for entry in HEADER.replace("\n", " ").split(", ")}


@pytest.mark.interop
def test_the_official_header_has_the_same_codes() -> None:
    import executorch

    header = Path(next(iter(executorch.__path__)), "include/executorch/runtime/core/error.h").read_text()
    official = {int(number, 16): name for name, number in re.findall(r"^\s*(\w+) = (0x\w+),", header, re.MULTILINE)}
    assert official == {code.code: code.name for code in ERROR_CODES.values()}


@pytest.mark.parametrize(
    "text",
    [
        "0x12",
        "0X12",
        "0x:12",
        "0x00000012",
        "18",
        " 18 ",
        "InvalidArgument",
        "invalidargument",
        "Error::InvalidArgument",
    ]
    + ["invalid_argument", "Invalid Argument"],
)
def test_every_spelling_finds_the_code(text: str) -> None:
    code = find(text)
    assert code is not None
    assert code.name == "InvalidArgument"


@pytest.mark.parametrize(
    "text", ["", "12", "0x", "0x1g", "99999999999999999999", "-18", "Argument", "0x12 0x14", "１８"]
)
def test_anything_else_finds_nothing(text: str) -> None:
    assert find(text) is None


def test_a_number_may_have_been_meant_as_hexadecimal() -> None:
    assert hexadecimal_reading("20").name == "NotFound"
    assert hexadecimal_reading("12").name == "InvalidArgument"
    for text in ("0x20", "1", "999", "NotFound", "", "²"):
        assert hexadecimal_reading(text) is None


def test_every_code_is_explained_in_sentences() -> None:
    for code in ERROR_CODES.values():
        assert code.causes
        assert code.remedies
        for sentence in (code.meaning, *code.causes, *code.remedies):
            assert sentence.endswith((".", "?"))
            assert sentence[0].isupper() or sentence.startswith(("step()", "get_attribute"))


def test_every_error_of_pteron_names_a_code_that_exists() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value)]
    codes = {value.et_error for value in classes if issubclass(value, errors.PteronError)}
    assert codes - {None} <= set(ERROR_CODES)
