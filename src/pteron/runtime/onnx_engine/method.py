"""OnnxMethod: one method prepared for ONNX Runtime, called like a LoadedMethod."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pteron.errors import ExecutionError
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.graph.evaluate import initial_state
from pteron.graph.ir import Block, Branch, Graph, Jump, Operand, Return, Value
from pteron.ops.promotion import Array
from pteron.ops.registry import Registry
from pteron.ops.result_size import results_within
from pteron.runtime.onnx_engine.arguments import Arguments
from pteron.runtime.onnx_engine.block import Engine, PreparedBlock, prepare, threads_for
from pteron.runtime.onnx_engine.cache import Cache
from pteron.runtime.onnx_engine.direct import Direct, direct_call
from pteron.runtime.onnx_engine.plan import MethodPlan
from pteron.runtime.onnx_engine.recipe import NodeOrigin, Recipe, RecipePlace
from pteron.runtime.onnx_engine.steps import BoundStep, Env, SessionStep

if TYPE_CHECKING:
    from pteron.runtime.onnx_engine.profiler import Profiler

Trace = Callable[[str, float], None]


class OnnxMethod:
    """A method whose graph runs on ONNX Runtime; sessions open with the first call.

    Calls of a method without state may run at the same time in several threads; others take turns. State lives until
    :meth:`reset`.
    """

    engine: ClassVar[str] = "onnxruntime"

    def __init__(
        self,
        program: Program,
        method: Method,
        graph: Graph,
        operators: Registry,
        *,
        seed: int | None = None,
        threads: int | None = None,
        cache: Cache | None = None,
        recipe: RecipePlace | None = None,
        profiler: Profiler | None = None,
    ) -> None:
        self.program = program
        self.method = method
        self.graph = graph
        where = f"{program.file}, method {method.name!r}"
        self._engine = Engine(graph, operators, np.random.default_rng(seed), where, threads, cache, profiler)
        self._arguments = Arguments(program.file, method, where)
        self._recipe = recipe
        self._lock = threading.RLock()
        self._prepared: dict[str, PreparedBlock] = {}
        self._base: Env | None = None
        self._direct: Direct | None = None
        self._state: list[Any] = []
        self._slots = [self._engine.slot(value) for value in graph.inputs]

    def __call__(self, *inputs: Any) -> list[Any]:
        direct = self._direct
        return direct(inputs) if direct is not None else self.execute(inputs)

    def execute(self, inputs: Sequence[Any], trace: Trace | None = None) -> list[Any]:
        """Run once. Inputs and outputs are as the method's signature lists them.

        Tensor inputs are anything with the array interface or DLPack; outputs are NumPy arrays of the caller's own.
        ``trace`` is called with each step's name and seconds. Raises ``InputError`` for inputs that do not fit,
        ``ExecutionError`` where a step fails.
        """
        if self._direct is not None and trace is None:
            return self._direct(inputs)
        with self._lock:
            arrays = self._arguments.arrays(inputs)
            if self._base is None:
                self._prepare()
            assert self._base is not None
            env = self._base.copy()
            for slot, array in zip(self._slots, arrays, strict=True):
                env[slot] = array
            for state, content in zip(self.graph.states, self._state, strict=True):
                env[self._engine.slots[state.value]] = content
            with results_within(self.program.limits.max_memory):
                return self._run(env, arrays, trace)

    def reset(self) -> None:
        """Put mutable state back to what the file gives (zero where it gives none)."""
        with self._lock:
            self._state = initial_state(self.graph)

    def plan(self) -> MethodPlan:
        """Which steps the method runs in, and on what; opens the sessions."""
        with self._lock:
            if self._base is None:
                self._prepare()
            entries = [entry for prepared in self._prepared.values() for entry in prepared.plan]
            return MethodPlan(self.method.name, "onnxruntime", tuple(entries))

    # --- preparing

    def _prepare(self) -> None:
        engine = self._engine
        for constant in self.graph.constants:
            engine.slot(constant.value)
        for state in self.graph.states:
            engine.slot(state.value)
        for block in self.graph.blocks:
            for parameter in block.parameters:
                engine.slot(parameter)
            self._prepared[block.name] = prepare(engine, block)
        base: Env = [None] * len(engine.slots)
        for constant in self.graph.constants:
            base[engine.slots[constant.value]] = constant.data
        self._state = initial_state(self.graph)
        self._base = base
        self._direct = self._shortcut()

    def _shortcut(self) -> Direct | None:
        """The one session that the method may be, without more ado; its recipe is kept."""
        graph = self.graph
        steps = self._prepared[graph.entry.name].steps
        end = graph.entry.terminator
        if len(graph.blocks) > 1 or graph.states or len(steps) != 1 or not isinstance(end, Return):
            return None
        step = steps[0][0]
        if type(step) is not SessionStep or len(self._arguments.tensors) != len(self.method.inputs):
            return None
        results = [value for _, value in step.model.outputs]
        if len(end.values) != len(results) or any(a is not b for a, b in zip(end.values, results, strict=True)):
            return None
        if any(turn for *_, turn in step._inputs) or any(turn for _, turn in step._outputs):
            return None
        by_slot = {slot: name for name, slot, _ in step._inputs}
        names = [by_slot.get(slot) for slot in self._slots]
        if self._recipe is not None:
            self._keep(self._recipe, step, names)
        return direct_call(step.session, self._arguments, names, step._names, step.model.labels, self._engine.where)

    def _keep(self, place: RecipePlace, step: SessionStep, names: list[str | None]) -> None:
        """Keep the recipe, where the model has an entry in the cache to open it from."""
        model, block = step.model, self.graph.entry
        entry = place.cache.key(model)
        if entry is None or not place.cache.has(entry):
            return
        nodes = tuple(NodeOrigin(node.op, node.source) for node in model.labels.values())
        parallel = threads_for(block.nodes, None) is None
        place.keep(Recipe(entry, tuple(names), tuple(step._names), nodes, block.name, parallel, model.prepack))

    # --- running

    def _run(self, env: Env, arrays: list[Array], trace: Trace | None) -> list[Any]:
        block, left = self.graph.entry, self.program.limits.max_instructions
        while True:
            left -= 1 + len(block.nodes)
            if left < 0:
                raise ExecutionError(
                    f"{self._engine.where}: more than {self.program.limits.max_instructions:,} instructions; "
                    "raise Limits.max_instructions to go on"
                )
            self._prepared[block.name].run(env, trace)
            match block.terminator:
                case Return() as end:
                    return self._finish(end, env, arrays)
                case Jump() as jump:
                    pass
                case Branch(condition, if_true, if_false):
                    jump = if_true if np.asarray(self._read(condition, env)).all() else if_false
            block = self._enter(jump, env)

    def _enter(self, jump: Jump, env: Env) -> Block:
        given = [self._read(operand, env) for operand in jump.arguments]
        for parameter, content in zip(jump.target.parameters, given, strict=True):
            env[self._engine.slots[parameter]] = content
        return jump.target

    def _read(self, operand: Operand, env: Env) -> Any:
        if isinstance(operand, Value):
            return env[self._engine.slots[operand]]
        if isinstance(operand, list):
            return [self._read(item, env) for item in operand]
        return operand

    def _finish(self, end: Return, env: Env, arrays: list[Array]) -> list[Any]:
        states = [self._read(operand, env) for operand in end.states]
        # Nothing that the caller gets may be anybody else's: not the caller's inputs, constants, state, or twice.
        taken = {id(array) for array in (*arrays, *states, *self._state)}
        taken.update(id(constant.data) for constant in self.graph.constants)
        results = []
        for operand in end.values:
            content = self._read(operand, env)
            if isinstance(content, np.ndarray):
                if id(content) in taken:
                    content = content.copy()
                taken.add(id(content))
            results.append(content)
        self._state = [self._own(state, arrays) for state in states]
        return results

    @staticmethod
    def _own(state: Any, arrays: list[Array]) -> Any:
        """A state that is an input of the caller's becomes a copy, and so does one that cannot be written."""
        if isinstance(state, np.ndarray) and (any(state is a for a in arrays) or not state.flags.writeable):
            return state.copy()
        return state


def has_bound_state(method: OnnxMethod) -> bool:
    """Whether a session of the method writes state where it lies; for tests and reports."""
    return any(isinstance(step, BoundStep) for p in method._prepared.values() for step, _ in p.steps)
