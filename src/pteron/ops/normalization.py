"""Normalisation: softmax, layer norm, group norm, batch norm.

Computed in float32 for half and bfloat16, in the input's dtype otherwise. The variance is the mean of squared
deviations (two passes), not E[x²]−E[x]² as in the portable kernels, which loses digits where the mean is large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pteron.errors import KernelError
from pteron.ops.dims import wrap_dim
from pteron.ops.promotion import FLOAT32, Array, DType, cast, is_floating, is_reduced, widen
from pteron.ops.registry import operator

# einsum squares and adds in one pass but with few running sums: beyond this length it would lose digits.
_LONG_ROW = 1 << 14


def _require_floating(x: Array, what: str) -> None:
    if not is_floating(x.dtype):
        raise KernelError(f"{what} of {x.dtype.name} is not defined; it must be floating point")


def _softmax_parts(self: Array, dim: int, half_to_float: bool) -> tuple[Array, int, DType]:
    """A new array of ``self`` less its maximum along the axis, the axis, and the result's dtype."""
    axis = wrap_dim(dim, self.ndim)
    _require_floating(self, "softmax")
    if half_to_float and not is_reduced(self.dtype):
        raise KernelError(f"softmax with half_to_float takes half or bfloat16, not {self.dtype.name}")
    x = widen(np.atleast_1d(self))
    # With a start value NumPy is thrice as fast on short rows, and content with empty ones.
    shifted: Array = x - np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    return shifted, axis, FLOAT32 if half_to_float else self.dtype


@operator("aten::_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", out="out")
def softmax(self: Array, dim: int, half_to_float: bool) -> Array:
    y, axis, result = _softmax_parts(self, dim, half_to_float)
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis=axis, keepdims=True)
    return cast(y, result).reshape(self.shape)


@operator("aten::_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", out="out")
def log_softmax(self: Array, dim: int, half_to_float: bool) -> Array:
    y, axis, result = _softmax_parts(self, dim, half_to_float)
    y -= np.log(np.add.reduce(np.exp(y), axis=axis, keepdims=True))
    return cast(y, result).reshape(self.shape)


def _standardize(rows: Array, eps: float) -> tuple[Array, Array, Array]:
    """Each row less its mean and divided by its standard deviation (a new array); the means; 1 / deviations."""
    count = rows.shape[1]
    if count == 0:
        mean = np.zeros((len(rows), 1), rows.dtype)
        return rows, mean, np.full_like(mean, np.nan)
    mean = np.add.reduce(rows, axis=1, keepdims=True)
    mean /= count
    y = rows - mean
    if count > _LONG_ROW:
        squares = np.add.reduce(np.square(y), axis=1)
    else:
        squares = np.einsum("ij,ij->i", y, y)
    rstd = _reciprocal_deviation(squares[:, None] / count, eps)
    y *= rstd
    return y, mean, rstd


def _reciprocal_deviation(variance: Array, eps: float) -> Array:
    deviation: Array = np.sqrt(variance + eps)
    return np.reciprocal(deviation, out=deviation)


def _check_parameters(shape: Sequence[int], what: str, *parameters: Array | None) -> None:
    for parameter in parameters:
        if parameter is not None and parameter.shape != tuple(shape):
            raise KernelError(f"a {what} parameter of shape {parameter.shape} instead of {tuple(shape)}")


def _statistics_dtype(x: Array, *parameters: Array | None) -> DType:
    """Statistics have the input's dtype; beside half input, that of the parameters (float32 in mixed precision)."""
    if is_reduced(x.dtype):
        for parameter in parameters:
            if parameter is not None:
                return parameter.dtype
    return x.dtype


