"""Operators: activation functions, with the formulas of eager PyTorch and of ExecuTorch's portable kernels."""

from __future__ import annotations

import math

import numpy as np

from pteron.errors import KernelError
from pteron.ops.elementwise import bound, check_dtype, finish
from pteron.ops.promotion import Array, Scalar, compute_dtype, float_dtype, widen
from pteron.ops.registry import operator
from pteron.ops.special import BlockFunction, blockwise, erf_block, sigmoid_block

_SQRT_HALF = math.sqrt(0.5)
_GELU_BETA = math.sqrt(2 / math.pi)
_GELU_KAPPA = 0.044715


@operator("aten::relu(Tensor self) -> Tensor", out="out")
def relu(self: Array) -> Array:
    check_dtype(self.dtype, "relu", boolean=False, complex=False)
    x = widen(self)
    return finish(np.maximum(x, x.dtype.type(0)), self.dtype)


@operator("aten::hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor", out="out")
def hardtanh(self: Array, min_val: Scalar, max_val: Scalar) -> Array:
    check_dtype(self.dtype, "hardtanh", boolean=False, complex=False)
    low, high = (widen(bound(value, self.dtype)) for value in (min_val, max_val))
    return finish(np.minimum(np.maximum(widen(self), low), high), self.dtype)


def _floating(self: Array, name: str, function: BlockFunction) -> Array:
    """Apply a formula that takes real floating tensors only."""
    check_dtype(self.dtype, name, boolean=False, integral=False, complex=False)
    return blockwise(function, self, self.dtype)


@operator("aten::leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor", out="out")
def leaky_relu(self: Array, negative_slope: Scalar) -> Array:
    slope = float(negative_slope)

    def block(source: Array, target: Array) -> None:
        np.multiply(source, slope, out=target)
        np.copyto(target, source, where=source > 0)

    return _floating(self, "leaky_relu", block)


@operator("aten::elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor", out="out")
def elu(self: Array, alpha: Scalar, scale: Scalar, input_scale: Scalar) -> Array:
    negative, positive, inner = float(alpha) * float(scale), float(scale), float(input_scale)

    def block(source: Array, target: Array) -> None:
        np.multiply(source, inner, out=target)
        np.expm1(target, out=target)
        target *= negative
        np.multiply(source, positive, out=target, where=source > 0)

    return _floating(self, "elu", block)


def _gelu_erf_block(source: Array, target: Array) -> None:
    np.multiply(source, _SQRT_HALF, out=target)
    erf_block(target, target)
    target += 1
    target *= source
    target *= 0.5


def _gelu_tanh_block(source: Array, target: Array) -> None:
    np.multiply(source, source, out=target)
    target *= _GELU_BETA * _GELU_KAPPA
    target += _GELU_BETA
    target *= source
    np.tanh(target, out=target)
    target += 1
    target *= source
    target *= 0.5


@operator('aten::gelu(Tensor self, *, str approximate="none") -> Tensor', out="out")
def gelu(self: Array, approximate: str) -> Array:
    blocks = {"none": _gelu_erf_block, "tanh": _gelu_tanh_block}
    if approximate not in blocks:
        raise KernelError(f"gelu's approximate is {approximate!r}, but must be 'none' or 'tanh'")
    return _floating(self, "gelu", blocks[approximate])


@operator("aten::glu(Tensor self, int dim=-1) -> Tensor", out="out")
def glu(self: Array, dim: int) -> Array:
    check_dtype(self.dtype, "glu", boolean=False, integral=False, complex=False)
    if not -self.ndim <= dim < self.ndim:
        raise KernelError(f"glu has no dim {dim} in a tensor of {self.ndim} dims")
    if self.shape[dim] % 2:
        raise KernelError(f"glu halves dim {dim}, whose size {self.shape[dim]} is odd")
    values, gates = np.split(self, 2, axis=dim)
    return finish(widen(values) * blockwise(sigmoid_block, gates, compute_dtype(self.dtype)), self.dtype)


@operator("aten::logit(Tensor self, float? eps=None) -> Tensor", out="out")
def logit(self: Array, eps: float | None) -> Array:
    def block(source: Array, target: Array) -> None:
        x = source
        if eps is not None:
            x = np.where(source < eps, eps, np.where(source > 1 - eps, 1 - eps, source))
        np.subtract(1, x, out=target)
        np.divide(x, target, out=target)
        np.log(target, out=target)

    return blockwise(block, self, float_dtype(check_dtype(self.dtype, "logit", complex=False)))
