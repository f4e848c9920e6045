"""``pteron bench`` and ``pteron run --profile``: what they print, and calls that cannot work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import corpus_files

NUMBER = re.compile(r"[\d,]+\.\d+(?= ms| %|\b)|(?<=of )\d+(?= call)|[\d,]+ bytes(?: \([\d.]+ MiB\))?")


def test_text(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    ran = pteron("bench", corpus("1.5.1", "add.pte"), "--engine", "reference", "--repeat", "5")
    assert (ran.code, ran.err) == (0, "")
    lines = [re.sub(r" +", " ", NUMBER.sub("N", line)) for line in ran.out.splitlines() if "peak memory" not in line]
    assert lines == [
        "add.pte, method forward, reference engine",
        " in0 float32[2, 3] from seed 0",
        " in1 float32[2, 3] from seed 0",
        "",
        " libraries N ms N",
        " load N ms",
        " first call N ms",
        " median N ms of N calls",
        " p90 N ms",
        " minimum N ms",
        "",
        "operators by time",
        " operator kernel engine count total ms share",
        " aten::add.out NumPy reference 1 N N %",
        " between operators N N %",
        " the median of N calls, N ms while every operator was timed",
        "",
        "plan: reference",
    ]


@pytest.mark.parametrize("flag", [["--json"], ["--format", "json"]])
def test_json(pteron: Callable[..., Any], corpus: Callable[..., str], flag: list[str]) -> None:
    file = corpus("1.5.1", "topk.pte")
    found = pteron("bench", file, "--repeat", "4", "--threads", "1", *flag).json
    assert (found["schema"], found["method"], found["engine"]) == ("pteron.bench/1", "forward", "onnxruntime")
    assert (found["calls"], found["threads"], found["resets"]) == (4, 1, 0)
    assert 0 < found["minimum_ms"] <= found["median_ms"] <= found["p90_ms"]
    assert min(found["load_ms"], found["first_call_ms"]) > 0
    profile = found["profile"]
    (slow,) = [each for each in profile["operators"] if each["operator"] == "aten::topk"]
    assert (slow["engine"], slow["kernels"], slow["count"]) == ("reference", [], 1)
    assert 0 < slow["share"] < 1
    assert sum(each["ms"] for each in profile["operators"]) + profile["between_ms"] == pytest.approx(
        profile["call_ms"], rel=0.5
    )
    (step,) = [step for step in found["plan"]["steps"] if step["engine"] == "reference"]
    assert (step["operators"], step["reason"]) == (
        {"aten::topk": 1},
        "the order of equal elements and of NaN is the runtime's own",
    )


def test_given_inputs_and_method(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    case = next(case for case in corpus_files.models("1.5.1") if case.name == "multi_method.pte")
    call = case.calls()[-1]
    np.savez("in.npz", *call.inputs)
    file = corpus("1.5.1", case.name)
    found = pteron("bench", file, "--method", call.method, "--input", "in.npz", "--repeat", "1", "--json").json
    assert found["method"] == call.method
    assert {value["source"] for value in found["inputs"]} == {"in.npz"}


def test_seconds(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    assert pteron("bench", corpus("1.5.1", "add.pte"), "--seconds", "0", "--json").json["calls"] == 3


def test_external_data(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("1.5.1", "external_constants_mlp.pte")
    ran = pteron("bench", file)
    assert (ran.code, ran.out) == (2, "")
    assert "--data FILE.ptd" in ran.err
    data = corpus("1.5.1", "external_constants_mlp._default_external_constant.ptd")
    assert pteron("bench", file, "--data", data, "--repeat", "1").code == 0


@pytest.mark.parametrize("command", ["bench", "run"])
@pytest.mark.parametrize(
    ("name", "options", "code", "words"),
    [
        ("multi_method.pte", [], 2, "which method?"),
        ("multi_method.pte", ["--method", "Encode"], 2, "no method 'Encode'"),
        ("demo_backend.pte", [], 1, "no backend here runs"),
        ("add.pte", ["--input", "nothing.npz"], 2, "nothing.npz: cannot be read"),
        ("add.pte", ["--input", "wrong.npy"], 2, "is missing"),
        ("add.pte", ["--engine", "warp"], 2, "'warp' is not one of"),
        ("add.pte", ["--repeat", "0"], 2, "Invalid value for '--repeat'"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    pteron: Callable[..., Any],
    corpus: Callable[..., str],
    command: str,
    name: str,
    options: list[str],
    code: int,
    words: str,
) -> None:
    np.save("wrong.npy", np.zeros((2, 3), np.float32))
    ran = pteron(command, corpus("1.5.1", name), *options, *(["--profile"] if command == "run" else []))
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("pteron: ")
    assert ran.err.count("\n") == 1
    assert words in ran.err


def test_no_file_and_another_kind_of_file(pteron: Callable[..., Any], folder: Path) -> None:
    assert "Missing argument 'FILE'" in pteron("bench").err
    assert "x.pte: cannot be opened" in pteron("bench", "x.pte").err
    Path("text.pte").write_text("no program at all")
    ran = pteron("bench", "text.pte")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


class TestProfileOfARun:
    def test_follows_the_outputs(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        file = corpus("1.5.1", "lenet.pte")
        plain = pteron("run", file).out
        ran = pteron("run", file, "--profile", "--repeat", "3")
        assert (ran.code, ran.err) == (0, "")
        outputs, _, table = ran.out.partition("operators by time\n")
        assert outputs.startswith(plain.partition("loaded in")[0])
        assert re.search(r"^  aten::convolution.* onnxruntime +2 +[\d.]+ +[\d.]+ %$", table, re.MULTILINE)
        assert "the median of 3 calls" in table

    def test_json(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        file = corpus("1.5.1", "mlp.pte")
        assert pteron("run", file, "--format", "json").json["profile"] is None
        profile = pteron("run", file, "--profile", "--engine", "reference", "--format", "json").json["profile"]
        assert profile["calls"] == 1
        assert {each["operator"] for each in profile["operators"]} >= {"aten::addmm.out"}

    def test_of_a_bundle(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", "bundled_mlp.bpte"), "--profile", "--format", "json").json
        assert ran["schema"] == "pteron.run/1"
        assert ran["profile"]["operators"]
