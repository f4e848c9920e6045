"""Operators: matrix products and pairwise distances."""

from __future__ import annotations

import math

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import broadcast, common_shape
from pteron.ops.matmul import check_multipliable, product
from pteron.ops.promotion import (
    FLOAT32,
    Array,
    DType,
    Scalar,
    cast,
    is_floating,
    is_integral,
    widen,
)
from pteron.ops.registry import operator
from pteron.ops.windows import check_volume

# Distances are computed for so many differences at a time, so that they stay in the cache.
_DIFFERENCES = 1 << 18


def _check_factors(a: Array, b: Array, rank: int) -> None:
    if a.ndim != rank or b.ndim != rank:
        raise KernelError(f"expected two tensors of {rank} dimensions, got {a.ndim} and {b.ndim}")
    if a.dtype != b.dtype:
        raise KernelError(f"the factors must have one dtype, got {a.dtype.name} and {b.dtype.name}")
    if a.shape[:-2] != b.shape[:-2] or a.shape[-1] != b.shape[-2]:
        raise KernelError(f"matrices of shapes {list(a.shape)} and {list(b.shape)} cannot be multiplied")
    check_multipliable(a.dtype)
    check_volume((*a.shape[:-1], b.shape[-1]))


@operator("aten::mm(Tensor self, Tensor mat2) -> Tensor", out="out")
def mm(self: Array, mat2: Array) -> Array:
    _check_factors(self, mat2, 2)
    return cast(product(self, mat2), self.dtype)


@operator("aten::bmm(Tensor self, Tensor mat2) -> Tensor", out="out")
def bmm(self: Array, mat2: Array) -> Array:
    _check_factors(self, mat2, 3)
    return cast(product(self, mat2), self.dtype)


def _scale(scalar: Scalar, dtype: DType) -> Scalar:
    """``scalar`` as ATen converts it to the dtype of the factors: integers truncate it."""
    return int(scalar) if is_integral(dtype) else scalar


def _scaled(x: Array, scale: Scalar) -> Array:
    if scale == 1:
        return x
    if is_integral(x.dtype):
        scale = int(np.asarray(int(scale) % (1 << 64), np.uint64).astype(x.dtype))
    return x * scale


@operator("aten::addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", out="out")
def addmm(self: Array, mat1: Array, mat2: Array, *, beta: Scalar, alpha: Scalar) -> Array:
    """``beta * self + alpha * (mat1 @ mat2)``; as in BLAS, a factor of zero drops its term, NaNs included."""
    _check_factors(mat1, mat2, 2)
    shape = (mat1.shape[0], mat2.shape[1])
    if self.dtype != mat1.dtype:
        raise KernelError(f"self is {self.dtype.name}, but the matrices are {mat1.dtype.name}")
    beta, alpha = _scale(beta, mat1.dtype), _scale(alpha, mat1.dtype)
    added = broadcast(widen(self), shape, "self")
    result = _scaled(product(mat1, mat2), alpha) if alpha != 0 else np.zeros(shape, added.dtype)
    if beta != 0:
        result += _scaled(added, beta)
    return cast(result, self.dtype)


@operator("aten::linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", out="out")
def linear(input: Array, weight: Array, bias: Array | None) -> Array:
    if input.ndim < 1 or weight.ndim not in (1, 2):
        raise KernelError(
            f"linear takes an input of one dimension or more and a weight of one or two, got {input.ndim}"
            f" and {weight.ndim}"
        )
    if input.dtype != weight.dtype:
        raise KernelError(f"input and weight must have one dtype, got {input.dtype.name} and {weight.dtype.name}")
    if input.shape[-1] != weight.shape[-1]:
        raise KernelError(f"an input of shape {list(input.shape)} does not fit a weight of {list(weight.shape)}")
    check_multipliable(input.dtype)
    features = weight.shape[:-1]
    shape = input.shape[:-1] + features
    check_volume(shape)
    matrix = weight.reshape(math.prod(features), weight.shape[-1]).T
    if input.ndim > 2 and not input.flags.c_contiguous:
        result = product(input, matrix).reshape(shape)
    else:
        rows = math.prod(input.shape[:-1])
        result = product(input.reshape(rows, input.shape[-1]), matrix).reshape(shape)
    if bias is not None:
        result += cast(broadcast(bias, shape, "bias"), result.dtype)
    return cast(result, input.dtype)


