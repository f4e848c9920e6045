"""Quantisation: ``quantized_decomposed``. q = round(x / scale) + zero point, and back: x = (q - zero point) * scale.

Definitions: torch.ao.quantization.fx._decomposed (what exporters compute with), and ExecuTorch's kernels/quantized for
what torch leaves undefined: ``add``, ``mixed_mm``, ``mixed_linear``, and a NaN, which quantises to ``quant_min``.
The quantised embeddings are in :mod:`pteron.ops.quantized_embedding`.
"""

from __future__ import annotations

import math

import numpy as np

from pteron.errors import KernelError
from pteron.format.scalar_type import ScalarType
from pteron.ops.promotion import FLOAT16, FLOAT32, FLOAT64, INT64, Array, DType, cast, is_floating, is_reduced, widen
from pteron.ops.registry import operator

_STORAGE = frozenset(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16", "int32"))


def _dtype(scalar_type: int | DType) -> DType:
    """The dtype of a ScalarType number; a dtype is passed through."""
    if isinstance(scalar_type, np.dtype):
        return scalar_type
    try:
        return ScalarType(scalar_type).dtype
    except ValueError:
        raise KernelError(f"{scalar_type} is not a ScalarType") from None


def _storage(dtype: int, quant_min: int, quant_max: int) -> DType:
    """The integer dtype of quantised values, checked to hold the range."""
    storage = _dtype(dtype)
    if storage not in _STORAGE:
        raise KernelError(f"quantised values cannot be stored as {storage.name}")
    limits = np.iinfo(storage)
    if quant_min < limits.min or quant_max > limits.max:
        raise KernelError(f"the range {quant_min} to {quant_max} does not fit {storage.name}")
    return storage


def float_target(out_dtype: int | DType | None) -> DType:
    """The dtype of dequantised values: float32 unless another floating one is asked for."""
    target = FLOAT32 if out_dtype is None else _dtype(out_dtype)
    if not is_floating(target):
        raise KernelError(f"values cannot be dequantised to {target.name}")
    return target


def _check_quantized(x: Array, dtype: int) -> None:
    expected = _dtype(dtype)
    if x.dtype != expected or expected not in _STORAGE:
        raise KernelError(f"a quantised tensor of {x.dtype.name} was given where {expected.name} was declared")


def _real(x: Array) -> Array:
    if not is_floating(x.dtype):
        raise KernelError(f"only real numbers can be quantised, not {x.dtype.name}")
    return widen(x)


def _clamp(q: Array, quant_min: int, quant_max: int, storage: DType) -> Array:
    """Rounded values, in place, as integers; NaN becomes ``quant_min`` as in the runtime."""
    if storage.itemsize < 4:
        np.fmax(q, quant_min, out=q)
        np.minimum(q, quant_max, out=q)
        return q.astype(storage)
    # float32 cannot hold the largest int32: the range is cut once more as integers.
    np.fmax(q, -(2.0**31), out=q)
    np.minimum(q, 2.0**31, out=q)
    return q.astype(INT64).clip(quant_min, quant_max).astype(storage)


def _inverse(scale: float) -> np.float32:
    """1 / scale, in double and rounded once, as torch multiplies a float tensor by a Python number."""
    return np.float32(np.float64(1.0) / np.float64(scale))


def _one(tensor: Array, what: str) -> Array:
    if tensor.size != 1:
        raise KernelError(f"{what} must be one number, not a tensor of {tensor.size}")
    return tensor.reshape(())


def _along(axis: int, x: Array, parameter: Array, what: str) -> Array:
    """One parameter per index of ``axis``, shaped to broadcast against ``x``."""
    if parameter.size != x.shape[axis]:
        raise KernelError(f"{parameter.size} {what} were given for {x.shape[axis]} channels")
    shape = [1] * x.ndim
    shape[axis] = -1
    return parameter.reshape(shape)


def _axis(x: Array, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise KernelError(f"axis {axis} is out of range for a tensor of {x.ndim} dimensions")
    return axis % x.ndim


def _per_token(x: Array, parameter: Array, what: str) -> Array:
    """One parameter per vector of the last dimension, shaped to broadcast against ``x``."""
    if x.ndim == 0 or parameter.size != math.prod(x.shape[:-1]):
        raise KernelError(f"{parameter.size} {what} do not fit the tokens of a tensor of shape {list(x.shape)}")
    return parameter.reshape((*x.shape[:-1], 1))


@operator(
    "quantized_decomposed::quantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int quant_max,"
    " ScalarType dtype) -> Tensor",
    out="out",
)
def quantize_per_tensor(
    input: Array, scale: float, zero_point: int, quant_min: int, quant_max: int, dtype: int
) -> Array:
    storage = _storage(dtype, quant_min, quant_max)
    q = np.asarray(_real(input) * _inverse(scale), FLOAT32)
    np.rint(q, out=q)
    q += np.float32(zero_point)
    return _clamp(q, quant_min, quant_max, storage)


@operator(
    "quantized_decomposed::quantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min,"
    " int quant_max, ScalarType dtype) -> Tensor",
    out="Tensor_out",
)
def quantize_per_tensor_tensor(
    input: Array, scale: Array, zero_point: Array, quant_min: int, quant_max: int, dtype: int
) -> Array:
    step, zero = float(_one(scale, "scale")), int(_one(zero_point, "zero_point"))
    return quantize_per_tensor(input, step, zero, quant_min, quant_max, dtype)


@operator(
    "quantized_decomposed::quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis,"
    " int quant_min, int quant_max, ScalarType dtype) -> Tensor",
    out="out",
)
def quantize_per_channel(
    input: Array, scales: Array, zero_points: Array, axis: int, quant_min: int, quant_max: int, dtype: int
) -> Array:
    storage = _storage(dtype, quant_min, quant_max)
    axis = _axis(input, axis)
    q = np.asarray(_real(input) * (1.0 / _along(axis, input, scales, "scales")))
    np.rint(q, out=q)
    q += _along(axis, input, zero_points, "zero points").astype(q.dtype)
    return _clamp(q, quant_min, quant_max, storage)


@operator(
    "quantized_decomposed::quantize_per_token(Tensor input, Tensor scales, Tensor zero_points, int quant_min,"
    " int quant_max, ScalarType dtype) -> Tensor",
    out="out",
)
def quantize_per_token(
    input: Array, scales: Array, zero_points: Array, quant_min: int, quant_max: int, dtype: int
) -> Array:
    """Rounds after the zero point is added, as torch does here (the runtime rounds before: ties may differ)."""
    storage = _storage(dtype, quant_min, quant_max)
    q = _real(input) * (1.0 / _per_token(input, scales, "scales"))
    q += _per_token(input, zero_points, "zero points").astype(q.dtype)
    np.rint(q, out=q)
    return _clamp(q, quant_min, quant_max, storage)


def _affine(x: Array, zero: Array | int | None, scale: Array | np.float32, target: DType) -> Array:
    """(x - zero) * scale: the difference is exact, the product is rounded in ``scale``'s dtype, then to ``target``."""
    exact = FLOAT64 if x.dtype.itemsize == 4 else FLOAT32
    real = x.astype(exact) if zero is None else np.asarray(np.subtract(x, zero, dtype=exact, casting="unsafe"))
    if target == real.dtype:
        np.multiply(real, scale, out=real, casting="same_kind")
        return real
    return cast(np.asarray(real * scale), target)


@operator(
    "quantized_decomposed::dequantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min,"
    " int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
    out="out",
    older=(
        "quantized_decomposed::dequantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min,"
        " int quant_max, ScalarType dtype) -> Tensor",
    ),
)
def dequantize_per_tensor(
    input: Array, scale: float, zero_point: int, dtype: int, out_dtype: int | DType | None
) -> Array:
    _check_quantized(input, dtype)
    target = float_target(out_dtype)
    real = input.astype(FLOAT32 if is_reduced(target) else target)
    real -= real.dtype.type(zero_point)
    real *= real.dtype.type(scale)
    return cast(real, target)


@operator(
    "quantized_decomposed::dequantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min,"
    " int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
    out="Tensor_out",
    older=(
        "quantized_decomposed::dequantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point,"
        " int quant_min, int quant_max, ScalarType dtype) -> Tensor",
    ),
)
def dequantize_per_tensor_tensor(
    input: Array, scale: Array, zero_point: Array, dtype: int, out_dtype: int | DType | None
) -> Array:
    step, zero = float(_one(scale, "scale")), int(_one(zero_point, "zero_point"))
    return dequantize_per_tensor(input, step, zero, dtype, out_dtype)


@operator(
    "quantized_decomposed::dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis,"
    " int quant_min, int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
    out="out",
)
def dequantize_per_channel(
    input: Array, scales: Array, zero_points: Array | None, axis: int, dtype: int, out_dtype: int | DType | None
) -> Array:
    _check_quantized(input, dtype)
    axis = _axis(input, axis)
    zero = None if zero_points is None else _along(axis, input, zero_points, "zero points")
    return _affine(input, zero, _along(axis, input, scales, "scales"), float_target(out_dtype))


@operator(
    "quantized_decomposed::dequantize_per_token(Tensor input, Tensor scales, Tensor zero_points, int quant_min,"
    " int quant_max, ScalarType dtype, ScalarType output_dtype) -> Tensor",
    out="out",
)
def dequantize_per_token(input: Array, scales: Array, zero_points: Array, dtype: int, output_dtype: int) -> Array:
    _check_quantized(input, dtype)
    zero = _per_token(input, zero_points, "zero points")
    return _affine(input, zero, _per_token(input, scales, "scales"), float_target(output_dtype))


def _check_scale(scale: Array | np.float32) -> None:
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise KernelError("no positive scale can be chosen for these values; they must be finite")


def _real_min_max(x: Array, *, per_token: bool) -> tuple[Array, Array]:
    """The least and the greatest value, 0 included, in ``x``'s own dtype."""
    if x.dtype.itemsize > 4 or not is_floating(x.dtype):
        raise KernelError(f"no scale can be chosen for {x.dtype.name}, only for float32 and half types")
    if x.ndim == 0 and per_token:
        raise KernelError("a tensor without dimensions has no tokens")
    if (x.shape[-1] if per_token else x.size) == 0:
        raise KernelError("no scale can be chosen for no values")
    axis = -1 if per_token else None
    wide = widen(x)
    low = np.minimum(wide.min(axis=axis, keepdims=per_token), np.float32(0))
    high = np.maximum(wide.max(axis=axis, keepdims=per_token), np.float32(0))
    return np.asarray(low, x.dtype), np.asarray(high, x.dtype)


@operator(
    "quantized_decomposed::choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps,"
    " ScalarType dtype) -> (Tensor scale_out, Tensor zero_point_out)",
    out="Tensor_out",
)
def choose_qparams(input: Array, quant_min: int, quant_max: int, eps: float) -> tuple[Array, Array]:
    """The scale is at least ``eps``, as in torch (the runtime ignores it and takes at least 6.1e-5)."""
    if quant_min >= quant_max:
        raise KernelError(f"the quantised range {quant_min} to {quant_max} is empty")
    low, high = _real_min_max(input, per_token=False)
    scale = np.maximum(np.float32((high - low) / low.dtype.type(quant_max - quant_min)), np.float32(eps))
    _check_scale(scale)
    zero = quant_min - int(np.rint(np.float32(low) / scale))
    return np.array([scale], FLOAT64), np.array([min(max(zero, quant_min), quant_max)], INT64)


@operator(
    "quantized_decomposed::choose_qparams_per_token_asymmetric(Tensor input, ScalarType dtype)"
    " -> (Tensor scale_out, Tensor zero_point_out)",
    out="out",
)
def choose_qparams_per_token_asymmetric(input: Array) -> tuple[Array, Array]:
    """To -128..127, whatever the dtype; the zero point is taken from the end of the range with the smaller error."""
    low, high = _real_min_max(input, per_token=True)
    real = low.dtype.type
    scale = np.maximum((high - low) / real(255), real(np.finfo(np.float32).eps))
    _check_scale(scale)
    low, high = low / scale, high / scale
    zero = np.where((low - real(128)) + (high + real(127)) > 0, real(-128) - low, real(127) - high)
    zero = np.rint(widen(zero).clip(-128, 127))
    return scale.astype(FLOAT64), zero.astype(INT64)


@operator(
    "quantized_decomposed::add(Tensor a, float a_scale, int a_zero_point, int a_quant_min, int a_quant_max, Tensor b,"
    " float b_scale, int b_zero_point, int b_quant_min, int b_quant_max, float out_scale, int out_zero_point,"
    " int out_quant_min, int out_quant_max) -> Tensor",
    out="out",
)
def add(
    a: Array,
    a_scale: float,
    a_zero_point: int,
    a_quant_min: int,
    a_quant_max: int,
    b: Array,
    b_scale: float,
    b_zero_point: int,
    b_quant_min: int,
    b_quant_max: int,
    out_scale: float,
    out_zero_point: int,
    out_quant_min: int,
    out_quant_max: int,
) -> Array:
    """Dequantise, add in float32, quantise; all with the tensors' own dtype."""
    if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind not in "iu":
        raise KernelError(f"quantised add of {a.dtype.name}{list(a.shape)} and {b.dtype.name}{list(b.shape)}")
    for low, high in ((a_quant_min, a_quant_max), (b_quant_min, b_quant_max), (out_quant_min, out_quant_max)):
        if not 0 <= low <= high <= 255:
            raise KernelError(f"the quantised range {low} to {high} is not within 0 to 255")
    total = _affine(a, a_zero_point, np.float32(a_scale), FLOAT32)
    total += _affine(b, b_zero_point, np.float32(b_scale), FLOAT32)
    total *= np.float32(1) / np.float32(out_scale)
    np.rint(total, out=total)
    total += np.float32(out_zero_point)
    return cast(_clamp(total, out_quant_min, out_quant_max, np.dtype(np.int32)), a.dtype)


def _check_mixed(input: Array, weight: Array, scales: Array, zero_points: Array | None) -> None:
    if input.ndim != 2 or weight.ndim != 2:
        raise KernelError("input and weight must have two dimensions")
    if input.dtype not in (FLOAT32, FLOAT16) or scales.dtype != input.dtype or weight.dtype != np.int8:
        raise KernelError(
            f"input, weight and scales must be float32 or float16, int8 and as the input, not {input.dtype.name},"
            f" {weight.dtype.name} and {scales.dtype.name}"
        )
    if zero_points is not None:
        raise KernelError("zero points of the weight are not supported by this operator")
    if scales.ndim == 0 or scales.shape[0] != weight.shape[0]:
        raise KernelError(f"scales of shape {list(scales.shape)} do not fit a weight of {weight.shape[0]} rows")


@operator(
    "quantized_decomposed::mixed_mm(Tensor input, Tensor weight, Tensor weight_scales, Tensor? weight_zero_points)"
    " -> Tensor",
    out="out",
)
def mixed_mm(input: Array, weight: Array, weight_scales: Array, weight_zero_points: Array | None) -> Array:
    """input @ (weight * scales), one scale per row of the weight."""
    _check_mixed(input, weight, weight_scales, weight_zero_points)
    if weight_scales.ndim != 1 or input.shape[1] != weight.shape[0]:
        raise KernelError(
            f"mixed_mm of {list(input.shape)} and {list(weight.shape)} with scales {list(weight_scales.shape)}"
        )
    return cast((widen(input) * widen(weight_scales)) @ weight.astype(FLOAT32), input.dtype)


@operator(
    "quantized_decomposed::mixed_linear(Tensor input, Tensor weight, Tensor weight_scales, Tensor? weight_zero_points,"
    " ScalarType? dtype=None) -> Tensor",
    out="out",
)
def mixed_linear(
    input: Array,
    weight: Array,
    weight_scales: Array,
    weight_zero_points: Array | None,
    dtype: int | None,
    out_dtype: DType | None,
) -> Array:
    """input @ (weight * scales).T, one scale per row of the weight or per group of columns in a row."""
    _check_mixed(input, weight, weight_scales, weight_zero_points)
    if weight_scales.ndim > 2 or input.shape[1] != weight.shape[1]:
        raise KernelError(
            f"mixed_linear of {list(input.shape)} and {list(weight.shape)} with scales {list(weight_scales.shape)}"
        )
    target = float_target(dtype if dtype is not None else out_dtype if out_dtype is not None else input.dtype)
    scales, columns, real = widen(weight_scales), weight.shape[1], weight.astype(FLOAT32)
    if scales.ndim == 1:
        return cast((widen(input) @ real.T) * scales, target)
    if scales.shape[1] == 0 and columns > 0:
        raise KernelError("the weight has columns but no scales for them")
    group = -(-columns // max(scales.shape[1], 1))
    real *= np.repeat(scales, group, axis=1)[:, :columns]
    return cast(widen(input) @ real.T, target)
