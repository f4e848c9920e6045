"""migrate: rewrite a file so that another release runs it, and compare the two on Pteron's reference engine.

data = pteron.migrate("model.pte", to="0.6.0")       # bytes; the file itself is never touched
migrated = plan("model.pte", "0.6.0")                # the plan alone, with what cannot be done
migrated.compare()                                   # original and result on generated inputs
migrated.compare(inputs={"forward": [x, y]})         # or on inputs of one's own
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pteron.compat.migrate import Migration, plan_migration
from pteron.compat.targets import Runtime
from pteron.errors import InputError, MethodNotFoundError, MigrationError, PteronError
from pteron.format.bundled_program import BundledProgram, read_bundled_program, write_bundled_program
from pteron.format.flat_tensor import TensorData, read_tensor_data, write_tensor_data
from pteron.format.identify import FileKind, identify
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.method import ValueInfo
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType
from pteron.format.source import FileSource, read_source
from pteron.runtime.module import load
from pteron.runtime.opening import open_program

CALLS = 2
"""Calls of each method, on one loaded program, so that mutable state counts."""
INTEGER_BOUNDS = (8, 2, 1)
"""Integers are made below the first of these at which the original runs: they are often indices."""
TOLERANCES = {"float16": 1e-2, "bfloat16": 5e-2, "float32": 1e-4, "float64": 1e-6, "complex64": 1e-4}
"""Largest difference by dtype, relative to the largest element of the output, where more than the layout changed."""
_BYTES = frozenset({ScalarType.BYTE, ScalarType.CHAR, ScalarType.QINT8, ScalarType.QUINT8})


@dataclass(frozen=True)
class Comparison:
    """What running the original and the result said.

    ``problem`` says how they differ, or is empty; ``methods`` were run and compared, ``unrun`` could not be, with the
    reason. ``given`` are those of the methods that ran on inputs of the caller's. ``exact`` is whether all outputs are
    the same bit for bit.
    """

    methods: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    unrun: tuple[str, ...] = ()
    problem: str = ""
    exact: bool = True
    max_abs: float = 0.0


@dataclass(frozen=True)
class Migrated:
    """A migration of a file: the plan, and the bytes that come out of it."""

    plan: Migration
    original: Program
    original_data: tuple[TensorData, ...]
    _source: memoryview
    _bundle: BundledProgram | None

    @cached_property
    def image(self) -> bytes:
        """The file as it becomes (a .bpte stays one); the original's bytes where nothing changes."""
        if self.plan.image is None:
            return bytes(self._source)
        if self._bundle is None:
            return self.plan.image
        root = dataclasses.replace(self._bundle.root, program=memoryview(self.plan.image))
        return write_bundled_program(root, identifier="BP06" if self._bundle.identifier == "BP06" else "BP08")

    @cached_property
    def data_image(self) -> bytes | None:
        """The .ptd file to go with it, where the original's cannot be used; None where they can, or none is needed."""
        if self.plan.ptd_layout is None or not self.plan.data:
            return None
        entries = [entry for data in self.plan.data for entry in data.entries.values()]
        return write_tensor_data(entries, layout=self.plan.ptd_layout)

    def require(self) -> None:
        """Raise ``MigrationError`` where the target would not run the result."""
        plan = self.plan
        if not plan.possible:
            reasons = [*plan.refusals, *map(str, plan.obstacles)]
            more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
            raise MigrationError(
                f"{plan.file}: no migration makes {plan.target} run it: {reasons[0].rstrip('.')}{more}", tuple(reasons)
            )

    def compare(self, seed: int = 0, inputs: Mapping[str, Sequence[Any]] | None = None) -> Comparison:
        """Run the original and the result on the same inputs, on Pteron's reference engine.

        ``inputs`` has those of methods by name, as for :meth:`pteron.Module.forward`; those of other methods are
        generated from ``seed``. Raises ``MethodNotFoundError``, and ``InputError`` where the original refuses them.
        """
        return _compare(self, seed, inputs or {})

    def checked(self, seed: int = 0, inputs: Mapping[str, Sequence[Any]] | None = None) -> Comparison:
        """Like :meth:`compare`; raises ``MigrationError`` where the result must not be used."""
        comparison = self.compare(seed, inputs)
        if comparison.problem:
            hint = "" if inputs else "; if generated inputs are not what the method is for, give real ones (--input)"
            raise MigrationError(
                f"{self.plan.file}: the rewritten file would not say the same: {comparison.problem}{hint}"
            )
        if comparison.unrun and not self.plan.layout_only:
            raise MigrationError(
                f"{self.plan.file}: the rewritten file could not be compared with the original: {comparison.unrun[0]}"
            )
        return comparison


