"""Which engine runs a method: ONNX Runtime where it can, else the reference engine, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

from pteron.backends.interface import ExpandingBackend
from pteron.errors import LoadError, UnsupportedError
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.runtime.memory import SharedBuffers
from pteron.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from pteron.format.limits import Limits
    from pteron.graph.ir import Graph
    from pteron.graph.lift import Expand
    from pteron.runtime.onnx_engine.plan import MethodPlan
    from pteron.runtime.onnx_engine.profiler import Profiler

EngineName = Literal["auto", "reference", "onnxruntime"]
ENGINES: tuple[EngineName, ...] = ("auto", "reference", "onnxruntime")


class RunnableMethod(Protocol):
    """A method ready to run, by whichever engine."""

    program: Program
    method: Method
    engine: ClassVar[str]

    def __call__(self, *inputs: Any) -> list[Any]: ...

    def execute(self, inputs: Sequence[Any], trace: Callable[[str, float], None] | None = None) -> list[Any]:
        """Run once; ``trace`` is called with each step's name and seconds."""
        ...

    def reset(self) -> None:
        """Put mutable state back to what the file gives."""
        ...


def check_engine(engine: str) -> EngineName:
    """The engine that will be used for ``engine``: never ``auto``.

    Raises ``ValueError`` for a name that is none, ``LoadError`` where ONNX Runtime is asked for and is not there;
    ``auto`` then warns once and takes the reference engine.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, but must be one of {', '.join(ENGINES)}")
    if engine == "reference":
        return "reference"
    from pteron.runtime.onnx_engine import availability

    problem = availability.problem()
    if not problem:
        return "onnxruntime"
    if engine == "onnxruntime":
        raise LoadError(problem)
    availability.warn_once()
    return "reference"


def load_method(
    program: Program,
    method: Method,
    settings: Settings,
    shared: SharedBuffers | None,
    engine: EngineName,
    threads: int | None,
    cache: bool,
    profiler: Profiler | None = None,
) -> tuple[RunnableMethod, str]:
    """The method prepared, and why it is not the fast engine's where it was asked for (else an empty string).

    ``threads``, ``cache`` (whether optimised models are kept on disk) and ``profiler`` are the fast engine's.
    """
    reason = ""
    if engine == "reference":
        pass
    elif shared is not None:
        reason = "state is shared between methods"
    else:
        from pteron.runtime.onnx_engine.cache import default_cache
        from pteron.runtime.onnx_engine.recalled import recall
        from pteron.runtime.onnx_engine.recipe import recipe_place

        kept = default_cache() if cache else None
        place = recipe_place(program, method, settings, kept)
        recalled = recall(program, method, place, threads) if place is not None else None
        if recalled is not None:
            return recalled, ""
        from pteron.runtime.onnx_engine.method import OnnxMethod

        try:
            graph = lifted(program, method, settings)
        except UnsupportedError as error:
            reason = str(error)
        else:
            fast = OnnxMethod(
                program,
                method,
                graph,
                settings.operators,
                seed=settings.seed,
                threads=threads,
                cache=kept,
                recipe=place,
                profiler=profiler,
            )
            return fast, ""
    from pteron.runtime.method import LoadedMethod

    return LoadedMethod(program, method, settings, shared), reason


def lifted(program: Program, method: Method, settings: Settings, shared: frozenset[int] = frozenset()) -> Graph:
    """The method as the graph that ONNX Runtime is given; ``shared`` are the memory ids that other methods use too.

    Raises ``UnsupportedError`` where a graph cannot say what the method does, and what loading it raises.
    """
    from pteron.graph.lift import lift
    from pteron.graph.passes import DEFAULT_PASSES, fold, run_passes, unsigned

    expand = _expander(program, method, settings)
    graph = lift(
        program, method.name, expand=expand, external=settings.external, operators=settings.operators, shared=shared
    )
    _check_sizes(graph, program.limits)
    # Folded weights would be copies; as they are they stay mapped, and ONNX Runtime folds and caches them.
    run_passes(graph, [step for step in DEFAULT_PASSES if step is not fold.run])
    unsigned.run(graph)
    return graph


def _check_sizes(graph: Graph, limits: Limits) -> None:
    """Leave results beyond the limits, which only payloads of delegates can ask for, to the engine that counts."""
    from pteron.graph.ir import TensorType

    for node in graph.nodes():
        for value in node.outputs:
            if isinstance(value.type, TensorType) and value.type.nbytes > limits.max_tensor_bytes:
                raise UnsupportedError(f"a result of {value.type}, beyond Limits.max_tensor_bytes")


def _expander(program: Program, method: Method, settings: Settings) -> Expand | None:
    """What turns the method's delegates into nodes; raises ``UnsupportedError`` where one has to stay a delegate."""
    by_id: dict[str, Expand] = {}
    for backend_id in method.backends:
        backend = settings.backends.get(backend_id)
        if not isinstance(backend, ExpandingBackend):
            raise UnsupportedError(f"delegates to {backend_id}")
        by_id[backend_id] = backend.expander(program, settings.external)
    return (lambda site: by_id[site.backend_id](site)) if by_id else None


def plan_of(loaded: RunnableMethod, reason: str) -> MethodPlan:
    """The plan of a loaded method."""
    from pteron.runtime.onnx_engine.plan import MethodPlan

    if loaded.engine == "reference":
        return MethodPlan(loaded.method.name, "reference", (), reason)
    plan: MethodPlan = loaded.plan()  # type: ignore[attr-defined]
    return plan
