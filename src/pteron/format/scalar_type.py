"""ScalarType: the element types of tensors, with their NumPy dtypes.

Numbers and names are those of ExecuTorch's ``schema/scalar_type.fbs`` and ``runtime/core/portable_type/scalar_type.h``
(c10's list). The schema never listed complex types, nor BFloat16 before 1.2, yet exporters wrote them.
"""

from __future__ import annotations

import functools
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class ScalarType(IntEnum):
    """Element type of a tensor, as numbered on disk."""

    BYTE = 0
    CHAR = 1
    SHORT = 2
    INT = 3
    LONG = 4
    HALF = 5
    FLOAT = 6
    DOUBLE = 7
    COMPLEX_HALF = 8
    COMPLEX_FLOAT = 9
    COMPLEX_DOUBLE = 10
    BOOL = 11
    QINT8 = 12
    QUINT8 = 13
    QINT32 = 14
    BFLOAT16 = 15
    QUINT4X2 = 16
    QUINT2X4 = 17
    BITS1X8 = 18
    BITS2X4 = 19
    BITS4X2 = 20
    BITS8 = 21
    BITS16 = 22
    FLOAT8_E5M2 = 23
    FLOAT8_E4M3FN = 24
    FLOAT8_E5M2FNUZ = 25
    FLOAT8_E4M3FNUZ = 26
    UINT16 = 27
    UINT32 = 28
    UINT64 = 29

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return _ITEMSIZE[self]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype that holds the elements.

        Quantized and bits types are given as the integers they are stored in; half-precision complex, which NumPy
        lacks, as a pair of float16 (a structured dtype).
        """
        return _numpy_dtype(self)

    @property
    def torch_name(self) -> str:
        """The name people type, as torch spells it: ``float32``, ``bfloat16``, ``bool``."""
        return _TORCH_NAME[self]


_TABLE: dict[ScalarType, tuple[int, str, str]] = {
    # ScalarType: (bytes per element, NumPy or ml_dtypes name, torch name)
    ScalarType.BYTE: (1, "uint8", "uint8"),
    ScalarType.CHAR: (1, "int8", "int8"),
    ScalarType.SHORT: (2, "int16", "int16"),
    ScalarType.INT: (4, "int32", "int32"),
    ScalarType.LONG: (8, "int64", "int64"),
    ScalarType.HALF: (2, "float16", "float16"),
    ScalarType.FLOAT: (4, "float32", "float32"),
    ScalarType.DOUBLE: (8, "float64", "float64"),
    ScalarType.COMPLEX_HALF: (4, "float16,float16", "complex32"),
    ScalarType.COMPLEX_FLOAT: (8, "complex64", "complex64"),
    ScalarType.COMPLEX_DOUBLE: (16, "complex128", "complex128"),
    ScalarType.BOOL: (1, "bool", "bool"),
    ScalarType.QINT8: (1, "int8", "qint8"),
    ScalarType.QUINT8: (1, "uint8", "quint8"),
    ScalarType.QINT32: (4, "int32", "qint32"),
    ScalarType.BFLOAT16: (2, "bfloat16", "bfloat16"),
    ScalarType.QUINT4X2: (1, "uint8", "quint4x2"),
    ScalarType.QUINT2X4: (1, "uint8", "quint2x4"),
    ScalarType.BITS1X8: (1, "uint8", "bits1x8"),
    ScalarType.BITS2X4: (1, "uint8", "bits2x4"),
    ScalarType.BITS4X2: (1, "uint8", "bits4x2"),
    ScalarType.BITS8: (1, "uint8", "bits8"),
    ScalarType.BITS16: (2, "uint16", "bits16"),
    ScalarType.FLOAT8_E5M2: (1, "float8_e5m2", "float8_e5m2"),
    ScalarType.FLOAT8_E4M3FN: (1, "float8_e4m3fn", "float8_e4m3fn"),
    ScalarType.FLOAT8_E5M2FNUZ: (1, "float8_e5m2fnuz", "float8_e5m2fnuz"),
    ScalarType.FLOAT8_E4M3FNUZ: (1, "float8_e4m3fnuz", "float8_e4m3fnuz"),
    ScalarType.UINT16: (2, "uint16", "uint16"),
    ScalarType.UINT32: (4, "uint32", "uint32"),
    ScalarType.UINT64: (8, "uint64", "uint64"),
}
_ITEMSIZE = {t: row[0] for t, row in _TABLE.items()}
_TORCH_NAME = {t: row[2] for t, row in _TABLE.items()}


@functools.cache
def _numpy_dtype(scalar_type: ScalarType) -> np.dtype[Any]:
    name = _TABLE[scalar_type][1]
    if name == "bfloat16" or name.startswith("float8"):
        import ml_dtypes

        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return dtype
    return np.dtype(name)


@functools.cache
def _by_dtype() -> dict[np.dtype[Any], ScalarType]:
    table: dict[np.dtype[Any], ScalarType] = {}
    for scalar_type in ScalarType:
        table.setdefault(scalar_type.dtype, scalar_type)
    return table


def from_dtype(dtype: DTypeLike) -> ScalarType:
    """The ScalarType whose elements NumPy holds as ``dtype``; raises KeyError where there is none."""
    return _by_dtype()[np.dtype(dtype)]
