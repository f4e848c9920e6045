"""Lowerings: pooling over two dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.convolution import spread
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.reduction import reduced
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import FLOAT32, FLOAT64, INT64
from pteron.ops.windows import extent


def _planes(b: Builder, self: Ref, name: str) -> Ref:
    if self.rank not in (3, 4) or not all(self.shape):
        raise Declined("no planes")
    bytes_too = name == "MaxPool" and self.dtype.name in ("int8", "uint8")
    x = self if bytes_too else operands(b, self, dtype=self.dtype)[0]
    if x.dtype != FLOAT32 and not bytes_too:
        raise Declined(f"ONNX Runtime has no {name} for {x.dtype.name}")
    return x if self.rank == 4 else b.op("Unsqueeze", x, b.ints([0]), dtype=x.dtype)


def _back(b: Builder, y: Ref, self: Ref) -> Ref:
    return y if self.rank == 4 else b.op("Squeeze", y, b.ints([0]), dtype=y.dtype)


def _geometry(
    self: Ref,
    spec: Spec,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[dict[str, Any], bool]:
    """The windows with padding made explicit, and whether ceil mode adds any that end beyond the given padding."""
    kernel = spread(kernel_size, 2)
    steps = spread(stride, 2) if len(stride) else kernel
    pads, gaps = spread(padding, 2), spread(dilation, 2)
    ends = list(pads)
    if ceil_mode:
        if self.dynamic:
            raise Declined("ceil_mode with sizes that are not constants")
        for i in range(2):
            needed = (spec.shape[-2 + i] - 1) * steps[i] + extent(kernel[i], gaps[i]) - self.shape[-2 + i] - pads[i]
            ends[i] = max(pads[i], needed)
        if any(end >= extent(k, g) for end, k, g in zip(ends, kernel, gaps, strict=True)):
            raise Declined("a window that lies in the padding")
    geometry: dict[str, Any] = {"kernel_shape": kernel, "strides": steps, "pads": pads + ends}
    if gaps != [1, 1]:
        geometry["dilations"] = gaps
    return geometry, ends != pads


@lowering("aten::max_pool2d_with_indices")
def max_pool2d(
    b: Builder,
    self: Ref,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    out: Sequence[Spec],
) -> tuple[Ref, Ref | None]:
    x = _planes(b, self, "MaxPool")
    geometry, _ = _geometry(self, out[0], kernel_size, stride, padding, dilation, ceil_mode)
    if not out[1].used:
        return finish(b, _back(b, b.op("MaxPool", x, dtype=x.dtype, **geometry), self), self.dtype), None
    if self.dynamic:
        raise Declined("indices into planes of a size that is not constant")
    values, flat = b.ops("MaxPool", x, dtypes=[x.dtype, INT64], **geometry)
    plane = b.const(math.prod(self.shape[-2:]), INT64)
    indices = b.op("Mod", flat, plane, dtype=INT64)
    return finish(b, _back(b, values, self), self.dtype), _back(b, indices, self)


@lowering("aten::avg_pool2d")
def avg_pool2d(
    b: Builder,
    self: Ref,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    out: Sequence[Spec],
) -> Ref:
    x = _planes(b, self, "AveragePool")
    geometry, extended = _geometry(self, out[0], kernel_size, stride, padding, [1], ceil_mode)
    padded = any(geometry["pads"])
    included = bool(divisor_override) or (count_include_pad and padded)
    if extended and included and not divisor_override:
        raise Declined("ceil_mode with padding that counts")
    y = b.op("AveragePool", x, dtype=x.dtype, count_include_pad=int(included), **geometry)
    if divisor_override:
        factor = math.prod(geometry["kernel_shape"]) / divisor_override
        y = b.op("Mul", y, b.const(factor, x.dtype), dtype=x.dtype)
    return finish(b, _back(b, y, self), self.dtype)


@lowering("aten::_adaptive_avg_pool2d")
def adaptive_avg_pool2d(b: Builder, self: Ref, output_size: Sequence[int]) -> Ref:
    counts = spread(output_size, 2)
    (x,) = operands(b, self, dtype=self.dtype)
    if self.rank not in (3, 4) or x.dtype not in (FLOAT32, FLOAT64) or not all(self.shape) or not all(counts):
        raise Declined("no planes")
    if counts == [1, 1]:
        return finish(b, reduced(b, "ReduceMean", x, [self.rank - 2, self.rank - 1], True), self.dtype)
    if self.dynamic:
        raise Declined("sizes that are not constants")
    if x.dtype == FLOAT32 and all(s % c == 0 for s, c in zip(self.shape[-2:], counts, strict=True)):
        kernel = [s // c for s, c in zip(self.shape[-2:], counts, strict=True)]
        x = _planes(b, self, "AveragePool")
        y = b.op("AveragePool", x, dtype=x.dtype, kernel_shape=kernel, strides=kernel)
        return finish(b, _back(b, y, self), self.dtype)
    rows, columns = (_means(size, count) for size, count in zip(self.shape[-2:], counts, strict=True))
    y = b.op("MatMul", b.const(rows, x.dtype), x, dtype=x.dtype)
    return finish(b, b.op("MatMul", y, b.const(columns.T, x.dtype), dtype=x.dtype), self.dtype)


def _means(size: int, count: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The matrix that takes a dimension to the means of the ranges that adaptive pooling divides it into."""
    matrix = np.zeros((count, size))
    for i in range(count):
        start, end = i * size // count, -(-(i + 1) * size // count)
        matrix[i, start:end] = 1 / (end - start)
    return matrix
