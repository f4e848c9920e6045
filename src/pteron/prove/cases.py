"""What a file is run on: inputs given, a bundled program's own test cases, or inputs made from the signature.

Made inputs are the same for the same seed: floats from the standard normal distribution, bytes of any value, wider
integers below the largest of a few bounds at which Pteron's reference engine runs (they are often indices). A method
with dynamic shapes gets one case at the upper bounds, and further ones at smaller shapes at which that engine runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pteron.errors import LimitError, MethodNotFoundError
from pteron.format.bundled_program import BundledProgram
from pteron.format.limits import Limits
from pteron.format.method import Method, ValueInfo
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType
from pteron.prove.compare import STANDARD, Tolerance

INTEGER_BOUNDS = (100, 8, 2)
MAX_SMALLER_SHAPES = 3
_BYTES = frozenset({ScalarType.BYTE, ScalarType.CHAR, ScalarType.QINT8, ScalarType.QUINT8})


@dataclass(frozen=True)
class Call:
    """One call: inputs are arrays and Python scalars."""

    method: str
    inputs: tuple[Any, ...]

    def __str__(self) -> str:
        shapes = (f"{v.dtype.name}{list(v.shape)}" if isinstance(v, np.ndarray) else repr(v) for v in self.inputs)
        return f"{self.method}({', '.join(shapes)})"


@dataclass(frozen=True)
class Case:
    """Calls that run in order on one freshly loaded program; ``expected`` has the outputs of each, where known.

    ``scales`` has for each call the quantisation step of each output. ``ignore_extra`` is whether outputs beyond the
    expected ones are passed over (training programs give gradients and parameters after what eager PyTorch gives).
    """

    name: str
    source: str
    calls: tuple[Call, ...]
    expected: tuple[tuple[Any, ...], ...] | None = None
    tolerance: Tolerance = STANDARD
    seed: int | None = None
    ignore_extra: bool = False

    @property
    def values(self) -> Iterator[Any]:
        """Every input of every call, for hashing."""
        for call in self.calls:
            yield from call.inputs


Runs = Callable[[Case], bool]
"""Whether Pteron's reference engine runs a case."""


def bundled_cases(bundled: BundledProgram, method: str | None, tolerance: Tolerance) -> list[Case]:
    """The test cases of a bundled program, each on a fresh program."""
    return [
        Case(
            f"{name} case {number}",
            "bundled",
            (Call(name, tuple(map(_owned, case.inputs))),),
            (tuple(map(_owned, case.expected_outputs)),) if case.expected_outputs else None,
            tolerance,
        )
        for name, cases in bundled.test_suites.items()
        if method in (None, name)
        for number, case in enumerate(cases)
    ]


def _owned(value: Any) -> Any:
    return np.array(value, order="K", copy=True) if isinstance(value, np.ndarray) else value


def chosen_methods(program: Program, method: str | None) -> list[Method]:
    """The method asked for, or all; raises ``MethodNotFoundError``."""
    if method is None:
        return list(program.methods.values())
    if method not in program.methods:
        known = ", ".join(sorted(program.methods)) or "none"
        raise MethodNotFoundError(f"{program.file}: no method {method!r}; it has {known}")
    return [program.methods[method]]


def made_cases(
    program: Program, method: str | None, seed: int, tolerance: Tolerance, limits: Limits, runs: Runs
) -> list[Case]:
    """Cases made from the signatures; raises ``LimitError`` where inputs take more than ``limits.max_memory``."""
    cases: list[Case] = []
    for chosen in chosen_methods(program, method):
        total = sum(info.nbytes for info in chosen.inputs)
        if total > limits.max_memory:
            raise LimitError(
                f"the inputs of {chosen.name!r} take {total:,} bytes at their upper bounds; give smaller ones",
                file=program.file,
            )
        cases += _cases_of(chosen, seed, tolerance, runs)
    return cases


def _cases_of(method: Method, seed: int, tolerance: Tolerance, runs: Runs) -> list[Case]:
    def case(sizes: Mapping[int, int], bound: int) -> Case:
        rng = np.random.default_rng(seed)
        inputs = tuple(_made(info, sizes, bound, rng) for info in method.inputs)
        name = method.name
        if sizes:
            name += ", " + ", ".join(f"{old} as {new}" for old, new in sizes.items())
        return Case(name, "seed", (Call(method.name, inputs),), None, tolerance, seed)

    bound = INTEGER_BOUNDS[-1]
    whole = case({}, bound)
    if any(_is_wide_integer(info) for info in method.inputs):
        bound = next((b for b in INTEGER_BOUNDS if runs(case({}, b))), bound)
        whole = case({}, bound)
    bounds = sorted({size for info in method.inputs if info.dynamic for size in info.shape if size > 1}, reverse=True)
    if not bounds or not runs(whole):
        return [whole]
    smaller = [case({size: max(1, size // 2)}, bound) for size in bounds] + [case({size: 1}, bound) for size in bounds]
    # Only the bound of a whole tensor is on file, not which of its dimensions may shrink: the engine tells.
    return [whole, *[item for item in smaller if runs(item)][:MAX_SMALLER_SHAPES]]


def _is_wide_integer(info: ValueInfo) -> bool:
    kind = info.scalar_type.dtype.kind if info.scalar_type is not None else ""
    return kind in "iu" and kind != "" and info.scalar_type not in _BYTES


def _made(info: ValueInfo, sizes: Mapping[int, int], bound: int, rng: np.random.Generator) -> Any:
    if info.scalar_type is None:
        return info.value
    shape = tuple(sizes.get(size, size) for size in info.shape) if info.dynamic else info.shape
    dtype = info.scalar_type.dtype
    # Values go along the upper bound's, so that a smaller shape differs in nothing else.
    if info.scalar_type in _BYTES:
        limits = np.iinfo(dtype)
        array = rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    elif dtype.kind == "b":
        array = rng.integers(0, 2, shape).astype(dtype)
    elif dtype.kind in "iu":
        array = rng.integers(0, bound, shape).astype(dtype)
    elif dtype.kind == "c":
        array = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    else:
        array = rng.standard_normal(shape, dtype=np.float32).astype(dtype)
    return _in_dim_order(np.asarray(array), info.dim_order)


def _in_dim_order(array: Any, dim_order: Sequence[int]) -> Any:
    if len(dim_order) != array.ndim or list(dim_order) == list(range(array.ndim)):
        return array
    inverse = np.argsort(dim_order)
    return np.ascontiguousarray(array.transpose(dim_order)).transpose(inverse)


def with_expected(case: Case, expected: Sequence[Sequence[Any]]) -> Case:
    """The case with the outputs that each of its calls should give."""
    return replace(case, expected=tuple(tuple(outputs) for outputs in expected))
