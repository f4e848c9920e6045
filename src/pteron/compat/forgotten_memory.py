"""Tensors that operators write and that the memory plan has no place for, as some exporters up to 0.3 left them.

Runtimes leave such a tensor without data, and the kernel writes to address 0 (getTensorDataPtr in
runtime/executor/tensor_parser_*.cpp, v0.2.1 … v1.4.1).
"""

from __future__ import annotations

from pteron.format import schema
from pteron.format.schema import ExecutionPlan, KernelCall, TensorShapeDynamism
from pteron.ops.registry import REGISTRY


def without_memory(plan: ExecutionPlan) -> list[int]:
    """Indices of tensors that operators write, that are no arguments of the method, and that have no memory though
    their sizes are bounded. Views that only move a pointer (``et_view``) need none."""
    outside = {*(plan.inputs or ()), *(plan.outputs or ())}
    values = plan.values or ()
    bare = {index for index, value in enumerate(values) if index not in outside and _is_bare(value.val)}
    found: dict[int, None] = {}
    if bare:
        for chain in plan.chains or ():
            for instruction in chain.instructions or ():
                call = instruction.instr_args
                if isinstance(call, KernelCall) and bare & set(call.args or ()):
                    found.update(dict.fromkeys(index for index in _written(plan, call) if index in bare))
    return list(found)


def _is_bare(value: object) -> bool:
    return (
        isinstance(value, schema.Tensor)
        and value.shape_dynamism is not TensorShapeDynamism.DYNAMIC_UNBOUND
        and value.allocation_info is None
        and not value.data_buffer_idx
        and value.extra_tensor_info is None
    )


def _written(plan: ExecutionPlan, call: KernelCall) -> list[int]:
    operators, args = plan.operators or (), call.args or ()
    name = operators[call.op_index].qualified_name if 0 <= call.op_index < len(operators) else ""
    operator = REGISTRY.get(name)
    called = operator.schema_for(len(args)) if operator is not None else None
    if operator is None or called is None:
        return []
    functional = {argument.name for argument in operator.functional.arguments}
    return [i for argument, i in zip(called.arguments, args, strict=False) if argument.name not in functional]
