"""Lowerings: convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import FLOAT32


def spread(values: Sequence[int], rank: int) -> list[int]:
    """``values`` for every spatial dimension; one of them stands for all."""
    if any(isinstance(v, Ref) for v in values):
        raise Declined("a geometry that is not constant")
    return list(values) if len(values) == rank else list(values) * rank


@lowering("aten::convolution")
def convolution(
    b: Builder,
    input: Ref,
    weight: Ref,
    bias: Ref | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Ref:
    rank = weight.rank - 2
    if input.rank != weight.rank or rank not in (1, 2, 3) or input.dtype != weight.dtype or 0 in input.shape:
        raise Declined("input and weight do not fit")
    given = operands(b, input, weight, *([] if bias is None else [bias]), dtype=input.dtype)
    if given[0].dtype != FLOAT32:
        raise Declined(f"ONNX Runtime has no convolution of {given[0].dtype.name}")
    if bias is not None and bias.rank != 1:
        raise Declined("a bias that is no vector")
    pads = spread(padding, rank)
    geometry: dict[str, Any] = {
        "kernel_shape": list(weight.shape[2:]),
        "strides": spread(stride, rank),
        "pads": pads + pads,
        "dilations": spread(dilation, rank),
    }
    if transposed:
        extra = geometry["output_padding"] = spread(output_padding, rank)
        if any(e >= s for e, s in zip(extra, geometry["strides"], strict=True)):
            raise Declined("an output padding that is not less than the stride")
    op_type = "ConvTranspose" if transposed else "Conv"
    return finish(b, b.op(op_type, *given, dtype=FLOAT32, group=groups, **geometry), input.dtype)
