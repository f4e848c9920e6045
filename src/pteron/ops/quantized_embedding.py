"""Embeddings whose table is quantised: rows are looked up, then dequantised, one scale per row or per group in a row.

Weights of 4 and 2 bits are packed in bytes. 4 bits: the even column in the high half, stored plus 8; 2 bits: the first
of four columns in the lowest bits, stored plus 2. Definitions: ExecuTorch's
exir/passes/_quant_patterns_and_replacements.py and kernels/quantized/cpu/embeddingxb.cpp.
"""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import FLOAT32, Array, cast, is_floating, widen
from pteron.ops.quantized import float_target
from pteron.ops.registry import operator

_SIGNATURE = (
    "(Tensor weight, Tensor weight_scales, Tensor? weight_zero_points, int weight_quant_min, int weight_quant_max,"
    " Tensor indices{}) -> Tensor"
)


def _check(weight: Array, scales: Array, zero_points: Array | None, indices: Array, columns: int) -> None:
    if weight.ndim != 2 or weight.dtype not in (np.dtype(np.uint8), np.dtype(np.int8)):
        raise KernelError(
            f"the embedding weight must be a matrix of bytes, not {weight.dtype.name}{list(weight.shape)}"
        )
    if scales.ndim not in (1, 2) or scales.shape[0] != weight.shape[0] or not is_floating(scales.dtype):
        raise KernelError(f"scales {scales.dtype.name}{list(scales.shape)} do not fit {weight.shape[0]} embeddings")
    if scales.ndim == 2 and (scales.shape[1] == 0 or columns % scales.shape[1]):
        raise KernelError(f"{columns} columns cannot be divided into {scales.shape[1]} groups")
    if zero_points is not None and (zero_points.shape != scales.shape or not is_floating(zero_points.dtype)):
        raise KernelError(
            f"zero points {zero_points.dtype.name}{list(zero_points.shape)} do not fit scales of {list(scales.shape)}"
        )
    if indices.dtype not in (np.dtype(np.int64), np.dtype(np.int32)):
        raise KernelError(f"embedding indices must be int64 or int32, not {indices.dtype.name}")
    if indices.size and (indices.min() < 0 or indices.max() >= weight.shape[0]):
        raise KernelError(f"an embedding index is outside of the {weight.shape[0]} rows")


def _unpack(rows: Array, bits: int) -> Array:
    """The columns of packed rows, as signed numbers."""
    if bits == 8:
        return rows
    shifts = np.array([4, 0] if bits == 4 else [0, 2, 4, 6], np.uint8)
    values = (rows.view(np.uint8)[..., np.newaxis] >> shifts) & np.uint8(2**bits - 1)
    return values.reshape(*rows.shape[:-1], rows.shape[-1] * (8 // bits)).astype(np.int8) - np.int8(2 ** (bits - 1))


def _lookup(
    bits: int,
    weight: Array,
    scales: Array,
    zero_points: Array | None,
    quant_min: int,
    quant_max: int,
    indices: Array,
    dtype: int | None,
) -> Array:
    columns = weight.shape[-1] * (8 // bits) if weight.ndim == 2 else 0
    _check(weight, scales, zero_points, indices, columns)
    if bits < 8 and weight.dtype != np.uint8:
        raise KernelError(f"a packed embedding weight must be uint8, not {weight.dtype.name}")
    if quant_min > quant_max:
        raise KernelError(f"the quantised range {quant_min} to {quant_max} is empty")
    target = scales.dtype if dtype is None else float_target(dtype)
    groups = scales.shape[1] if scales.ndim == 2 else 1
    real = _unpack(weight[indices], bits).astype(FLOAT32).reshape(*indices.shape, groups, columns // groups)
    if zero_points is not None:
        real -= widen(zero_points[indices]).reshape(*indices.shape, groups, 1)
    real *= widen(scales[indices]).reshape(*indices.shape, groups, 1)
    # The product is rounded to the scales' dtype first, as torch computes it.
    return cast(cast(real.reshape(*indices.shape, columns), scales.dtype), target)


def _family(bits: int, name: str) -> None:
    @operator(f"quantized_decomposed::{name}" + _SIGNATURE.format(""), out="out")
    def embedding(
        weight: Array,
        weight_scales: Array,
        weight_zero_points: Array | None,
        weight_quant_min: int,
        weight_quant_max: int,
        indices: Array,
    ) -> Array:
        return _lookup(
            bits, weight, weight_scales, weight_zero_points, weight_quant_min, weight_quant_max, indices, None
        )

    @operator(f"quantized_decomposed::{name}.dtype" + _SIGNATURE.format(", *, ScalarType? dtype=None"), out="dtype_out")
    def embedding_dtype(
        weight: Array,
        weight_scales: Array,
        weight_zero_points: Array | None,
        weight_quant_min: int,
        weight_quant_max: int,
        indices: Array,
        dtype: int | None,
    ) -> Array:
        return _lookup(
            bits, weight, weight_scales, weight_zero_points, weight_quant_min, weight_quant_max, indices, dtype
        )


for _bits, _name in {8: "embedding_byte", 4: "embedding_4bit", 2: "embedding_2bit"}.items():
    _family(_bits, _name)
