"""The payload's values: datatypes, tensors and their quantisation.

One record per table of backends/xnnpack/serialization/runtime_schema.fbs (v0.2.0 … v1.4.1) and schema.fbs (v0.1.0).
``since`` and ``until`` are the releases whose runtimes know what the thing means; exporters may have stopped writing
it earlier, as the docstrings say.
"""

from __future__ import annotations

from enum import IntEnum

from pteron.format.declare import FlatbufferSchema, slot, table

SCHEMA = FlatbufferSchema("xnnpack", identifiers=("XN00", "XN01"))

XNN_INVALID_VALUE_ID = 0xFFFFFFFF
"""No value: the external id of an internal value, the bias id of a layer without bias."""
XNN_VALUE_FLAG_EXTERNAL_INPUT = 1
XNN_VALUE_FLAG_EXTERNAL_OUTPUT = 2
XNN_MAX_TENSOR_DIMS = 6


class XNNDatatype(IntEnum):
    """Element types: q quantised, c per channel, d dynamically, b per block of a channel, p packed."""

    xnn_datatype_invalid = 0
    xnn_datatype_fp32 = 1
    xnn_datatype_fp16 = 2
    xnn_datatype_qint8 = 3
    xnn_datatype_quint8 = 4
    xnn_datatype_qint32 = 5
    xnn_datatype_qcint8 = 6
    xnn_datatype_qcint32 = 7
    xnn_datatype_qcint4 = 8
    xnn_datatype_qdint8 = 9
    xnn_datatype_qbint4 = 10
    xnn_datatype_qpint8 = 11
    xnn_datatype_int32 = 12
    xnn_datatype_pfp32 = 13
    xnn_datatype_bf16 = 14

    @property
    def short(self) -> str:
        """The name without its prefix: ``qcint8``."""
        return self.name.removeprefix("xnn_datatype_")

    @property
    def bits(self) -> int:
        """Bits of one element as stored, 0 where XNNPACK keeps the layout to itself; 4-bit rows end on a full byte."""
        return _BITS.get(self, 0)


_BITS = {
    XNNDatatype.xnn_datatype_fp32: 32,
    XNNDatatype.xnn_datatype_fp16: 16,
    XNNDatatype.xnn_datatype_qint8: 8,
    XNNDatatype.xnn_datatype_quint8: 8,
    XNNDatatype.xnn_datatype_qint32: 32,
    XNNDatatype.xnn_datatype_qcint8: 8,
    XNNDatatype.xnn_datatype_qcint32: 32,
    XNNDatatype.xnn_datatype_qcint4: 4,
    XNNDatatype.xnn_datatype_qdint8: 8,
    XNNDatatype.xnn_datatype_qbint4: 4,
    XNNDatatype.xnn_datatype_int32: 32,
    XNNDatatype.xnn_datatype_bf16: 16,
}

SCHEMA.enum(
    XNNDatatype,
    "short",
    since={
        "xnn_datatype_qcint4": "0.2.0",
        "xnn_datatype_qdint8": "0.2.0",
        "xnn_datatype_qbint4": "0.2.0",
        "xnn_datatype_qpint8": "0.7.0",
        "xnn_datatype_int32": "0.7.0",
        "xnn_datatype_pfp32": "0.7.0",
        "xnn_datatype_bf16": "0.7.0",
    },
)


@table(SCHEMA, since="0.1.0")
class PerChannelQuant:
    """One scale per index of dimension ``channel_dim``: in ``scale``, or since 0.7 in constant ``scale_buffer_idx``.

    That constant holds ``num_scales`` float32. The zero point is 0, and 8 for ``qcint4``.
    """

    scale: tuple[float, ...] | None = slot(0, "[float]", default=None, since="0.1.0")
    channel_dim: int = slot(1, "int", default=0, since="0.1.0")
    scale_buffer_idx: int = slot(2, "uint", default=0, since="0.7.0")
    num_scales: int = slot(3, "uint", default=0, since="0.7.0")


@table(SCHEMA, since="0.1.0")
class PerTensorQuant:
    scale: float = slot(0, "float", default=0.0, since="0.1.0")
    zero_point: int = slot(1, "int", default=0, since="0.1.0")