@operator(
    "aten::native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps)"
    " -> (Tensor, Tensor, Tensor)",
    out="out",
)
def layer_norm(
    input: Array, normalized_shape: list[int], weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    _require_floating(input, "layer norm")
    split = input.ndim - len(normalized_shape)
    if not normalized_shape or split < 0 or input.shape[split:] != tuple(normalized_shape):
        raise KernelError(f"layer norm over {normalized_shape} does not fit the input's shape {input.shape}")
    _check_parameters(normalized_shape, "layer norm", weight, bias)
    outer, inner = input.shape[:split], input.shape[split:]
    rows = widen(input).reshape(_product(outer), _product(inner))
    y, mean, rstd = _standardize(rows, eps)
    if weight is not None:
        y *= widen(weight).reshape(-1)
    if bias is not None:
        y += widen(bias).reshape(-1)
    shape, dtype = outer + (1,) * len(inner), _statistics_dtype(input, weight, bias)
    return (
        cast(y, input.dtype).reshape(input.shape),
        cast(mean, dtype).reshape(shape),
        cast(rstd, dtype).reshape(shape),
    )


def _product(sizes: Sequence[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64))


@operator(
    "aten::native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group,"
    " float eps) -> (Tensor, Tensor, Tensor)",
    out="out",
)
def group_norm(
    input: Array, weight: Array | None, bias: Array | None, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Array, Array, Array]:
    _require_floating(input, "group norm")
    if input.ndim < 2 or input.shape[:2] != (N, C) or _product(input.shape[2:]) != HxW:
        raise KernelError(f"group norm of N={N}, C={C}, HxW={HxW} does not fit the input's shape {input.shape}")
    if group < 1 or C % group:
        raise KernelError(f"group norm cannot split {C} channels into {group} groups")
    _check_parameters((C,), "group norm", weight, bias)
    y, mean, rstd = _standardize(widen(input).reshape(N * group, C // group * HxW), eps)
    y = y.reshape(N, C, HxW)
    if weight is not None:
        y *= widen(weight)[:, None]
    if bias is not None:
        y += widen(bias)[:, None]
    dtype = _statistics_dtype(input, weight, bias)
    return (
        cast(y, input.dtype).reshape(input.shape),
        cast(mean, dtype).reshape(N, group),
        cast(rstd, dtype).reshape(N, group),
    )


# Batch norm: statistics per channel (dim 1), over every other dim.


def _check_batch_norm(input: Array, *parameters: Array | None) -> None:
    _require_floating(input, "batch norm")
    if input.ndim < 2:
        raise KernelError(f"batch norm takes an input of two dims or more, not shape {input.shape}")
    _check_parameters(input.shape[1:2], "batch norm", *parameters)


def _per_channel(statistic: Array, x: Array) -> Array:
    return statistic.reshape((-1,) + (1,) * (x.ndim - 2))


def _with_given_statistics(
    input: Array, weight: Array | None, bias: Array | None, running_mean: Array, running_var: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Inference: nothing to save, so the saved statistics are empty, as ATen's on a CPU."""
    _check_batch_norm(input, weight, bias, running_mean, running_var)
    scale = _reciprocal_deviation(widen(running_var), eps)
    if weight is not None:
        scale = scale * widen(weight)
    shift = -widen(running_mean) * scale
    if bias is not None:
        shift += widen(bias)
    x = widen(input)
    y = x * _per_channel(scale, x)
    y += _per_channel(shift, x)
    empty = np.empty(0, _statistics_dtype(input, weight, bias, running_mean))
    return cast(y, input.dtype), empty, empty


def _with_batch_statistics(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    running: tuple[Array, Array] | None = None,
    momentum: float = 0.0,
) -> tuple[Array, Array, Array]:
    """Training: the batch's own statistics, which also move the running ones where there are any."""
    _check_batch_norm(input, weight, bias, *(running or ()))
    if not input.size:
        raise KernelError(f"batch norm has no elements to take statistics of in shape {input.shape}")
    x = widen(input)
    axes = (0, *range(2, x.ndim))
    count = x.size // x.shape[1]
    mean = np.add.reduce(x, axis=axes) / count
    y = x - _per_channel(mean, x)
    squares = np.add.reduce(np.square(y), axis=axes)
    rstd = _reciprocal_deviation(squares / count, eps)
    y *= _per_channel(rstd if weight is None else rstd * widen(weight), x)
    if bias is not None:
        y += _per_channel(widen(bias), x)
    if running is not None:
        # The running variance is unbiased; that of a single element is NaN.
        for statistic, batch in zip(running, (mean, squares / (count - 1)), strict=True):
            statistic[...] = widen(statistic) * (1 - momentum) + batch * momentum
    dtype = _statistics_dtype(input, weight, bias, *(running or ()))
    return cast(y, input.dtype), cast(mean, dtype), cast(rstd, dtype)


@operator(
    "aten::_native_batch_norm_legit(Tensor input, Tensor? weight, Tensor? bias, Tensor(a!) running_mean,"
    " Tensor(b!) running_var, bool training, float momentum, float eps)"
    " -> (Tensor out, Tensor save_mean, Tensor save_invstd)",
    out="out",
)
def batch_norm(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    running_mean: Array,
    running_var: Array,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Array, Array, Array]:
    # The portable kernel refuses training; ATen's semantics serve both.
    if training:
        return _with_batch_statistics(input, weight, bias, eps, (running_mean, running_var), momentum)
    return _with_given_statistics(input, weight, bias, running_mean, running_var, eps)


# "training" is not used: without running statistics there are only the batch's (ATen crashes on False).
@operator(
    "aten::_native_batch_norm_legit.no_stats(Tensor input, Tensor? weight, Tensor? bias, bool training,"
    " float momentum, float eps) -> (Tensor out, Tensor save_mean, Tensor save_invstd)",
    out="no_stats_out",
)
def batch_norm_no_stats(
    input: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    return _with_batch_statistics(input, weight, bias, eps)


@operator(
    "aten::_native_batch_norm_legit_no_training(Tensor input, Tensor? weight, Tensor? bias, Tensor running_mean,"
    " Tensor running_var, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    out="out",
)
def batch_norm_no_training(
    input: Array, weight: Array | None, bias: Array | None, running_mean: Array, running_var: Array, eps: float
) -> tuple[Array, Array, Array]:
    return _with_given_statistics(input, weight, bias, running_mean, running_var, eps)
