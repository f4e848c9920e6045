"""``pteron run``: outputs against eager PyTorch's, inputs in every form, and calls that cannot work."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import corpus_files
from program_edits import edited, program
from pteron.cli.inputs import made_inputs
from pteron.errors import LimitError
from pteron.format.bundled_program import TestCase, bundle, read_bundled_program, save_bundled_program
from pteron.format.limits import DEFAULT_LIMITS
from pteron.format.write import write_program

TIME = re.compile(r"\d+\.\d\d m?s")


def case(release: str, name: str) -> corpus_files.Case:
    return next(case for case in corpus_files.models(release) if case.name == name)


def save_inputs(call: corpus_files.Call) -> list[str]:
    """The call's tensors as ``in0.npy`` … and the options that give them."""
    options = []
    for number, value in enumerate(call.inputs):
        if isinstance(value, np.ndarray):
            narrow = value.dtype == ml_dtypes.bfloat16
            np.save(f"in{number}.npy", value.astype(np.float32) if narrow else value)
            options += ["--input", f"in{number}.npy"]
    return options


def test_text(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    """Zeros in, and the outputs of none_outputs (x + 1, None, x * 2) out."""
    np.save("zeros.npy", np.zeros((2, 3), np.float32))
    ran = pteron("run", corpus("1.5.1", "none_outputs.pte"), "--input", "zeros.npy")
    assert (ran.code, ran.err) == (0, "")
    assert TIME.sub("TIME", ran.out) == (
        """\
none_outputs.pte, method forward, onnxruntime engine

inputs
  in0  float32[2, 3]  from zeros.npy

outputs
  out0  float32[2, 3]
    [[1., 1., 1.],
     [1., 1., 1.]]
  out1  none
  out2  float32[2, 3]
    [[0., 0., 0.],
     [0., 0., 0.]]

loaded in TIME, run in TIME
"""
    )


@pytest.mark.parametrize(
    ("release", "name"),
    [("0.2.1", "mlp.pte"), ("0.7.0", "lenet.pte"), ("1.5.1", "dtype_mix.pte"), ("1.5.1", "half_bf16.pte")]
    + [("1.5.1", "scalar_inputs.pte"), ("1.5.1", "channels_last_input.pte"), ("1.5.1", "none_input.pte")],
)
def test_outputs_are_those_of_eager_pytorch(
    pteron: Callable[..., Any], corpus: Callable[..., str], release: str, name: str
) -> None:
    recorded = case(release, name)
    call = recorded.calls()[0]
    ran = pteron("run", corpus(release, name), *save_inputs(call), "--output", "out.npz")
    assert (ran.code, ran.err) == (0, "")
    with np.load("out.npz") as written:
        expected = {f"out{i}": value for i, value in enumerate(call.outputs) if value is not None}
        assert set(written.files) == set(expected)
        for key, value in expected.items():
            narrow = value.dtype == ml_dtypes.bfloat16
            assert written[key].dtype == (np.float32 if narrow else value.dtype)
            np.testing.assert_allclose(
                written[key].astype(np.float64), value.astype(np.float64), rtol=recorded.rtol, atol=recorded.atol
            )


def test_json_has_values_and_their_summary(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    np.save("x.npy", np.asarray([[1, 2, 3], [4, np.nan, np.inf]], np.float32))
    ran = pteron("run", corpus("1.5.1", "none_outputs.pte"), "--input", "x.npy", "--format", "json").json
    assert (ran["schema"], ran["method"], ran["engine"]) == ("pteron.run/1", "forward", "onnxruntime")
    assert ran["inputs"][0]["source"] == "x.npy"
    first, second, third = ran["outputs"]
    assert first["values"] == [[2, 3, 4], [5, "NaN", "Infinity"]]
    assert first["summary"] == {"min": 2, "max": 5, "mean": 3.5, "nan": 1, "infinite": 1}
    assert (second["kind"], second["value"]) == ("none", None)
    assert third["values"] == [[2, 4, 6], [8, "NaN", "Infinity"]]
    assert len(ran["seconds"]["runs"]) == 1


def test_large_outputs_are_summarised(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("1.5.1", "upsample.pte")
    text = pteron("run", file, "--output", "o.npz").out
    ran = pteron("run", file, "--format", "json").json
    with np.load("o.npz") as written:
        for output in ran["outputs"]:
            array = written[output["name"]]
            assert array.size > 32
            assert "values" not in output
            assert output["summary"]["mean"] == pytest.approx(float(np.mean(array, dtype=np.float64)))
            expected = (
                f"min {array.min().item():.6g}, max {array.max().item():.6g}, mean {output['summary']['mean']:.6g}"
            )
            assert expected in text


def test_made_inputs_are_the_same_for_the_same_seed(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    file = corpus("1.5.1", "dtype_mix.pte")
    outputs = {}
    for seed in ("0", "0", "7"):
        pteron("run", file, "--seed", seed, "--output", "o.npz", "--force")
        with np.load("o.npz") as written:
            values = [written[key].tobytes() for key in written.files]
        assert outputs.setdefault(seed, values) == values
    assert outputs["0"] != outputs["7"]
    assert "  from seed 7\n" in pteron("run", file, "--seed", "7").out


def test_a_stateful_model_starts_each_repeat_from_the_same_state(
    pteron: Callable[..., Any], corpus: Callable[..., str]
) -> None:
    file = corpus("1.5.1", "mutable_counter.pte")
    once = pteron("run", file, "--format", "json").json
    again = pteron("run", file, "--format", "json", "--repeat", "4").json
    assert again["outputs"] == once["outputs"]
    assert len(again["seconds"]["runs"]) == 4
    assert " 4 runs: median " in pteron("run", file, "--repeat", "4").out


class TestInputs:
    """The two inputs of ``add``: in0 and in1, float32[2, 3]."""

    X = np.full((2, 3), 1, np.float32)
    Y = np.full((2, 3), 10, np.float32)

    @pytest.fixture(autouse=True)
    def files(self, folder: Path) -> None:
        np.save("x.npy", self.X)
        np.save("y.npy", self.Y)
        np.savez("named.npz", in1=self.Y, in0=self.X)
        np.savez("ordered.npz", first=self.X, second=self.Y)
        np.savez("one.npz", in1=self.Y)
        np.savez("extra.npz", in0=self.X, in1=self.Y, in2=self.Y)

    @pytest.mark.parametrize(
        "options",
        [
            ["x.npy", "y.npy"],
            ["in0=x.npy", "in1=y.npy"],
            ["in1=y.npy", "in0=x.npy"],
            ["in1=y.npy", "x.npy"],
            ["named.npz"],
            ["ordered.npz"],
            ["one.npz", "x.npy"],
        ],
    )
    def test_forms(self, pteron: Callable[..., Any], corpus: Callable[..., str], options: list[str]) -> None:
        given = [part for option in options for part in ("--input", option)]
        ran = pteron("run", corpus("1.5.1", "add.pte"), *given, "--format", "json").json
        assert [item["name"] for item in ran["inputs"]] == ["in0", "in1"]
        sources = [item["source"] for item in ran["inputs"]]
        if len(options) == 2 and "one.npz" not in options:
            assert sources == ["x.npy", "y.npy"]
        assert ran["outputs"][0]["values"] == [[11, 11, 11], [11, 11, 11]]

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (["x.npy"], "input in1 is missing (in0: float32[2, 3], in1: float32[2, 3])"),
            (["x.npy", "y.npy", "x.npy"], "3 arrays given, 2 needed"),
            (["extra.npz"], "no input 'in2'; it takes in0, in1"),
            (["in0=x.npy", "in0=y.npy"], "input 'in0' is given twice"),
            (["in0=named.npz"], "an .npz names its arrays itself"),
            (["nowhere.npy"], "nowhere.npy: cannot be read (No such file or directory)"),
            (["add.pte"], "add.pte: cannot be read (is not a .npy or .npz file of plain arrays)"),
            (["pickled.npy"], "pickled.npy: cannot be read (is not a .npy or .npz file of plain arrays)"),
            (["short.npy"], "short.npy: cannot be read"),
            (["odd.npy"], "odd.npy: cannot be read"),
            (["cut.npz"], "cut.npz: cannot be read"),
            (["empty.npy"], "empty.npy: cannot be read"),
        ],
    )
    def test_refusals(
        self, pteron: Callable[..., Any], corpus: Callable[..., str], options: list[str], sentence: str
    ) -> None:
        np.save("pickled.npy", np.asarray([{}, None], object), allow_pickle=True)
        Path("short.npy").write_bytes(Path("x.npy").read_bytes()[:-4])
        Path("odd.npy").write_bytes(Path("x.npy").read_bytes().replace(b"(2, 3)", b"('a'  "))
        Path("cut.npz").write_bytes(Path("named.npz").read_bytes()[:-40])
        Path("empty.npy").write_bytes(b"")
        given = [part for option in options for part in ("--input", option)]
        ran = pteron("run", corpus("1.5.1", "add.pte"), *given)
        assert (ran.code, ran.out) == (2, "")
        assert sentence in ran.err
        assert ran.err.count("\n") == 1

    def test_wrong_dtype_and_shape_name_the_input(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        file = corpus("1.5.1", "add.pte")
        np.save("wide.npy", np.ones((2, 3)))
        np.save("long.npy", np.ones((2, 4), np.float32))
        for wrong, words in (("wide.npy", "got dtype float64"), ("long.npy", "got shape [2, 4]")):
            ran = pteron("run", file, "--input", "x.npy", "--input", wrong)
            assert ran.code == 2
            assert "input 1 (in1)" in ran.err
            assert words in ran.err

    def test_keyword_names(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        base = program("1.5.1/add.pte")
        changed = edited(base, {"plan.container_meta_type.encoded_inp_str": _keywords("left", "right")})
        Path("named.pte").write_bytes(write_program(changed))
        ran = pteron("run", "named.pte", "--input", "right=y.npy", "--input", "left=x.npy", "--format", "json").json
        assert [item["name"] for item in ran["inputs"]] == ["left", "right"]
        assert ran["outputs"][0]["values"][0] == [11, 11, 11]


def _keywords(*names: str) -> str:
    """A pytree of keyword inputs only, as torch.utils._pytree writes it."""
    leaves = [{"type": None, "context": None, "children_spec": []} for _ in names]
    empty = {"type": "builtins.tuple", "context": "null", "children_spec": []}
    keywords = {"type": "builtins.dict", "context": json.dumps(list(names)), "children_spec": leaves}
    return json.dumps([1, {"type": "builtins.tuple", "context": "null", "children_spec": [empty, keywords]}])


def test_bfloat16_goes_in_and_out_as_float32(pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
    """half_bf16's third output is of bfloat16, as is its second input."""
    file = corpus("1.5.1", "half_bf16.pte")
    x = np.asarray([[1, 2, 3, 4], [5, 6, 7, 8]], np.float16)
    y = np.asarray([[0.5, 1, 2, 4], [8, 16, 32, 64]], np.float32)
    results = []
    for name, array in (("wide", y), ("narrow", y.astype(ml_dtypes.bfloat16))):  # NumPy reads the latter back as V2
        np.save("x.npy", x)
        np.save("y.npy", array)
        ran = pteron("run", file, "-i", "x.npy", "-i", "y.npy", "-o", f"{name}.npz", "--format", "json").json
        assert [output["dtype"] for output in ran["outputs"]] == ["float16", "float16", "bfloat16", "float32"]
        with np.load(f"{name}.npz") as written:
            assert written["out2"].dtype == np.float32
            results.append(written["out2"])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[0].astype(ml_dtypes.bfloat16).astype(np.float32))


class TestOutputFile:
    def test_is_not_overwritten_unless_forced(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        file = corpus("1.5.1", "add.pte")
        Path("o.npz").write_bytes(b"mine")
        ran = pteron("run", file, "--output", "o.npz")
        assert (ran.code, ran.out) == (2, "")
        assert "o.npz: exists already" in ran.err
        assert Path("o.npz").read_bytes() == b"mine"
        assert pteron("run", file, "--output", "o.npz", "--force").code == 0
        with np.load("o.npz") as written:
            assert written.files == ["out0"]
        assert sorted(path.name for path in Path().iterdir()) == ["add.pte", "o.npz"]

    def test_a_folder_that_is_not_there(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", "add.pte"), "--output", "nowhere/o.npz")
        assert (ran.code, ran.out) == (2, "")
        assert "nowhere/o.npz: cannot be written" in ran.err


class TestMethods:
    def test_the_method_asked_for(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        file = corpus("1.5.1", "multi_method.pte")
        for name in ("encode", "decode"):
            assert pteron("run", file, "--method", name, "--format", "json").json["method"] == name

    def test_several_methods_and_none_named_forward(
        self, pteron: Callable[..., Any], corpus: Callable[..., str]
    ) -> None:
        ran = pteron("run", corpus("1.5.1", "multi_method.pte"))
        assert ran.code == 2
        assert "which method? --method takes decode, encode" in ran.err

    def test_the_only_method_needs_no_name(self, pteron: Callable[..., Any], folder: Path) -> None:
        Path("one.pte").write_bytes(write_program(edited(program("1.5.1/add.pte"), {"plan.name": "score"})))
        assert pteron("run", "one.pte", "--format", "json").json["method"] == "score"

    def test_unknown(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", "multi_method.pte"), "--method", "Encode")
        assert ran.code == 2
        assert "no method 'Encode'" in ran.err


class TestExternalData:
    FILE = "external_constants_mlp.pte"
    DATA = "external_constants_mlp._default_external_constant.ptd"

    def test_with_it(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        call = case("1.5.1", self.FILE).calls()[0]
        options = [*save_inputs(call), "--data", corpus("1.5.1", self.DATA), "--output", "o.npz"]
        assert pteron("run", corpus("1.5.1", self.FILE), *options).code == 0
        with np.load("o.npz") as written:
            np.testing.assert_allclose(written["out0"], call.outputs[0], rtol=1e-5, atol=1e-6)

    def test_without_it(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", self.FILE))
        assert (ran.code, ran.out) == (2, "")
        assert "'a.weight' is missing" in ran.err
        assert "--data FILE.ptd" in ran.err

    def test_keys_that_nothing_uses_are_a_warning(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", "add.pte"), "--data", corpus("1.5.1", self.DATA))
        assert ran.code == 0
        assert ran.err.startswith("pteron: warning: add.pte: ")
        assert ran.err.count("\n") == 1


class TestBundledProgram:
    def test_its_own_cases_match(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", "bundled_dtypes.bpte"))
        assert (ran.code, ran.err) == (0, "")
        assert TIME.sub("TIME", ran.out) == (
            """\
bundled_dtypes.bpte: its own test cases, onnxruntime engine
  forward case 0: matches (TIME)
  forward case 1: matches (TIME)

2 of 2 cases within rtol 0.001, atol 1e-05; loaded in TIME
"""
        )

    @pytest.mark.parametrize("release", ["0.2.1", "0.6.0", "1.5.1"])
    def test_one_method_of_several(self, pteron: Callable[..., Any], corpus: Callable[..., str], release: str) -> None:
        file = corpus(release, "bundled_multi_method.bpte")
        every = pteron("run", file, "--format", "json").json
        methods = [item["method"] for item in every["cases"]]
        assert set(methods) == set(read_bundled_program(file).test_suites)
        assert every["matches"] is True
        for method in set(methods):
            one = pteron("run", file, "--method", method, "--format", "json").json
            assert [item["method"] for item in one["cases"]] == [method] * methods.count(method)

    @pytest.fixture
    def bundled(self, folder: Path) -> Callable[..., str]:
        """``bundled(expected)`` writes a bundle of ``add`` whose one case expects that for ones and twos."""

        def put(*expected: Any) -> str:
            inputs = (np.full((2, 3), 1, np.float32), np.full((2, 3), 2, np.float32))
            record = bundle(corpus_files.read("1.5.1", "add.pte"), {"forward": [TestCase(inputs, expected)]})
            save_bundled_program(record, "b.bpte")
            return "b.bpte"

        return put

    def test_what_the_bundle_expects_is_compared(self, pteron: Callable[..., Any], bundled: Callable[..., str]) -> None:
        right = np.full((2, 3), 3, np.float32)
        assert pteron("run", bundled(right)).code == 0
        assert pteron("run", bundled(right * np.float32(1.0009))).code == 0  # within the tolerance
        assert pteron("run", bundled(right * np.float32(1.0009)), "--rtol", "1e-5").code == 1

    @pytest.mark.parametrize(
        ("expected", "words"),
        [
            ([np.asarray([[3, 3, 3], [3, 3, 4.5]], np.float32)], "1 value of 6 differ, by up to 1.5"),
            ([np.full((2, 3), 3, np.int32)], "float32[2, 3], expected int32[2, 3]"),
            ([np.full((3, 2), 3, np.float32)], "float32[2, 3], expected float32[3, 2]"),
            ([np.full((2, 3), np.nan, np.float32)], "6 values of 6 differ"),
            ([np.full((2, 3), np.inf, np.float32)], "6 values of 6 differ, by up to inf"),
            ([], "nothing is expected"),
            ([np.full((2, 3), 3, np.float32)] * 2, "the method does not give it"),
            ([3.0], "expected 3.0"),
        ],
    )
    def test_a_mismatch_is_1_and_says_what_differs(
        self, pteron: Callable[..., Any], bundled: Callable[..., str], expected: list[Any], words: str
    ) -> None:
        ran = pteron("run", bundled(*expected))
        assert (ran.code, ran.err) == (1, "")
        assert "forward case 0: DIFFERS" in ran.out
        assert words in ran.out
        document = pteron("run", "b.bpte", "--format", "json")
        assert (document.code, document.json["schema"], document.json["matches"]) == (1, "pteron.cases/1", False)

    def test_given_inputs_run_the_program_inside(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        file = corpus("1.5.1", "bundled_mlp.bpte")
        recorded = read_bundled_program(file).test_suites["forward"][0]
        np.save("x.npy", np.asarray(recorded.inputs[0]))
        ran = pteron("run", file, "--input", "x.npy", "--format", "json").json
        np.testing.assert_allclose(ran["outputs"][0]["values"], recorded.expected_outputs[0], rtol=1e-5, atol=1e-6)

    def test_its_cases_are_not_written_and_an_unknown_method_has_none(
        self, pteron: Callable[..., Any], corpus: Callable[..., str]
    ) -> None:
        file = corpus("1.5.1", "bundled_mlp.bpte")
        assert pteron("run", file, "--output", "o.npz").code == 2
        ran = pteron("run", file, "--method", "backward")
        assert ran.code == 2
        assert "no test case for backward" in ran.err


class TestWhatCannotRun:
    def test_unknown_operator(self, pteron: Callable[..., Any], folder: Path) -> None:
        changed = edited(program("1.5.1/add.pte"), {"plan.operators[0].name": "mine::add"})
        Path("x.pte").write_bytes(write_program(changed))
        ran = pteron("run", "x.pte")
        assert (ran.code, ran.out) == (1, "")
        assert "no kernel for mine::add.out" in ran.err

    def test_unknown_backend(self, pteron: Callable[..., Any], corpus: Callable[..., str]) -> None:
        ran = pteron("run", corpus("1.5.1", "demo_backend.pte"))
        assert (ran.code, ran.out) == (1, "")
        assert "no backend here runs 'BackendWithCompilerDemo'" in ran.err

    def test_a_file_that_breaks_the_rules(self, pteron: Callable[..., Any], folder: Path) -> None:
        Path("x.pte").write_bytes(write_program(edited(program("1.5.1/add.pte"), {"plan.outputs": (99,)})))
        ran = pteron("run", "x.pte")
        assert (ran.code, ran.out) == (1, "")
        assert "PT-VF-006" in ran.err

    def test_inputs_that_would_take_all_memory_are_not_made(self) -> None:
        method = program("1.5.1/mlp.pte").methods["forward"]  # takes float32[2, 16]
        enough = dataclasses.replace(DEFAULT_LIMITS, max_memory=128)
        assert len(made_inputs(method, 0, enough, "mlp.pte")) == 1
        with pytest.raises(LimitError, match="128 bytes at their upper bounds"):
            made_inputs(method, 0, dataclasses.replace(enough, max_memory=127), "mlp.pte")