@table(SCHEMA, since="0.2.0")
class PerTokenDynamicQuant:
    """Quantised at run time; the last ``num_nonbatch_dims`` dimensions share scale and zero point."""

    num_nonbatch_dims: int = slot(0, "int", default=0, since="0.2.0")


@table(SCHEMA, since="0.2.0")
class PerChannelGroupQuant:
    """One scale per ``group_size`` elements along a row of the (output, input) weight; the zero point is 8.

    Scales are float32 in ``scale``, or since 0.7 ``num_scales`` bfloat16 in constant ``scale_buffer_idx``.
    ``scale_bf16`` had a place in the schema but no exporter wrote it.
    """

    scale: tuple[float, ...] | None = slot(0, "[float]", default=None, since="0.2.0")
    channel_dim: int = slot(1, "int", default=0, since="0.2.0")
    group_size: int = slot(2, "int", default=0, since="0.2.0")
    scale_bf16: tuple[int, ...] | None = slot(3, "[ushort]", default=None, since="0.4.0", until="0.6.0")
    scale_buffer_idx: int = slot(4, "uint", default=0, since="0.7.0")
    num_scales: int = slot(5, "uint", default=0, since="0.7.0")


XNNQuantParams = PerChannelQuant | PerTensorQuant | PerTokenDynamicQuant | PerChannelGroupQuant
SCHEMA.union("XNNQuantParams", PerChannelQuant=1, PerTensorQuant=2, PerTokenDynamicQuant=3, PerChannelGroupQuant=4)


@table(SCHEMA, since="0.1.0")
class XNNTensorValue:
    """A tensor: ``dims`` are physical and upper bounds, ``id_out`` the id that nodes know it by.

    ``constant_buffer_idx`` 0 means not constant. ``external_id`` is the position among the delegate's arguments, inputs
    first. ``dq_datatype``, written by 0.1 only, asks for an external input to be quantised per token at run time.
    """

    datatype: XNNDatatype = slot(0, "XNNDatatype", default=XNNDatatype.xnn_datatype_invalid, since="0.1.0")
    num_dims: int = slot(1, "uint", default=0, since="0.1.0")
    dims: tuple[int, ...] | None = slot(2, "[uint]", default=None, since="0.1.0")
    constant_buffer_idx: int = slot(3, "uint", default=0, since="0.1.0")
    external_id: int = slot(4, "uint", default=0, since="0.1.0")
    flags: int = slot(5, "uint", default=0, since="0.1.0")
    id_out: int = slot(6, "uint", default=0, since="0.1.0")
    dq_datatype: XNNDatatype = slot(7, "XNNDatatype", default=XNNDatatype.xnn_datatype_invalid, since="0.1.0")

    @property
    def is_input(self) -> bool:
        """Whether the delegate's caller gives it."""
        return bool(self.flags & XNN_VALUE_FLAG_EXTERNAL_INPUT)

    @property
    def is_output(self) -> bool:
        """Whether the delegate's caller gets it."""
        return bool(self.flags & XNN_VALUE_FLAG_EXTERNAL_OUTPUT)

    @property
    def nbytes(self) -> int:
        """Bytes at the upper bound of the shape."""
        *rows, row = self.dims or (1,)
        total = (row * self.datatype.bits + 7) // 8
        for size in rows:
            total *= size
        return total


@table(SCHEMA, since="0.1.0")
class XNNQuantizedTensorValue:
    tensor_value: XNNTensorValue | None = slot(0, "XNNTensorValue", default=None, since="0.1.0")
    quant_params: XNNQuantParams | None = slot(2, "XNNQuantParams", default=None, since="0.1.0")


XValueUnion = XNNTensorValue | XNNQuantizedTensorValue
SCHEMA.union("XValueUnion", XNNTensorValue=1, XNNQuantizedTensorValue=2)


@table(SCHEMA, since="0.1.0")
class XValue:
    xvalue_union: XValueUnion | None = slot(1, "XValueUnion", default=None, since="0.1.0")

    @property
    def tensor(self) -> XNNTensorValue | None:
        """The tensor's record, quantised or not."""
        value = self.xvalue_union
        return value.tensor_value if isinstance(value, XNNQuantizedTensorValue) else value

    @property
    def quant_params(self) -> XNNQuantParams | None:
        """The quantisation, None for a plain tensor."""
        value = self.xvalue_union
        return value.quant_params if isinstance(value, XNNQuantizedTensorValue) else None
