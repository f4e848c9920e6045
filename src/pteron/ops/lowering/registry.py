"""The lowerings: one entry per functional operator, in the same families as the operators themselves.

    @lowering("aten::mul.Tensor")
    def mul(b, self, other):
        ...

The function gets a :class:`~pteron.ops.lowering.builder.Builder` and the operator's arguments by the schema's names
(those that it names), tensors as :class:`~pteron.ops.lowering.builder.Ref`, defaults filled in; ``out`` is the list of
result types. It adds ONNX nodes and returns the result, or a tuple of them (None for a result that nobody uses). What
it cannot do exactly it declines by raising :class:`Declined` with the reason: the reference kernel does it then.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

# One module per operator family; imported when a lowering is first looked up.
FAMILIES = (
    "activation",
    "binary",
    "comparison",
    "convolution",
    "copy",
    "creation",
    "distance",
    "embedding",
    "index",
    "linalg",
    "llama",
    "normalization",
    "padding",
    "pooling",
    "prim",
    "quantized",
    "reduction",
    "scan",
    "scatter",
    "shape",
    "sort",
    "split",
    "unary",
    "upsample",
    "vision",
)


class Declined(Exception):  # noqa: N818 - it is no error
    """A lowering cannot do this call exactly; the message says why, in a few words.

    ``node`` is the call where several are lowered together, else None.
    """

    node: object = None


@dataclass(frozen=True, slots=True)
class Lowering:
    """One entry: ``parameters`` are the arguments that ``function`` names beside the builder."""

    op: str
    function: Callable[..., Any]
    parameters: tuple[str, ...]


_LOWERINGS: dict[str, Lowering] = {}
_LOCK = threading.Lock()
_loaded = False


def lowering(*ops: str) -> Callable[[F], F]:
    """Register the decorated function for functional operators (``aten::add.Tensor``)."""

    def register(function: F) -> F:
        parameters = tuple(inspect.signature(function).parameters)[1:]
        for op in ops:
            if op in _LOWERINGS:
                raise ValueError(f"{op} is lowered twice")
            _LOWERINGS[op] = Lowering(op, function, parameters)
        return function

    return register


def find_lowering(op: str) -> Lowering | None:
    """The lowering of a functional operator, or None."""
    _load()
    return _LOWERINGS.get(op)


def _load() -> None:
    global _loaded
    if _loaded:
        return
    with _LOCK:
        if not _loaded:
            for family in FAMILIES:
                import_module(f"pteron.ops.lowering.{family}")
            _loaded = True


@functools.cache
def lowered_names() -> frozenset[str]:
    """Names of every functional operator with a lowering."""
    _load()
    return frozenset(_LOWERINGS)
