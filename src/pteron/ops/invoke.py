"""Calls an operator functionally: arguments by the schema's names, defaults filled in."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from pteron.ops.registry import Operator
from pteron.ops.schema import Schema

_WORDS: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "Mean": 1,
    "contiguous_format": 0,
    "long": 4,
}


def default_value(text: str) -> Any:
    """The Python value of a schema default such as ``1``, ``[]``, ``"none"`` or ``None``."""
    text = text.strip()
    if text in _WORDS:
        return _WORDS[text]
    if text.startswith("["):
        inner = text[1:-1].strip()
        return [default_value(item) for item in inner.split(",")] if inner else []
    if text[0] in "\"'":
        return text[1:-1]
    try:
        return int(text)
    except ValueError:
        return float(text)


@functools.cache
def _defaults(schema: Schema) -> dict[str, Any]:
    values = {a.name: default_value(a.default) for a in schema.arguments if a.default is not None}
    # ``int[2] padding=0``: a list whose single value stands for all.
    lists = {a.name for a in schema.arguments if a.type.endswith("[]")}
    return {name: [value] if name in lists and isinstance(value, int) else value for name, value in values.items()}


def call(
    operator: Operator,
    arguments: dict[str, Any],
    *,
    out_dtype: np.dtype[Any] | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[Any, ...]:
    """The results of an operator for arguments given by name; missing ones take the schema's defaults.

    Raises ``KernelError`` when the operator refuses the arguments, and KeyError for a required one that is missing.
    """
    # An argument of the schema comes before a context parameter of the same name (dequantize_per_tensor's out_dtype).
    values = {"out_dtype": out_dtype, "rng": rng, **_defaults(operator.functional), **arguments}
    parameters = {name: values[name] for name in operator.parameters}
    with np.errstate(all="ignore"):
        result = operator.kernel(**parameters)
    # Without declared results the kernel's work is in the arguments it writes; what it hands back is one value.
    if len(operator.functional.returns) <= 1:
        return () if result is None else (result,)
    return tuple(result)
