"""Operators: sampling of images at given places, and rearranging of channels into pixels and back."""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import Array, cast, is_floating, widen
from pteron.ops.registry import operator
from pteron.ops.windows import check_volume

_BILINEAR, _NEAREST, _BICUBIC = 0, 1, 2
_ZEROS, _BORDER, _REFLECTION = 0, 1, 2


def _check_factor(x: Array, factor: int, name: str) -> None:
    if x.ndim < 3:
        raise KernelError(f"expected a tensor of at least 3 dimensions, got {x.ndim}")
    if factor < 1:
        raise KernelError(f"{name} must be positive, got {factor}")


@operator("aten::pixel_shuffle(Tensor self, int upscale_factor) -> Tensor", out="out")
def pixel_shuffle(self: Array, upscale_factor: int) -> Array:
    """(..., C*r*r, H, W) to (..., C, H*r, W*r)."""
    r = upscale_factor
    _check_factor(self, r, "upscale_factor")
    *batch, channels, height, width = self.shape
    if channels % (r * r):
        raise KernelError(f"{channels} channels cannot be split into squares of {r}x{r}")
    split = self.reshape(*batch, channels // (r * r), r, r, height, width)
    first = len(batch)
    order = (*range(first), first, first + 3, first + 1, first + 4, first + 2)
    return split.transpose(order).reshape(*batch, channels // (r * r), height * r, width * r)


@operator("aten::pixel_unshuffle(Tensor self, int downscale_factor) -> Tensor", out="out")
def pixel_unshuffle(self: Array, downscale_factor: int) -> Array:
    """(..., C, H*r, W*r) to (..., C*r*r, H, W)."""
    r = downscale_factor
    _check_factor(self, r, "downscale_factor")
    *batch, channels, height, width = self.shape
    if height % r or width % r:
        raise KernelError(f"an image of {height}x{width} cannot be split into squares of {r}x{r}")
    split = self.reshape(*batch, channels, height // r, r, width // r, r)
    first = len(batch)
    order = (*range(first), first, first + 2, first + 4, first + 1, first + 3)
    return split.transpose(order).reshape(*batch, channels * r * r, height // r, width // r)


def _unnormalized(x: Array, size: int, align_corners: bool) -> Array:
    """A coordinate in [-1, 1] as a position in an image of ``size`` elements."""
    return (x + 1) * ((size - 1) / 2) if align_corners else (x + 1) * (size / 2) - 0.5


def _reflected(x: Array, size: int, align_corners: bool) -> Array:
    """Positions outside reflected at the borders, as often as it takes."""
    low, period = (0.0, 2.0 * (size - 1)) if align_corners else (-0.5, 2.0 * size)
    if period == 0:
        return np.zeros_like(x)
    distance = np.abs(x - low)
    distance -= np.trunc(distance / period) * period
    return np.minimum(distance, period - distance) + low


def _inside(x: Array, size: int, padding_mode: int, align_corners: bool) -> Array:
    """Where a position is looked up, by the padding mode; NaN is looked up at zero."""
    if padding_mode == _ZEROS:
        return x
    if padding_mode == _REFLECTION:
        x = _reflected(x, size, align_corners)
    return np.fmin(np.fmax(x, 0), size - 1).astype(x.dtype)


def _cubic_weights(t: Array) -> list[Array]:
    """Weights of the four neighbours at distances 1 + t, t, 1 - t and 2 - t, for the cubic with A = -0.75."""
    a = -0.75

    def near(x: Array) -> Array:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Array) -> Array:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _look_up(image: Array, x: Array, y: Array) -> Array:
    """Elements (N, C, H', W') of images (N, C, H, W) at whole positions (N, H', W'); zero outside and at NaN."""
    batch, channels, height, width = image.shape
    valid = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    places = np.where(valid, y, 0).astype(np.int64) * width + np.where(valid, x, 0).astype(np.int64)
    values = np.empty((batch, channels, *x.shape[1:]), image.dtype)
    for sample, place, target in zip(image.reshape(batch, channels, height * width), places, values, strict=True):
        np.take(sample, place, 1, out=target)
    return values if valid.all() else np.where(valid[:, None], values, image.dtype.type(0))


@operator(
    "aten::grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners)"
    " -> Tensor",
    out="out",
)
def grid_sampler_2d(
    input: Array, grid: Array, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Array:
    """Samples of images (N, C, H, W) at the places (N, H', W', 2) of a grid, whose last dimension is (x, y)."""
    if not is_floating(input.dtype) or grid.dtype != input.dtype:
        raise KernelError(f"no samples of {input.dtype.name} images on a grid of {grid.dtype.name}")
    if input.ndim != 4 or grid.ndim != 4 or grid.shape[0] != input.shape[0] or grid.shape[3] != 2:
        raise KernelError(f"no samples of images {list(input.shape)} on a grid of {list(grid.shape)}")
    if 0 in input.shape[2:]:
        raise KernelError(f"the images of shape {list(input.shape)} have no elements to sample")
    if interpolation_mode not in (_BILINEAR, _NEAREST, _BICUBIC) or padding_mode not in (_ZEROS, _BORDER, _REFLECTION):
        raise KernelError(f"no interpolation mode {interpolation_mode} with padding mode {padding_mode}")
    check_volume((*input.shape[:2], *grid.shape[1:3]))
    image, places = widen(input), widen(grid)
    height, width = image.shape[2:]
    x = _unnormalized(places[..., 0], width, align_corners)
    y = _unnormalized(places[..., 1], height, align_corners)

    def inside(value: Array, size: int) -> Array:
        return _inside(value, size, padding_mode, align_corners)

    if interpolation_mode == _NEAREST:
        return cast(_look_up(image, np.rint(inside(x, width)), np.rint(inside(y, height))), input.dtype)
    if interpolation_mode == _BILINEAR:
        x, y = inside(x, width), inside(y, height)
    left, top = np.floor(x), np.floor(y)
    right, down = x - left, y - top
    if interpolation_mode == _BILINEAR:
        columns = list(zip((left, left + 1), (1 - right, right), strict=True))
        rows = list(zip((top, top + 1), (1 - down, down), strict=True))
    else:
        steps = (-1, 0, 1, 2)
        columns = [(inside(left + s, width), w) for s, w in zip(steps, _cubic_weights(right), strict=True)]
        rows = [(inside(top + s, height), w) for s, w in zip(steps, _cubic_weights(down), strict=True)]
    result = np.zeros((*image.shape[:2], *x.shape[1:]), image.dtype)
    for row, row_weight in rows:
        for column, column_weight in columns:
            part = _look_up(image, column, row)
            part *= (row_weight * column_weight)[:, None]
            result += part
    return cast(result, input.dtype)
