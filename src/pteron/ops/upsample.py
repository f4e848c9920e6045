"""Operators: resampling of images to another size, nearest, bilinear, and bilinear with antialiasing.

Both dimensions are resampled one after the other. Positions and weights are computed in float32 as ATen does it (in
float64 for float64 and uint8 images), since the neighbour that is taken hangs on their rounding. An image of uint8 is
resampled with weights of at most 15 bits and rounded half up after each of the two passes.

PyTorch 2.13 repeats one row in its antialiased and uint8 kernels when the output is one element wide and of another
height than the input; the result here is the one that the definition gives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import FLOAT32, FLOAT64, Array, DType, cast, is_floating, widen
from pteron.ops.registry import operator
from pteron.ops.windows import check_volume

_UINT8 = np.dtype(np.uint8)


def _check_image(x: Array) -> None:
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise KernelError(f"expected images (N, C, H, W) without empty dimensions, got {list(x.shape)}")


def _check_size(x: Array, size: Sequence[int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < 1:
        raise KernelError(f"the output size must be two positive numbers, got {list(size)}")
    check_volume((*x.shape[:2], *size))
    check_volume((*x.shape[:3], size[1]), "intermediate result")
    return size[0], size[1]


def _target(
    x: Array, output_size: Sequence[int] | None, scale_factors: Sequence[float] | None
) -> tuple[tuple[int, int], tuple[float | None, float | None]]:
    """The output size and the scales: exactly one of the two is given."""
    _check_image(x)
    if (output_size is None) == (scale_factors is None):
        raise KernelError("exactly one of output_size and scale_factors must be given")
    if output_size is not None:
        return _check_size(x, output_size), (None, None)
    factors = list(scale_factors or ())
    if len(factors) != 2 or not all(0 < f < math.inf for f in factors):
        raise KernelError(f"scale_factors must be two positive numbers, got {factors}")
    size = [int(extent * factor) for extent, factor in zip(x.shape[2:], factors, strict=True)]
    return _check_size(x, size), (factors[0], factors[1])


def _ratio(size: int, count: int, factor: float | None, align_corners: bool, dtype: DType) -> Array:
    """Input elements per output element, in the dtype positions are computed in."""
    if align_corners:
        steps = np.asarray(size - 1, dtype) / np.asarray(max(count - 1, 1), dtype)
        return np.asarray(steps if count > 1 else 0, dtype)
    if factor is not None and factor > 0:
        return np.asarray(1.0 / factor, dtype)
    return np.asarray(np.asarray(size, dtype) / np.asarray(count, dtype), dtype)


def _nearest(size: int, count: int, factor: float | None) -> Array:
    """The element that every output element is a copy of; the same and the double size are exact, as in ATen."""
    if count in (size, 2 * size):
        return np.arange(count) * size // count
    steps = np.arange(count, dtype=FLOAT32) * _ratio(size, count, factor, False, FLOAT32)
    return np.asarray(np.minimum(np.floor(steps).astype(np.int64), size - 1))


@operator(
    "aten::upsample_nearest2d.vec(Tensor input, SymInt[]? output_size, float[]? scale_factors) -> Tensor",
    out="vec_out",
)
def upsample_nearest2d(input: Array, output_size: Sequence[int] | None, scale_factors: Sequence[float] | None) -> Array:
    (rows, columns), (down, across) = _target(input, output_size, scale_factors)
    row = _nearest(input.shape[2], rows, down)
    column = _nearest(input.shape[3], columns, across)
    return np.take(np.take(input, row, 2), column, 3)


def _along(weights: Array, axis: int) -> Array:
    """Weights per output element, shaped to multiply along ``axis`` of an image."""
    return weights.reshape(-1, 1) if axis == 2 else weights


def _quantized(weights: Array) -> Array:
    """Weights of a uint8 image: in as many bits as let the largest of them fit into an int16."""
    bits = 0
    while bits < 22 and 0.5 + float(weights.max()) * (1 << (bits + 1)) < 1 << 15:
        bits += 1
    return np.asarray(np.floor(weights * (1 << bits) + 0.5) / (1 << bits))


def _rounded(x: Array, dtype: DType) -> Array:
    """What a pass leaves of an image of ``dtype``."""
    return np.asarray(np.clip(np.floor(x + 0.5), 0, 255)) if dtype == _UINT8 else x


def _linear(x: Array, axis: int, count: int, ratio: Array, align_corners: bool, coarse: bool) -> Array:
    """One pass: every output element lies between two input elements."""
    size, dtype = x.shape[axis], x.dtype
    index = np.arange(count).astype(dtype)
    if size == count:  # an identity whatever the scale, which ATen still computes as x * 1 + x * 0
        position = index
    elif align_corners:
        position = ratio * index
    else:
        position = np.maximum(ratio * (index + dtype.type(0.5)) - dtype.type(0.5), 0)
    low = np.minimum(np.floor(position).astype(np.int64), size - 1)
    high = low if size == count else np.minimum(low + 1, size - 1)
    weight = np.clip(position - low.astype(dtype), 0, 1).astype(dtype)
    weights = np.stack([1 - weight, weight])
    if coarse:
        weights = _quantized(weights)
    result = np.take(x, low, axis)
    result *= _along(weights[0], axis)
    upper = np.take(x, high, axis)
    upper *= _along(weights[1], axis)
    result += upper
    return np.asarray(result)


def _antialiased(x: Array, axis: int, count: int, ratio: Array, coarse: bool) -> Array:
    """One pass: every output element is a weighted mean over the input elements within a triangle."""
    size, dtype = x.shape[axis], x.dtype
    if size == count:
        return x
    half, one = dtype.type(0.5), dtype.type(1)
    support = max(ratio, one)
    center = ratio * (np.arange(count).astype(dtype) + half)
    first = np.maximum((center - support + half).astype(np.int64), 0)
    last = np.minimum((center + support + half).astype(np.int64), size)
    width = int((last - first).max())
    check_volume((count, width), "table of weights")
    taps = np.arange(width)[:, None] + first
    weights = np.maximum(one - np.abs((taps.astype(dtype) - center + half) / support), 0)
    weights[taps >= last] = 0
    weights /= weights.sum(axis=0)
    if coarse:
        weights = _quantized(weights)
    shape = [*x.shape]
    shape[axis] = count
    result = np.zeros(shape, dtype)
    for tap, weight in zip(taps, weights, strict=True):
        # An infinite element beyond the triangle must not turn the sum into NaN.
        some = np.flatnonzero(tap < last)
        part = np.take(x, tap[some], axis)
        part *= _along(weight[some], axis)
        if some.size == count:
            result += part
        elif axis == 2:
            result[:, :, some] += part
        else:
            result[:, :, :, some] += part
    return result


def _image(x: Array) -> Array:
    """An image in the dtype it is resampled in."""
    if not is_floating(x.dtype) and x.dtype != _UINT8:
        raise KernelError(f"bilinear resampling is not defined for {x.dtype.name}")
    return x.astype(FLOAT64) if x.dtype == _UINT8 else widen(x)


@operator(
    "aten::upsample_bilinear2d.vec(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors)"
    " -> Tensor",
    out="vec_out",
)
def upsample_bilinear2d(
    input: Array, output_size: Sequence[int] | None, align_corners: bool, scale_factors: Sequence[float] | None
) -> Array:
    counts, factors = _target(input, output_size, scale_factors)
    x, coarse = _image(input), input.dtype == _UINT8
    for axis, count, factor in ((3, counts[1], factors[1]), (2, counts[0], factors[0])):
        ratio = _ratio(x.shape[axis], count, factor, align_corners, x.dtype)
        x = _rounded(_linear(x, axis, count, ratio, align_corners, coarse), input.dtype)
    return cast(x, input.dtype)


@operator(
    "aten::_upsample_bilinear2d_aa(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None,"
    " float? scales_w=None) -> Tensor",
    out="out",
)
def upsample_bilinear2d_aa(
    self: Array,
    output_size: Sequence[int],
    align_corners: bool,
    scales_h: float | None,
    scales_w: float | None,
) -> Array:
    _check_image(self)
    counts = _check_size(self, output_size)
    x, coarse = _image(self), self.dtype == _UINT8
    for axis, count, factor in ((3, counts[1], scales_w), (2, counts[0], scales_h)):
        ratio = _ratio(x.shape[axis], count, factor, align_corners, x.dtype)
        x = _rounded(_antialiased(x, axis, count, ratio, coarse), self.dtype)
    return cast(x, self.dtype)
