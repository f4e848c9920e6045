"""The operator registry: one entry per operator.

An entry is a schema and a short NumPy reference, declared together::

    @operator("aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out="out")
    def add(self, other, *, alpha):
        ...

The function is *functional*: it takes what the schema lists and returns the results; the out-variant that a PTE
calls (``aten::add.out``) is derived, and storing a result into its out tensor (dtype, dim order, resizing) is the
caller's work. What it receives, by schema type:

=====================  ==============================================================================
``Tensor``             ``numpy.ndarray``, possibly strided (channels_last and views), possibly read-only
``Tensor?``            the same or ``None``
``Tensor[]``           ``list`` of arrays; ``Tensor?[]`` may hold ``None``
``Scalar``             Python ``int``, ``float`` or ``bool``
``int``, ``float``...  Python scalars; ``ScalarType`` and other enums are ``int``; ``int[]`` is a list
=====================  ==============================================================================

A function names only the parameters that it uses: arguments of the schema by name, and from the caller's context
``out_dtype`` (dtype of the first out tensor, also for a dropped TensorOptions ``dtype``) and ``rng`` (a
``numpy.random.Generator``). An argument that the schema marks as written, ``Tensor(a!)``, is a live view and is
changed in place; every other array must be left alone. A refusal is a ``KernelError`` of one sentence.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeVar

from pteron.ops.schema import Schema, out_variant, parse

Kernel = Callable[..., Any]
F = TypeVar("F", bound=Kernel)

CONTEXT_PARAMETERS = ("out_dtype", "rng")

# One module per operator family; imported when an operator is first looked up.
FAMILIES = (
    "activation",
    "binary",
    "bitwise",
    "comparison",
    "convolution",
    "copy",
    "creation",
    "dim_order",
    "embedding",
    "fft",
    "index",
    "linalg",
    "llama",
    "llama_moe",
    "normalization",
    "padding",
    "pooling",
    "prim",
    "quantized",
    "quantized_embedding",
    "random",
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


@dataclass(frozen=True)
class Operator:
    """One registered operator.

    ``schema`` is what a PTE calls, arguments in order (the out-variant where there is one); ``functional`` is what it
    was declared from; ``older`` are argument lists that earlier releases wrote under the same name. ``owner``,
    ``version`` and ``promise`` say who guarantees the operator; they are empty for ExecuTorch's own.
    """

    schema: Schema
    functional: Schema
    kernel: Kernel
    older: tuple[Schema, ...] = ()
    owner: str = ""
    version: str = ""
    promise: str = ""
    parameters: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        """The name that a PTE spells: ``aten::add.out``."""
        return self.schema.qualified_name

    def schema_for(self, argument_count: int) -> Schema | None:
        """The argument list whose call has ``argument_count`` entries, or None.

        A call lists every argument and then one entry for the return, where the schema returns anything.
        """
        for schema in (self.schema, *self.older):
            if argument_count == call_length(schema):
                return schema
        return None


class Registry:
    """Operators by the name that a PTE spells.

    At the first look-up ``families``, modules of this package, are imported, then what installed packages offer in
    the entry point group ``group``: modules that register operators when imported.
    """

    def __init__(self, families: Sequence[str] = (), group: str = "") -> None:
        self._families = families
        self._group = group
        self._operators: dict[str, Operator] = {}
        self._functional: dict[str, Operator] | None = None
        self._lock = threading.RLock()
        self._loaded = False
        self._loading = False
        self.reduced = False
        """Whether an operator was ever removed, so that its name may now be another's."""

    def add(self, operator: Operator) -> None:
        """Register; raises ValueError when the name is taken by another kernel."""
        with self._lock:
            known = self._operators.get(operator.name)
            if known is not None and known.kernel is not operator.kernel:
                raise ValueError(f"operator {operator.name} is registered twice; unregister the first one before")
            self._operators[operator.name] = operator
            self._functional = None

    def remove(self, name: str) -> None:
        """Forget an operator; raises KeyError when there is none of that name."""
        with self._lock:
            del self._operators[name]
            self._functional = None
            self.reduced = True

    def get(self, name: str) -> Operator | None:
        """The operator of that name (``aten::add.out``), or None."""
        self._load()
        return self._operators.get(name)

    def by_functional(self, name: str) -> Operator | None:
        """An operator whose functional schema has that name (``aten::add.Tensor``), or None.

        Of several, which then compute the same, the one that a PTE calls by an out-variant.
        """
        self._load()
        with self._lock:
            if self._functional is None:
                self._functional = {}
                for operator in self._operators.values():
                    known = self._functional.get(operator.functional.qualified_name)
                    if known is None or known.schema is known.functional:
                        self._functional[operator.functional.qualified_name] = operator
            return self._functional.get(name)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[Operator]:
        self._load()
        return iter([self._operators[name] for name in sorted(self._operators)])

    def __len__(self) -> int:
        self._load()
        return len(self._operators)

    def _load(self) -> None:
        if self._loaded:
            return
        with self._lock:
            if self._loading:  # a module being imported looks something up
                return
            self._loading = True
            for family in self._families:
                import_module(f"pteron.ops.{family}")
            if self._group:
                _load_plugins(self._group)
            self._loaded = True


def _load_plugins(group: str) -> None:
    """Import packages' operators; one that fails must not take everybody else's down."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=group):
        try:
            entry.load()
        except Exception as error:
            warnings.warn(f"operators of {entry.value} cannot be loaded: {type(error).__name__}: {error}", stacklevel=2)


ENTRY_POINT_GROUP = "pteron.operators"
REGISTRY = Registry(FAMILIES, ENTRY_POINT_GROUP)


def operator(
    schema: str,
    *,
    out: str | None = None,
    older: tuple[str, ...] = (),
    owner: str = "",
    version: str = "",
    promise: str = "",
    registry: Registry = REGISTRY,
) -> Callable[[F], F]:
    """Register the decorated function as the kernel of an operator.

    ``schema``: the functional ATen schema. ``out``: overload name of the out-variant that a PTE calls; leave it away
    for operators without one (prim ops, in-place ops), which are called under their own name. ``older``: schemas that
    earlier releases wrote under the same name, functional as well. ``owner``, ``version``, ``promise``: who
    guarantees a custom operator, for how long. Raises ValueError for a schema that does not parse, or for a
    parameter of the function that is neither in the schema nor a context parameter.
    """
    functional = parse(schema)
    called = functional if out is None else out_variant(functional, out)
    previous = tuple(parse(text) if out is None else out_variant(parse(text), out) for text in older)

    def register(function: F) -> F:
        parameters = frozenset(inspect.signature(function).parameters)
        known = {a.name for s in (functional, *previous) for a in s.arguments}.union(CONTEXT_PARAMETERS)
        if not parameters <= known:
            raise ValueError(f"{called.qualified_name}: parameters {sorted(parameters - known)} are not in {schema!r}")
        registry.add(Operator(called, functional, function, previous, owner, version, promise, parameters))
        return function

    return register


def call_length(schema: Schema) -> int:
    """How many value indices a call of this schema lists."""
    return len(schema.arguments) + bool(schema.returns)


@functools.cache
def operator_names() -> frozenset[str]:
    """Names of every operator that Pteron ships a kernel for."""
    return frozenset(entry.name for entry in REGISTRY)
