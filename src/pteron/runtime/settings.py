"""Settings: what loading a method needs beside the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pteron.backends.interface import BACKENDS, BackendRegistry
from pteron.ops import REGISTRY, Registry

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry
    from pteron.format.source import FileIdentity


@dataclass(frozen=True, slots=True)
class Settings:
    """What loading a method needs beside the program.

    ``external``: the entries of the .ptd files. ``origin``: the file that the program was read from, as it was then;
    None where that is not known. ``verified``: whether the program was checked when it was opened.
    """

    external: Mapping[str, TensorEntry]
    operators: Registry = REGISTRY
    backends: BackendRegistry = BACKENDS
    seed: int | None = None
    origin: FileIdentity | None = None
    verified: bool = False
