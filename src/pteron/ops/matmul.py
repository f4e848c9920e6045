"""Matrix products on BLAS, for every dtype that ATen multiplies.

Floats and complex numbers go to BLAS as they are; half and bfloat16 are multiplied in float32. Integers are exact
modulo the width of their type: NumPy has no BLAS for them, so they are multiplied as float64 wherever no partial sum
can leave the 53 bits that a float64 holds exactly, and by NumPy's own loops otherwise.
"""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import FLOAT64, INT64, Array, DType, is_integral, widen

_EXACT = 1 << 53


def check_multipliable(dtype: DType) -> None:
    """Refuse the dtypes that ATen has no products for."""
    if dtype.kind == "b" or dtype.name.startswith("float8"):
        raise KernelError(f"matrix products are not defined for {dtype.name}")


def blas_ready(x: Array) -> Array:
    """``x`` itself where BLAS takes its last two dimensions as they are (plain or transposed), else a copy."""
    if x.size == 0:
        return x
    rows, columns = x.shape[-2:]
    down, across = x.strides[-2:]
    size = x.itemsize
    plain = (across == size or columns == 1) and (rows == 1 or (down >= columns * size and down % size == 0))
    turned = (down == size or rows == 1) and (columns == 1 or (across >= rows * size and across % size == 0))
    return x if plain or turned else np.ascontiguousarray(x)


def product(a: Array, b: Array) -> Array:
    """``a @ b`` for factors of one dtype, batched over leading dimensions, in the dtype products are computed in."""
    a, b = widen(a), widen(b)
    if not is_integral(a.dtype):
        return np.asarray(np.matmul(blas_ready(a), blas_ready(b)))
    if fits_float64(a, b, a.shape[-1]):
        exact = np.matmul(a.astype(FLOAT64), b.astype(FLOAT64))
        return np.asarray(exact.astype(INT64).astype(a.dtype))
    return np.asarray(np.matmul(a, b))


def fits_float64(a: Array, b: Array, terms: int) -> bool:
    """True when every sum of ``terms`` products of integers of ``a`` and ``b`` is exact in float64."""
    return terms * _magnitude(a) * _magnitude(b) < _EXACT


def _magnitude(x: Array) -> int:
    if x.size == 0:
        return 0
    if x.itemsize <= 2:
        info = np.iinfo(x.dtype)
        return max(-int(info.min), int(info.max))
    return max(-int(x.min()), int(x.max()))
