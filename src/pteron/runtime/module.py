"""Module: a program loaded for running."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pteron.backends.interface import BACKENDS, BackendRegistry
from pteron.errors import ExternalDataError, MethodNotFoundError
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.format.source import FileSource, source_identity
from pteron.ops import REGISTRY, Registry
from pteron.runtime.engines import ENGINES, EngineName, RunnableMethod, check_engine, load_method, plan_of
from pteron.runtime.external import external_tensors, fault_free
from pteron.runtime.memory import SharedBuffers, every_memory_id, shared_state_ids
from pteron.runtime.opening import open_program
from pteron.runtime.settings import Settings

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry
    from pteron.format.source import FileIdentity
    from pteron.runtime.onnx_engine.plan import MethodPlan
    from pteron.runtime.onnx_engine.profiler import Profiler
    from pteron.runtime.profiling import MethodProfile


class Module:
    """A program ready to run.

    ``module.forward(x, y)`` and ``module["name"](x)`` run a method and return the list of its outputs;
    ``module.methods`` describes them. Methods are prepared when first used, or all at once by ``load``. A module may
    be shared by threads: calls of one method take turns, and state stays whole.
    """

    def __init__(
        self,
        program: Program,
        settings: Settings,
        *,
        share_memory_arenas: bool | None = None,
        engine: EngineName = "reference",
        threads: int | None = None,
        cache: bool = True,
    ) -> None:
        self.program = program
        self._settings = settings
        self._engine = engine
        self._threads = threads
        self._cache = cache
        self._share_memory_arenas = share_memory_arenas
        self._profiler: Profiler | None = None
        self._loaded: dict[str, RunnableMethod] = {}
        self._reasons: dict[str, str] = {}
        self._lock = threading.RLock()
        shared = shared_state_ids(program) if share_memory_arenas is None else frozenset[int]()
        if share_memory_arenas:
            shared = every_memory_id(program)
        self._shared = SharedBuffers(program, shared) if shared else None

    @property
    def methods(self) -> Mapping[str, Method]:
        """Methods by name: inputs, outputs, memory plan, operators, backends."""
        return self.program.methods

    @property
    def settings(self) -> Settings:
        """What methods are prepared with beside the program: external weights, operators, backends, the seed."""
        return self._settings

    def __getitem__(self, name: str) -> RunnableMethod:
        """The method of that name, prepared; raises ``MethodNotFoundError`` or ``LoadError``."""
        with self._lock:
            loaded = self._loaded.get(name)
            if loaded is None:
                method = self.program.methods.get(name)
                if method is None:
                    known = ", ".join(sorted(self.program.methods)) or "none"
                    raise MethodNotFoundError(f"{self.program.file}: no method {name!r}; it has {known}")
                engine = check_engine(self._engine)
                loaded, self._reasons[name] = load_method(
                    self.program,
                    method,
                    self._settings,
                    self._shared,
                    engine,
                    self._threads,
                    self._cache,
                    self._profiler,
                )
                self._loaded[name] = loaded
            return loaded

    def __getattr__(self, name: str) -> RunnableMethod:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.program.methods:
            return self[name]
        known = ", ".join(sorted(self.program.methods)) or "none"
        raise AttributeError(f"{self.program.file}: no method {name!r}; it has {known}")

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self.program.methods]

    def __call__(self, *inputs: Any) -> list[Any]:
        """Run ``forward``."""
        return self["forward"](*inputs)

    def plan(self) -> dict[str, MethodPlan]:
        """For every method: the engine, the steps it runs in, and why any of them is not the fast engine's."""
        with self._lock:
            return {name: plan_of(self[name], self._reasons.get(name, "")) for name in self.program.methods}

    def profile(self, name: str, inputs: Sequence[Any], *, runs: int = 1, warm_up: int = 1) -> MethodProfile:
        """Where the time of a method goes, by operator, on the engine that runs it.

        The method is prepared anew for it and called ``warm_up`` and then ``runs`` times on the inputs, from the state
        that the file gives; what is loaded already and its state stay as they are. Raises what calls raise.
        """
        from pteron.runtime.profiling import profile_method

        return profile_method(self, name, inputs, runs=runs, warm_up=warm_up)

    def again(self, profiler: Profiler) -> Module:
        """The same program, to be prepared anew with sessions that a profiler opens."""
        fresh = Module(
            self.program,
            self._settings,
            share_memory_arenas=self._share_memory_arenas,
            engine=self._engine,
            threads=self._threads,
            cache=False,
        )
        fresh._profiler = profiler
        return fresh

    def reset(self) -> None:
        """Put the mutable state of every method back to what the file gives."""
        with self._lock:
            for loaded in self._loaded.values():
                loaded.reset()

    def __repr__(self) -> str:
        return f"<Module {self.program.file}: {', '.join(self.program.methods)}>"