@operator(
    "aten::linear.scratch_example(Tensor input, Tensor weight, Tensor? bias=None, *,"
    " Tensor(a!) out, Tensor(b!) _scratch_tensor) -> Tensor(a!)"
)
def linear_scratch_example(
    input: Array, weight: Array, bias: Array | None, out: Array, _scratch_tensor: Array
) -> Array:
    """ExecuTorch's demonstration of a scratch tensor (kernels/portable/custom_ops.yaml, up to 1.0.1).

    The product goes to the scratch tensor and the sum to ``out``. ExecuTorch leaves ``out`` unwritten without a bias;
    here it is the product, as for ``aten::linear``.
    """
    if input.ndim != 2 or weight.ndim != 2 or input.dtype != FLOAT32:
        raise KernelError(
            f"linear.scratch_example takes float32 matrices, got {input.dtype.name} of {input.ndim} dimensions"
        )
    shape = (input.shape[0], weight.shape[0])
    if out.shape != shape or _scratch_tensor.shape != shape:
        raise KernelError(
            f"out and scratch must be of shape {list(shape)}, got {list(out.shape)} and {list(_scratch_tensor.shape)}"
        )
    if bias is not None and bias.size != weight.shape[0]:
        raise KernelError(f"the bias has {bias.size} elements, but there are {weight.shape[0]} output features")
    _scratch_tensor[...] = linear(input, weight, None)
    out[...] = _scratch_tensor if bias is None else _scratch_tensor + bias.reshape(-1)
    return out


def _norm(difference: Array, p: float, *, ignore_nan: bool) -> Array:
    """The p-norm over the last dimension; overwrites ``difference``."""
    np.abs(difference, out=difference)
    if p == 0:
        np.minimum(np.ceil(difference, out=difference), 1, out=difference)
    elif p == 2:
        np.multiply(difference, difference, out=difference)
    elif math.isinf(p):
        largest = np.fmax if ignore_nan else np.maximum
        return np.asarray(largest.reduce(difference, axis=-1, initial=0))
    elif p != 1:
        np.power(difference, p, out=difference)
    total = difference.sum(axis=-1)
    if p == 2:
        return np.asarray(np.sqrt(total))
    return np.asarray(total if p in (0, 1) else np.power(total, 1.0 / p))


def _check_distance(x: Array, p: float) -> None:
    if not is_floating(x.dtype):
        raise KernelError(f"distances are defined for floating point tensors, got {x.dtype.name}")
    if not p >= 0:
        raise KernelError(f"the norm p of a distance must not be negative, got {p}")


@operator("aten::_cdist_forward(Tensor x1, Tensor x2, float p, int? compute_mode) -> Tensor", out="out")
def cdist_forward(x1: Array, x2: Array, p: float, compute_mode: int | None) -> Array:
    """Distances between the rows of two batches of matrices.

    ``compute_mode`` only chooses between ways to get there; the differences are always taken directly, which is the
    accurate way. As in PyTorch, the maximum norm passes over NaN here, though not in pdist.
    """
    _check_distance(x1, p)
    if x1.ndim < 2 or x2.ndim < 2 or x1.dtype != x2.dtype or x1.shape[-1] != x2.shape[-1]:
        raise KernelError(
            f"no distances between rows of {x1.dtype.name} {list(x1.shape)} and {x2.dtype.name} {list(x2.shape)}"
        )
    if compute_mode is not None and compute_mode not in (0, 1, 2):
        raise KernelError(f"compute_mode is 0, 1 or 2, got {compute_mode}")
    batch = common_shape(x1.shape[:-2], x2.shape[:-2])
    rows, columns, width = x1.shape[-2], x2.shape[-2], x1.shape[-1]
    check_volume((*batch, rows, columns))
    a = np.broadcast_to(widen(x1), (*batch, rows, width))
    b = np.broadcast_to(widen(x2), (*batch, columns, width))
    result = np.empty((*batch, rows, columns), a.dtype)
    step = max(1, _DIFFERENCES // max(1, columns * width))
    for index in np.ndindex(batch):
        for row in range(0, rows, step):
            difference = a[index][row : row + step, None, :] - b[index][None, :, :]
            result[index][row : row + step] = _norm(difference, p, ignore_nan=True)
    return cast(result, x1.dtype)


@operator("aten::_pdist_forward(Tensor self, float p=2) -> Tensor", out="out")
def pdist_forward(self: Array, p: float) -> Array:
    """Distances between every two rows, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    _check_distance(self, p)
    if self.ndim != 2:
        raise KernelError(f"pdist takes a matrix, got {self.ndim} dimensions")
    x = widen(self)
    rows, width = x.shape
    check_volume((rows, max(rows - 1, 0)))
    first, second = np.triu_indices(rows, 1)
    result = np.empty(first.size, x.dtype)
    step = max(1, _DIFFERENCES // max(1, width))
    for start in range(0, first.size, step):
        pairs = slice(start, start + step)
        result[pairs] = _norm(x[first[pairs]] - x[second[pairs]], p, ignore_nan=False)
    return cast(result, self.dtype)
