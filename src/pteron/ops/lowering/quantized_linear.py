"""Linear layers with integer weights and activations that are quantized at run time, or not at all.

Weights with a scale for each row meet activations with a scale for each row: ONNX's MatMulInteger adds the products up
in int32, exactly, and what the activations' zero points added is taken off again. Weights of 4 bits with a scale for
each block stay packed for a few rows (ONNX Runtime's MatMulNBits, which dequantizes on the way to the processor); for
many, dequantizing them once is faster.
"""

from __future__ import annotations

import math

import numpy as np

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.integer import Integers, by_name, integers, is_weight
from pteron.ops.lowering.model_bytes import ELEMENT_TYPES, MICROSOFT
from pteron.ops.promotion import FLOAT32, Array

_INT8, _UINT8, _INT32 = (np.dtype(name) for name in ("int8", "uint8", "int32"))

# Rows up to which unpacking a weight at every call beats one that was dequantized once (measured on 1024 x 1024: 1 row
# takes 115 us packed and 170 us as floats, 8 rows 440 us and 240 us).
_FEW_ROWS = 4


def integer_linear(b: Builder, x: Ref, weight: Ref, bias: Ref | None) -> Ref | None:
    """``x @ weight.T + bias`` on the integers that the weight was dequantized from; None where that would not pay.

    Shapes: ``x`` (..., columns), ``weight`` (rows, columns), ``bias`` (rows,); float32.
    """
    if x.dtype != FLOAT32 or weight.rank != 2:
        return None
    product = _by_tokens(b, x, weight) or _few_bits(b, x, weight)
    return product if product is None or bias is None else b.op("Add", product, bias, dtype=FLOAT32)


def _by_tokens(b: Builder, x: Ref, weight: Ref) -> Ref | None:
    """The product with activations of one scale and zero point for each row, as ``dequantize_per_token`` makes them."""
    stored, tokens = integers(b, weight.name), _tokens(b, x)
    if stored is None or tokens is None or not _is_symmetric(stored):
        return None
    numbers, zero, scale = tokens
    up = b.const(128, FLOAT32)
    raised = b.op("Cast", b.op("Add", numbers, up, dtype=FLOAT32), dtype=_UINT8, to=ELEMENT_TYPES[_UINT8])
    zeros = b.op("Cast", b.op("Add", zero, up, dtype=FLOAT32), dtype=_INT32, to=ELEMENT_TYPES[_INT32])
    (kept,) = by_name([stored.name])
    turned = b.op("Transpose", kept, dtype=_INT8, perm=[1, 0])
    if math.prod(x.shape[:-1]) == 1 and not x.dynamic:
        one = b.op("Reshape", b.op("Cast", zeros, dtype=_UINT8, to=ELEMENT_TYPES[_UINT8]), b.ints([1]), dtype=_UINT8)
        total = b.op("MatMulInteger", raised, turned, one, dtype=_INT32)
    else:
        wide = b.op("Cast", kept, dtype=_INT32, to=ELEMENT_TYPES[_INT32])
        sums = b.op("ReduceSum", wide, b.ints([1]), dtype=_INT32, keepdims=0)
        total = b.op("MatMulInteger", raised, turned, dtype=_INT32)
        total = b.op("Sub", total, b.op("Mul", zeros, sums, dtype=_INT32), dtype=_INT32)
    scales = b.const(stored.scales.reshape(-1).astype(np.float32))
    real = b.op("Mul", b.cast(total, FLOAT32), scales, dtype=FLOAT32)
    return b.op("Mul", real, scale, dtype=FLOAT32)


def _is_symmetric(weight: Integers) -> bool:
    return is_weight(weight, axis=0) and weight.zeros.dtype == _INT8 and not weight.zeros.any()


def _tokens(b: Builder, x: Ref) -> tuple[Ref, Ref, Ref] | None:
    """The ``q``, ``zero`` and ``scale`` of ``(q - zero) * scale``, as float32, where ``q`` is rounded and fits int8."""
    product = b.maker(x.name)
    difference = b.maker(product.inputs[0]) if product is not None and product.op_type == "Mul" else None
    widened = b.maker(difference.inputs[0]) if difference is not None and difference.op_type == "Sub" else None
    if product is None or difference is None or widened is None or widened.op_type != "Cast":
        return None
    narrowed = b.maker(widened.inputs[0])
    if narrowed is None or narrowed.op_type != "Cast" or narrowed.attributes["to"] != ELEMENT_TYPES[_INT8]:
        return None
    cut = b.maker(narrowed.inputs[0])
    if cut is None or cut.op_type != "Clip":
        return None
    low, high = (b.content(name) for name in cut.inputs[1:])
    if low is None or high is None or low.dtype != FLOAT32 or low.item() < -128 or high.item() > 127:
        return None
    numbers, zero, scale = (
        Ref(name, FLOAT32) for name in (narrowed.inputs[0], difference.inputs[1], product.inputs[1])
    )
    return numbers, zero, scale


def _few_bits(b: Builder, x: Ref, weight: Ref) -> Ref | None:
    """The product with a weight of 4 bit integers.

    It is dequantized from int8 that only hold -8 to 7, with one scale for each row or for each block of a row.
    """
    rows, columns = weight.shape
    packed = _packed(b, weight) if x.dynamic or math.prod(x.shape[:-1]) <= _FEW_ROWS else None
    if packed is None:
        return None
    blocks, scales = packed
    size = columns // blocks.shape[1]
    numbers = {"K": columns, "N": rows, "bits": 4, "block_size": size}
    given = [x, b.const(blocks), b.const(scales)]
    return b.op("MatMulNBits", *given, dtype=FLOAT32, domain=MICROSOFT, **numbers)


def _packed(b: Builder, weight: Ref) -> tuple[Array, Array] | None:
    """A weight's blocks as (rows, blocks, bytes), two integers greater by 8 in each byte, and their scales."""
    rows, columns = weight.shape
    found = integers(b, weight.name, through_reshape=True)
    data = None if found is None else b.content(found.name)
    if found is None or data is None or data.dtype != _INT8 or found.zeros.any() or found.axis != 0:
        return None
    if data.shape[0] % rows or found.scales.size != data.shape[0] or data.size != rows * columns:
        return None
    # One scale for a row is one for each of its blocks.
    size = columns if data.shape[0] == rows else data.shape[1]
    if data.shape[0] == rows:
        size = next((n for n in (128, 64, 32, 16) if columns % n == 0), 0)
    if size < 16 or size & (size - 1) or size > 256 or columns % size or not _fits_four_bits(data):
        return None
    blocks = columns // size
    scales = np.repeat(found.scales.reshape(rows, -1), blocks if data.shape[0] == rows else 1, axis=1)
    raised = (data.reshape(rows, blocks, size // 2, 2) + np.int8(8)).view(_UINT8)
    return raised[..., 0] | raised[..., 1] << np.uint8(4), np.ascontiguousarray(scales.reshape(-1), np.float32)


def _fits_four_bits(data: Array) -> bool:
    # Integers of 8 bits mostly show soon.
    return all(part.min() >= -8 and part.max() <= 7 for part in (data.reshape(-1)[:4096], data) if part.size)
