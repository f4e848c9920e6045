"""PreparedBlock: a block as steps, with its slots."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pteron.graph.ir import Block, Constant, Graph, Node, Return, State, Value, terminator_operands, values_in
from pteron.ops.lowering import Declined
from pteron.ops.registry import Registry
from pteron.runtime.onnx_engine.cache import Cache
from pteron.runtime.onnx_engine.model import Lowerer, SegmentModel
from pteron.runtime.onnx_engine.partition import inputs_of, outputs_of, partition
from pteron.runtime.onnx_engine.plan import PlanEntry
from pteron.runtime.onnx_engine.session import Unsupported, open_session
from pteron.runtime.onnx_engine.steps import BoundStep, Env, Kept, KernelStep, SessionStep

if TYPE_CHECKING:
    from pteron.runtime.onnx_engine.profiler import Profiler

AnyStep = SessionStep | KernelStep


@dataclass
class Engine:
    """What preparing the blocks of a method needs."""

    graph: Graph
    operators: Registry
    rng: np.random.Generator
    where: str
    threads: int | None
    cache: Cache | None = None
    profiler: Profiler | None = None
    slots: dict[Value, int] = field(default_factory=dict)
    refused: dict[Node, str] = field(default_factory=dict)
    constants: dict[Value, Constant] = field(default_factory=dict)
    states: dict[Value, State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.constants = {constant.value: constant for constant in self.graph.constants}
        self.states = {state.value: state for state in self.graph.states}

    def slot(self, value: Value) -> int:
        return self.slots.setdefault(value, len(self.slots))

    def open(self, model: SegmentModel, nodes: Sequence[Node]) -> Any:
        """The session of a segment; raises :class:`Unsupported`."""
        threads = threads_for(nodes, self.threads)
        if self.profiler is not None:
            return self.profiler.open(model, threads)
        return open_session(model, threads=threads, cache=self.cache)


@dataclass
class PreparedBlock:
    """Steps in order, each with the slots that may be forgotten after it."""

    block: Block
    steps: list[tuple[AnyStep, tuple[int, ...]]]
    plan: list[PlanEntry]

    def run(self, env: Env, trace: Callable[[str, float], None] | None = None) -> None:
        if trace is not None:
            self._traced(env, trace)
            return
        for step, forgotten in self.steps:
            step(env)
            for slot in forgotten:
                env[slot] = None

    def _traced(self, env: Env, trace: Callable[[str, float], None]) -> None:
        import time

        for step, forgotten in self.steps:
            start = time.perf_counter()
            step(env)
            for slot in forgotten:
                env[slot] = None
            nodes = step.model.labels if isinstance(step, SessionStep) else ()
            name = f"onnxruntime ({len(nodes)} nodes)" if isinstance(step, SessionStep) else step.node.op
            trace(name, time.perf_counter() - start)


def prepare(engine: Engine, block: Block) -> PreparedBlock:
    """Divide a block into steps and open their sessions; nodes that ONNX Runtime refuses go to their kernels."""
    used = {value for node in block.nodes for value in node.inputs()}
    used.update(v for operand in terminator_operands(block.terminator) for v in values_in(operand))
    lowerer = Lowerer(engine.operators, engine.constants, used)
    opened: dict[tuple[Node, ...], tuple[SegmentModel, Any]] = {}
    whole = _whole(engine, block, lowerer)
    if whole is None:
        engine.refused.update((node, lowerer.refusal(node)) for node in block.nodes)
    else:
        engine.refused.update(dict.fromkeys(block.nodes, ""))
        opened[tuple(block.nodes)] = whole
    while True:
        segments = partition(block, lambda node: not engine.refused[node])
        # A segment whose results nobody reads has nothing to do.
        read = _needed(block, segments)
        segments = [s for s, needed in zip(segments, read, strict=True) if not s[0] or outputs_of(s[1], needed)]
        if _open(engine, block, segments, lowerer, opened):
            return _steps(engine, block, segments, opened)


def _whole(engine: Engine, block: Block, lowerer: Lowerer) -> tuple[SegmentModel, Any] | None:
    """The block as one segment, which is the usual case, or None where a node must be left out."""
    everything = [(True, list(block.nodes))]
    results = outputs_of(block.nodes, _needed(block, everything)[0])
    if not results:
        return None
    try:
        model = lowerer.model(block.nodes, inputs_of(block.nodes), results)
        return model, engine.open(model, block.nodes)
    except (Declined, Unsupported):
        return None


# Operators whose work is more than their results show.
_HEAVY = ("convolution", "mm", "linear", "attention")
_LARGE = 1 << 18


def threads_for(nodes: Sequence[Node], threads: int | None) -> int | None:
    """The threads of a segment's session: one where the work is small, as every session has threads of its own."""
    for node in nodes:
        if any(word in node.op for word in _HEAVY):
            return threads
        if any(math.prod(v.tensor_type.shape) >= _LARGE for v in node.outputs if v.is_tensor):
            return threads
    return 1


