"""``pteron to-onnx``: what it prints, where it writes, and calls that cannot work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import corpus_files
from onnx_models import check


def test_text(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    ran = pteron("to-onnx", corpus("1.5.1", "mutable_buffer_names.pte"))
    assert (ran.code, ran.err) == (0, "")
    path = Path("mutable_buffer_names.onnx")
    nodes = pteron("to-onnx", "mutable_buffer_names.pte", "--force", "--format", "json").json["nodes"]
    assert ran.out == (
        f"""\
mutable_buffer_names.onnx, {path.stat().st_size:,} bytes
  method forward of mutable_buffer_names.pte, {nodes} ONNX nodes
  operator sets: ai.onnx 21
  weights: in the model

inputs
  in0  float32[4]

outputs
  out0  float32[4]
  out1  float32[1]

state, from call to call
  count  float32[1]  from output count_next  zeros in the first call
  acc    float32[4]  from output acc_next    zeros in the first call
"""
    )
    check(path)


@pytest.mark.parametrize("weights", ["embed", "external", "in-pte"])
def test_json(pteron: Callable[..., Any], corpus: Callable[..., str], weights: str) -> None:
    ran = pteron("to-onnx", corpus("0.7.0", "lenet.pte"), "-o", "x.onnx", "--weights", weights, "--format", "json")
    written = ran.json
    assert (written["schema"], written["method"], written["output"]) == ("pteron.to-onnx/1", "forward", "x.onnx")
    assert written["bytes"] == Path("x.onnx").stat().st_size
    assert [Path(name).name for name in written["data_files"]] == {
        "embed": [],
        "external": ["x.onnx.data"],
        "in-pte": ["lenet.pte"],
    }[weights]
    case = next(case for case in corpus_files.models("0.7.0") if case.name == "lenet.pte")
    call = case.calls()[0]
    (actual,) = onnxruntime.InferenceSession("x.onnx").run(None, {written["inputs"][0]["name"]: call.inputs[0]})
    np.testing.assert_allclose(actual, call.outputs[0], rtol=case.rtol, atol=case.atol)


def test_dimensions_that_vary_and_what_is_left_out(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    out = pteron("to-onnx", corpus("1.5.1", "dynamic_mlp.pte")).out
    assert "in0_dim0≤" in out
    assert "left out, as they are None or text: out1" in pteron("to-onnx", corpus("1.5.1", "none_outputs.pte")).out


def test_external_data(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("1.5.1", "external_constants_mlp.pte")
    ran = pteron("to-onnx", file)
    assert (ran.code, ran.out) == (2, "")
    assert "--data FILE.ptd" in ran.err
    data = corpus("1.5.1", "external_constants_mlp._default_external_constant.ptd")
    ran = pteron("to-onnx", file, "--data", data, "--weights", "in-pte", "--format", "json")
    assert [Path(name).name for name in ran.json["data_files"]] == [data]


class TestWhatCannotBe:
    @pytest.mark.parametrize(
        ("name", "options", "code", "words"),
        [
            ("topk.pte", [], 1, "aten::topk (at instruction"),
            ("map_model.pte", [], 1, "a loop"),
            ("demo_backend.pte", [], 1, "delegates to BackendWithCompilerDemo"),
            ("multi_method.pte", [], 2, "which method?"),
            ("multi_method.pte", ["--method", "Encode"], 2, "no method 'Encode'"),
            ("add.pte", ["--output", "no/where.onnx"], 2, "cannot be written"),
            ("add.pte", ["--weights", "inside"], 2, "Invalid value for '--weights'"),
            ("lenet.pte", ["--weights", "in-pte", "--output", "sub/x.onnx"], 1, "write the model into"),
        ],
    )
    def test_is_one_sentence(
        self,
        pteron: Callable[..., Any],
        corpus: Callable[..., str],
        folder: Path,
        name: str,
        options: list[str],
        code: int,
        words: str,
    ) -> None:
        (folder / "sub").mkdir()
        ran = pteron("to-onnx", corpus("1.5.1", name), *options)
        assert (ran.code, ran.out) == (code, "")
        assert ran.err.startswith("pteron: ")
        assert ran.err.count("\n") == 1
        assert words in ran.err
        assert not list(folder.rglob("*.onnx*"))

    def test_no_file_and_another_kind_of_file(self, pteron: Callable[..., Any], folder: Path) -> None:
        assert "Missing argument 'FILE'" in pteron("to-onnx").err
        assert "x.pte: cannot be opened" in pteron("to-onnx", "x.pte").err
        Path("text.pte").write_text("no program at all")
        ran = pteron("to-onnx", "text.pte")
        assert (ran.code, ran.err.count("\n")) == (2, 1)

    @pytest.mark.parametrize("there", ["add.onnx", "add.onnx.data"])
    def test_existing_files_stay(self, pteron: Callable[..., Any], corpus: Callable[..., str], there: str) -> None:
        Path(there).write_bytes(b"mine")
        ran = pteron("to-onnx", corpus("1.5.1", "add.pte"), "--weights", "external")
        assert (ran.code, ran.out) == (2, "")
        assert f"{there}: exists already" in ran.err
        assert Path(there).read_bytes() == b"mine"
        assert pteron("to-onnx", "add.pte", "--weights", "external", "--force").code == 0
