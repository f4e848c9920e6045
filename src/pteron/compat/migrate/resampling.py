"""Operators that move or mix elements by fixed places, in terms of selection and products with constant matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.compat.migrate.decompositions import decomposition, need_float
from pteron.compat.migrate.expression import Expression, shape
from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import Value
from pteron.ops.invoke import call
from pteron.ops.registry import REGISTRY


def axis_matrix(op: str, size: int, arguments: dict[str, Any], axis: int, first: str) -> NDArray[np.float32]:
    """What an operator that works on each of two axes by itself does along one: (input, output) weights.

    Found by running the reference kernel on an identity matrix, laid along that axis.
    """
    operator = REGISTRY.by_functional(op)
    assert operator is not None
    identity = np.eye(size, dtype=np.float32).reshape((1, size, size, 1) if axis == 0 else (1, size, 1, size))
    (result,) = call(operator, {first: identity, **arguments})
    return np.ascontiguousarray(np.asarray(result, np.float32).reshape(size, -1))


def resampled(e: Expression, x: Value, rows: NDArray[Any], columns: NDArray[Any]) -> Value:
    """The last two dimensions multiplied by matrices; matrices that only pick elements pick them."""
    e.static(x)
    rank = len(shape(x))
    for axis, matrix in ((rank - 2, rows), (rank - 1, columns)):
        picked = matrix.argmax(axis=0)
        if np.array_equal(matrix, np.eye(len(matrix), dtype=matrix.dtype)[:, picked]):
            if matrix.shape[0] != matrix.shape[1]:
                x = e.take(x, axis, picked)
        elif axis == rank - 1:
            x = e.matmul(x, matrix)
        else:
            turned = [*range(rank - 2), rank - 1, rank - 2]
            x = e.permute(e.matmul(e.permute(x, turned), matrix), turned)
    return x


@decomposition("aten::_adaptive_avg_pool2d")
def adaptive_avg_pool2d(e: Expression, self: Value, output_size: Sequence[int]) -> list[Value]:
    need_float(e, self)
    op = "aten::_adaptive_avg_pool2d"
    height, width = shape(self)[-2:]
    rows = axis_matrix(op, height, {"output_size": [output_size[0], 1]}, 0, "self")
    columns = axis_matrix(op, width, {"output_size": [1, output_size[-1]]}, 1, "self")
    return [resampled(e, self, rows, columns)]


@decomposition("aten::upsample_nearest2d.vec", "aten::upsample_bilinear2d.vec")
def upsample(
    e: Expression,
    input: Value,
    output_size: Sequence[int] | None,
    scale_factors: Sequence[float] | None,
    align_corners: bool = False,
    *,
    op: str,
) -> list[Value]:
    need_float(e, input)
    more = {"align_corners": align_corners} if "bilinear" in op else {}
    matrices = []
    for axis, size in enumerate(shape(input)[-2:]):
        sizes = None if output_size is None else [output_size[0], 1] if axis == 0 else [1, output_size[1]]
        factors = None if scale_factors is None else [scale_factors[0], 1.0] if axis == 0 else [1.0, scale_factors[1]]
        arguments = {"output_size": sizes, "scale_factors": factors, **more}
        matrices.append(axis_matrix(op, size, arguments, axis, "input"))
    return [resampled(e, input, matrices[0], matrices[1])]


@decomposition("aten::_upsample_bilinear2d_aa")
def upsample_aa(
    e: Expression,
    self: Value,
    output_size: Sequence[int],
    align_corners: bool,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> list[Value]:
    need_float(e, self)
    op = "aten::_upsample_bilinear2d_aa"
    height, width = shape(self)[-2:]
    more: dict[str, Any] = {"align_corners": align_corners}
    rows = axis_matrix(op, height, {"output_size": [output_size[0], 1], "scales_h": scales_h, **more}, 0, "self")
    columns = axis_matrix(op, width, {"output_size": [1, output_size[1]], "scales_w": scales_w, **more}, 1, "self")
    return [resampled(e, self, rows, columns)]


@decomposition("aten::unfold_copy")
def unfold_copy(e: Expression, self: Value, dimension: int, size: int, step: int) -> list[Value]:
    e.static(self)
    rank = len(shape(self))
    if not rank:
        raise e.refuse("unfold of a tensor without dimensions has no decomposition")
    axis = dimension % rank
    starts = np.arange(0, shape(self)[axis] - size + 1, step)
    windows = e.take(self, axis, (starts[:, None] + np.arange(size)).reshape(-1))
    parted = e.view(windows, [*shape(self)[:axis], len(starts), size, *shape(self)[axis + 1 :]])
    return [e.permute(parted, [*range(axis + 1), *range(axis + 2, rank + 1), axis + 1])]


@decomposition("aten::narrow_copy")
def narrow_copy(e: Expression, self: Value, dim: int, start: int, length: int) -> list[Value]:
    sizes = list(shape(self))
    first = start % sizes[dim] if start < 0 else start
    sizes[dim] = length
    operands: dict[str, Any] = {"self": self, "dim": dim, "start": first, "end": first + length, "step": 1}
    return [e.call("aten::slice_copy.Tensor", operands, sizes)]


def linear_index(e: Expression, index: Value, sizes: Sequence[int], dim: int) -> Value:
    """For each element of ``index`` its place in a contiguous tensor, where ``index`` gives the position in ``dim``."""
    strides = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
    base = np.zeros(shape(index), np.int64)
    for d, size in enumerate(shape(index)):
        if d != dim:
            base += (np.arange(size) * strides[d]).reshape([-1 if k == d else 1 for k in range(base.ndim)])
    scaled = e.mul(e.to(index, ScalarType.LONG), strides[dim])
    return e.add(scaled, e.constant(base))


@decomposition("aten::gather")
def gather(e: Expression, self: Value, dim: int, index: Value, sparse_grad: bool = False) -> list[Value]:
    e.static(self, index)
    rank = len(shape(self))
    if not rank or not math.prod(shape(index)):
        raise e.refuse("gather without dimensions or elements has no decomposition")
    flat = e.view(self, [math.prod(shape(self))])
    return [e.at(flat, linear_index(e, index, shape(self), dim % rank))]


@decomposition("aten::scatter.src", "aten::scatter.value")
def scatter(
    e: Expression,
    self: Value,
    dim: int,
    index: Value,
    src: Value | None = None,
    value: float | int | bool | None = None,
) -> list[Value]:
    e.static(self, index)
    rank, count = len(shape(self)), math.prod(shape(index))
    if not rank or not count:
        raise e.refuse("scatter without dimensions or elements has no decomposition")
    if src is None:
        values = e.constant(np.full([count], value, self.tensor_type.dtype))
    else:
        e.static(src)
        for axis, size in enumerate(shape(index)):
            if shape(src)[axis] != size:
                (src,) = narrow_copy(e, src, axis, 0, size)
        values = e.view(src, [count])
    places = e.view(linear_index(e, index, shape(self), dim % rank), [count])
    flat = e.view(self, [math.prod(shape(self))])
    operands: dict[str, Any] = {"self": flat, "indices": [places], "values": values, "accumulate": False}
    return [e.view(e.call("aten::index_put", operands, shape(flat)), shape(self))]


_BILINEAR, _NEAREST = 0, 1
_ZEROS, _BORDER = 0, 1


@decomposition("aten::grid_sampler_2d")
def grid_sampler_2d(
    e: Expression, input: Value, grid: Value, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> list[Value]:
    need_float(e, input)
    e.static(input, grid)
    if interpolation_mode not in (_BILINEAR, _NEAREST) or padding_mode not in (_ZEROS, _BORDER):
        raise e.refuse("sampling by cubics or with reflection has no decomposition")
    batch, channels, height, width = shape(input)
    pixels = e.view(e.permute(input, [0, 2, 3, 1]), [batch * height * width, channels])
    base = e.constant((np.arange(batch) * height * width).reshape(-1, 1, 1).astype(np.int64))
    x, y = (_unnormalized(e, grid, axis, size, align_corners) for axis, size in ((0, width), (1, height)))
    if padding_mode == _BORDER:
        x, y = e.clamp(x, 0.0, float(width - 1)), e.clamp(y, 0.0, float(height - 1))

    def corner(column: Value, row: Value) -> Value:
        """The pixels at whole coordinates, zero outside of the image."""
        inside = [e.compare("aten::ge", c, 0.0) for c in (column, row)]
        inside += [e.compare("aten::le", c, float(n - 1)) for c, n in ((column, width), (row, height))]
        seen = inside[0]
        for other in inside[1:]:
            operands: dict[str, Any] = {"self": seen, "other": other}
            seen = e.call("aten::logical_and", operands, shape(seen), ScalarType.BOOL)
        place = [e.to(e.clamp(c, 0.0, float(n - 1)), ScalarType.LONG) for c, n in ((column, width), (row, height))]
        found = e.at(pixels, e.add(e.add(e.mul(place[1], width), place[0]), base))
        mask = e.to(seen, input.tensor_type.scalar_type)
        return e.mul(found, e.view(mask, [*shape(mask), 1]))

    if interpolation_mode == _NEAREST:
        sampled = corner(e.unary("aten::round", x), e.unary("aten::round", y))
    else:
        left, top = e.unary("aten::floor", x), e.unary("aten::floor", y)
        right, bottom = e.add(left, 1.0), e.add(top, 1.0)
        parts = []
        for column, row, wide, high in (
            (left, top, e.sub(right, x), e.sub(bottom, y)),
            (right, top, e.sub(x, left), e.sub(bottom, y)),
            (left, bottom, e.sub(right, x), e.sub(y, top)),
            (right, bottom, e.sub(x, left), e.sub(y, top)),
        ):
            weight = e.mul(wide, high)
            parts.append(e.mul(corner(column, row), e.view(weight, [*shape(weight), 1])))
        sampled = e.add(e.add(parts[0], parts[1]), e.add(parts[2], parts[3]))
    return [e.permute(sampled, [0, 3, 1, 2])]


def _unnormalized(e: Expression, grid: Value, axis: int, size: int, align_corners: bool) -> Value:
    """One coordinate of the grid, from -1 … 1 to pixels."""
    operands: dict[str, Any] = {"self": grid, "dim": 3, "index": axis}
    coordinate = e.call("aten::select_copy.int", operands, shape(grid)[:3])
    if align_corners:
        return e.mul(e.add(coordinate, 1.0), (size - 1) / 2)
    return e.mul(e.sub(e.mul(e.add(coordinate, 1.0), float(size)), 1.0), 0.5)
