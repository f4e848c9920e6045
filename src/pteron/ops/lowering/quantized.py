"""Lowerings: ``quantized_decomposed``.

Quantising and dequantising are ONNX's QuantizeLinear and DequantizeLinear, which ONNX Runtime fuses with what lies
between them into integer kernels. Those are fast for *uint8* activations only; int8 activations are therefore carried
shifted by 128, which is exactly the same numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pteron.format.scalar_type import ScalarType
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import INT32, as_work, finish, operands
from pteron.ops.lowering.index import check_index
from pteron.ops.lowering.integer import Affine, dequantized_bias, quantized
from pteron.ops.lowering.model_bytes import ELEMENT_TYPES
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT32, FLOAT64, INT64, DType, is_floating

UINT8, INT8 = np.dtype(np.uint8), np.dtype(np.int8)
_LINEAR = frozenset(np.dtype(name) for name in ("uint8", "int8", "uint16", "int16"))


def _storage(dtype: int) -> DType:
    storage = ScalarType(dtype).dtype
    if storage not in _LINEAR:
        raise Declined(f"quantised values of {storage.name}")
    return storage


def _number(value: Any, name: str) -> Any:
    """A number that is a constant, given as such or as a tensor of one element."""
    if not isinstance(value, Ref):
        return value
    if value.data is None or value.data.size != 1:
        raise Declined(f"a {name} that is not constant")
    return value.data.reshape(()).item()


@lowering("quantized_decomposed::quantize_per_tensor", "quantized_decomposed::quantize_per_tensor.tensor")
def quantize_per_tensor(
    b: Builder, input: Ref, scale: Any, zero_point: Any, quant_min: int, quant_max: int, dtype: int
) -> Ref:
    storage = _storage(dtype)
    if not is_floating(input.dtype) or input.dtype == FLOAT64:
        raise Declined(f"quantising {input.dtype.name}")
    (x,) = operands(b, input, dtype=input.dtype)
    if isinstance(scale, Ref) and scale.data is None:
        return _quantize_dynamically(b, x, scale, zero_point, quant_min, quant_max, storage)
    step, zero = np.float32(_number(scale, "scale")), int(_number(zero_point, "zero point"))
    limits = np.iinfo(storage)
    if not step > 0 or not limits.min <= quant_min <= quant_max <= limits.max or not limits.min <= zero <= limits.max:
        raise Declined("a scale or zero point out of range")
    result = quantized(b, x, Affine(b.const(step), b.const(zero, storage)))
    if result is None:
        result = b.op("QuantizeLinear", x, b.const(step), b.const(zero, storage), dtype=storage)
    if (quant_min, quant_max) != (limits.min, limits.max):
        result = b.op("Clip", result, b.const(quant_min, storage), b.const(quant_max, storage), dtype=storage)
    return result


def _quantize_dynamically(
    b: Builder, x: Ref, scale: Ref, zero_point: Any, quant_min: int, quant_max: int, storage: DType
) -> Ref:
    """With a scale that is computed at run time: the definition, in float32."""
    inverse = b.cast(b.op("Reciprocal", b.cast(scale, FLOAT64), dtype=FLOAT64), FLOAT32)
    scaled = b.op("Mul", x, b.reshape(inverse, []), dtype=FLOAT32)
    return _rounded(b, scaled, _zero(b, zero_point, []), quant_min, quant_max, storage, early=True)


def _zero(b: Builder, zero_point: Any, shape: list[Any]) -> Ref:
    if not isinstance(zero_point, Ref):
        return b.const(zero_point, FLOAT32)
    return b.reshape(b.cast(zero_point, FLOAT32), shape)


def _rounded(b: Builder, x: Ref, zero: Ref, low: int, high: int, storage: DType, *, early: bool) -> Ref:
    """Rounded before (``early``) or after the zero point is added, cut to the range; NaN becomes the lowest number."""
    if early:
        x = b.op("Add", b.op("Round", x, dtype=FLOAT32), zero, dtype=FLOAT32)
    else:
        x = b.op("Round", b.op("Add", x, zero, dtype=FLOAT32), dtype=FLOAT32)
    least = b.const(low, FLOAT32)
    x = b.op("Where", b.op("IsNaN", x, dtype=BOOL), least, x, dtype=FLOAT32)
    cut = b.op("Clip", x, least, b.const(high, FLOAT32), dtype=FLOAT32)
    return b.op("Cast", cut, dtype=storage, to=ELEMENT_TYPES[storage])


def _target(out_dtype: int | None) -> DType:
    target = FLOAT32 if out_dtype is None else ScalarType(out_dtype).dtype
    if not is_floating(target) or target == FLOAT64:
        raise Declined(f"dequantising to {target.name}")
    return target


@lowering("quantized_decomposed::dequantize_per_tensor", "quantized_decomposed::dequantize_per_tensor.tensor")
def dequantize_per_tensor(
    b: Builder, input: Ref, scale: Any, zero_point: Any, dtype: int, out_dtype: int | None
) -> Ref:
    target = _target(out_dtype)
    if input.dtype != ScalarType(dtype).dtype or input.dtype not in (*_LINEAR, INT32):
        raise Declined(f"a quantised tensor of {input.dtype.name}")
    dynamic = isinstance(scale, Ref) and scale.data is None
    if not dynamic and input.dtype == INT32 and zero_point == 0:
        return finish(b, dequantized_bias(b, input, b.const(np.float32(_number(scale, "scale")))), target)
    if dynamic or input.dtype == INT32:
        factor = b.reshape(b.cast(scale, FLOAT32), []) if isinstance(scale, Ref) else b.const(scale, FLOAT32)
        real = b.op("Sub", b.cast(input, FLOAT32), _zero(b, zero_point, []), dtype=FLOAT32)
        return finish(b, b.op("Mul", real, factor, dtype=FLOAT32), target)
    step, zero = np.float32(_number(scale, "scale")), int(_number(zero_point, "zero point"))
    limits = np.iinfo(input.dtype)
    if not limits.min <= zero <= limits.max:
        raise Declined("a zero point out of range")
    real = b.op("DequantizeLinear", input, b.const(step), b.const(zero, input.dtype), dtype=FLOAT32)
    return finish(b, real, target)


@lowering("quantized_decomposed::dequantize_per_channel")
def dequantize_per_channel(
    b: Builder, input: Ref, scales: Ref, zero_points: Ref | None, axis: int, dtype: int, out_dtype: int | None
) -> Ref:
    target = _target(out_dtype)
    storage = INT32 if ScalarType(dtype) == ScalarType.INT else _storage(dtype)
    if input.dtype != storage or scales.data is None or scales.rank != 1 or not input.rank:
        raise Declined("scales that are not a constant vector")
    zero: Ref | None = None
    if zero_points is not None:
        if zero_points.data is None or zero_points.rank != 1:
            raise Declined("zero points that are not a constant vector")
        limits = np.iinfo(input.dtype)
        given = np.rint(zero_points.data.astype(np.float64))
        if (given < limits.min).any() or (given > limits.max).any() or (given != zero_points.data).any():
            raise Declined("a zero point out of range")
        zero = b.const(given, input.dtype)
    steps = b.const(scales.data.astype(np.float32))
    if storage == INT32:
        if zero is not None and zero.data is not None and zero.data.any():
            raise Declined("int32 with zero points")
        along = [scales.shape[0] if dim == axis % input.rank else 1 for dim in range(input.rank)]
        return finish(b, dequantized_bias(b, input, b.reshape(steps, along)), target)
    if zero is None:
        zero = b.const(np.zeros(scales.shape, storage))
    real = b.op("DequantizeLinear", input, steps, zero, dtype=FLOAT32, axis=axis % input.rank)
    return finish(b, real, target)


def _range(b: Builder, input: Ref, axes: list[int] | None) -> tuple[Ref, Ref]:
    """The least and the greatest value, 0 included."""
    if input.dtype != FLOAT32 or 0 in input.shape or (axes and not input.rank):
        raise Declined("values that are not float32, or none")
    (x,) = operands(b, input, dtype=FLOAT32)
    zero = b.const(0, FLOAT32)
    over = b.ints(axes if axes is not None else range(input.rank))
    keep = int(axes is not None)
    low = b.op("ReduceMin", x, over, dtype=FLOAT32, keepdims=keep) if input.rank else x
    high = b.op("ReduceMax", x, over, dtype=FLOAT32, keepdims=keep) if input.rank else x
    return b.op("Min", low, zero, dtype=FLOAT32), b.op("Max", high, zero, dtype=FLOAT32)


@lowering("quantized_decomposed::choose_qparams.tensor")
def choose_qparams(b: Builder, input: Ref, quant_min: int, quant_max: int, eps: float) -> tuple[Ref, Ref]:
    if quant_min >= quant_max:
        raise Declined("an empty range")
    low, high = _range(b, input, None)
    width = b.const(quant_max - quant_min, FLOAT32)
    spread = b.op("Div", b.op("Sub", high, low, dtype=FLOAT32), width, dtype=FLOAT32)
    scale = b.op("Max", spread, b.const(eps, FLOAT32), dtype=FLOAT32)
    offset = b.op("Round", b.op("Div", low, scale, dtype=FLOAT32), dtype=FLOAT32)
    zero = b.op("Sub", b.const(quant_min, FLOAT32), offset, dtype=FLOAT32)
    zero = b.op("Clip", zero, b.const(quant_min, FLOAT32), b.const(quant_max, FLOAT32), dtype=FLOAT32)
    one = b.ints([1])
    return (
        b.op("Reshape", b.cast(scale, FLOAT64), one, dtype=FLOAT64),
        b.op("Reshape", b.cast(zero, INT64), one, dtype=INT64),
    )


@lowering("quantized_decomposed::choose_qparams_per_token_asymmetric")
def choose_qparams_per_token(b: Builder, input: Ref) -> tuple[Ref, Ref]:
    low, high = _range(b, input, [input.rank - 1])

    def number(value: float) -> Ref:
        return b.const(value, FLOAT32)

    spread = b.op("Div", b.op("Sub", high, low, dtype=FLOAT32), number(255), dtype=FLOAT32)
    scale = b.op("Max", spread, number(float(np.finfo(np.float32).eps)), dtype=FLOAT32)
    low, high = b.op("Div", low, scale, dtype=FLOAT32), b.op("Div", high, scale, dtype=FLOAT32)
    below = b.op("Sub", low, number(128), dtype=FLOAT32)
    above = b.op("Add", high, number(127), dtype=FLOAT32)
    error = b.op("Add", below, above, dtype=FLOAT32)
    from_low = b.op("Sub", number(-128), low, dtype=FLOAT32)
    from_high = b.op("Sub", number(127), high, dtype=FLOAT32)
    zero = b.op("Where", b.op("Greater", error, number(0), dtype=BOOL), from_low, from_high, dtype=FLOAT32)
    zero = b.op("Round", b.op("Clip", zero, number(-128), number(127), dtype=FLOAT32), dtype=FLOAT32)
    return b.cast(scale, FLOAT64), b.cast(zero, INT64)


def _tokens(b: Builder, x: Ref, parameter: Ref) -> Ref:
    """One parameter per vector of the last dimension, shaped to broadcast against ``x``."""
    if not x.rank or x.dynamic or parameter.dynamic:
        raise Declined("sizes that are not constants")
    return b.reshape(b.cast(parameter, FLOAT32), [*x.shape[:-1], 1])


@lowering("quantized_decomposed::quantize_per_token")
def quantize_per_token(
    b: Builder, input: Ref, scales: Ref, zero_points: Ref, quant_min: int, quant_max: int, dtype: int
) -> Ref:
    storage = _storage(dtype)
    if input.dtype != FLOAT32 or scales.dtype not in (FLOAT32, FLOAT64):
        raise Declined(f"quantising {input.dtype.name} by scales of {scales.dtype.name}")
    # The operator divides in the scales' dtype; scales of float64 are mostly widened float32, as choose_qparams gives.
    inverse = b.cast(b.op("Reciprocal", scales, dtype=scales.dtype, shape=scales.shape), FLOAT32)
    x = b.op("Mul", input, _tokens(b, input, inverse), dtype=FLOAT32)
    return _rounded(b, x, _tokens(b, input, zero_points), quant_min, quant_max, storage, early=False)


@lowering("quantized_decomposed::dequantize_per_token")
def dequantize_per_token(b: Builder, input: Ref, scales: Ref, zero_points: Ref, dtype: int, output_dtype: int) -> Ref:
    target = _target(output_dtype)
    if input.dtype != _storage(dtype):
        raise Declined(f"a quantised tensor of {input.dtype.name}")
    real = b.op("Sub", b.cast(input, FLOAT32), _tokens(b, input, zero_points), dtype=FLOAT32)
    return finish(b, b.op("Mul", real, _tokens(b, input, scales), dtype=FLOAT32), target)


def _register_embedding(bits: int, name: str) -> None:
    @lowering(f"quantized_decomposed::{name}", f"quantized_decomposed::{name}.dtype")
    def lower(
        b: Builder, weight: Ref, weight_scales: Ref, weight_zero_points: Ref | None, indices: Ref, out: Any
    ) -> Ref:
        check_index(indices)
        packed = weight.dtype == UINT8 if bits < 8 else weight.dtype in (UINT8, INT8)
        if weight.rank != 2 or not packed or indices.dynamic or weight_scales.rank not in (1, 2):
            raise Declined("a weight that is no packed table, or sizes that are not constants")
        groups = weight_scales.shape[1] if weight_scales.rank == 2 else 1
        columns = weight.shape[1] * (8 // bits)
        if not groups or columns % groups:
            raise Declined("columns that do not divide into groups")
        rows = _unpacked(b, b.gather(weight, indices, 0), bits, [*indices.shape, columns])
        shape = [*indices.shape, groups, columns // groups]
        real = b.op("Reshape", rows, b.ints(shape), dtype=FLOAT32)
        along = [*indices.shape, groups, 1]
        for parameter, op_type in ((weight_zero_points, "Sub"), (weight_scales, "Mul")):
            if parameter is not None:
                (wide,) = operands(b, parameter, dtype=parameter.dtype)
                if wide.dtype != FLOAT32:
                    raise Declined(f"scales of {parameter.dtype.name}")
                taken = b.op("Reshape", b.gather(wide, indices, 0), b.ints(along), dtype=FLOAT32)
                real = b.op(op_type, real, taken, dtype=FLOAT32)
        flat = b.op("Reshape", real, b.ints([*indices.shape, columns]), dtype=FLOAT32)
        return b.cast(finish(b, flat, weight_scales.dtype), out[0].dtype)


def _unpacked(b: Builder, rows: Ref, bits: int, shape: list[int]) -> Ref:
    """The columns of packed rows as signed numbers, in float32."""
    if bits == 8:
        return b.cast(rows, FLOAT32)
    shifts = b.const(np.array([4, 0] if bits == 4 else [0, 2, 4, 6], np.uint8))
    spread = b.op("Unsqueeze", rows, b.ints([-1]), dtype=UINT8)
    moved = b.op("BitShift", spread, shifts, dtype=UINT8, direction="RIGHT")
    kept = b.op("BitwiseAnd", moved, b.const(2**bits - 1, UINT8), dtype=UINT8)
    numbers = b.op("Reshape", b.cast(kept, FLOAT32), b.ints(shape), dtype=FLOAT32)
    return b.op("Sub", as_work(numbers, FLOAT32), b.const(2 ** (bits - 1), FLOAT32), dtype=FLOAT32)


for _bits, _name in {8: "embedding_byte", 4: "embedding_4bit", 2: "embedding_2bit"}.items():
    _register_embedding(_bits, _name)
