"""A method that is one session between the caller's arrays and the results, run without more ado."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pteron.runtime.onnx_engine.arguments import Arguments
from pteron.runtime.onnx_engine.errors import Named, run_error

Direct = Callable[[Sequence[Any]], list[Any]]


def direct_call(
    session: Any,
    arguments: Arguments,
    names: Sequence[str | None],
    results: Sequence[str],
    labels: Mapping[str, Named],
    where: str,
) -> Direct:
    """What runs ``session`` on the caller's inputs, which all are tensors.

    ``names``: for each input its name in the model, None for one that is not used. ``results``: the model's outputs in
    order. ``labels`` and ``where`` are for messages.
    """
    # The method of the C++ object: the Python class around it costs as much as a small model.
    run, given = session._sess.run, list(results)
    checks = [
        (name, info.scalar_type.dtype, info.shape, info.dynamic)
        for name, info in zip(names, arguments.tensors, strict=True)
        if info.scalar_type is not None
    ]
    count = len(checks)

    def direct(inputs: Sequence[Any]) -> list[Any]:
        feeds = {}
        if len(inputs) == count:
            for array, (name, dtype, shape, dynamic) in zip(inputs, checks):  # noqa: B905 - compared above
                if type(array) is not np.ndarray or array.dtype != dtype or array.shape != shape or dynamic:
                    break
                if name is not None:
                    feeds[name] = array
            else:
                try:
                    outputs: list[Any] = run(given, feeds, None)
                    return outputs
                except Exception as error:
                    raise run_error(error, labels, where) from error
        feeds = {name: array for name, array in zip(names, arguments.arrays(inputs), strict=True) if name is not None}
        try:
            outputs = run(given, feeds, None)
        except Exception as error:
            raise run_error(error, labels, where) from error
        return outputs

    return direct
