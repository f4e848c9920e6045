"""RecalledMethod: a method opened by its recipe, without lifting it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pteron.format.method import Method
from pteron.format.program import Program
from pteron.runtime.onnx_engine.arguments import Arguments
from pteron.runtime.onnx_engine.direct import direct_call
from pteron.runtime.onnx_engine.plan import MethodPlan, PlanEntry
from pteron.runtime.onnx_engine.recipe import Recipe, RecipePlace, names_of
from pteron.runtime.onnx_engine.session import open_optimised


class RecalledMethod:
    """A method that is one session, called like an ``OnnxMethod``; it has no state, and threads may share it."""

    engine: ClassVar[str] = "onnxruntime"

    def __init__(self, program: Program, method: Method, recipe: Recipe, session: Any) -> None:
        self.program = program
        self.method = method
        self._recipe = recipe
        where = f"{program.file}, method {method.name!r}"
        arguments = Arguments(program.file, method, where)
        labels = names_of(recipe.nodes)
        self._direct = direct_call(session, arguments, recipe.inputs, recipe.outputs, labels, where)

    def __call__(self, *inputs: Any) -> list[Any]:
        return self._direct(inputs)

    def execute(self, inputs: Sequence[Any], trace: Callable[[str, float], None] | None = None) -> list[Any]:
        """Run once, as ``OnnxMethod.execute`` does."""
        start = time.perf_counter()
        outputs = self._direct(inputs)
        if trace is not None:
            trace(f"onnxruntime ({len(self._recipe.nodes)} nodes)", time.perf_counter() - start)
        return outputs

    def reset(self) -> None:
        """Nothing to do: there is no state."""

    def plan(self) -> MethodPlan:
        """Which steps the method runs in, and on what."""
        operators = tuple(node.op for node in self._recipe.nodes)
        entry = PlanEntry("onnxruntime", operators, "", self._recipe.block)
        return MethodPlan(self.method.name, "onnxruntime", (entry,))


def recall(program: Program, method: Method, place: RecipePlace, threads: int | None) -> RecalledMethod | None:
    """The method by its recipe; None where there is none, or where what it leads to is gone or damaged."""
    recipe = place.find()
    model = place.cache.find(recipe.entry) if recipe is not None else None
    if recipe is None or model is None or len(recipe.inputs) != len(method.inputs):
        return None
    try:
        session = open_optimised(model, threads=threads if recipe.parallel else 1, prepack=recipe.prepack)
    except Exception:  # the entry is not for this machine after all; it is made anew
        return None
    return RecalledMethod(program, method, recipe, session)
