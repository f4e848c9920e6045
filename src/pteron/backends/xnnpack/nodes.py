"""The payload's nodes: one record class per kind, so that a record's class is the kind.

Numbers, fields and releases are those of backends/xnnpack/serialization/runtime_schema.fbs and of the kinds that
backends/xnnpack/runtime/XNNCompiler.cpp defines, compared at v0.1.0 … v1.4.1. ``since`` and ``until`` say which
releases' runtimes implement a kind; the schema kept the number of the one that was dropped.

``reads`` and ``writes`` name the fields with the ids of the values that a kind takes and makes, in order. The other id
fields of a shared layout mean nothing: a concatenation of two has three spare ones.
"""

from __future__ import annotations

from typing import ClassVar

from pteron.backends.xnnpack.values import SCHEMA, XNN_INVALID_VALUE_ID
from pteron.format.declare import slot, table

Names = tuple[str, ...]


class XNNNode:
    """What every kind has; ``optional`` names the ids that may be XNN_INVALID_VALUE_ID."""

    __slots__ = ()
    reads: ClassVar[Names] = ("input_id",)
    writes: ClassVar[Names] = ("output_id",)
    optional: ClassVar[Names] = ()

    @property
    def inputs(self) -> tuple[int, ...]:
        """Ids of the values it takes, without those left out."""
        return tuple(i for name in self.reads if (i := self.id_of(name)) != XNN_INVALID_VALUE_ID)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Ids of the values it makes."""
        return tuple(self.id_of(name) for name in self.writes)

    def id_of(self, name: str) -> int:
        """The id in one of the fields that ``reads`` and ``writes`` name."""
        value: int = getattr(self, name)
        return value


@table(SCHEMA, since="0.1.0", name="_XNNNode1x1")
class XNNNode1x1(XNNNode):
    input_id: int = slot(0, "uint", default=0, since="0.1.0")
    output_id: int = slot(1, "uint", default=0, since="0.1.0")
    flags: int = slot(2, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0", name="_XNNNode2x1")
class XNNNode2x1(XNNNode):
    reads: ClassVar[Names] = ("input1_id", "input2_id")

    input1_id: int = slot(0, "uint", default=0, since="0.1.0")
    input2_id: int = slot(1, "uint", default=0, since="0.1.0")
    output_id: int = slot(2, "uint", default=0, since="0.1.0")
    flags: int = slot(3, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0", name="_XNNNodeConv")
class XNNNodeConv(XNNNode):
    """NHWC input; the filter is (output, height, width, input per group), and (1, height, width, channels) by depth."""

    reads: ClassVar[Names] = ("input1_id", "filter_id", "bias_id")
    optional: ClassVar[Names] = ("bias_id",)

    padding_top: int = slot(0, "uint", default=0, since="0.1.0")
    padding_right: int = slot(1, "uint", default=0, since="0.1.0")
    padding_bottom: int = slot(2, "uint", default=0, since="0.1.0")
    padding_left: int = slot(3, "uint", default=0, since="0.1.0")
    kernel_height: int = slot(4, "uint", default=0, since="0.1.0")
    kernel_width: int = slot(5, "uint", default=0, since="0.1.0")
    subsampling_height: int = slot(6, "uint", default=0, since="0.1.0")
    subsampling_width: int = slot(7, "uint", default=0, since="0.1.0")
    dilation_height: int = slot(8, "uint", default=0, since="0.1.0")
    dilation_width: int = slot(9, "uint", default=0, since="0.1.0")
    group_input_channels: int = slot(10, "uint", default=0, since="0.1.0")
    group_output_channels: int = slot(11, "uint", default=0, since="0.1.0")
    groups: int = slot(12, "uint", default=0, since="0.1.0")
    adjustment_height: int = slot(13, "uint", default=0, since="0.1.0")
    adjustment_width: int = slot(14, "uint", default=0, since="0.1.0")
    input1_id: int = slot(15, "uint", default=0, since="0.1.0")
    filter_id: int = slot(16, "uint", default=0, since="0.1.0")
    bias_id: int = slot(17, "uint", default=0, since="0.1.0")
    output_id: int = slot(18, "uint", default=0, since="0.1.0")
    flags: int = slot(19, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0", name="_XNNPooling2D")
class XNNPooling2D(XNNNode):
    padding_top: int = slot(0, "uint", default=0, since="0.1.0")
    padding_right: int = slot(1, "uint", default=0, since="0.1.0")
    padding_bottom: int = slot(2, "uint", default=0, since="0.1.0")
    padding_left: int = slot(3, "uint", default=0, since="0.1.0")
    pooling_height: int = slot(4, "uint", default=0, since="0.1.0")
    pooling_width: int = slot(5, "uint", default=0, since="0.1.0")
    stride_height: int = slot(6, "uint", default=0, since="0.1.0")
    stride_width: int = slot(7, "uint", default=0, since="0.1.0")
    dilation_height: int = slot(8, "uint", default=0, since="0.1.0")
    dilation_width: int = slot(9, "uint", default=0, since="0.1.0")
    input_id: int = slot(10, "uint", default=0, since="0.1.0")
    output_id: int = slot(11, "uint", default=0, since="0.1.0")
    flags: int = slot(12, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0", name="_XNNCat")
class XNNCat(XNNNode):
    reads: ClassVar[Names] = ("input1_id", "input2_id")

    axis: int = slot(0, "uint", default=0, since="0.1.0")
    input1_id: int = slot(1, "uint", default=0, since="0.1.0")
    input2_id: int = slot(2, "uint", default=0, since="0.1.0")
    input3_id: int = slot(3, "uint", default=0, since="0.1.0")
    input4_id: int = slot(4, "uint", default=0, since="0.1.0")
    output_id: int = slot(5, "uint", default=0, since="0.1.0")
    flags: int = slot(6, "uint", default=0, since="0.1.0")
    input5_id: int = slot(7, "uint", default=0, since="0.6.0")


@table(SCHEMA, since="0.1.0")
class XNNAdd(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNFullyConnected(XNNNode):
    """The filter is (output, input), or (input, output) where flags have XNN_FLAG_TRANSPOSE_WEIGHTS (1)."""

    reads: ClassVar[Names] = ("input1_id", "filter_id", "bias_id")
    optional: ClassVar[Names] = ("bias_id",)

    input1_id: int = slot(0, "uint", default=0, since="0.1.0")
    filter_id: int = slot(1, "uint", default=0, since="0.1.0")
    bias_id: int = slot(2, "uint", default=0, since="0.1.0")
    output_id: int = slot(3, "uint", default=0, since="0.1.0")
    flags: int = slot(4, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNSoftmax(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNSigmoid(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNStaticTranspose(XNNNode):
    num_dims: int = slot(0, "uint", default=0, since="0.1.0")
    perm: tuple[int, ...] | None = slot(1, "[uint]", default=None, since="0.1.0")
    input_id: int = slot(2, "uint", default=0, since="0.1.0")
    output_id: int = slot(3, "uint", default=0, since="0.1.0")
    flags: int = slot(4, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNClamp(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNConv2d(XNNNodeConv):
    pass


@table(SCHEMA, since="0.1.0")
class XNNDiv(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNStaticResizeBilinear2D(XNNNode):
    new_height: int = slot(0, "uint", default=0, since="0.1.0")
    new_width: int = slot(1, "uint", default=0, since="0.1.0")
    input_id: int = slot(2, "uint", default=0, since="0.1.0")
    output_id: int = slot(3, "uint", default=0, since="0.1.0")
    flags: int = slot(4, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNStaticConstantPad(XNNNode):
    pre_paddings: tuple[int, ...] | None = slot(0, "[uint]", default=None, since="0.1.0")
    post_paddings: tuple[int, ...] | None = slot(1, "[uint]", default=None, since="0.1.0")
    padding_value: float = slot(2, "float", default=0.0, since="0.1.0")
    input_id: int = slot(3, "uint", default=0, since="0.1.0")
    output_id: int = slot(4, "uint", default=0, since="0.1.0")
    flags: int = slot(5, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNAvgPooling2d(XNNPooling2D):
    pass


@table(SCHEMA, since="0.1.0")
class XNNMinimum(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNDepthwiseConv2d(XNNNodeConv):
    pass


@table(SCHEMA, since="0.1.0")
class XNNMaxPooling2d(XNNPooling2D):
    pass


@table(SCHEMA, since="0.1.0")
class XNNMultiply(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNSubtract(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNFloor(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNConvert(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNGlobalAvgPooling2d(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNStaticReshape(XNNNode):
    """A 0 in ``new_shape``, at most one, is the size that follows from the others."""

    num_dims: int = slot(0, "uint", default=0, since="0.1.0")
    new_shape: tuple[int, ...] | None = slot(1, "[uint]", default=None, since="0.1.0")
    input_id: int = slot(2, "uint", default=0, since="0.1.0")
    output_id: int = slot(3, "uint", default=0, since="0.1.0")
    flags: int = slot(4, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNArgMaxPooling2d(XNNNode):
    writes: ClassVar[Names] = ("output_value_id", "output_index_id")

    padding_top: int = slot(0, "uint", default=0, since="0.1.0")
    padding_right: int = slot(1, "uint", default=0, since="0.1.0")
    padding_bottom: int = slot(2, "uint", default=0, since="0.1.0")
    padding_left: int = slot(3, "uint", default=0, since="0.1.0")
    pooling_height: int = slot(4, "uint", default=0, since="0.1.0")
    pooling_width: int = slot(5, "uint", default=0, since="0.1.0")
    input_id: int = slot(6, "uint", default=0, since="0.1.0")
    output_value_id: int = slot(7, "uint", default=0, since="0.1.0")
    output_index_id: int = slot(8, "uint", default=0, since="0.1.0")
    flags: int = slot(9, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNSquareRoot(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNCeiling(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNHardswish(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNLeakyReLU(XNNNode):
    negative_slope: float = slot(0, "float", default=0.0, since="0.1.0")
    input_id: int = slot(1, "uint", default=0, since="0.1.0")
    output_id: int = slot(2, "uint", default=0, since="0.1.0")
    flags: int = slot(3, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNMaximum(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNNegate(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNSquare(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNELU(XNNNode):
    alpha: float = slot(0, "float", default=0.0, since="0.1.0")
    input_id: int = slot(1, "uint", default=0, since="0.1.0")
    output_id: int = slot(2, "uint", default=0, since="0.1.0")
    flags: int = slot(3, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNNAbs(XNNNode1x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNPReLU(XNNNode2x1):
    pass


@table(SCHEMA, since="0.1.0")
class XNNConcatenate2(XNNCat):
    pass


@table(SCHEMA, since="0.1.0")
class XNNConcatenate3(XNNCat):
    reads: ClassVar[Names] = ("input1_id", "input2_id", "input3_id")


@table(SCHEMA, since="0.1.0")
class XNNConcatenate4(XNNCat):
    reads: ClassVar[Names] = ("input1_id", "input2_id", "input3_id", "input4_id")


@table(SCHEMA, since="0.1.0")
class XNNStaticSlice(XNNNode):
    num_dims: int = slot(0, "uint", default=0, since="0.1.0")
    offsets: tuple[int, ...] | None = slot(1, "[uint]", default=None, since="0.1.0")
    sizes: tuple[int, ...] | None = slot(2, "[uint]", default=None, since="0.1.0")
    input_id: int = slot(3, "uint", default=0, since="0.1.0")
    output_id: int = slot(4, "uint", default=0, since="0.1.0")
    flags: int = slot(5, "uint", default=0, since="0.1.0")


@table(SCHEMA, since="0.2.0", until="0.6.0")
class XNNScaledDotProductAttention(XNNNode):
    """Written by exporters 0.2 to 0.5; runtimes since 0.7 refuse it."""

    reads: ClassVar[Names] = ("query_id", "key_id", "value_id", "scale_id", "mask_id")

    query_id: int = slot(0, "uint", default=0, since="0.2.0")
    key_id: int = slot(1, "uint", default=0, since="0.2.0")
    value_id: int = slot(2, "uint", default=0, since="0.2.0")
    scale_id: int = slot(3, "uint", default=0, since="0.2.0")
    mask_id: int = slot(4, "uint", default=0, since="0.2.0")
    output_id: int = slot(5, "uint", default=0, since="0.2.0")
    flags: int = slot(6, "uint", default=0, since="0.2.0")


@table(SCHEMA, since="0.4.0")
class XNNBatchMatrixMultiply(XNNNode2x1):
    pass


@table(SCHEMA, since="0.6.0")
class XNNConcatenate5(XNNCat):
    reads: ClassVar[Names] = ("input1_id", "input2_id", "input3_id", "input4_id", "input5_id")


@table(SCHEMA, since="0.6.0")
class XNNConvTranspose2d(XNNNodeConv):
    pass


@table(SCHEMA, since="0.6.0")
class XNNReciprocalSquareRoot(XNNNode1x1):
    pass


@table(SCHEMA, since="0.7.0")
class XNNLog(XNNNode1x1):
    pass


@table(SCHEMA, since="0.7.0")
class XNNGelu(XNNNode1x1):
    pass


@table(SCHEMA, since="0.7.0")
class XNNTanh(XNNNode1x1):
    pass


@table(SCHEMA, since="0.7.0")
class XNNExp(XNNNode1x1):
    pass


@table(SCHEMA, since="1.1.0")
class XNNSin(XNNNode1x1):
    pass


@table(SCHEMA, since="1.1.0")
class XNNCopy(XNNNode1x1):
    pass


@table(SCHEMA, since="1.1.0")
class XNNCos(XNNNode1x1):
    pass


SCHEMA.union(
    "XNodeUnion",
    XNNAdd=1,
    XNNFullyConnected=2,
    XNNSoftmax=3,
    XNNSigmoid=4,
    XNNStaticTranspose=5,
    XNNClamp=6,
    XNNConv2d=7,
    XNNDiv=8,
    XNNStaticResizeBilinear2D=9,
    XNNStaticConstantPad=10,
    XNNAvgPooling2d=11,
    XNNMinimum=12,
    XNNDepthwiseConv2d=13,
    XNNMaxPooling2d=14,
    XNNMultiply=15,
    XNNSubtract=16,
    XNNFloor=17,
    XNNConvert=18,
    XNNGlobalAvgPooling2d=19,
    XNNStaticReshape=20,
    XNNArgMaxPooling2d=21,
    XNNSquareRoot=22,
    XNNCeiling=23,
    XNNHardswish=24,
    XNNLeakyReLU=25,
    XNNMaximum=26,
    XNNNegate=27,
    XNNSquare=28,
    XNNELU=29,
    XNNAbs=30,
    XNNPReLU=31,
    XNNConcatenate2=32,
    XNNConcatenate3=33,
    XNNConcatenate4=34,
    XNNStaticSlice=35,
    XNNScaledDotProductAttention=36,
    XNNBatchMatrixMultiply=37,
    XNNConcatenate5=38,
    XNNConvTranspose2d=39,
    XNNReciprocalSquareRoot=40,
    XNNLog=41,
    XNNGelu=42,
    XNNTanh=43,
    XNNExp=44,
    XNNSin=45,
    XNNCopy=46,
    XNNCos=47,
)


@table(SCHEMA, since="0.1.0")
class OutputMinMax:
    """The range that a fused activation clamps a node's output to; a node without one has no bounds."""

    output_min: float = slot(0, "float", default=0.0, since="0.1.0")
    output_max: float = slot(1, "float", default=0.0, since="0.1.0")


@table(SCHEMA, since="0.1.0")
class XNode:
    xnode_union: XNNNode | None = slot(1, "XNodeUnion", default=None, since="0.1.0")
    debug_handle: int = slot(2, "uint", default=0, since="0.1.0")
    output_min_max: OutputMinMax | None = slot(3, "OutputMinMax", default=None, since="0.1.0")

    @property
    def kind(self) -> str:
        """``XNNConv2d``; empty for a node without content."""
        return type(self.xnode_union).__name__ if self.xnode_union else ""
