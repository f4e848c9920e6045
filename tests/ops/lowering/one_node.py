"""Runs one lowering: a model of one operator, in ONNX Runtime, without the engine."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime

from pteron.ops import REGISTRY
from pteron.ops.invoke import default_value
from pteron.ops.lowering import Builder, Declined, Spec, find_lowering

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def session(model: bytes, arrays: dict[str, Any]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    values = []
    for data in arrays.values():
        if data.dtype == BFLOAT16:
            value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(data.view(np.uint16), 16)
        else:
            value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(data))
        values.append(value)
    options.add_external_initializers(list(arrays), values)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def outside(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(np.float32) if array.dtype == BFLOAT16 else np.ascontiguousarray(array).reshape(array.shape)


def run(
    name: str, args: dict[str, Any], expected: list[Any], *, constant: bool = False, dynamic: bool = False
) -> list[Any]:
    """The results of an operator (by the name that a PTE spells) through its lowering; raises Declined.

    ``constant``: tensor arguments are initializers instead of inputs. ``dynamic``: inputs have symbolic sizes.
    """
    operator = REGISTRY.get(name)
    assert operator is not None
    entry = find_lowering(operator.functional.qualified_name)
    if entry is None:
        raise Declined("no lowering")
    b = Builder()
    feeds: dict[str, Any] = {}

    def ref(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            label = f"in{len(feeds)}_{len(b.arrays)}_{len(b.weights)}"
            if constant:
                return b.weight(label, np.ascontiguousarray(value).reshape(value.shape), value.dtype)
            feeds[label] = outside(value)
            return b.input(label, Spec(value.dtype, value.shape, dynamic))
        if isinstance(value, list):
            return [ref(item) for item in value]
        return value

    arguments = {a.name: None if a.default is None else default_value(a.default) for a in operator.functional.arguments}
    for a in operator.functional.arguments:
        if a.type.endswith("[]") and isinstance(arguments[a.name], int):
            arguments[a.name] = [arguments[a.name]]
    arguments.update({key: ref(value) for key, value in args.items()})
    flat = [e for e in expected if not isinstance(e, list)] + [x for e in expected if isinstance(e, list) for x in e]
    if not flat:
        raise Declined("nothing to compute")
    specs = [Spec(np.asarray(e).dtype, np.asarray(e).shape, dynamic) for e in flat]
    refs = b.lower(entry, arguments, specs)
    outputs = [(f"out{i}", r) for i, r in enumerate(refs) if r is not None]
    model = b.model(outputs)
    results = session(model, b.arrays).run(None, feeds)
    given: list[Any] = [None] * len(refs)
    places = [i for i, r in enumerate(refs) if r is not None]
    for place, result in zip(places, results, strict=True):
        given[place] = result.astype(BFLOAT16) if specs[place].dtype == BFLOAT16 else result
    if expected and isinstance(expected[0], list):
        return [given]
    return given
