"""Step: one named way of rewriting a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pteron.compat.profile import Profile
from pteron.format.flat_tensor import PtdLayout, TensorData
from pteron.format.program import Program
from pteron.format.write import Layout


@dataclass(frozen=True)
class Subject:
    """A file while it is rewritten: the program with the .ptd files that belong to it, and how it is to be laid out.

    ``ptd_layout`` is set once the .ptd data is to be written in another layout.
    """

    program: Program
    layout: Layout
    data: tuple[TensorData, ...] = ()
    ptd_layout: PtdLayout | None = None


Rewritten = tuple[Subject, str]
"""The file after a step, and one sentence on what the step did."""
Apply = Callable[[Subject, Profile], Rewritten | None]


@dataclass(frozen=True)
class Step:
    """One way of rewriting a file.

    ``solves`` are the rules whose reasons the step may do away with; it runs where one of them speaks against the
    file. ``apply`` gives None where it has nothing to do, and raises ``UnsupportedError`` where it would have
    to do something and cannot. ``layout_only`` says that the step changes no number that is computed.
    """

    name: str
    summary: str
    solves: frozenset[str]
    apply: Apply
    layout_only: bool = True


STEPS: dict[str, Step] = {}
"""Every step by name, in the order in which they are tried."""


def step(name: str, *, solves: tuple[str, ...] = (), layout_only: bool = True) -> Callable[[Apply], Apply]:
    """Register the decorated function; the first line of its docstring is the step's summary."""

    def register(apply: Apply) -> Apply:
        summary = (apply.__doc__ or "").strip().partition("\n")[0]
        STEPS[name] = Step(name, summary, frozenset(solves), apply, layout_only)
        return apply

    return register