def load(
    source: FileSource | Program,
    *,
    data: FileSource | Iterable[FileSource] = (),
    limits: Limits = DEFAULT_LIMITS,
    operators: Registry = REGISTRY,
    backends: BackendRegistry = BACKENDS,
    share_memory_arenas: bool | None = None,
    seed: int | None = None,
    verify: bool = True,
    engine: EngineName = "auto",
    threads: int | None = None,
    cache: bool = True,
) -> Module:
    """Load a program for running.

    ``source``: path, bytes, buffer, or a Program from ``pteron.open``. ``data``: .ptd files with external weights.
    ``operators`` and ``backends``: registries to look kernels and delegates up in. ``share_memory_arenas``: True
    lets all methods plan into the same buffers (as ExecuTorch's Module of that option), so that they share mutable
    state; by default they share what the file names as the same state in several methods, and False shares nothing.
    ``seed``: makes random operators repeatable. ``verify``: check the records before use, as ``pteron.open`` does.
    ``engine``: ``onnxruntime`` is fast, ``reference`` runs the program's instructions one by one as written, ``auto``
    takes the fast one where it is installed. ``threads``: how many it may use for one operator (all cores).
    ``cache``: keep optimised models on disk, so that opening a file again takes less time (``PTERON_CACHE``).

    Raises ``FormatError`` or ``VerificationError`` for a file that cannot be right, ``ExternalDataError`` for
    external weights that are missing or of another layout; what a method lacks (operators, backends) is raised when
    it is first used.
    """
    program, origin = (source, None) if isinstance(source, Program) else _opened(source, limits, verify, engine, cache)
    external = _external_data(data)
    fault_free(program, external)
    _warn_of_extra(program, external)
    settings = Settings(MappingProxyType(external), operators, backends, seed, origin, verify)
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, but must be one of {', '.join(ENGINES)}")
    return Module(
        program, settings, share_memory_arenas=share_memory_arenas, engine=engine, threads=threads, cache=cache
    )


def _opened(
    source: FileSource, limits: Limits, verify: bool, engine: EngineName, cache: bool
) -> tuple[Program, FileIdentity | None]:
    """The program, and the file that it is from, where that is sure.

    It is not verified again where a process before this one verified the very bytes, and kept a recipe.
    """
    origin = source_identity(source)
    known = verify and cache and engine != "reference" and _verified_before(origin, limits)
    program = open_program(source, limits=limits, verify=verify and not known)
    if origin == source_identity(source):
        return program, origin
    # Replaced while it was opened: which one was it?
    return (open_program(source, limits=limits) if known else program), None


def _verified_before(origin: FileIdentity | None, limits: Limits) -> bool:
    if origin is None or limits != DEFAULT_LIMITS:
        return False
    from pteron.runtime.onnx_engine.cache import default_cache
    from pteron.runtime.onnx_engine.recipe import verified_before

    kept = default_cache()
    return kept is not None and verified_before(kept, origin)


def _external_data(data: FileSource | Iterable[FileSource]) -> dict[str, TensorEntry]:
    sources: Sequence[Any] = data if isinstance(data, list | tuple) else [data]
    if not sources:
        return {}
    # Not imported where there is none: it would take as long as all of the rest.
    from pteron.format.flat_tensor import read_tensor_data

    merged: dict[str, TensorEntry] = {}
    origin: dict[str, str] = {}
    for source in sources:
        tensors = read_tensor_data(source)
        for key, entry in tensors.entries.items():
            if key in merged:
                raise ExternalDataError(
                    f"{tensors.file}: key {key!r} is in {origin[key]} as well; give only one of them"
                )
            merged[key] = entry
            origin[key] = tensors.file
    return merged


def _warn_of_extra(program: Program, external: Mapping[str, TensorEntry]) -> None:
    # A delegate may take any key, so extra ones can only be told where there is none.
    if any(method.backends for method in program.methods.values()):
        return
    extra = sorted(set(external) - set(external_tensors(program)))
    if extra:
        listed = ", ".join(map(repr, extra[:5])) + (f" and {len(extra) - 5} more" if len(extra) > 5 else "")
        warnings.warn(
            f"{program.file}: external data holds keys that nothing in the program uses: {listed}", stacklevel=3
        )
