"""Operators: maximum and average pooling over two dimensions, and adaptive average pooling.

A window is a product of ranges, so every pool is done along the width first and along the height after that: a kernel
of 3x3 costs 3 + 3 strided passes and not 9. Padding is never materialised; a tap covers only the windows in which it
lies inside the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import FLOAT64, INT64, Array, cast, is_floating, is_integral, widen
from pteron.ops.registry import operator
from pteron.ops.windows import check_volume, output_size, per_dim, tap_range


@dataclass(frozen=True)
class _Line:
    """The windows along one dimension of ``size`` elements."""

    size: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    count: int

    def tap(self, index: int) -> tuple[slice, slice]:
        """Windows in which tap ``index`` lies inside the input, and the input elements that it meets there."""
        offset = index * self.dilation - self.padding
        low, high = tap_range(offset, self.stride, self.size, self.count)
        start = low * self.stride + offset
        return slice(low, high), slice(start, start + max(0, (high - low - 1) * self.stride + 1), self.stride)

    def taps(self) -> range:
        """The taps that meet the input in any window; padding lets a kernel be far larger than the input."""
        first = max(0, -((self.count - 1) * self.stride - self.padding) // self.dilation)
        return range(first, min(self.kernel, (self.size - 1 + self.padding) // self.dilation + 1))

    def starts(self) -> Array:
        """The first element of every window, which may lie in the padding."""
        return np.arange(self.count) * self.stride - self.padding


def _lines(
    x: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[_Line, _Line]:
    """Check the arguments as ATen does; the windows along the height and along the width."""
    _check_planes(x)
    kernel = per_dim(kernel_size, 2, "kernel_size", 1)
    steps = per_dim(stride, 2, "stride", 1) if len(stride) else kernel
    pads = per_dim(padding, 2, "padding", 0)
    gaps = per_dim(dilation, 2, "dilation", 1)
    if any(2 * p > k for p, k in zip(pads, kernel, strict=True)):
        raise KernelError(f"padding {list(pads)} is more than half of the kernel {list(kernel)}")
    counts = [
        output_size(i, k, s, p, d, ceil_mode)
        for i, k, s, p, d in zip(x.shape[-2:], kernel, steps, pads, gaps, strict=True)
    ]
    if min(counts) < 1:
        raise KernelError(f"a kernel of {list(kernel)} on {list(x.shape[-2:])} elements leaves no output")
    check_volume((*x.shape[:-2], *counts))
    height, width = (_Line(*line) for line in zip(x.shape[-2:], kernel, steps, pads, gaps, counts, strict=True))
    return height, width


def _check_planes(x: Array) -> None:
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise KernelError(f"pooling takes (N, C, H, W) or (C, H, W) without empty dimensions, got {list(x.shape)}")


def _as_stored(x: Array) -> tuple[Array, int]:
    """The tensor with its dimensions in the order of memory, and the axis of the height in it."""
    if not x.flags.c_contiguous and np.moveaxis(x, -3, -1).flags.c_contiguous:
        return np.moveaxis(x, -3, -1), x.ndim - 3
    return x, x.ndim - 2


def _as_planes(x: Array, height: int) -> Array:
    """Back from the order of memory."""
    return x if height == x.ndim - 2 else np.moveaxis(x, -1, -3)


def _at(axis: int, where: slice | Array) -> tuple[slice | Array, ...]:
    return (*(slice(None),) * axis, where)


def _max_along(x: Array, codes: Array, axis: int, line: _Line, base: int) -> tuple[Array, Array]:
    """The maximum of every window along ``axis`` and its code: ``base * tap`` plus the code of the element taken.

    As in ATen the first of equal elements wins, and the last NaN. Taps come in rising order and so do codes, which
    lets a maximum do the work of a masked copy.
    """
    first_tap = np.maximum(0, -(line.starts() // line.dilation))
    first = line.starts() + first_tap * line.dilation
    if first[0] >= line.size:
        raise KernelError(f"a dilated window steps over the whole input of {line.size} elements")
    best = np.take(x, first, axis)
    code = np.take(codes, first, axis)
    code += (first_tap * base).astype(code.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))
    has_nan = is_floating(x.dtype) and x.size > 0 and np.isnan(x.max())
    for tap in line.taps():
        windows, elements = (_at(axis, part) for part in line.tap(tap))
        value, kept, kept_code = x[elements], best[windows], code[windows]
        wins = value > kept
        if has_nan:
            wins |= value != value
        np.maximum(kept, value, out=kept)
        np.maximum(kept_code, wins * (codes[elements] + codes.dtype.type(tap * base)), out=kept_code)
    return best, code


@operator(
    "aten::max_pool2d_with_indices(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0,"
    " int[2] dilation=1, bool ceil_mode=False) -> (Tensor out, Tensor indices)",
    out="out",
)
def max_pool2d_with_indices(
    self: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[Array, Array]:
    if not (is_floating(self.dtype) or is_integral(self.dtype)):
        raise KernelError(f"max_pool2d is not defined for {self.dtype.name}")
    height, width = _lines(self, kernel_size, stride, padding, dilation, ceil_mode)
    taps = height.kernel * width.kernel
    check_volume((taps,), "kernel")
    x, axis = _as_stored(widen(self))
    # The first codes are all zero: one element, seen as many.
    codes = np.broadcast_to(np.zeros((), np.min_scalar_type(taps - 1)), x.shape)
    values, codes = _max_along(x, codes, axis + 1, width, 1)
    values, codes = _max_along(values, codes, axis, height, width.kernel)
    row = codes // codes.dtype.type(width.kernel)
    column = codes - row * codes.dtype.type(width.kernel)
    indices = row * np.int64(height.dilation * width.size)
    indices += column * np.int64(width.dilation)
    indices = _as_planes(indices, axis)
    indices += height.starts()[:, None] * width.size + width.starts()
    return cast(_as_planes(values, axis), self.dtype), indices


@operator(
    "aten::max_pool2d_with_indices_backward(Tensor grad_output, Tensor self, int[2] kernel_size, int[2] stride,"
    " int[2] padding, int[2] dilation, bool ceil_mode, Tensor indices) -> Tensor grad_input",
    out="grad_input",
)
def max_pool2d_with_indices_backward(
    grad_output: Array,
    self: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Array,
) -> Array:
    """Every gradient goes to the element that ``indices`` names in its plane; an index of -1 names none."""
    if not is_floating(self.dtype) or grad_output.dtype != self.dtype or indices.dtype != INT64:
        raise KernelError(
            f"max_pool2d gradients of {self.dtype.name} from {grad_output.dtype.name} with indices of"
            f" {indices.dtype.name} are not defined"
        )
    height, width = _lines(self, kernel_size, stride, padding, dilation, ceil_mode)
    expected = (*self.shape[:-2], height.count, width.count)
    if grad_output.shape != expected or indices.shape != expected:
        raise KernelError(
            f"gradient and indices must be of shape {list(expected)}, got {list(grad_output.shape)} and"
            f" {list(indices.shape)}"
        )
    plane = height.size * width.size
    if indices.size and (indices.min() < -1 or indices.max() >= plane):
        raise KernelError(f"an index lies outside of the plane of {plane} elements")
    planes = self.size // plane
    places = (indices.reshape(planes, height.count * width.count) + np.arange(planes)[:, None] * plane).reshape(-1)
    weights = np.where(indices == -1, 0, widen(grad_output)).reshape(-1).astype(FLOAT64)
    total = np.bincount(np.maximum(places, 0), weights, minlength=self.size)
    return cast(total.reshape(self.shape), self.dtype)


def _sum_ranges(x: Array, axis: int, starts: Array, ends: Array) -> Array:
    """The sums of a few long ranges along ``axis``."""
    parts = [x[_at(axis, slice(a, b))].sum(axis=axis, dtype=x.dtype) for a, b in zip(starts, ends, strict=True)]
    return np.stack(parts, axis)


def _sum_along(x: Array, axis: int, line: _Line) -> Array:
    """The sum of every window along ``axis``, elements of the padding left out."""
    if line.count < line.kernel:
        starts = line.starts()
        return _sum_ranges(x, axis, np.maximum(starts, 0), np.minimum(starts + line.kernel, line.size))
    total = np.zeros((*x.shape[:axis], line.count, *x.shape[axis + 1 :]), x.dtype)
    for tap in line.taps():
        windows, elements = (_at(axis, part) for part in line.tap(tap))
        np.add(total[windows], x[elements], out=total[windows])
    return total


def _elements(line: _Line, count_padding: bool) -> Array:
    """How many elements every window has; windows in ceil mode end with the right padding."""
    starts = line.starts()
    ends = np.minimum(starts + line.kernel, line.size + line.padding)
    inside = np.maximum(np.minimum(ends, line.size) - np.maximum(starts, 0), 0)
    return np.asarray(ends - starts if count_padding else inside)


@operator(
    "aten::avg_pool2d(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False,"
    " bool count_include_pad=True, int? divisor_override=None) -> Tensor",
    out="out",
)
def avg_pool2d(
    self: Array,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    if not is_floating(self.dtype) and self.dtype != INT64:
        raise KernelError(f"avg_pool2d is not defined for {self.dtype.name}")
    height, width = _lines(self, kernel_size, stride, padding, [1], ceil_mode)
    if divisor_override == 0:
        raise KernelError("divisor_override is zero")
    x, axis = _as_stored(widen(self))
    total = _as_planes(_sum_along(_sum_along(x, axis + 1, width), axis, height), axis)
    if divisor_override is not None:
        divisor = np.asarray(divisor_override)
    else:
        sizes = [_elements(line, count_include_pad) for line in (height, width)]
        divisor = np.maximum(sizes[0][:, None] * sizes[1], 1)
    if is_integral(x.dtype):
        return np.asarray((total - np.fmod(total, divisor)) // divisor)
    total /= divisor.astype(x.dtype)
    return cast(total, self.dtype)


def _mean_along(x: Array, axis: int, count: int) -> Array:
    """Means of ``count`` ranges that cover a dimension, as ``adaptive_avg_pool`` divides it."""
    size = x.shape[axis]
    if size % count == 0:
        parts = x.reshape(*x.shape[:axis], count, size // count, *x.shape[axis + 1 :])
        return np.asarray(parts.mean(axis=axis + 1, dtype=x.dtype))
    index = np.arange(count)
    starts, ends = index * size // count, -(-(index + 1) * size // count)
    if count * count < size:
        total = _sum_ranges(x, axis, starts, ends)
    else:
        total = np.take(x, starts, axis)
        for step in range(1, int((ends - starts).max())):
            some = np.flatnonzero(starts + step < ends)
            total[_at(axis, some)] += np.take(x, starts[some] + step, axis)
    return np.asarray(total / (ends - starts).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis)))


@operator("aten::_adaptive_avg_pool2d(Tensor self, SymInt[2] output_size) -> Tensor", out="out")
def adaptive_avg_pool2d(self: Array, output_size: Sequence[int]) -> Array:
    if not is_floating(self.dtype):
        raise KernelError(f"adaptive_avg_pool2d is not defined for {self.dtype.name}")
    _check_planes(self)
    rows, columns = per_dim(output_size, 2, "output_size", 0)
    shape = (*self.shape[:-2], rows, columns)
    check_volume(shape)
    if 0 in shape:
        return np.zeros(shape, self.dtype)
    x, axis = _as_stored(widen(self))
    return cast(_as_planes(_mean_along(_mean_along(x, axis + 1, columns), axis, rows), axis), self.dtype)
