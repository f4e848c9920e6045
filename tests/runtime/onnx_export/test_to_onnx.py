"""``pteron.to_onnx``: names, states, dimensions and weights of what it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import corpus_files
import pteron
from onnx_models import check
from program_edits import edited, program
from pteron.format.schema import Double
from pteron.format.write import write_program
from pteron.graph.ir import Block, Branch, Graph, Jump, Return
from pteron.ops import Registry
from pteron.runtime.onnx_export import convert
from pteron.runtime.onnx_export.interface import Names, Port
from pteron.runtime.onnx_export.lower import MAX_BRANCHES, Unstructured, meetings


def put(folder: Path, release: str, name: str) -> Path:
    path = folder / name
    path.write_bytes(corpus_files.read(release, name))
    return path


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_who_made_it_and_of_what(tmp_path: Path) -> None:
    source = put(tmp_path, "1.5.1", "lenet.pte")
    written = pteron.to_onnx(source, tmp_path / "m.onnx")
    model = onnx.load(written.path)
    assert (model.producer_name, model.producer_version, model.ir_version) == ("pteron", pteron.__version__, 10)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 21)]
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties == {"pteron.method": "forward", "pteron.source": "lenet.pte"}
    assert model.graph.name == "forward"
    assert written.nodes == len(model.graph.node)
    assert written.nbytes == written.path.stat().st_size
    assert any(node.name.endswith("/aten::convolution") for node in model.graph.node)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lenet.pte", "m.onnx"]


def test_operator_sets_beside_the_standard_one_are_named_where_they_are_used(tmp_path: Path) -> None:
    sets = {}
    for name in ("add.pte", "activations.pte"):
        written = pteron.to_onnx(corpus_files.read("1.5.1", name), tmp_path / "m.onnx")
        domains = {node.domain for node in onnx.load(written.path).graph.node}
        sets[name] = set(written.opsets)
        assert sets[name] == domains | {""}
    assert sets["add.pte"] == {""}


def test_keyword_names_are_kept_and_unused_inputs_stay(tmp_path: Path) -> None:
    for name in ("scalar_inputs.pte", "none_input.pte", "multi_method.pte"):
        method = next(iter(pteron.open(corpus_files.read("1.5.1", name)).methods.values()))
        written = pteron.to_onnx(corpus_files.read("1.5.1", name), tmp_path / "m.onnx", method=method.name)
        tensors = [info.name for info in method.inputs if info.kind == "tensor"]
        assert [port.name for port in written.inputs] == tensors
        assert [item.name for item in session(written.path).get_inputs()] == tensors


def test_names_are_handed_out_once() -> None:
    names = Names()
    assert [names.take("x") for _ in range(3)] == ["x", "x_1", "x_2"]
    assert names.take("x_1") == "x_1_1"


def test_what_is_none_is_left_out(tmp_path: Path) -> None:
    written = pteron.to_onnx(corpus_files.read("1.5.1", "none_outputs.pte"), tmp_path / "m.onnx")
    assert written.left_out == ("out1",)
    assert [port.name for port in written.outputs] == ["out0", "out2"]
    x = np.ones((2, 3), np.float32)
    first, second = session(written.path).run(None, {"in0": x})
    assert (first == 2).all()
    assert (second == 2).all()


class TestDimensions:
    def test_each_that_may_vary_has_a_name_and_its_bound_is_told(self, tmp_path: Path) -> None:
        written = pteron.to_onnx(corpus_files.read("1.5.1", "dynamic_mlp.pte"), tmp_path / "m.onnx")
        (port,) = written.inputs
        (info,) = pteron.open(corpus_files.read("1.5.1", "dynamic_mlp.pte")).methods["forward"].inputs
        assert port.shape == ("in0_dim0", "in0_dim1")
        assert port.bound == info.shape
        given = onnx.load(written.path).graph.input[0]
        assert [dim.dim_param for dim in given.type.tensor_type.shape.dim] == ["in0_dim0", "in0_dim1"]
        assert given.doc_string == f"at most {list(info.shape)}"

    @pytest.mark.parametrize("rows", [1, 2, 3])
    def test_any_size_within_the_bound_runs(self, tmp_path: Path, rows: int) -> None:
        data = corpus_files.read("1.5.1", "dynamic_mlp.pte")
        written = pteron.to_onnx(data, tmp_path / "m.onnx")
        x = np.random.default_rng(rows).standard_normal((rows, written.inputs[0].bound[1]), np.float32)
        (actual,) = session(written.path).run(None, {"in0": x})
        (expected,) = pteron.load(data, engine="reference").forward(x)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)

    def test_in_words(self) -> None:
        assert str(Port("x", "float32", (1, "x_dim1"), (1, 8))) == "float32[1, x_dim1≤8]"


class TestState:
    def test_zeros_are_given_and_what_comes_out_goes_in_again(self, tmp_path: Path) -> None:
        written = pteron.to_onnx(corpus_files.read("1.5.1", "mutable_counter.pte"), tmp_path / "m.onnx")
        assert {state.initial for state in written.states} == {"zeros"}
        run = session(written.path)
        state = {s.input.name: np.zeros(s.input.bound, s.input.dtype) for s in written.states}
        reference = pteron.load(corpus_files.read("1.5.1", "mutable_counter.pte"), engine="reference")
        seen = []
        for number in range(3):
            x = np.full(written.inputs[0].bound, 2**number, written.inputs[0].dtype)
            names = [item.name for item in run.get_outputs()]
            results = dict(zip(names, run.run(None, {"in0": x, **state}), strict=True))
            state = {s.input.name: results[s.next] for s in written.states}
            np.testing.assert_array_equal(results["out0"], reference.forward(x)[0])
            seen.append(results["out0"].tobytes())
        assert len(set(seen)) == 3

    def test_content_of_the_file_is_the_default(self, tmp_path: Path) -> None:
        data = corpus_files.read("1.5.1", "initialized_mutable_buffer.pte")
        written = pteron.to_onnx(data, tmp_path / "m.onnx")
        (state,) = written.states
        assert state.initial == "default"
        x = np.ones(written.inputs[0].bound, written.inputs[0].dtype)
        run = session(written.path)
        assert [item.name for item in run.get_overridable_initializers()] == [state.input.name]
        (expected,) = pteron.load(data, engine="reference").forward(x)
        np.testing.assert_array_equal(run.run(["out0"], {"in0": x})[0], expected)

    def test_names_are_the_files(self, tmp_path: Path) -> None:
        written = pteron.to_onnx(corpus_files.read("1.5.1", "mutable_buffer_names.pte"), tmp_path / "m.onnx")
        assert {state.input.name: state.next for state in written.states} == {"count": "count_next", "acc": "acc_next"}

    def test_what_methods_share_is_told(self, tmp_path: Path) -> None:
        data = corpus_files.read("1.5.1", "mutable_buffer_shared_state.pte")
        for method in pteron.open(data).methods:
            (state,) = pteron.to_onnx(data, tmp_path / "m.onnx", method=method).states
            assert (state.input.name, state.shared) == ("s.state", True)


class TestWeights:
    @pytest.mark.parametrize("weights", convert.WEIGHTS)
    def test_where_they_are(self, tmp_path: Path, weights: convert.Weights) -> None:
        source = put(tmp_path, "1.5.1", "lenet.pte")
        written = pteron.to_onnx(source, tmp_path / "m.onnx", weights=weights)
        check(written.path)
        model = onnx.load(written.path, load_external_data=False)
        large = [w for w in model.graph.initializer if np.prod(w.dims) * 4 > 1024]
        outside = {entry.value for w in large for entry in w.external_data if entry.key == "location"}
        expected = {"embed": set(), "external": {"m.onnx.data"}, "in-pte": {"lenet.pte"}}[weights]
        assert large
        assert outside == expected
        assert {path.name for path in written.data_files} == expected
        total = sum(path.stat().st_size for path in tmp_path.iterdir())
        assert (total < 1.5 * source.stat().st_size) == (weights == "in-pte")

    def test_of_a_ptd_where_it_lies(self, tmp_path: Path) -> None:
        source = put(tmp_path, "1.5.1", "external_constants_mlp.pte")
        (tmp_path / "w").mkdir()
        data = tmp_path / "w" / "weights.ptd"
        data.write_bytes(corpus_files.read("1.5.1", "external_constants_mlp._default_external_constant.ptd"))
        written = pteron.to_onnx(source, tmp_path / "m.onnx", weights="in-pte", data=data)
        check(written.path)
        model = onnx.load(written.path, load_external_data=False)
        locations = {e.value for w in model.graph.initializer for e in w.external_data if e.key == "location"}
        assert locations == {"w/weights.ptd"}
        x = np.ones(written.inputs[0].bound, np.float32)
        expected = pteron.load(source, data=data, engine="reference").forward(x)[0]
        np.testing.assert_allclose(session(written.path).run(None, {"in0": x})[0], expected, rtol=1e-5, atol=1e-6)

    def test_outside_of_the_models_folder_they_cannot_stay(self, tmp_path: Path) -> None:
        source = put(tmp_path, "1.5.1", "lenet.pte")
        (tmp_path / "elsewhere").mkdir()
        with pytest.raises(pteron.UnsupportedError, match="write the model into ") as caught:
            pteron.to_onnx(source, tmp_path / "elsewhere" / "m.onnx", weights="in-pte")
        assert str(tmp_path.resolve()) in str(caught.value)
        assert not list((tmp_path / "elsewhere").iterdir())

    def test_of_bytes_in_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(pteron.UnsupportedError, match="in no file"):
            pteron.to_onnx(corpus_files.read("1.5.1", "lenet.pte"), tmp_path / "m.onnx", weights="in-pte")

    def test_of_a_file_that_was_changed_since_are_embedded(self, tmp_path: Path) -> None:
        source = put(tmp_path, "1.5.1", "lenet.pte")
        opened = pteron.open(source)
        source.unlink()
        source.write_bytes(bytes(len(corpus_files.read("1.5.1", "lenet.pte"))))
        written = pteron.to_onnx(opened, tmp_path / "m.onnx", weights="in-pte")
        assert written.data_files == ()
        x = np.ones((1, 1, 28, 28), np.float32)
        expected = pteron.load(corpus_files.read("1.5.1", "lenet.pte"), engine="reference").forward(x)[0]
        np.testing.assert_allclose(session(written.path).run(None, {"in0": x})[0], expected, rtol=1e-5, atol=1e-6)

    def test_more_than_a_model_can_hold(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(convert, "MAX_MODEL_BYTES", 50_000)
        data = corpus_files.read("1.5.1", "lenet.pte")
        with pytest.raises(pteron.UnsupportedError, match=r"one ONNX file can hold 50,000; .*external.*in-pte"):
            pteron.to_onnx(data, tmp_path / "m.onnx")
        assert not list(tmp_path.iterdir())
        pteron.to_onnx(data, tmp_path / "m.onnx", weights="external")

    def test_unknown_place(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="embed, external, in-pte"):
            pteron.to_onnx(b"", tmp_path / "m.onnx", weights="beside")  # type: ignore[arg-type]


class TestRefusals:
    def test_operators_and_their_places(self, tmp_path: Path) -> None:
        with pytest.raises(pteron.UnsupportedError, match=r"aten::topk \(at instruction \d+: the order of equal"):
            pteron.to_onnx(corpus_files.read("1.5.1", "topk.pte"), tmp_path / "m.onnx")
        assert not list(tmp_path.iterdir())

    def test_a_kernel_of_the_callers_own(self, tmp_path: Path) -> None:
        operators = Registry()
        schema = "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor"

        @pteron.operator(schema, out="out", registry=operators)
        def add(self: Any, other: Any, alpha: Any) -> Any:
            return self - other

        with pytest.raises(pteron.UnsupportedError, match=r"aten::add\.Tensor .*not Pteron's own"):
            pteron.to_onnx(corpus_files.read("1.5.1", "add.pte"), tmp_path / "m.onnx", operators=operators)

    def test_loops(self, tmp_path: Path) -> None:
        with pytest.raises(pteron.UnsupportedError, match="its control flow has a loop"):
            pteron.to_onnx(corpus_files.read("1.5.1", "map_model.pte"), tmp_path / "m.onnx")

    def test_a_delegate_that_stays_one(self, tmp_path: Path) -> None:
        with pytest.raises(pteron.UnsupportedError, match="delegates to BackendWithCompilerDemo"):
            pteron.to_onnx(corpus_files.read("1.5.1", "demo_backend.pte"), tmp_path / "m.onnx")

    def test_results_that_the_program_has_no_place_for(self, tmp_path: Path) -> None:
        data = write_program(edited(program("1.5.1/tensor_lists.pte"), {"values[25].val.items": (22, 23)}))
        with pytest.raises(pteron.UnsupportedError, match=r"split_with_sizes_copy \(at .*: 2 results, where .* has 3"):
            pteron.to_onnx(data, tmp_path / "m.onnx")
        module = pteron.load(data, engine="onnxruntime")
        inputs = [np.ones(info.shape, info.scalar_type.dtype) for info in module.methods["forward"].inputs]
        with pytest.raises(pteron.ExecutionError):
            module.forward(*inputs)

    def test_numbers_that_no_attribute_holds(self, tmp_path: Path) -> None:
        base = program("1.5.1/attention_block.pte")
        plan = base.root.execution_plan[0]
        (place, *_) = [
            i for i, v in enumerate(plan.values) if isinstance(v.val, Double) and 0 < v.val.double_val < 1e-3
        ]
        data = write_program(edited(base, {f"values[{place}].val.double_val": 1e300}))
        with pytest.raises(pteron.UnsupportedError, match=r"native_layer_norm .*1e\+300, which is more than float32"):
            pteron.to_onnx(data, tmp_path / "m.onnx")

    def test_a_delegate_without_a_place_for_its_output(self, tmp_path: Path) -> None:
        data = write_program(edited(program("1.5.1/xnnpack_mlp.pte"), {"code[0].args": (0,)}))
        with pytest.raises(pteron.UnsupportedError, match="has an argument 1, the call has none"):
            pteron.to_onnx(data, tmp_path / "m.onnx")

    def test_methods(self, tmp_path: Path) -> None:
        data = corpus_files.read("1.5.1", "multi_method.pte")
        with pytest.raises(pteron.MethodNotFoundError, match="which method"):
            pteron.to_onnx(data, tmp_path / "m.onnx")
        with pytest.raises(pteron.MethodNotFoundError, match="no method 'x'"):
            pteron.to_onnx(data, tmp_path / "m.onnx", method="x")

    def test_the_only_method_needs_no_name(self, tmp_path: Path) -> None:
        data = write_program(edited(program("1.5.1/add.pte"), {"plan.name": "score"}))
        assert pteron.to_onnx(data, tmp_path / "m.onnx").method == "score"

    def test_overwriting_what_is_read(self, tmp_path: Path) -> None:
        source = put(tmp_path, "1.5.1", "add.pte")
        with pytest.raises(pteron.FileAccessError, match="the program is read from it"):
            pteron.to_onnx(source, source)
        assert source.read_bytes() == corpus_files.read("1.5.1", "add.pte")

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        for weights in convert.WEIGHTS:
            with pytest.raises(pteron.FileAccessError, match="cannot be written"):
                pteron.to_onnx(put(tmp_path, "1.5.1", "add.pte"), tmp_path / "no" / "m.onnx", weights=weights)


class TestBranches:
    """Blocks by hand, named by letters; ``b`` meets where every way from it leads through."""

    @staticmethod
    def graph(edges: dict[str, str]) -> tuple[Graph, dict[str, Block]]:
        blocks = {name: Block(name) for name in edges}
        for name, following in edges.items():
            jumps = [Jump(blocks[other]) for other in following]
            if len(jumps) == 2:
                blocks[name].terminator = Branch(True, *jumps)
            elif jumps:
                blocks[name].terminator = jumps[0]
        return Graph("g", blocks=list(blocks.values())), blocks

    @pytest.mark.parametrize(
        ("edges", "expected"),
        [
            ({"a": "bc", "b": "d", "c": "d", "d": ""}, {"a": "d"}),
            ({"a": "bc", "b": "c", "c": ""}, {"a": "c"}),
            ({"a": "bc", "b": "de", "c": "g", "d": "f", "e": "f", "f": "g", "g": ""}, {"a": "g", "b": "f"}),
            ({"a": "bd", "b": "cd", "c": "d", "d": ""}, {"a": "d", "b": "d"}),
            ({"a": "bb", "b": ""}, {"a": "b"}),
        ],
    )
    def test_where_they_meet(self, edges: dict[str, str], expected: dict[str, str]) -> None:
        graph, _ = self.graph(edges)
        assert {block.name: met.name for block, met in meetings(graph).items()} == expected

    @pytest.mark.parametrize(
        ("edges", "words"),
        [
            ({"a": "bc", "b": "", "c": ""}, "do not meet"),
            ({"a": "b", "b": "ac", "c": ""}, "a loop"),
            ({"a": "a"}, "a loop"),
        ],
    )
    def test_where_they_do_not(self, edges: dict[str, str], words: str) -> None:
        with pytest.raises(Unstructured, match=words):
            meetings(self.graph(edges)[0])

    def test_a_long_row_of_them_is_refused_and_takes_no_time(self) -> None:
        def row(count: int) -> Graph:
            blocks = [Block(str(i)) for i in range(3 * count + 1)]
            for i in range(0, 3 * count, 3):
                blocks[i].terminator = Branch(True, Jump(blocks[i + 1]), Jump(blocks[i + 2]))
                blocks[i + 1].terminator = Jump(blocks[i + 3])
                blocks[i + 2].terminator = Jump(blocks[i + 3])
            blocks[-1].terminator = Return([])
            return Graph("g", blocks=blocks)

        assert len(meetings(row(MAX_BRANCHES))) == MAX_BRANCHES
        with pytest.raises(Unstructured, match="more than"):
            meetings(row(5000))

    @pytest.mark.parametrize("name", ["cond_model.pte", "cond_pred_computed.pte"])
    def test_both_ways_give_what_the_reference_gives(self, tmp_path: Path, name: str) -> None:
        data = corpus_files.read("1.5.1", name)
        written = pteron.to_onnx(data, tmp_path / "m.onnx")
        assert any(node.op_type == "If" for node in onnx.load(written.path).graph.node)
        run, reference = session(written.path), pteron.load(data, engine="reference")
        results = set()
        for sign in (-1, 1):
            for truth in (False, True):
                feeds = {
                    port.name: np.full(port.bound, truth if port.dtype == "bool" else sign, port.dtype)
                    for port in written.inputs
                }
                (expected,) = reference.forward(*feeds.values())
                (actual,) = run.run(None, feeds)
                np.testing.assert_allclose(actual, expected, rtol=1e-6)
                results.add(actual.tobytes())
        assert len(results) > 1
