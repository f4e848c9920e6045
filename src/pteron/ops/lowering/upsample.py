"""Lowerings: resampling of images."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.ops.lowering.builder import Builder, Ref, Spec
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import FLOAT32, INT64
from pteron.ops.upsample import _nearest


def _static(input: Ref) -> None:
    if input.dynamic or input.rank != 4 or not all(input.shape):
        raise Declined("images of a size that is not constant")


def _factors(scale_factors: Sequence[float] | None) -> tuple[float | None, float | None]:
    if scale_factors is None or len(scale_factors) != 2:
        return None, None
    return float(scale_factors[0]), float(scale_factors[1])


@lowering("aten::upsample_nearest2d.vec")
def upsample_nearest2d(b: Builder, input: Ref, scale_factors: Sequence[float] | None, out: Sequence[Spec]) -> Ref:
    _static(input)
    counts = out[0].shape[2:]
    factors = _factors(scale_factors)
    wholes = [count % size == 0 for size, count in zip(input.shape[2:], counts, strict=True)]
    if all(wholes) and factors in ((None, None), tuple(c / s for s, c in zip(input.shape[2:], counts, strict=True))):
        (x,) = operands(b, input, dtype=input.dtype)
        if x.dtype == FLOAT32:
            shape = b.ints(out[0].shape)
            return finish(b, _resize(b, x, shape, "nearest", "asymmetric"), input.dtype)
    result = input
    for axis, (count, factor) in enumerate(zip(counts, factors, strict=True), 2):
        result = b.gather(result, b.const(_nearest(input.shape[axis], count, factor), INT64), axis)
    return result


def _resize(b: Builder, x: Ref, sizes: Ref, mode: str, transformation: str) -> Ref:
    return b.op(
        "Resize",
        x,
        None,
        None,
        sizes,
        dtype=x.dtype,
        mode=mode,
        coordinate_transformation_mode=transformation,
        nearest_mode="floor",
    )


@lowering("aten::upsample_bilinear2d.vec")
def upsample_bilinear2d(
    b: Builder, input: Ref, align_corners: bool, scale_factors: Sequence[float] | None, out: Sequence[Spec]
) -> Ref:
    _static(input)
    (x,) = operands(b, input, dtype=input.dtype)
    if x.dtype != FLOAT32:
        raise Declined(f"ONNX Runtime's Resize differs for {input.dtype.name}")
    sizes = zip(input.shape[2:], out[0].shape[2:], _factors(scale_factors), strict=True)
    if not align_corners and any(factor is not None and factor * size != count for size, count, factor in sizes):
        raise Declined("a factor that the sizes do not have")
    mode = "align_corners" if align_corners else "half_pixel"
    return finish(b, _resize(b, x, b.ints(out[0].shape), "linear", mode), input.dtype)
