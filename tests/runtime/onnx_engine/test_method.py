"""How a method runs on ONNX Runtime: inputs, outputs, state, sizes, threads, and what goes to reference kernels."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import corpus_files
import pteron
from corpus_files import Case
from pteron.ops.registry import REGISTRY, Registry, operator
from pteron.runtime.onnx_engine import availability
from pteron.runtime.onnx_engine.method import has_bound_state

LATEST = corpus_files.releases()[-1]


def case(name: str, release: str = LATEST) -> Case:
    return next(c for c in corpus_files.cases(release) if c.name == name)


def fast(recorded: Case, **options: object) -> pteron.Module:
    return pteron.load(recorded.read(), data=recorded.read_data(), engine="onnxruntime", **options)  # type: ignore[arg-type]


def test_outputs_are_the_callers_own() -> None:
    """A later call changes nothing that an earlier one gave, and changing a result changes no later one."""
    recorded = case("kv_cache.pte")
    module = fast(recorded)
    first = [module.forward(*call.inputs)[0] for call in recorded.calls()]
    copies = [output.copy() for output in first]
    for output in first:
        output += 1
    module.reset()
    for call, copy in zip(recorded.calls(), copies, strict=True):
        np.testing.assert_array_equal(module.forward(*call.inputs)[0], copy)


@pytest.mark.parametrize(
    "name", ["mutable_counter.pte", "kv_cache.pte", "copy_cache.pte", "initialized_mutable_buffer.pte"]
)
def test_state_is_that_of_the_reference_engine(name: str) -> None:
    recorded = case(name)
    module, reference = fast(recorded), pteron.load(recorded.read(), engine="reference")
    for _ in range(2):
        for call in recorded.calls() * 2:
            given = module[call.method](*call.inputs)
            for a, e in zip(given, reference[call.method](*call.inputs), strict=True):
                np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)
        module.reset()
        reference.reset()


@pytest.mark.parametrize("name", ["kv_cache.pte", "custom_update_cache.pte", "custom_sdpa_llama_fp32.pte"])
def test_a_cache_is_updated_where_it_lies(name: str) -> None:
    """The array that holds the state stays the same from call to call, and one session writes into it."""
    recorded = case(name)
    module = fast(recorded)
    method = module.forward
    held: list[list[int]] = []
    for call in recorded.calls():
        method(*call.inputs)
        held.append([s.ctypes.data for s in method._state if s.nbytes > 64])
    assert held[0]
    assert all(places == held[0] for places in held)
    assert [entry.engine for entry in method.plan().entries] == ["onnxruntime"]
    assert has_bound_state(method)


def test_sizes_may_differ_from_call_to_call() -> None:
    recorded = next(c for c in corpus_files.models(LATEST) if c.name == "dynamic_shape_ops.pte")
    module, reference = fast(recorded), pteron.load(recorded.read(), engine="reference")
    call = recorded.calls()[0]
    rows = call.inputs[0].shape[0]
    for count in (rows, rows - 1, 1, rows):
        inputs = [x[:count] if isinstance(x, np.ndarray) and x.shape[:1] == (rows,) else x for x in call.inputs]
        for a, e in zip(module.forward(*inputs), reference.forward(*inputs), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)


def test_wrong_inputs_are_told_as_by_the_reference_engine() -> None:
    recorded = case("add.pte")
    module, reference = fast(recorded), pteron.load(recorded.read(), engine="reference")
    good = recorded.calls()[0].inputs
    module.forward(*good)  # the short way is taken from the second call on
    bad: list[list[object]] = [
        [],
        [*good, good[0]],
        [np.zeros((7, 7), np.float32), *good[1:]],
        [good[0].astype(np.float64), *good[1:]],
        ["text", *good[1:]],
        [None, *good[1:]],
    ]
    for inputs in bad:
        with pytest.raises(pteron.InputError) as told:
            module.forward(*inputs)
        with pytest.raises(pteron.InputError) as expected:
            reference.forward(*inputs)
        assert str(told.value) == str(expected.value)


def test_any_array_is_taken() -> None:
    """Strided, foreign byte order, nested lists where the dtype fits: what signature checks let through."""
    recorded = case("linear.pte")
    module = fast(recorded)
    x = recorded.calls()[0].inputs[0]
    expected = module.forward(x)[0]
    wide = np.repeat(x, 2, axis=-1)[..., ::2]
    assert not wide.flags.c_contiguous
    for given in (wide, x.astype(x.dtype.newbyteorder(">")), memoryview(x)):
        np.testing.assert_array_equal(module.forward(given)[0], expected)


def test_calls_from_many_threads() -> None:
    """A stateless method runs in several threads at once, one with state takes turns; answers stay right."""
    stateless, stateful = case("linear.pte"), case("mutable_counter.pte")
    module, counter = fast(stateless), fast(stateful)
    x = stateless.calls()[0].inputs[0]
    expected = module.forward(x)[0]
    calls = stateful.calls()
    sequence = [counter.forward(*calls[0].inputs)[0].copy() for _ in range(40)]
    counter.reset()
    wrong: list[str] = []
    seen: list[bytes] = []

    def work(number: int) -> None:
        for _ in range(50):
            if not np.allclose(module.forward(x + number)[0], pteron_reference[number], rtol=1e-4, atol=1e-5):
                wrong.append(f"thread {number}")
        for _ in range(5):
            seen.append(counter.forward(*calls[0].inputs)[0].tobytes())

    reference = pteron.load(stateless.read(), engine="reference")
    pteron_reference = [reference.forward(x + number)[0] for number in range(8)]
    np.testing.assert_allclose(expected, pteron_reference[0], rtol=1e-4, atol=1e-5)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(seen) == sorted(output.tobytes() for output in sequence)


def test_the_plan_says_who_runs_what_and_why() -> None:
    plan = fast(
        case("topk.pte") if any(c.name == "topk.pte" for c in corpus_files.cases(LATEST)) else case("ops/topk.0.pte")
    )
    entries = plan.plan()["forward"].entries
    kernel = next(e for e in entries if e.engine == "reference")
    assert kernel.operators == ("aten::topk",)
    assert "equal elements" in kernel.reason
    assert "aten::topk" in str(plan.plan()["forward"])


def test_a_kernel_of_ones_own_is_used() -> None:
    """A registry with another kernel for an operator must not be answered with Pteron's lowering."""
    registry = Registry()
    for entry in REGISTRY:
        if entry.name != "aten::add.out":
            registry.add(entry)

    @operator("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out="out", registry=registry)
    def add(self: np.ndarray, other: np.ndarray) -> np.ndarray:
        return self * 0 + 42

    recorded = case("add.pte")
    module = fast(recorded, operators=registry)
    assert (module.forward(*recorded.calls()[0].inputs)[0] == 42).all()


def test_importing_pteron_and_opening_loads_no_onnx_runtime(tmp_path: Path) -> None:
    path = tmp_path / "add.pte"
    path.write_bytes(case("add.pte").read())
    code = (
        "import sys, pteron; m = pteron.load(sys.argv[1]); print('onnxruntime' in sys.modules, 'onnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


WITHOUT = """
import sys, warnings
sys.modules["onnxruntime"] = None
import pteron
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    for _ in range(2):
        module = pteron.load(sys.argv[1])
        module.forward
print(len(seen), seen[0].message, module.plan()["forward"].engine)
try:
    pteron.load(sys.argv[1], engine="onnxruntime").forward
except pteron.LoadError as error:
    print("refused:", error)
"""


def test_without_onnx_runtime(tmp_path: Path) -> None:
    """``auto`` says so once and takes the reference engine; asked for by name, it is an error."""
    path = tmp_path / "add.pte"
    path.write_bytes(case("add.pte").read())
    done = subprocess.run([sys.executable, "-c", WITHOUT, str(path)], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("1 onnxruntime cannot be imported")
    assert first.endswith("reference")
    assert second.startswith("refused: onnxruntime cannot be imported")
    assert availability.problem() == ""


def test_unknown_engine() -> None:
    with pytest.raises(ValueError, match="engine is 'gpu', but must be one of auto, reference, onnxruntime"):
        pteron.load(case("add.pte").read(), engine="gpu")  # type: ignore[arg-type]


def test_weights_of_a_file_are_mapped(tmp_path: Path) -> None:
    """From a path, large weights are initializers inside of the .pte; from bytes they are handed over in memory."""
    recorded = next(c for c in corpus_files.models(LATEST) if c.name == "lenet.pte")
    path = tmp_path / "lenet.pte"
    path.write_bytes(recorded.read())
    mapped = pteron.load(path, engine="onnxruntime")
    call = recorded.calls()[0]
    np.testing.assert_allclose(mapped.forward(*call.inputs)[0], call.outputs[0], rtol=1e-3, atol=1e-4)
    models = [s.model for p in mapped.forward._prepared.values() for s, _ in p.steps]
    assert models
    assert all(m.folder == str(tmp_path.resolve()) and not m.in_memory for m in models)
    given = fast(recorded)
    given.forward(*call.inputs)
    assert any(s.model.in_memory for p in given.forward._prepared.values() for s, _ in p.steps)


def test_a_file_that_is_replaced_after_loading(tmp_path: Path) -> None:
    """Sessions open with the first call; weights are those of the file that was loaded, not of its successor."""
    recorded = next(c for c in corpus_files.models(LATEST) if c.name == "lenet.pte")
    path = tmp_path / "lenet.pte"
    path.write_bytes(recorded.read())
    module = pteron.load(path, engine="onnxruntime")
    call = recorded.calls()[0]
    successor = tmp_path / "new.pte"
    successor.write_bytes(bytes(b ^ 0x55 for b in recorded.read()))
    successor.replace(path)
    np.testing.assert_allclose(module.forward(*call.inputs)[0], call.outputs[0], rtol=1e-3, atol=1e-4)


def test_a_relative_path_after_changing_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = next(c for c in corpus_files.models(LATEST) if c.name == "lenet.pte")
    (tmp_path / "lenet.pte").write_bytes(recorded.read())
    monkeypatch.chdir(tmp_path)
    module = pteron.load("lenet.pte", engine="onnxruntime")
    monkeypatch.chdir("/")
    call = recorded.calls()[0]
    np.testing.assert_allclose(module.forward(*call.inputs)[0], call.outputs[0], rtol=1e-3, atol=1e-4)