def _needed(block: Block, segments: list[tuple[bool, list[Node]]]) -> list[set[Value]]:
    """For each segment, the values that are read after or beside it."""
    later = {v for operand in terminator_operands(block.terminator) for v in values_in(operand)}
    needed: list[set[Value]] = []
    for _, nodes in reversed(segments):
        needed.append(set(later))
        later.update(value for node in nodes for value in node.inputs())
    needed.reverse()
    return needed


def _open(
    engine: Engine,
    block: Block,
    segments: list[tuple[bool, list[Node]]],
    lowerer: Lowerer,
    opened: dict[tuple[Node, ...], tuple[SegmentModel, Any]],
) -> bool:
    """Open the sessions that are missing; False where nodes were refused and the block must be divided anew."""
    for (fast, nodes), needed in zip(segments, _needed(block, segments), strict=True):
        if not fast or tuple(nodes) in opened:
            continue
        try:
            model = lowerer.model(nodes, inputs_of(nodes), outputs_of(nodes, needed))
        except Declined as declined:
            engine.refused.update((node, str(declined)) for node in nodes if declined.node in (node, None))
            return False
        try:
            session = engine.open(model, nodes)
        except Unsupported as refusal:
            named = model.labels.get(refusal.label)
            for node in [named] if named is not None else nodes:
                engine.refused[node] = str(refusal)
            return False
        opened[tuple(nodes)] = model, session
    return True


def _steps(
    engine: Engine,
    block: Block,
    segments: list[tuple[bool, list[Node]]],
    opened: Mapping[tuple[Node, ...], tuple[SegmentModel, Any]],
) -> PreparedBlock:
    steps: list[tuple[AnyStep, tuple[int, ...]]] = []
    plan: list[PlanEntry] = []
    fixed = {*engine.constants, *engine.graph.inputs, *block.parameters, *engine.states}
    made = {value for node in block.nodes for value in node.outputs}
    for (fast, nodes), needed in zip(segments, _needed(block, segments), strict=True):
        step: AnyStep
        if fast:
            model, session = opened[tuple(nodes)]
            kept = _kept(engine, block, model, needed)
            if kept:
                step = BoundStep(session, model, engine.slot, engine.where, kept)
            else:
                step = SessionStep(session, model, engine.slot, engine.where)
            plan.append(PlanEntry("onnxruntime", tuple(node.op for node in nodes), "", block.name))
        else:
            (node,) = nodes
            owned = frozenset(
                name
                for name, operand in node.operands.items()
                if isinstance(operand, Value)
                and operand not in needed
                and (operand in made or operand in engine.states)
                and sum(v is operand for v in node.inputs()) == 1
            )
            operator = engine.operators.by_functional(node.op)
            step = KernelStep(node, operator, engine.slot, engine.rng, owned, engine.where)
            plan.append(PlanEntry("reference", (node.op,), engine.refused[node], block.name))
        read = {value for node in nodes for value in node.inputs()} | {v for node in nodes for v in node.outputs}
        dead = tuple(engine.slot(v) for v in read if v not in needed and v not in fixed and v in made)
        steps.append((step, dead))
    return PreparedBlock(block, steps, plan)


def _kept(engine: Engine, block: Block, model: SegmentModel, needed: set[Value]) -> list[Kept]:
    """The states that the segment may update where they lie.

    The new value must become the same state's, and nobody may read the old one afterwards.
    """
    if not isinstance(block.terminator, Return):
        return []
    inputs, outputs = dict(model.inputs), dict(model.outputs)
    kept = []
    for output, source in model.in_place.items():
        old, new = inputs[source], outputs[output]
        if old not in engine.states or old in needed or to_be(engine, block.terminator, old) is not new:
            continue
        if old.type == new.type and old.tensor_type.dtype.name != "bfloat16":
            kept.append(Kept(source, output, engine.slot(old), engine.slot(new)))
    return kept


def to_be(engine: Engine, end: Return, state: Value) -> Any:
    """What the method leaves in a state."""
    place = next(i for i, s in enumerate(engine.graph.states) if s.value is state)
    return end.states[place]
