"""What a payload's quantised values are in a graph: stored integers, and how they become real numbers.

Stored integers are int8 (``qint8``, ``qcint8``, ``qdint8``, and the four-bit kinds, one element each), uint8
(``quint8``) or int32 (``qint32``, ``qcint32``). Definitions: XNNPACK's include/xnnpack.h, src/xnnpack/quantization.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from pteron.backends.xnnpack.values import XNNDatatype
from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import Value

_D = XNNDatatype

STORAGE: dict[XNNDatatype, ScalarType] = {
    _D.xnn_datatype_fp32: ScalarType.FLOAT,
    _D.xnn_datatype_pfp32: ScalarType.FLOAT,
    _D.xnn_datatype_fp16: ScalarType.HALF,
    _D.xnn_datatype_bf16: ScalarType.BFLOAT16,
    _D.xnn_datatype_int32: ScalarType.INT,
    _D.xnn_datatype_qint8: ScalarType.CHAR,
    _D.xnn_datatype_quint8: ScalarType.BYTE,
    _D.xnn_datatype_qint32: ScalarType.INT,
    _D.xnn_datatype_qcint8: ScalarType.CHAR,
    _D.xnn_datatype_qcint32: ScalarType.INT,
    _D.xnn_datatype_qcint4: ScalarType.CHAR,
    _D.xnn_datatype_qbint4: ScalarType.CHAR,
    _D.xnn_datatype_qdint8: ScalarType.CHAR,
    _D.xnn_datatype_qpint8: ScalarType.CHAR,
}
"""Element type of each datatype in a graph; ``pfp32`` and ``qpint8`` are other memory layouts of the same numbers."""

FOUR_BITS = frozenset((_D.xnn_datatype_qcint4, _D.xnn_datatype_qbint4))
_FOUR_BIT_ZERO = 8


@dataclass(frozen=True, slots=True)
class PerTensor:
    """real = (stored - ``zero_point``) * ``scale``."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class PerChannel:
    """real = stored * scale of its index of dimension ``axis``; ``scales`` are float32."""

    scales: NDArray[Any]
    axis: int
    group_size: int = 0
    """Elements along a row that share a scale, 0 where a whole row does; then ``axis`` is 0."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Quantised at run time, all elements of the last ``num_nonbatch_dims`` dimensions alike.

    ``scales`` and ``zero_points`` have one row per such group, as ``quantize_per_token`` takes them.
    """

    num_nonbatch_dims: int
    scales: Value
    zero_points: Value


Quantization = PerTensor | PerChannel | Dynamic


def integer_range(storage: ScalarType) -> tuple[int, int]:
    """The least and the greatest stored integer."""
    limits = np.iinfo(storage.dtype)
    return int(limits.min), int(limits.max)


def unpack_four_bits(data: memoryview, rows: int, columns: int) -> NDArray[np.int8]:
    """Rows of nibbles, the even column in the low one, as int8 -8 … 7; a row ends on a full byte."""
    packed = np.frombuffer(data, np.uint8).reshape(rows, (columns + 1) // 2)
    wide = np.empty((rows, packed.shape[1], 2), np.int8)
    wide[..., 0] = packed & 15
    wide[..., 1] = packed >> 4
    wide -= _FOUR_BIT_ZERO
    return wide.reshape(rows, -1)[:, :columns]


def block_scales(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Scales of blocks as float32; those that older files give as float32 lose the bits that bfloat16 has not.

    The runtime cuts them off after multiplying by a little more than one (convertF32TensorToBF16).
    """
    if stored.dtype != np.float32:
        return np.asarray(stored.view(ml_dtypes.bfloat16).astype(np.float32))
    raised = stored * np.float32(1.00389105)
    return (raised.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
