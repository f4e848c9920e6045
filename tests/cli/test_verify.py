"""``pteron verify``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import corpus_files
from program_edits import edited, program
from pteron.format.write import write_program


@pytest.fixture
def broken(folder: Path) -> str:
    """A program with one error: an output that does not exist."""
    changed = edited(program("1.5.1/mlp.pte"), {"plan.outputs": (99,)})
    (folder / "broken.pte").write_bytes(write_program(changed))
    return "broken.pte"


def test_a_sound_file(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    ran = pteron("verify", corpus("1.5.1", "mlp.pte"))
    assert (ran.code, ran.out, ran.err) == (0, "mlp.pte: sound\n", "")


def test_text_of_an_error(pteron: Callable[..., Any], broken: str) -> None:
    ran = pteron("verify", broken)
    assert ran.code == 1
    first, second = ran.out.splitlines()
    assert first == "broken.pte: 1 error"
    severity, rule, byte, offset, path = second.split()[:5]
    assert (severity, rule, byte, path) == ("error", "PT-VF-006", "byte", "execution_plan[0].outputs[0]")
    # The offset is where the number 99 is in the file.
    data = Path(broken).read_bytes()
    at = int(offset.replace(",", ""))
    assert int.from_bytes(data[at : at + 4], "little") == 99
    assert second.count("99") == 1


def test_json_of_an_error(pteron: Callable[..., Any], broken: str) -> None:
    ran = pteron("verify", broken, "--format", "json")
    assert ran.code == 1
    assert ran.json["schema"] == "pteron.verify/1"
    assert ran.json["sound"] is False
    assert ran.json["totals"] == {"files": 1, "unreadable": 0, "errors": 1, "warnings": 0, "notes": 0}
    [finding] = ran.json["files"][0]["findings"]
    assert (finding["rule"], finding["name"], finding["severity"]) == ("PT-VF-006", "output-index", "error")
    assert finding["path"] == "execution_plan[0].outputs[0]"


def test_warnings_count_only_where_strict(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("0.5.0", "copy_cache.pte")  # its memory plan gives away the bytes of a buffer
    ran = pteron("verify", file)
    assert ran.code == 0
    assert ran.out.startswith("copy_cache.pte: 1 warning\n  warning  PT-VF-065  ")
    assert pteron("verify", file, "--strict").code == 1


def test_a_truncated_file_is_a_no(pteron: Callable[..., Any], folder: Path) -> None:
    data = corpus_files.read("1.5.1", "mlp.pte")
    (folder / "cut.pte").write_bytes(data[:-10])
    ran = pteron("verify", "cut.pte")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.startswith("cut.pte: cannot be read\n  error  TruncatedError  ")
    assert f"the file should have {len(data):,} bytes and has {len(data) - 10:,}" in ran.out
    unreadable = pteron("verify", "cut.pte", "--format", "json").json["files"][0]["error"]
    assert unreadable["type"] == "TruncatedError"
    assert unreadable["offset"] == 32  # segment_data_size in the header


@pytest.mark.parametrize("data", [None, b"text\n" * 20, b""])
def test_what_cannot_be_judged_is_2(pteron: Callable[..., Any], folder: Path, data: bytes | None) -> None:
    if data is not None:
        (folder / "x.pte").write_bytes(data)
    ran = pteron("verify", "x.pte")
    assert ran.code == 2
    assert ran.out.startswith("x.pte: cannot be read\n")


def test_folders_are_searched_and_files_counted_once(
    pteron: Callable[..., Any], corpus: Callable[..., str], broken: str, folder: Path
) -> None:
    (folder / "inner").mkdir()
    (folder / "notes.txt").write_text("not a model")
    corpus("1.5.1", "add.pte", name_here="inner/add.PTE")
    corpus("1.5.1", "bundled_mlp.bpte")
    corpus("1.5.1", "external_constants_mlp._default_external_constant.ptd", name_here="weights.ptd")
    ran = pteron("verify", ".", broken, "./inner")
    assert ran.code == 1
    lines = [line for line in ran.out.splitlines() if line and not line.startswith(" ")]
    assert lines == [
        "broken.pte: 1 error",
        "bundled_mlp.bpte: sound",
        "inner/add.PTE: sound",
        "weights.ptd: sound",
        "4 files: 1 error",
    ]


def test_an_empty_folder_is_wrong_usage(pteron: Callable[..., Any], folder: Path) -> None:
    ran = pteron("verify", ".")
    assert (ran.code, ran.out) == (2, "")
    assert "the folder . holds no .pte, .ptd or .bpte file" in ran.err


def test_damaged_tensor_data_and_bundled_programs(pteron: Callable[..., Any], folder: Path) -> None:
    weights = corpus_files.read("1.5.1", "external_constants_mlp._default_external_constant.ptd")
    (folder / "w.ptd").write_bytes(weights[:-1])
    bundle = corpus_files.read("1.5.1", "bundled_mlp.bpte")
    (folder / "b.bpte").write_bytes(bundle.replace(b"ET12", b"ET99"))
    ran = pteron("verify", "w.ptd", "b.bpte", "--format", "json")
    types = [file["error"]["type"] for file in ran.json["files"]]
    assert types == ["TruncatedError", "UnknownFileError"]


def test_names_from_the_file_are_escaped(pteron: Callable[..., Any], folder: Path) -> None:
    changed = edited(program("1.5.1/mlp.pte"), {"plan.operators[0].name": "aten::" + "\x1b[2J" * 30})
    (folder / "odd.pte").write_bytes(write_program(changed))
    ran = pteron("verify", "odd.pte")
    assert ran.code == 1
    assert "PT-VF-049" in ran.out
    assert "\x1b" not in ran.out
