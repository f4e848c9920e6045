"""Named caps against hostile files."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may ask for before Pteron refuses it with a ``LimitError``; raise a cap with ``replace``.

    The defaults leave room for any model that the official exporters wrote so far.
    """

    max_tables: int = 1_000_000
    """Flatbuffer tables decoded per file (the official verifier's cap)."""

    max_expansion: int = 4
    """Bytes decoded from the flatbuffer, as a multiple of its size: tables and vectors may be shared this much."""

    max_rank: int = 16
    """Dimensions of a tensor (``kTensorDimensionLimit``, refused by runtimes since 1.0)."""

    max_tensor_bytes: int = 1 << 40
    """Bytes of one tensor, by its declared upper bound."""

    max_memory: int = 16 << 30
    """Bytes of planned memory and of results that running one method may take."""

    max_instructions: int = 10_000_000
    """Instructions executed per call (``ET_MAX_INSTRUCTIONS`` since 1.3)."""

    max_findings: int = 1000
    """Findings that ``verify`` lists before it stops."""


DEFAULT_LIMITS = Limits()
