"""Steps for tensors whose place in memory is not as the target's runtime needs it."""

from __future__ import annotations

import dataclasses
import math

from pteron.compat.forgotten_memory import without_memory
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.format import schema
from pteron.format.schema import AllocationDetails, EValue, ExecutionPlan, KernelCall, TensorShapeDynamism
from pteron.graph.memory_plan import ALIGNMENT

_COLLECT = "executorch_prim::et_copy_index.tensor"
_LOW = (1 << 32) - 1


@step("growing-results", solves=("PT-OP-009",), layout_only=False)
def growing(subject: Subject, profile: Profile) -> Rewritten | None:
    """Let the tensor that a loop collects its rows in grow, as exporters since 1.1 write it."""
    if not any(fault.id == "et_copy_index.static" for fault in profile.faults):
        return None
    count, plans = 0, []
    for plan in subject.program.root.execution_plan or ():
        values = list(plan.values or ())
        for call in calls_of(plan):
            index = call.args[0] if call.args and name_of(plan, call) == _COLLECT else -1
            tensor = values[index].val if 0 <= index < len(values) else None
            if isinstance(tensor, schema.Tensor) and tensor.shape_dynamism is TensorShapeDynamism.STATIC:
                values[index] = EValue(dataclasses.replace(tensor, shape_dynamism=TensorShapeDynamism.DYNAMIC_BOUND))
                count += 1
        plans.append(dataclasses.replace(plan, values=tuple(values)))
    if not count:
        return None
    root = dataclasses.replace(subject.program.root, execution_plan=tuple(plans))
    changed = dataclasses.replace(subject, program=subject.program.replace(root=root))
    return changed, f"let {count} tensors grow that loops collect their rows in"


@step("plan-forgotten-memory", solves=("PT-FM-003",))
def planned(subject: Subject, profile: Profile) -> Rewritten | None:
    """Plan memory for tensors that an operator writes and that the exporter forgot, as it did up to 0.3."""
    count, plans = 0, []
    for plan in subject.program.root.execution_plan or ():
        forgotten = without_memory(plan)
        count += len(forgotten)
        plans.append(_with_memory(plan, forgotten) if forgotten else plan)
    if not count:
        return None
    root = dataclasses.replace(subject.program.root, execution_plan=tuple(plans))
    changed = dataclasses.replace(subject, program=subject.program.replace(root=root))
    return changed, f"planned memory for {count} tensors that had none"


def _with_memory(plan: ExecutionPlan, indices: list[int]) -> ExecutionPlan:
    sizes, values = list(plan.non_const_buffer_sizes or (0,)), list(plan.values or ())
    while len(sizes) < 2:
        sizes.append(0)
    for index in indices:
        tensor = values[index].val
        assert isinstance(tensor, schema.Tensor)
        start = -(-sizes[1] // ALIGNMENT) * ALIGNMENT
        details = AllocationDetails(1, start & _LOW, start >> 32)
        values[index] = EValue(dataclasses.replace(tensor, allocation_info=details))
        sizes[1] = start + math.prod(tensor.sizes or ()) * tensor.scalar_type.itemsize
    return dataclasses.replace(plan, values=tuple(values), non_const_buffer_sizes=tuple(sizes))


def calls_of(plan: ExecutionPlan) -> list[KernelCall]:
    """Every kernel call of the plan, in order."""
    arguments = (i.instr_args for chain in plan.chains or () for i in chain.instructions or ())
    return [call for call in arguments if isinstance(call, KernelCall)]


def name_of(plan: ExecutionPlan, call: KernelCall) -> str:
    """The name of the operator that is called; empty for an index out of range."""
    operators = plan.operators or ()
    return operators[call.op_index].qualified_name if 0 <= call.op_index < len(operators) else ""
