"""Profiles: what one build of a runtime provides.

A release is not enough to say what a runtime can run: the wheel, an Android archive and a selective build of the same
release link different kernels and backends. ``profile_for`` gives the official Python wheels, ``load_profile`` reads a
build that a user describes (docs/profiles.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType

from packaging.version import Version

from pteron.backends.xnnpack.values import XNN_MAX_TENSOR_DIMS
from pteron.compat.distribution import InputLimit, input_limits
from pteron.compat.facts import (
    ABSENT,
    LINKED,
    Limit,
    Range,
    ReleaseFacts,
    Support,
    limits,
    release_facts,
    releases,
    resolve,
    supports,
)
from pteron.compat.faults import Fault, faults
from pteron.compat.operator_use import is_prim
from pteron.format.declare import FlatbufferSchema
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import SCHEMA

__all__ = ["BackendSupport", "Profile", "build_profile", "load_profile", "profile_for", "releases"]

XNNPACK = "XnnpackBackend"
PRIM_OPS = "prim_ops"
PORTABLE = "portable"
OPTIMIZED = "optimized"
CMAKE = "cmake"
PYTHON = "python"
_EVERY = Range("", "")


@dataclass(frozen=True, slots=True)
class BackendSupport:
    """A backend as one build has it.

    ``available`` is whether it can run where the build runs (a vendor's library may be missing). ``payloads``,
    ``node_types``, ``datatypes`` and ``max_rank`` are what its runtime takes, or None where that is not known; node
    types and datatypes are XNNPACK's, named as in :class:`pteron.compat.backend_use.BackendUse`.
    """

    id: str
    available: bool = True
    payloads: frozenset[str] | None = None
    node_types: frozenset[str] | None = None
    datatypes: frozenset[str] | None = None
    max_rank: int | None = None
    evidence: str = ""


@dataclass(frozen=True)
class Profile:
    """What one build of a runtime provides.

    ``release`` is None where a build's release is not known; then only its operators and backends are.
    ``operators`` maps a name to the accepted numbers of entries in a call (arguments and the one for the return), or
    to None where the number is not known; ``prim_ops`` likewise, or None where they are not known. ``kernel_keys`` has
    the operators of a selective build whose kernels exist for some dtypes and dim orders only: key strings as in
    :class:`pteron.compat.operator_use.OperatorUse`. ``build`` is ``cmake``, ``buck`` or empty; ``distribution`` is
    ``python`` where the official Python binding drives the runtime, else empty. ``overrides`` are features that the
    build's own description says it has or lacks.
    """

    title: str
    release: Version | None
    operators: Mapping[str, frozenset[int] | None]
    prim_ops: Mapping[str, frozenset[int] | None]
    backends: Mapping[str, BackendSupport]
    libraries: frozenset[str] = frozenset()
    kernel_keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    build: str = CMAKE
    distribution: str = ""
    overrides: Mapping[str, bool] = field(default_factory=dict)
    all_operators: bool = False
    source: str = ""

    @property
    def facts(self) -> ReleaseFacts | None:
        """The facts of the release, or None where the release is not known."""
        return release_facts(self.release) if self.release is not None else None

    def argument_counts(self, operator: str) -> frozenset[int] | None:
        """Accepted numbers of entries in a call; empty: the operator is missing; None: it is there, but the number is
        not known."""
        table = self.prim_ops if is_prim(operator) else self.operators
        if operator in table:
            return table[operator]
        unknown = self.all_operators or (table is self.prim_ops and self.release is None)
        return None if unknown else frozenset()

    def has_operator(self, operator: str) -> bool:
        """Whether a kernel of that name is registered."""
        return self.argument_counts(operator) != frozenset()

    def has_kernel(self, operator: str, key: str) -> bool:
        """Whether the operator has a kernel for the key, or a fallback that takes every dtype and dim order."""
        keys = self.kernel_keys.get(operator)
        return self.has_operator(operator) and (keys is None or key in keys)

    def refused_dtypes(self, operator: str) -> frozenset[ScalarType]:
        """Float types that the operator's kernel is known not to take; empty where nothing is known.

        Up to 0.7 such a call aborts the process, since 1.0 it fails with InvalidArgument (0x12).
        """
        facts = self.facts
        if facts is None or operator not in self.operators:
            return frozenset()
        # Where both are linked, the optimized kernel takes the place of the portable one.
        optimized = OPTIMIZED in self.libraries and operator in facts.libraries[OPTIMIZED].operators
        return facts.refused_dtypes.get(OPTIMIZED if optimized else PORTABLE, {}).get(operator, frozenset())

    def support(self, feature: str) -> Support | None:
        """How the build treats a feature of :data:`pteron.compat.features.CATALOGUE`, where something is known beyond
        the feature's first release; a feature of an XNNPACK payload is asked for as ``xnnpack.<feature>``."""
        if feature in self.overrides:
            outcome = "accepted" if self.overrides[feature] else "refused"
            return Support(feature, _EVERY, outcome, "", None, f"The profile says so: {self.title}.", (self.source,))
        for row in supports().get(feature, ()):
            if self.release is not None and self.release in row.releases and row.build in ("", self.build):
                return row
        return None

    def limit(self, identifier: str) -> Limit | None:
        """The named limit that the release checks, or None where it checks none."""
        rows = (row for row in limits() if row.id == identifier)
        return next((row for row in rows if self.release is not None and self.release in row.releases), None)

    @property
    def limits(self) -> Mapping[str, Limit]:
        """Every limit that the release checks, by id."""
        return MappingProxyType(
            {row.id: row for row in limits() if self.release is not None and self.release in row.releases}
        )

    @property
    def checks_argument_counts(self) -> bool:
        """Whether generated kernels refuse a call with another number of arguments; earlier ones misread it."""
        return self.limit("kernel.argument_count") is not None

    @cached_property
    def input_limits(self) -> tuple[InputLimit, ...]:
        """Inputs and outputs that the build, or the Python binding that drives it, cannot take."""
        return tuple(
            limit
            for limit in input_limits()
            if self.release is not None
            and self.release in limit.releases
            and limit.distribution in ("", self.distribution)
        )

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """Faults of kernels and backends that this build has."""
        return tuple(
            fault
            for fault in faults()
            if self.release is not None
            and self.release in fault.releases
            and (not fault.library or fault.library in self.libraries)
            and fault.distribution in ("", self.distribution)
        )

    def knows_field(self, table: str, name: str, schema: FlatbufferSchema = SCHEMA) -> bool | None:
        """Whether the release's schema has a field; None where the release is not known. Raises ``KeyError`` for a
        field that no release has."""
        if self.release is None:
            return None
        spec = next((f for f in schema.tables[table].fields if f.name == name), None)
        if spec is None:
            raise KeyError(f"{table}.{name}")
        return Version(spec.since) <= self.release and (not spec.until or self.release <= Version(spec.until))


def profile_for(release: Version | str, *, libraries: bool = True) -> Profile:
    """The official Python wheel of a release, with its own operator libraries loaded or without.

    Raises :class:`pteron.errors.UnsupportedError` for a release without facts.
    """
    return _wheel_profile(resolve(release), libraries)


@cache
def _wheel_profile(release: Version, with_libraries: bool) -> Profile:
    facts = release_facts(release)
    present = [
        name
        for name, library in facts.libraries.items()
        if library.wheel == LINKED or (with_libraries and library.wheel != ABSENT)
    ]
    loadable = any(library.wheel not in (LINKED, ABSENT) for library in facts.libraries.values())
    note = "" if with_libraries or not loadable else " without its operator libraries"
    return build_profile(
        f"ExecuTorch {release}, official Python wheel{note}",
        release,
        present,
        facts.backends,
        distribution=PYTHON,
        source=facts.evidence["operators"],
    )


def build_profile(
    title: str,
    release: Version | None,
    libraries: Iterable[str],
    backends: Mapping[str, bool],
    *,
    build: str = CMAKE,
    distribution: str = "",
    source: str = "",
) -> Profile:
    """A build of a release that links whole operator libraries (names as in the release's facts) and backends."""
    facts = release_facts(release) if release is not None else None
    chosen = frozenset(libraries)
    operators: dict[str, frozenset[int] | None] = {}
    prim: dict[str, frozenset[int] | None] = {}
    for name, library in facts.libraries.items() if facts is not None else ():
        if name in chosen or name == PRIM_OPS:
            table = prim if name == PRIM_OPS else operators
            table.update((operator, counts_of(count)) for operator, count in library.operators.items())
    return Profile(
        title,
        release,
        MappingProxyType(operators),
        MappingProxyType(prim),
        MappingProxyType({name: backend_support(name, available, facts) for name, available in backends.items()}),
        chosen | ({PRIM_OPS} if facts is not None else set()),
        build=build,
        distribution=distribution,
        source=source,
    )


def counts_of(count: int | None) -> frozenset[int] | None:
    """The accepted numbers of entries in a call, of an operator with one schema."""
    return None if count is None else frozenset({count})


def backend_support(identifier: str, available: bool, facts: ReleaseFacts | None) -> BackendSupport:
    """A backend as the release's sources implement it; only XNNPACK's insides are known."""
    if identifier != XNNPACK or facts is None or facts.xnnpack is None:
        return BackendSupport(identifier, available, evidence=facts.evidence["backends"] if facts is not None else "")
    return BackendSupport(
        identifier,
        available,
        facts.xnnpack["payloads"],
        facts.xnnpack["node_types"],
        facts.xnnpack["datatypes"],
        XNN_MAX_TENSOR_DIMS,
        facts.evidence["xnnpack"],
    )


def load_profile(path: str | Path) -> Profile:
    """Read a profile from a TOML file, or from a selected_operators.yaml of ExecuTorch's selective build.

    Raises :class:`pteron.errors.ProfileError` for a file that is not one, and
    :class:`pteron.errors.FileAccessError` for one that cannot be read.
    """
    from pteron.compat.profile_file import read_profile

    return read_profile(Path(path))
