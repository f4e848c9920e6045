"""The mirror of ``executorch.runtime``: the same names, the same answers."""

from __future__ import annotations

import inspect
import io
import sys
from pathlib import Path

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.executorch import Method, MethodMeta, Program, Runtime, Verification

DATA = corpus_files.read("1.5.1", "add.pte")
X = np.ones((2, 3), np.float32)


@pytest.fixture(params=["bytes", "bytearray", "path", "str", "file"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    path = tmp_path / "add.pte"
    path.write_bytes(DATA)
    return {"bytes": DATA, "bytearray": bytearray(DATA), "path": path, "str": str(path), "file": io.BytesIO(DATA)}[
        request.param
    ]


def test_the_official_example(source: object) -> None:
    runtime = Runtime.get()
    assert Runtime.get() is runtime
    program = runtime.load_program(source, verification=Verification.Minimal)
    assert program.method_names == {"forward"}
    method = program.load_method("forward")
    assert isinstance(method, Method)
    assert program.load_method("forward") is method
    (output,) = method.execute((X, X))
    assert (np.asarray(output) == 2).all()


def test_metadata() -> None:
    meta = Runtime.get().load_program(DATA).metadata("forward")
    assert isinstance(meta, MethodMeta)
    assert (meta.name(), meta.num_inputs(), meta.num_outputs(), meta.num_attributes()) == ("forward", 2, 1, 0)
    info = meta.input_tensor_meta(0)
    assert (info.sizes(), info.dtype(), info.nbytes(), info.is_memory_planned()) == ((2, 3), 6, 24, True)
    with pytest.raises(IndexError):
        meta.input_tensor_meta(2)
    named = Runtime.get().load_program(corpus_files.read("1.5.1", "mutable_buffer_names.pte")).metadata("forward")
    assert named.num_attributes() > 0


def test_errors_are_runtime_errors() -> None:
    runtime = Runtime.get()
    with pytest.raises(RuntimeError, match="error: 0x23"):
        runtime.load_program(b"not a program at all")
    with pytest.raises(TypeError):
        runtime.load_program(12)  # type: ignore[arg-type]
    program = runtime.load_program(DATA)
    with pytest.raises(KeyError):
        program.load_method("backward")
    method = program.load_method("forward")
    assert method is not None
    with pytest.raises(RuntimeError, match="error: 0x12") as error:
        method.execute((X,))
    assert isinstance(error.value, pteron.PteronError)


def test_registries() -> None:
    runtime = Runtime.get()
    assert "aten::add.out" in runtime.operator_registry.operator_names
    assert not runtime.backend_registry.is_available("NoSuchBackend")
    assert isinstance(runtime.backend_registry.registered_backend_names, list)


def test_external_data(tmp_path: Path) -> None:
    case = next(c for c in corpus_files.models("1.5.1") if c.name == "external_constants_mlp.pte")
    data = tmp_path / "weights.ptd"
    data.write_bytes(case.read_data()[0])
    method = Runtime.get().load_program(case.read(), data_path=data).load_method("forward")
    assert method is not None
    call = case.calls()[0]
    np.testing.assert_allclose(np.asarray(method.execute(call.inputs)[0]), call.outputs[0], rtol=1e-4)


@pytest.mark.interop
def test_same_names_and_signatures_as_the_official_module() -> None:
    from executorch import runtime as official

    import pteron.executorch as mirror

    for name in ("Runtime", "Program", "Method", "BackendRegistry", "OperatorRegistry"):
        theirs, ours = getattr(official, name), getattr(mirror, name)
        for member in (m for m in vars(theirs) if not m.startswith("_")):
            assert hasattr(ours, member), f"{name}.{member}"
            function = getattr(theirs, member)
            if inspect.isfunction(function):
                assert list(inspect.signature(getattr(ours, member)).parameters) == list(
                    inspect.signature(function).parameters
                )
    for theirs, ours in ((official.MethodMeta, MethodMeta), (official.Verification, Verification)):
        public = {m for m in dir(theirs) if not m.startswith("_")} - {"name", "value"}
        assert public <= set(dir(ours)), public - set(dir(ours))


@pytest.mark.interop
def test_same_answers_as_the_official_module() -> None:
    import torch
    from executorch.runtime import Runtime as Official

    names = ["add.pte", "lenet.pte", "multi_method.pte", "mutable_counter.pte", "half_bf16.pte", "tensor_lists.pte"]
    cases = [c for c in corpus_files.models("1.5.1") if c.name in names]
    assert len(cases) == len(names)
    for case in cases:
        theirs: Program = Official.get().load_program(case.read())
        ours = Runtime.get().load_program(case.read())
        assert ours.method_names == theirs.method_names
        for call in case.calls():
            inputs = [
                torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
                if x.dtype.name == "bfloat16"
                else torch.from_numpy(np.array(x))
                for x in call.inputs
            ]
            expected = theirs.load_method(call.method).execute(inputs)
            outputs = ours.load_method(call.method).execute(inputs)
            assert [type(o) for o in outputs] == [type(o) for o in expected]
            for output, right in zip(outputs, expected, strict=True):
                assert output.dtype == right.dtype
                torch.testing.assert_close(output, right, rtol=1e-2, atol=1e-3)
            meta, official = ours.metadata(call.method), theirs.metadata(call.method)
            for i in range(official.num_inputs()):
                assert meta.input_tensor_meta(i).sizes() == tuple(official.input_tensor_meta(i).sizes())
                assert meta.input_tensor_meta(i).dtype() == official.input_tensor_meta(i).dtype()
                assert meta.input_tensor_meta(i).nbytes() == official.input_tensor_meta(i).nbytes()
    assert "torch" in sys.modules
