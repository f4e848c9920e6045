"""Quantisation steps of outputs: the scale of the operator that turned an output back into floats."""

from __future__ import annotations

from pteron.format import schema
from pteron.format.method import Method

_DEQUANTIZE = "quantized_decomposed::dequantize_per_tensor.out"
_SCALE_ARGUMENT = 1


def output_scales(method: Method) -> tuple[float | None, ...]:
    """For each output the scale where a per-tensor dequantisation of the method writes it, else None."""
    plan = method.plan
    operators, values = plan.operators or (), plan.values or ()
    written: dict[int, float] = {}
    for call in method.calls(schema.KernelCall):
        arguments: tuple[int, ...] = call.args or ()
        if not 0 <= call.op_index < len(operators) or len(arguments) <= _SCALE_ARGUMENT:
            continue
        if operators[call.op_index].qualified_name != _DEQUANTIZE:
            continue
        index = arguments[_SCALE_ARGUMENT]
        scale = values[index].val if 0 <= index < len(values) else None
        if isinstance(scale, schema.Double):
            written[arguments[-1]] = scale.double_val
    return tuple(written.get(info.value_index) for info in method.outputs)
