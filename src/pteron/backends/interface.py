"""What a backend is, and the registry of them.

ExecuTorch's delegate interface (runtime/backend/interface.h) in Python: ``init`` prepares a payload once when a
method is loaded, ``execute`` runs it with the call's arguments (inputs, then outputs), ``identify`` says what a payload
is without running it. A handle keeps the state that lives between calls.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pteron.format.scalar_type import ScalarType

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry
    from pteron.format.program import Program
    from pteron.graph.lift import Expand

ENTRY_POINT_GROUP = "pteron.backends"


@dataclass(frozen=True, slots=True)
class PayloadInfo:
    """What a payload is: ``format`` names its container (``XN01``), ``version`` what it says of its version.

    ``description`` is one line for people; ``details`` are further facts by name.
    """

    format: str
    version: str = ""
    description: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class DelegateTensor(Protocol):
    """A tensor argument of a delegate call: read ``array``, give results to ``store``."""

    scalar_type: ScalarType
    sizes: tuple[int, ...]
    dim_order: tuple[int, ...]
    array: Any

    def resize(self, sizes: tuple[int, ...]) -> None: ...

    def store(self, result: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class DelegateContext:
    """What ``init`` gets beside the payload.

    ``named_data`` are blobs by key from the program's named data and the .ptd files given, ``compile_specs`` the
    exporter's key-value pairs, ``method`` the method's name and ``file`` the program's name for messages.
    """

    method: str
    file: str
    compile_specs: Mapping[str, bytes]
    named_data: Mapping[str, memoryview]


@runtime_checkable
class DelegateHandle(Protocol):
    """A payload ready to run."""

    def execute(self, args: Sequence[DelegateTensor | int | float | bool | str | None]) -> None:
        """Run once: read the inputs among ``args``, store into the outputs."""

    def reset(self) -> None:
        """Go back to the state after ``init``."""


@runtime_checkable
class Backend(Protocol):
    """One backend; ``id`` is the id that a file's delegates carry."""

    id: str

    def is_available(self) -> bool:
        """Whether payloads can be run here."""

    def identify(self, payload: memoryview) -> PayloadInfo:
        """What the payload is; raises ``FormatError`` for one that cannot be this backend's."""

    def init(self, payload: memoryview, context: DelegateContext) -> DelegateHandle:
        """Prepare a payload; raises ``BackendError`` where it cannot be run."""


@runtime_checkable
class ExpandingBackend(Backend, Protocol):
    """A backend whose payloads can also become nodes of the method's graph, for engines that run graphs."""

    def expander(self, program: Program, external: Mapping[str, TensorEntry]) -> Expand:
        """What ``pteron.graph.lift.lift`` takes as ``expand``; ``external`` are the entries of the .ptd files."""


BUILT_IN = {"XnnpackBackend": "pteron.backends.xnnpack.backend"}
"""Modules of Pteron's own backends by id; each has a class of the backend's id and is imported when asked for."""


class BackendRegistry:
    """Backends by id: Pteron's own, and what packages offer in the entry point group ``pteron.backends``."""

    def __init__(self, built_in: Mapping[str, str] = BUILT_IN) -> None:
        self._built_in = dict(built_in)
        self._backends: dict[str, Backend] = {}
        self._lock = threading.RLock()
        self._loaded = False

    def register(self, backend: Backend) -> None:
        """Make a backend known; raises ValueError when its id is taken."""
        with self._lock:
            if backend.id in self._built_in or self._backends.setdefault(backend.id, backend) is not backend:
                raise ValueError(f"backend {backend.id} is registered already; unregister the first one before")

    def unregister(self, backend_id: str) -> None:
        """Forget a backend; raises KeyError when there is none of that id."""
        with self._lock:
            if self._built_in.pop(backend_id, None) is None:
                del self._backends[backend_id]

    def get(self, backend_id: str) -> Backend | None:
        """The backend of that id, or None."""
        self._load()
        self._import(backend_id)
        return self._backends.get(backend_id)

    def is_own(self, backend_id: str) -> bool:
        """Whether the backend of that id is Pteron's own; it need not be imported to tell."""
        with self._lock:
            module = BUILT_IN.get(backend_id, "")
            known = self._backends.get(backend_id)
            return bool(module) and (
                self._built_in.get(backend_id) == module if known is None else type(known).__module__ == module
            )

    def __iter__(self) -> Iterator[Backend]:
        self._load()
        for backend_id in tuple(self._built_in):
            self._import(backend_id)
        return iter([self._backends[key] for key in sorted(self._backends)])

    def _import(self, backend_id: str) -> None:
        with self._lock:
            module = self._built_in.pop(backend_id, None)
            if module is not None:
                self.register(getattr(import_module(module), backend_id)())

    def _load(self) -> None:
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            from importlib.metadata import entry_points

            for entry in entry_points(group=ENTRY_POINT_GROUP):
                backend = entry.load()
                self.register(backend() if isinstance(backend, type) else backend)


BACKENDS = BackendRegistry()
