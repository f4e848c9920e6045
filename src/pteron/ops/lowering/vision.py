"""Lowerings: sampling of images at given places, and rearranging of channels into pixels and back."""

from __future__ import annotations

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, is_floating

_LINEAR, _NEAREST, _CUBIC = 0, 1, 2
_MODES = {_LINEAR: "linear", _NEAREST: "nearest", _CUBIC: "cubic"}
_ZEROS, _BORDER = 0, 1
_PADDING = {_ZEROS: "zeros", _BORDER: "border"}

# So far outside that no neighbour is inside; what lies further ONNX Runtime looks up in the first pixel.
_FAR = 1e3


@lowering("aten::grid_sampler_2d")
def grid_sampler_2d(
    b: Builder, input: Ref, grid: Ref, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Ref:
    if interpolation_mode not in _MODES or padding_mode not in _PADDING or isinstance(align_corners, Ref):
        raise Declined("reflections are rounded in another way by ONNX Runtime")
    if not is_floating(input.dtype) or grid.dtype != input.dtype or input.rank != 4 or grid.rank != 4:
        raise Declined("an image and a grid that do not fit")
    if input.dynamic or grid.dynamic or 0 in input.shape or 0 in grid.shape:
        raise Declined("images or grids without elements, or of sizes that are not constants")
    if grid.shape[0] != input.shape[0] or grid.shape[3] != 2:
        raise Declined("an image and a grid that do not fit")
    image, places = operands(b, input, grid, dtype=input.dtype)
    dtype = image.dtype
    near = b.op("Clip", places, b.const(-_FAR, dtype), b.const(_FAR, dtype), dtype=dtype)
    # NaN is outside of a padding of zeros, and the first pixel where borders go on.
    nowhere = b.const(_FAR if padding_mode == _ZEROS else -_FAR, dtype)
    near = b.op("Where", b.op("IsNaN", places, dtype=BOOL), nowhere, near, dtype=dtype)
    result = b.op(
        "GridSample",
        image,
        near,
        dtype=dtype,
        mode=_MODES[interpolation_mode],
        padding_mode=_PADDING[padding_mode],
        align_corners=int(align_corners),
    )
    if interpolation_mode == _CUBIC or (interpolation_mode == _LINEAR and padding_mode == _ZEROS):
        # The weights of a place that is not finite are NaN; its difference to itself is, too.
        lost = b.op("ReduceSum", b.op("Sub", places, places, dtype=dtype), b.ints([-1]), dtype=dtype, keepdims=0)
        result = b.op("Add", result, b.op("Unsqueeze", lost, b.ints([1]), dtype=dtype), dtype=dtype)
    return finish(b, result, input.dtype)


def _factor(x: Ref, factor: int) -> int:
    if isinstance(factor, Ref) or factor < 1 or x.rank < 3 or x.dynamic or 0 in x.shape:
        raise Declined("a factor or sizes that are not constants, or no elements")
    return factor


@lowering("aten::pixel_shuffle")
def pixel_shuffle(b: Builder, self: Ref, upscale_factor: int) -> Ref:
    r = _factor(self, upscale_factor)
    *batch, channels, height, width = self.shape
    if channels % (r * r):
        raise Declined("channels that cannot be split")
    split = b.reshape(self, [*batch, channels // (r * r), r, r, height, width])
    first = len(batch)
    turned = b.transpose(split, [*range(first), first, first + 3, first + 1, first + 4, first + 2])
    return b.reshape(turned, [*batch, channels // (r * r), height * r, width * r])


@lowering("aten::pixel_unshuffle")
def pixel_unshuffle(b: Builder, self: Ref, downscale_factor: int) -> Ref:
    r = _factor(self, downscale_factor)
    *batch, channels, height, width = self.shape
    if height % r or width % r:
        raise Declined("an image that cannot be split")
    split = b.reshape(self, [*batch, channels, height // r, r, width // r, r])
    first = len(batch)
    turned = b.transpose(split, [*range(first), first, first + 2, first + 4, first + 1, first + 3])
    return b.reshape(turned, [*batch, channels * r * r, height // r, width // r])
