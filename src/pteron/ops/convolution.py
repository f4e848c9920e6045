"""Operators: convolution and its gradients, for one, two and three spatial dimensions.

Everything is a matrix product. ``_gather`` lays the windows of the input out as the columns of a matrix, a block that
fits into the cache at a time, and multiplies it by the weights, one matrix per group; depthwise convolution is the
case of many groups of one channel, and a 1x1 kernel needs no columns at all. ``_scatter`` is its adjoint: the
gradient of the input, and equally the transposed convolution. ``_gradient`` is the gradient of the weights.

Inside, tensors are split by group: the input ("big" side) is (N, G, C/G, *size), the output ("small" side)
(N, G, O/G, *size), the weights (G, O/G, C/G, *kernel).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from pteron.errors import KernelError
from pteron.ops.matmul import blas_ready, check_multipliable, fits_float64
from pteron.ops.promotion import FLOAT64, INT64, Array, cast, is_complex, is_integral, widen
from pteron.ops.registry import operator
from pteron.ops.windows import check_volume, extent, output_size, per_dim

# Elements of the matrix of windows that is made at a time; 1 MB of float32 stays in a core's cache.
_BLOCK = 1 << 18

_SCHEMA = (
    "aten::convolution(Tensor input, Tensor weight, Tensor? bias, SymInt[] stride, SymInt[] padding,"
    " SymInt[] dilation, bool transposed, SymInt[] output_padding, SymInt groups) -> Tensor"
)
_BACKWARD_SCHEMA = (
    "aten::convolution_backward(Tensor grad_output, Tensor input, Tensor weight, SymInt[]? bias_sizes,"
    " SymInt[] stride, SymInt[] padding, SymInt[] dilation, bool transposed, SymInt[] output_padding,"
    " SymInt groups, bool[3] output_mask) -> (Tensor, Tensor, Tensor)"
)


@dataclass(frozen=True)
class _Geometry:
    """Sizes of one convolution, seen from big to small; for a transposed one, ``big`` is its output."""

    groups: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    big: tuple[int, ...]
    small: tuple[int, ...]

    @property
    def padded(self) -> tuple[int, ...]:
        return tuple(size + 2 * pad for size, pad in zip(self.big, self.padding, strict=True))

    @property
    def pointwise(self) -> bool:
        """One tap, at every position: the windows are the input itself."""
        return math.prod((*self.kernel, *self.stride)) == 1 and self.big == self.small == self.padded

    def by_group(self, x: Array) -> Array:
        return x.reshape(x.shape[0], self.groups, x.shape[1] // self.groups, *x.shape[2:])


def _geometry(
    input: Array,
    weight: Array,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> _Geometry:
    """Check the arguments as ATen does and work the sizes out."""
    rank = input.ndim - 2
    if rank not in (1, 2, 3) or weight.ndim != input.ndim:
        raise KernelError(
            f"convolution takes input and weight of 3 to 5 dimensions, got {input.ndim} and {weight.ndim}"
        )
    if input.dtype != weight.dtype:
        raise KernelError(f"input and weight must have one dtype, got {input.dtype.name} and {weight.dtype.name}")
    check_multipliable(input.dtype)
    if is_complex(input.dtype):
        raise KernelError(f"convolution is not defined for {input.dtype.name}")
    if groups < 1 or weight.shape[0] < groups or weight.shape[0] % groups:
        raise KernelError(f"a weight of shape {list(weight.shape)} cannot be split into {groups} groups")
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if input.shape[1] != channels:
        raise KernelError(f"the input has {input.shape[1]} channels, but the weight is for {channels}")
    kernel = weight.shape[2:]
    if 0 in kernel:
        raise KernelError(f"the kernel of size {list(kernel)} is empty")
    stride = per_dim(stride, rank, "stride", 1)
    padding = per_dim(padding, rank, "padding", 0)
    dilation = per_dim(dilation, rank, "dilation", 1)
    extra = per_dim(output_padding, rank, "output_padding", 0) if transposed else (0,) * rank
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise KernelError(f"output_padding {list(extra)} must be smaller than the stride or the dilation")
    given = input.shape[2:]
    steps = zip(given, kernel, stride, padding, dilation, extra, strict=True)
    if transposed:
        made = tuple((i - 1) * s - 2 * p + extent(k, d) + e for i, k, s, p, d, e in steps)
    else:
        made = tuple(output_size(i, k, s, p, d) for i, k, s, p, d, _ in steps)
    if min(made) < (0 if transposed else 1):
        raise KernelError(f"a kernel of {list(kernel)} on an input of {list(given)} gives an output of {list(made)}")
    big, small = (made, given) if transposed else (given, made)
    geometry = _Geometry(groups, kernel, stride, padding, dilation, big, small)
    batch = input.shape[0]
    check_volume((batch, weight.shape[1] * groups if transposed else weight.shape[0], *made))
    check_volume((batch, weight.shape[1] * groups, *geometry.padded), "padded input")
    check_volume((*weight.shape[1:], *small[1:]), "matrix of a row of windows")
    return geometry


def _padded(x: Array, geometry: _Geometry, out: Array | None) -> Array:
    """One sample with zeros around it, contiguous; ``out`` is where the one before it was put."""
    if not any(geometry.padding):
        return np.ascontiguousarray(x)
    if out is None:
        out = np.zeros((*x.shape[:2], *geometry.padded), x.dtype)
    _inner(out, geometry)[...] = x
    return out


def _inner(padded: Array, geometry: _Geometry) -> Array:
    """The part of a padded array that is not padding."""
    inside = [slice(p, p + size) for p, size in zip(geometry.padding, geometry.big, strict=True)]
    return padded[tuple([slice(None)] * (padded.ndim - len(inside)) + inside)]


def _windows(padded: Array, geometry: _Geometry) -> Array:
    """A view (G, C/G, *kernel, *small) of a padded sample."""
    spatial = padded.strides[2:]
    taps = tuple(step * d for step, d in zip(spatial, geometry.dilation, strict=True))
    moves = tuple(step * s for step, s in zip(spatial, geometry.stride, strict=True))
    shape = (*padded.shape[:2], *geometry.kernel, *geometry.small)
    return as_strided(padded, shape, (*padded.strides[:2], *taps, *moves), writeable=False)


def _blocks(geometry: _Geometry, channels: int) -> Iterator[tuple[slice, slice]]:
    """Ranges of groups and of the first spatial dimension whose columns fill a block."""
    rows = geometry.small[0]
    per_row = channels * math.prod(geometry.kernel) * math.prod(geometry.small[1:])
    per_group = per_row * rows
    group_step = max(1, _BLOCK // max(1, per_group))
    row_step = rows if per_group <= _BLOCK else max(1, _BLOCK // per_row)
    for group in range(0, geometry.groups, group_step):
        for row in range(0, rows, row_step):
            yield slice(group, group + group_step), slice(row, row + row_step)


def _columns(windows: Array, groups: slice, rows: slice, rank: int, scratch: Array) -> Array:
    """A block of windows as matrices (groups, taps, positions), in ``scratch``."""
    block = windows[(groups, *(slice(None),) * (1 + rank), rows)]
    columns = scratch[: block.size].reshape(block.shape)
    np.copyto(columns, block)
    return columns.reshape(block.shape[0], math.prod(block.shape[1 : 2 + rank]), math.prod(block.shape[2 + rank :]))


def _scratch(geometry: _Geometry, channels: int, x: Array) -> Array:
    row = channels * math.prod(geometry.kernel) * math.prod(geometry.small[1:])
    return np.empty(min(max(_BLOCK, row), row * geometry.small[0] * geometry.groups), x.dtype)


def _is_channels_last(x: Array) -> bool:
    return not x.flags.c_contiguous and np.moveaxis(x, 1, -1).flags.c_contiguous


def _gather(x: Array, weight: Array, geometry: _Geometry) -> Array:
    """The small side from the big one: (N, C, *big) to (N, O, *small)."""
    groups, rank = geometry.groups, len(geometry.kernel)
    outputs, channels = weight.shape[1:3]
    factors = weight.reshape(groups, outputs, channels * math.prod(geometry.kernel))
    batch, inner = x.shape[0], math.prod(geometry.small[1:])
    positions = geometry.small[0] * inner
    # BLAS writes a product in either order, so a channels_last input gives a channels_last result.
    channels_last = groups == 1 and _is_channels_last(x)
    result = np.empty((batch, positions, outputs) if channels_last else (batch, groups, outputs, positions), x.dtype)
    targets = result.transpose(0, 2, 1)[:, None] if channels_last else result
    padded: Array | None = None
    scratch = None if geometry.pointwise else _scratch(geometry, channels, x)
    for sample, target in zip(geometry.by_group(x), targets, strict=True):
        if scratch is None:
            np.matmul(factors, blas_ready(sample.reshape(groups, channels, positions)), out=target)
            continue
        padded = _padded(sample, geometry, padded)
        windows = _windows(padded, geometry)
        for some, rows in _blocks(geometry, channels):
            columns = _columns(windows, some, rows, rank, scratch)
            start = rows.start * inner
            np.matmul(factors[some], columns, out=target[some, :, start : start + columns.shape[-1]])
    if channels_last:
        return np.moveaxis(result.reshape(batch, *geometry.small, outputs), -1, 1)
    return result.reshape(batch, groups * outputs, *geometry.small)


def _scatter(y: Array, weight: Array, geometry: _Geometry) -> Array:
    """The adjoint of ``_gather``: (N, O, *small) to (N, C, *big)."""
    groups = geometry.groups
    outputs, channels = weight.shape[1:3]
    taps = channels * math.prod(geometry.kernel)
    factors = weight.reshape(groups, outputs, taps).transpose(0, 2, 1)
    result = np.zeros((y.shape[0], groups, channels, *geometry.padded), y.dtype)
    for sample, target in zip(geometry.by_group(y), result, strict=True):
        for some, rows in _blocks(geometry, channels):
            part = sample[some, :, rows]
            columns = np.matmul(factors[some], blas_ready(part.reshape(*part.shape[:2], math.prod(part.shape[2:]))))
            columns = columns.reshape(part.shape[0], channels, *geometry.kernel, *part.shape[2:])
            for tap in np.ndindex(geometry.kernel):
                target[(some, slice(None), *_reached(tap, rows.start, part.shape[2:], geometry))] += columns[
                    (slice(None), slice(None), *tap)
                ]
    return _inner(result, geometry).reshape(y.shape[0], groups * channels, *geometry.big)


def _reached(tap: tuple[int, ...], row: int, counts: tuple[int, ...], geometry: _Geometry) -> tuple[slice, ...]:
    """Where a tap meets the padded big side, for ``counts`` windows from row ``row`` on."""
    slices = []
    for axis, (t, count, s, d) in enumerate(zip(tap, counts, geometry.stride, geometry.dilation, strict=True)):
        start = t * d + (row * s if axis == 0 else 0)
        slices.append(slice(start, start + (count - 1) * s + 1, s))
    return tuple(slices)


def _gradient(x: Array, y: Array, geometry: _Geometry, outputs: int, channels: int) -> Array:
    """The gradient of the weights (G, O/G, C/G, *kernel) from the big side ``x`` and the small side ``y``."""
    rank = len(geometry.kernel)
    result = np.zeros((geometry.groups, outputs, channels * math.prod(geometry.kernel)), x.dtype)
    padded: Array | None = None
    scratch = _scratch(geometry, channels, x)
    for sample, small in zip(geometry.by_group(x), geometry.by_group(y), strict=True):
        padded = _padded(sample, geometry, padded)
        windows = _windows(padded, geometry)
        for some, rows in _blocks(geometry, channels):
            columns = _columns(windows, some, rows, rank, scratch)
            part = small[some, :, rows].reshape(columns.shape[0], outputs, columns.shape[-1])
            result[some] += np.matmul(part, columns.transpose(0, 2, 1))
    return result


def _by_group(weight: Array, groups: int) -> Array:
    return np.ascontiguousarray(weight).reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


def _exactly(*factors: Array, terms: int) -> tuple[Array, ...]:
    """The factors in the dtype to compute in: float32 for half, float64 for integers where that is exact."""
    if is_integral(factors[0].dtype) and fits_float64(factors[0], factors[1], terms):
        return tuple(x.astype(FLOAT64) for x in factors)
    return tuple(widen(x) for x in factors)


def _back(x: Array, like: Array) -> Array:
    """A result in the dtype of the tensors it was computed from."""
    if is_integral(like.dtype) and not is_integral(x.dtype):
        x = x.astype(INT64)
    return cast(x, like.dtype)


@operator(_SCHEMA, out="out")
def convolution(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Array:
    geometry = _geometry(input, weight, stride, padding, dilation, transposed, output_padding, groups)
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise KernelError(f"the bias has the shape {list(bias.shape)}, but there are {outputs} output channels")
    x, w = _exactly(input, weight, terms=weight[0].size * (weight.shape[0] if transposed else 1))
    result = (_scatter if transposed else _gather)(x, _by_group(w, groups), geometry)
    if bias is not None:
        result = _back(result, input) if is_integral(input.dtype) else result
        result += cast(bias, result.dtype).reshape(outputs, *(1,) * (input.ndim - 2))
    return _back(result, input)


@operator(_BACKWARD_SCHEMA, out="out")
def convolution_backward(
    grad_output: Array,
    input: Array,
    weight: Array,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Array | None, Array | None, Array | None]:
    """Gradients of input, weight and bias; those that ``output_mask`` does not ask for are None."""
    if grad_output.dtype != input.dtype or is_integral(input.dtype):
        raise KernelError(f"no gradients of {input.dtype.name} from a gradient of {grad_output.dtype.name}")
    geometry = _geometry(input, weight, stride, padding, dilation, transposed, output_padding, groups)
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    made = geometry.big if transposed else geometry.small
    if grad_output.shape != (input.shape[0], outputs, *made):
        raise KernelError(
            f"the gradient has the shape {list(grad_output.shape)}, but the output {[input.shape[0], outputs, *made]}"
        )
    if len(output_mask) != 3:
        raise KernelError(f"output_mask has {len(output_mask)} values instead of 3")
    grad, x, w = widen(grad_output), widen(input), _by_group(widen(weight), groups)
    results: list[Array | None] = [None, None, None]
    if output_mask[0]:
        results[0] = (_gather if transposed else _scatter)(grad, w, geometry)
    if output_mask[1]:
        big, small = (grad, x) if transposed else (x, grad)
        results[1] = _gradient(big, small, geometry, *w.shape[1:3]).reshape(weight.shape)
    if output_mask[2]:
        results[2] = grad.sum(axis=(0, *range(2, grad.ndim)))
    first, second, third = (None if r is None else cast(r, input.dtype) for r in results)
    return first, second, third
