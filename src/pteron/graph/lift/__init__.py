"""lift: any method of any release's program as a graph of functional operators.

Supported: kernel calls (out-variants, in-place operators, results in lists), prim operators, symbolic sizes,
``et_view``, mutable buffers and whatever else a call leaves in memory for the next one (state), moves, jumps, frees,
delegates. Memory is followed byte by byte, so a graph means exactly what the instructions mean; where that cannot be
told from the file, ``UnsupportedError`` names the instruction and the reason, and the method is one for the reference
engine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pteron.errors import MethodNotFoundError
from pteron.format.program import Program
from pteron.graph.ir import Graph
from pteron.graph.lift.delegates import DelegateSite, Expand
from pteron.graph.lift.method import lift_plan
from pteron.graph.lift.plan import Plan
from pteron.ops.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry

__all__ = ["DelegateSite", "Expand", "lift"]

_NO_DATA: Mapping[str, TensorEntry] = MappingProxyType({})


def lift(
    program: Program,
    method: str,
    *,
    expand: Expand | None = None,
    external: Mapping[str, TensorEntry] = _NO_DATA,
    operators: Registry = REGISTRY,
    shared: Collection[int] = (),
) -> Graph:
    """The graph of one method.

    ``expand`` turns a delegate's payload into nodes; without it a delegate call is one node ``delegate::<id>``.
    ``external`` are the entries of the .ptd files that belong to the program, ``operators`` where kernels and their
    schemas are looked up. ``shared`` are memory ids of planned buffers that other methods use as well: whatever the
    method's tensors hold there is state.

    Raises ``MethodNotFoundError``; ``UnsupportedError`` for what a graph cannot say exactly; and what loading the
    method would raise as well: ``FormatError``, ``LimitError``, ``LoadError``, ``MissingOperatorError`` and
    ``ExternalDataError``.
    """
    described = program.methods.get(method)
    if described is None:
        known = ", ".join(sorted(program.methods)) or "none"
        raise MethodNotFoundError(f"{program.file}: no method {method!r}; it has {known}")
    return lift_plan(Plan(program, described, operators, external), expand, frozenset(shared))
