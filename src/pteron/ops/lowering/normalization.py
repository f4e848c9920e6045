"""Lowerings: softmax, layer norm, group norm, batch norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import FLOAT32, is_floating, is_reduced


def _floating(b: Builder, x: Ref) -> Ref:
    if not is_floating(x.dtype):
        raise Declined(f"a normalisation of {x.dtype.name}")
    return operands(b, x, dtype=x.dtype)[0]


def _softmax(b: Builder, op_type: str, self: Ref, dim: int, half_to_float: bool) -> Ref:
    x = _floating(b, self)
    if half_to_float and not is_reduced(self.dtype):
        raise Declined("half_to_float of what is not half")
    if not self.rank:
        x = b.op("Reshape", x, b.ints([1]), dtype=x.dtype)
    y = b.op(op_type, x, dtype=x.dtype, axis=dim % max(self.rank, 1))
    if not self.rank:
        y = b.op("Reshape", y, b.ints([]), dtype=x.dtype)
    return y if half_to_float else finish(b, y, self.dtype)


@lowering("aten::_softmax")
def softmax(b: Builder, self: Ref, dim: int, half_to_float: bool) -> Ref:
    return _softmax(b, "Softmax", self, dim, half_to_float)


@lowering("aten::_log_softmax")
def log_softmax(b: Builder, self: Ref, dim: int, half_to_float: bool) -> Ref:
    return _softmax(b, "LogSoftmax", self, dim, half_to_float)


def _unused(out: Sequence[Spec]) -> None:
    if any(spec.used for spec in out[1:]):
        raise Declined("the saved statistics are used")


def _parameter(b: Builder, given: Ref | None, x: Ref, count: int, default: float) -> Ref:
    """A weight or bias in the dtype of ``x``, or ``count`` times its default."""
    if given is None:
        return b.const(np.full(count, default), x.dtype)
    return operands(b, given, dtype=given.dtype)[0] if given.dtype != x.dtype else given


@lowering("aten::native_layer_norm")
def layer_norm(
    b: Builder,
    input: Ref,
    normalized_shape: Sequence[int],
    weight: Ref | None,
    bias: Ref | None,
    eps: float,
    out: Sequence[Spec],
) -> tuple[Ref, Ref | None, Ref | None]:
    _unused(out)
    if any(isinstance(n, Ref) for n in normalized_shape):
        raise Declined("a normalised shape that is not constant")
    x = _floating(b, input)
    count = math.prod(normalized_shape)
    if not count or 0 in input.shape:
        raise Declined("rows without elements")
    shape = list(normalized_shape)
    scale = b.reshape(_parameter(b, weight, x, count, 1), shape)
    shift = b.reshape(_parameter(b, bias, x, count, 0), shape) if bias is not None else None
    y = b.op("LayerNormalization", x, scale, shift, dtype=x.dtype, axis=-len(shape), epsilon=float(eps))
    return finish(b, y, input.dtype), None, None


@lowering("aten::native_group_norm")
def group_norm(
    b: Builder,
    input: Ref,
    weight: Ref | None,
    bias: Ref | None,
    N: int,
    C: int,
    group: int,
    eps: float,
    out: Sequence[Spec],
) -> tuple[Ref, Ref | None, Ref | None]:
    _unused(out)
    if any(isinstance(n, Ref) for n in (N, C, group)) or input.dynamic or not all(input.shape):
        raise Declined("sizes that are not constants")
    x = _floating(b, input)
    if x.dtype != FLOAT32:
        raise Declined(f"ONNX Runtime has no InstanceNormalization for {x.dtype.name}")
    if group < 1 or C % group or input.shape[:2] != (N, C):
        raise Declined("groups that do not divide the channels")
    parts = b.op("Reshape", x, b.ints([N, group, -1]), dtype=x.dtype)
    one, zero = b.const(np.ones(group), x.dtype), b.const(np.zeros(group), x.dtype)
    y = b.op("InstanceNormalization", parts, one, zero, dtype=x.dtype, epsilon=float(eps))
    y = b.op("Reshape", y, b.ints(input.shape), dtype=x.dtype)
    per_channel = [C] + [1] * (input.rank - 2)
    if weight is not None:
        y = b.op("Mul", y, b.reshape(_parameter(b, weight, x, C, 1), per_channel), dtype=x.dtype)
    if bias is not None:
        y = b.op("Add", y, b.reshape(_parameter(b, bias, x, C, 0), per_channel), dtype=x.dtype)
    return finish(b, y, input.dtype), None, None


@lowering("aten::_native_batch_norm_legit_no_training")
def batch_norm(
    b: Builder,
    input: Ref,
    weight: Ref | None,
    bias: Ref | None,
    running_mean: Ref,
    running_var: Ref,
    eps: float,
    out: Sequence[Spec],
) -> tuple[Ref, Ref, Ref]:
    x = _floating(b, input)
    if input.rank < 2 or any(p is not None and p.rank != 1 for p in (weight, bias, running_mean, running_var)):
        raise Declined("no channels")
    count = input.shape[1]
    parameters = [
        _parameter(b, given, x, count, default)
        for given, default in ((weight, 1), (bias, 0), (running_mean, 0), (running_var, 1))
    ]
    y = b.op("BatchNormalization", x, *parameters, dtype=x.dtype, epsilon=float(eps))
    empty = [b.const(np.empty(0), spec.dtype) for spec in out[1:]]
    return finish(b, y, input.dtype), empty[0], empty[1]