def plan(
    source: FileSource,
    to: Runtime,
    *,
    data: Iterable[FileSource] = (),
    steps: Sequence[str] = (),
    produced_by: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Migrated:
    """Plan a migration; nothing is written.

    ``source`` is a .pte or .bpte, ``to`` a release such as ``0.5.0`` or a profile, ``data`` the .ptd files that belong
    to the program, ``steps`` named steps to take in any case. Raises ``FormatError`` or ``VerificationError`` for a
    file that is not right, ``UnsupportedError`` for a target or a step that is none.
    """
    buffer, name = read_source(source)
    bundle = None
    if identify(buffer) is FileKind.BUNDLED_PROGRAM:
        bundle = read_bundled_program(buffer, limits=limits, file=name)
        program = bundle.program
    else:
        program = dataclasses.replace(open_program(buffer, limits=limits, verify=False), file=name)
    given = tuple(read_tensor_data(item, limits=limits) for item in data)
    planned = plan_migration(program, to, given, steps=steps, produced_by=produced_by)
    return Migrated(planned, program, given, buffer, bundle)


def migrate(
    source: FileSource,
    to: Runtime,
    *,
    data: Iterable[FileSource] = (),
    steps: Sequence[str] = (),
    produced_by: str | None = None,
    inputs: Mapping[str, Sequence[Any]] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The file rewritten so that the release runs it, checked against the original on the reference engine.

    A file that runs there already comes back as it is. ``inputs`` are those of :meth:`Migrated.compare`, the other ones
    of :func:`plan`. Raises ``MigrationError`` with the reason where it cannot be done, and whatever reading the file
    raises.
    """
    migrated = plan(source, to, data=data, steps=steps, produced_by=produced_by, limits=limits)
    migrated.require()
    if not migrated.plan.unchanged:
        migrated.checked(inputs=inputs)
    return migrated.image


def _compare(migrated: Migrated, seed: int, given: Mapping[str, Sequence[Any]]) -> Comparison:
    done = Comparison()
    for name in given:
        if name not in migrated.original.methods:
            known = ", ".join(sorted(migrated.original.methods)) or "none"
            raise MethodNotFoundError(f"{migrated.plan.file}: no method {name!r}; it has {known}")
    for name in migrated.original.methods:
        own = given.get(name)
        outcome, inputs = _run_original(migrated, name, seed) if own is None else _run_given(migrated, name, own, seed)
        if isinstance(outcome, str):
            done = dataclasses.replace(done, unrun=(*done.unrun, f"method {name!r} does not run: {outcome}"))
            continue
        results = _run(migrated.plan.program, migrated.plan.data, name, inputs, seed)
        if isinstance(results, str):
            return dataclasses.replace(done, problem=f"method {name!r} no longer runs: {results}")
        problem, exact, worst = _difference(outcome, results, migrated.plan.layout_only)
        if problem:
            return dataclasses.replace(done, problem=f"method {name!r}, {problem}")
        done = dataclasses.replace(
            done,
            methods=(*done.methods, name),
            given=done.given if own is None else (*done.given, name),
            exact=done.exact and exact,
            max_abs=max(done.max_abs, worst),
        )
    return done


Outcome = list[list[Any]] | str
"""The outputs of each call, or why there are none."""


def _run_original(migrated: Migrated, name: str, seed: int) -> tuple[Outcome, list[list[Any]]]:
    infos = migrated.original.methods[name].inputs
    outcome: Outcome = ""
    inputs: list[list[Any]] = []
    for bound in INTEGER_BOUNDS:
        rng = np.random.default_rng(seed)
        inputs = [[_made(info, bound, rng) for info in infos] for _ in range(CALLS)]
        outcome = _run(migrated.original, migrated.original_data, name, inputs, seed)
        if not isinstance(outcome, str):
            break
    return outcome, inputs


def _run_given(
    migrated: Migrated, name: str, given: Sequence[Any], seed: int
) -> tuple[list[list[Any]], list[list[Any]]]:
    inputs = [list(given) for _ in range(CALLS)]
    outcome = _run(migrated.original, migrated.original_data, name, inputs, seed)
    if isinstance(outcome, str):
        raise InputError(f"{migrated.plan.file}: method {name!r} does not run on the inputs given: {outcome}")
    return outcome, inputs


def _run(
    program: Program, data: Sequence[TensorData], name: str, inputs: Sequence[Sequence[Any]], seed: int
) -> Outcome:
    sources = [write_tensor_data(item.entries.values()) for item in data]
    try:
        method = load(program, data=sources, seed=seed, verify=False, engine="reference")[name]
        return [method.execute(list(call)) for call in inputs]
    except PteronError as error:
        return str(error)


def _made(info: ValueInfo, bound: int, rng: np.random.Generator) -> Any:
    """An input of the signature's type at its upper bound."""
    if info.scalar_type is None:
        return info.value
    dtype = info.scalar_type.dtype
    if dtype.kind == "b":
        return rng.integers(0, 2, info.shape).astype(dtype)
    if info.scalar_type in _BYTES:
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, info.shape, dtype=dtype, endpoint=True)
    if dtype.kind in "iu":
        return np.asarray(rng.integers(0, bound, info.shape)).astype(dtype)
    made = rng.standard_normal(info.shape)
    if dtype.kind == "c":
        made = made + 1j * rng.standard_normal(info.shape)
    return np.asarray(made).astype(dtype)


def _difference(
    expected: Sequence[Sequence[Any]], found: Sequence[Sequence[Any]], bit_for_bit: bool
) -> tuple[str, bool, float]:
    """How results differ (empty: as little as they may), whether they are exactly equal, and the largest difference."""
    exact, worst = True, 0.0
    for number, (before, after) in enumerate(zip(expected, found, strict=True)):
        if len(before) != len(after):
            return f"call {number}: {len(after)} outputs instead of {len(before)}", False, worst
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            left, right = np.asarray(old), np.asarray(new)
            where = f"call {number}, output {place}"
            if left.dtype != right.dtype or left.shape != right.shape:
                return (
                    f"{where}: {right.dtype}{list(right.shape)} instead of {left.dtype}{list(left.shape)}",
                    False,
                    worst,
                )
            if left.tobytes() == right.tobytes():
                continue
            exact = False
            distance, allowed = _distance(left, right)
            worst = max(worst, distance)
            if bit_for_bit or not distance <= allowed:
                return f"{where}: values differ by up to {distance:.3g}", False, worst
    return "", exact, worst


def _distance(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Largest difference between elements, infinite where NaN or infinity stand apart; and what is allowed."""
    if left.dtype.kind == "O":
        return float("inf"), 0.0
    wide = np.complex128 if left.dtype.kind == "c" else np.float64
    a, b = left.astype(wide), right.astype(wide)
    finite = np.isfinite(a)
    same = np.array_equal(finite, np.isfinite(b)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)
    if not same:
        return float("inf"), 0.0
    distance = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    if left.dtype.kind in "biu":
        # One step, where two kernels round a tie of a quantised value apart.
        return distance, 1.0 if left.dtype.itemsize == 1 and left.dtype.kind != "b" else 0.0
    scale = max(1.0, float(np.abs(a[finite]).max(initial=0.0)))
    return distance, TOLERANCES.get(left.dtype.name, 1e-4) * scale
