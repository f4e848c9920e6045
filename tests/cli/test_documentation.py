"""docs/cli.md names every command, option, exit code and field there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corpus_files
from pteron.cli import exit_codes

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
FREE_KEYS = {"operators", "opsets", "totals", "details", "verdicts"}
"""Fields whose keys are names from the file, or listed as values."""


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from keys(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in FREE_KEYS:
                yield from keys(item)


def section(schema: str) -> str:
    found = re.search(rf"^### {re.escape(schema)}\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, schema
    return found[1]


@pytest.mark.parametrize(
    ("release", "name"),
    [("1.5.1", "xnnpack_mlp.pte"), ("1.5.1", "external_mutable_weights.pte"), ("1.5.1", "bundled_mlp.bpte")]
    + [("0.6.0", "external_constants_mlp._default_external_constant.ptd"), ("0.2.1", "kv_cache.pte")],
)
def test_fields_of_show(pteron: Callable[..., Any], corpus: Callable[..., str], release: str, name: str) -> None:
    check(pteron("show", corpus(release, name), "--format", "json").json)


def check(document: dict[str, Any]) -> None:
    text = section(document["schema"])
    if document["schema"] == "pteron.run/1":
        text += section("pteron.show/1").partition("A value has ")[2] + section("pteron.bench/1")
    if document["schema"] == "pteron.bench/1":
        text += section("pteron.show/1").partition("A value has ")[2] + section("pteron.run/1")
    if document["schema"] == "pteron.check/1":
        text += section("pteron.date/1")
    for key in set(keys(document)) - {"schema", "pteron"}:
        assert f"`{key}`" in text, key


def test_fields_of_the_other_commands(pteron: Callable[..., Any], corpus: Callable[..., str], folder: Path) -> None:
    np.save("x.npy", np.ones((2, 3), np.float32))
    (folder / "cut.pte").write_bytes(corpus_files.read("1.5.1", "mlp.pte")[:-1])
    add = corpus("1.5.1", "add.pte")
    state = corpus("0.5.0", "copy_cache.pte")
    for arguments in (
        ["run", add],
        ["run", corpus("1.5.1", "none_outputs.pte"), "--input", "x.npy"],
        ["run", corpus("1.5.1", "bundled_mlp.bpte")],
        ["verify", add, state, "cut.pte"],
        ["explain", "20"],
        ["explain", "PT-VF-001"],
        ["explain", "PT-OP-001"],
        ["explain", "KernelError"],
        ["check", add, "cut.pte", "--runtime", "1.5.1", "--calendar"],
        ["requires", corpus("1.5.1", "xnnpack_mlp.pte")],
        ["date", add],
        ["run", add, "--profile"],
        ["bench", corpus("1.5.1", "topk.pte"), "--repeat", "1"],
        ["to-onnx", corpus("1.5.1", "kv_cache.pte")],
        ["explain", "--list"],
        ["runtimes", "list"],
    ):
        check(pteron(*arguments, "--format", "json").json)


def test_every_command_and_option(pteron: Callable[..., Any]) -> None:
    judging = ("check", "requires", "date", "stamp", "lock", "profile", "prove")
    for command in ("show", "verify", "run", "bench", "to-onnx", "explain", *judging):
        assert f"## {command}\n\n    pteron {command} " in PAGE
        for option in re.findall(r"(?<![\w-])--[a-z]+", pteron(command, "--help").out):
            assert option in PAGE, option


def test_every_exit_code() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    listed = re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE)
    assert {int(code) for cell in listed for code in cell.split(", ")} == codes
