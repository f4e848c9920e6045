"""What a caller may give, what comes back, and how a wrong call reads."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import corpus_files
import pteron


def load(name: str, release: str = "1.5.1", **options: Any) -> pteron.Module:
    return pteron.load(corpus_files.read(release, name), **options)


def recorded(name: str, release: str = "1.5.1") -> list[corpus_files.Call]:
    return next(c for c in corpus_files.models(release) if c.name == name).calls()


class ArrayInterface:
    """An object with nothing but the array interface."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.__array_interface__ = array.__array_interface__


class DLPack:
    """An object with nothing but DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "given",
    [
        X,
        np.asfortranarray(X),
        X[::-1][::-1],
        np.broadcast_to(X, (1, 2, 3))[0],
        X.astype(">f4"),
        ArrayInterface(X),
        DLPack(X),
        memoryview(X),
    ],
    ids=["array", "fortran", "strided", "readonly", "big-endian", "array-interface", "dlpack", "memoryview"],
)
def test_any_array_is_taken(given: Any) -> None:
    (output,) = load("add.pte").forward(given, X)
    np.testing.assert_array_equal(output, X + X)
    assert output.dtype == np.float32


def test_outputs_belong_to_the_caller() -> None:
    module = load("add.pte")
    (first,) = module.forward(X, X)
    kept = first.copy()
    (second,) = module.forward(X * 10, X)
    np.testing.assert_array_equal(first, kept)
    second[:] = 0
    (third,) = module.forward(X, X)
    np.testing.assert_array_equal(third, kept)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_inputs_are_not_changed(release: str) -> None:
    for case in corpus_files.models(release):
        if case.backends or case.data or not case.name.endswith(".pte"):
            continue
        module = pteron.load(case.read())
        call = case.calls()[0]
        given = [x.copy() if isinstance(x, np.ndarray) else x for x in call.inputs]
        try:
            module[call.method](*given)
        except pteron.ExecutionError:
            continue
        for before, after in zip(call.inputs, given, strict=True):
            if isinstance(before, np.ndarray):
                assert before.tobytes() == after.tobytes(), case


def test_python_numbers_for_zero_dim_tensors() -> None:
    name = "add_scalar_tensor.pte"
    call = recorded(name)[0]
    numbers = [x.item() if isinstance(x, np.ndarray) and x.shape == () else x for x in call.inputs]
    assert any(isinstance(number, float) for number in numbers)
    outputs = load(name).forward(*numbers)
    np.testing.assert_allclose(outputs[0], call.outputs[0], rtol=1e-6)


def test_bfloat16_goes_in_and_comes_out() -> None:
    call = next(c for c in recorded("half_bf16.pte"))
    outputs = load("half_bf16.pte").forward(*call.inputs)
    assert [o.dtype for o in outputs] == [o.dtype for o in call.outputs]
    assert np.dtype(ml_dtypes.bfloat16) in [np.asarray(v).dtype for v in [*call.inputs, *outputs]]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ((X,), "1 inputs given, 2 needed (in0: float32[2, 3], in1: float32[2, 3])"),
        ((X, X.astype(np.float64)), "input 1 (in1): float32[2, 3] needed, got dtype float64; convert it"),
        ((X, X.T), "got shape [3, 2]; the model was exported with fixed sizes"),
        ((X, X[0]), "got shape [3] of another rank"),
        ((X, "text"), "got str"),
        ((X, None), "got NoneType"),
        ((X, object()), "object is not usable as an array"),
    ],
)
def test_a_bad_input_reads_well(inputs: tuple[Any, ...], says: str) -> None:
    with pytest.raises(pteron.InputError) as error:
        load("add.pte").forward(*inputs)
    assert "<bytes>, method 'forward'" in str(error.value)
    assert says in str(error.value)
    assert isinstance(error.value, pteron.PteronError)
    assert isinstance(error.value, ValueError)


def test_dynamic_sizes_within_bounds() -> None:
    module = load("dynamic_mlp.pte")
    (info,) = module.methods["forward"].inputs
    assert info.dynamic
    for batch in range(1, info.shape[0] + 1):
        (output,) = module.forward(np.ones((batch, *info.shape[1:]), np.float32))
        assert output.shape[0] == batch
        np.testing.assert_allclose(output, np.broadcast_to(output[:1], output.shape), rtol=1e-6)
    with pytest.raises(pteron.InputError, match=rf"dimension 0 may be at most {info.shape[0]}, is 999"):
        module.forward(np.ones((999, *info.shape[1:]), np.float32))


def test_numbers_are_what_was_exported() -> None:
    call = recorded("scalar_inputs.pte")[0]
    module = load("scalar_inputs.pte")
    module.forward(*call.inputs)
    position = next(i for i, v in enumerate(call.inputs) if isinstance(v, int | float))
    wrong = list(call.inputs)
    wrong[position] = 12345
    with pytest.raises(pteron.InputError, match="was exported with"):
        module.forward(*wrong)


def test_keyword_names_and_order() -> None:
    infos = load("add.pte").methods["forward"].inputs
    assert [info.name for info in infos] == ["in0", "in1"]
    assert str(infos[0]) == "float32[2, 3]"


def test_unknown_method() -> None:
    module = load("multi_method.pte")
    known = ", ".join(sorted(module.methods))
    with pytest.raises(pteron.MethodNotFoundError, match=f"no method 'backward'; it has {known}"):
        module["backward"]
    with pytest.raises(KeyError):
        module["backward"]
    with pytest.raises(AttributeError, match="no method 'backward'"):
        _ = module.backward
    assert set(module.methods) <= set(dir(module))
