"""How far two runtimes' outputs of an XNNPACK program may be apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from pteron.backends.xnnpack.nodes import XNNConvert, XNNStaticReshape, XNNStaticSlice, XNNStaticTranspose
from pteron.backends.xnnpack.payload import Payload, read_payload
from pteron.backends.xnnpack.values import PerTensorQuant
from pteron.format import schema
from pteron.format.program import Program

RELATIVE = 1e-4
HALF_ULPS = 16
"""Units of the last place of the largest output, or of 1, that half types may differ by: XNNPACK sums in half, too."""


def output_steps(program: Program, method: str = "forward") -> list[float]:
    """For each output the step of the quantisation that it comes out of, 0 where it comes out of none."""
    described = program.methods[method]
    steps: dict[int, float] = {}
    for chain in described.plan.chains or ():
        for instruction in chain.instructions or ():
            match instruction.instr_args:
                case schema.DelegateCall() as call:
                    delegate = (described.plan.delegates or ())[call.delegate_index]
                    payload = read_payload(program.payload(delegate, ""))
                    for position, step in _payload_steps(payload).items():
                        steps[(call.args or ())[position]] = step
                case _:
                    pass
    return [steps.get(info.value_index, 0.0) for info in described.outputs]


def _payload_steps(payload: Payload) -> dict[int, float]:
    makers = {
        out: node.xnode_union
        for node in payload.graph.xnodes or ()
        if node.xnode_union
        for out in node.xnode_union.outputs
    }
    steps = {}
    for number, value in payload.values.items():
        tensor = value.tensor
        if tensor is None or not tensor.is_output:
            continue
        source: int | None = number
        while source is not None:
            params = payload.values[source].quant_params
            if isinstance(params, PerTensorQuant):
                steps[tensor.external_id] = params.scale
                break
            maker: Any = makers.get(source)
            moves = isinstance(maker, XNNConvert | XNNStaticReshape | XNNStaticSlice | XNNStaticTranspose)
            source = maker.input_id if moves else None
    return steps


def disagreement(actual: Any, expected: Any, step: float) -> str:
    """What differs by more than is allowed, or an empty string.

    One step for quantised outputs, 1e-4 relative to the element (and 1e-5 of the largest one) for float32, some units
    of the last place for half types.
    """
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return f"{actual.dtype}{actual.shape} instead of {expected.dtype}{expected.shape}"
    if expected.dtype.kind in "iub":
        far = np.abs(actual.astype(np.int64) - expected.astype(np.int64))
        return "" if far.max(initial=0) <= (1 if step else 0) else f"integers differ by {far.max()}"
    a, e = actual.astype(np.float64), expected.astype(np.float64)
    finite = np.abs(e[np.isfinite(e)]).max(initial=0)
    if step:
        near = np.abs(a - e) <= step * 1.0001
    elif expected.dtype == np.float32:
        near = np.isclose(a, e, rtol=RELATIVE, atol=RELATIVE / 10 * finite, equal_nan=True)
    else:
        unit = 2.0**-10 if expected.dtype == np.float16 else 2.0**-7
        near = np.isclose(a, e, rtol=0, atol=HALF_ULPS * unit * max(finite, 1.0), equal_nan=True)
    return "" if near.all() else f"differs by {np.abs(a - e).max():.4g} of {finite:.4g} (step {step:.4g})"
