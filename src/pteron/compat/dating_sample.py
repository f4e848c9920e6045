"""A program as the rules of dating look at it: each thing is worked out when a rule first asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

from pteron.compat.backend_use import XNNPACK, BackendUse
from pteron.compat.features import Feature
from pteron.compat.fingerprints import Writer, segment_starts, writer_of
from pteron.compat.operator_use import OperatorUse
from pteron.compat.plan_habits import PlanHabits, plan_habits
from pteron.compat.requirements import Requirements, requirements
from pteron.format import schema
from pteron.format.program import Program

_HASH = r"[0-9a-f]{64}"


class Sample:
    """``requirements`` may be given where they are known already."""

    def __init__(self, program: Program, needed: Requirements | None = None) -> None:
        self.program = program
        self._needed = needed

    @cached_property
    def requirements(self) -> Requirements:
        return self._needed or requirements(self.program)

    @cached_property
    def features(self) -> dict[str, Feature]:
        return {feature.id: feature for feature in self.requirements.features}

    @cached_property
    def operators(self) -> dict[str, OperatorUse]:
        return {use.name: use for use in (*self.requirements.operators, *self.requirements.prim_ops)}

    @property
    def backends(self) -> tuple[BackendUse, ...]:
        return self.requirements.backends

    @property
    def xnnpack(self) -> Iterator[BackendUse]:
        return (use for use in self.backends if use.id == XNNPACK)

    @cached_property
    def writer(self) -> Writer:
        return writer_of(self.program)

    @cached_property
    def segment_starts(self) -> tuple[int, ...]:
        return segment_starts(self.program)

    @cached_property
    def plans(self) -> tuple[tuple[str, schema.ExecutionPlan], ...]:
        """The plans with their field paths."""
        plans = self.program.root.execution_plan or ()
        return tuple((f"execution_plan[{index}]", plan) for index, plan in enumerate(plans))

    @cached_property
    def plan_habits(self) -> tuple[tuple[str, PlanHabits], ...]:
        return tuple((path, plan_habits(plan)) for path, plan in self.plans)

    @cached_property
    def weight_keys(self) -> tuple[str, ...]:
        """How XNNPACK payloads name their constants: ``hash``, ``scale_hash``, or ``name_hash``; each once."""
        forms: dict[str, None] = {}
        for use in self.xnnpack:
            for key in use.named_keys:
                if re.fullmatch(_HASH, key):
                    forms["hash"] = None
                elif re.fullmatch(f"scale_{_HASH}", key):
                    forms["scale_hash"] = None
                elif re.fullmatch(f".+_{_HASH}", key, re.DOTALL):
                    forms["name_hash"] = None
        return tuple(forms)

    def calls(self, name: str) -> Iterator[tuple[str, schema.KernelCall, schema.ExecutionPlan]]:
        """Calls of an operator: field path, the call, its plan."""
        for path, plan in self.plans:
            wanted = {i for i, operator in enumerate(plan.operators or ()) if operator.qualified_name == name}
            if not wanted:
                continue
            for chain_index, chain in enumerate(plan.chains or ()):
                for index, instruction in enumerate(chain.instructions or ()):
                    call = instruction.instr_args
                    if isinstance(call, schema.KernelCall) and call.op_index in wanted:
                        yield f"{path}.chains[{chain_index}].instructions[{index}].instr_args", call, plan
