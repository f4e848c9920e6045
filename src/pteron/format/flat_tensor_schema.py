"""The PTD schemas: ``flat_tensor.fbs`` of every release.

0.7 gave the slots of the root table and of the entries new meanings and kept the identifier ``FT01``, so there are two
declarations. 0.5 (which shipped the schema and no writer) is 0.6 without ``named_data``. Releases are ExecuTorch's tags
(extension/flat_tensor/flat_tensor.fbs at v0.5.0, extension/flat_tensor/serialize/flat_tensor.fbs since v0.6.0).
"""

from __future__ import annotations

from pteron.format.declare import FlatbufferSchema, slot, table
from pteron.format.scalar_type import ScalarType

OLD = FlatbufferSchema("flat_tensor 0.5 and 0.6", identifiers=("FT01",))
OLD.enum(ScalarType, "byte")


@table(OLD, since="0.5.0", until="0.6.0")
class TensorMetadata:
    """A tensor at ``offset`` bytes in segment ``segment_index``."""

    fully_qualified_name: str | None = slot(0, "string", default=None, since="0.5.0", until="0.6.0")
    scalar_type: ScalarType = slot(1, "ScalarType", default=ScalarType.BYTE, since="0.5.0", until="0.6.0")
    sizes: tuple[int, ...] | None = slot(2, "[int]", default=None, since="0.5.0", until="0.6.0", was="dim_sizes")
    dim_order: tuple[int, ...] | None = slot(3, "[ubyte]", default=None, since="0.5.0", until="0.6.0")
    segment_index: int = slot(4, "uint", default=0, since="0.5.0", until="0.6.0")
    offset: int = slot(5, "ulong", default=0, since="0.5.0", until="0.6.0")


@table(OLD, since="0.5.0", until="0.6.0", name="DataSegment")
class OldDataSegment:
    """``offset`` counts from the header's segment_base_offset. Both in bytes."""

    offset: int = slot(0, "ulong", default=0, since="0.5.0")
    size: int = slot(1, "ulong", default=0, since="0.5.0")


@table(OLD, since="0.6.0", until="0.6.0", name="NamedData")
class OldNamedData:
    key: str | None = slot(0, "string", default=None, since="0.6.0")
    segment_index: int = slot(1, "uint", default=0, since="0.6.0")


@table(OLD, since="0.5.0", until="0.6.0", name="FlatTensor")
class OldFlatTensor:
    """The root table of a PTD file of 0.5 and 0.6; ``tensor_alignment`` is bytes."""

    version: int = slot(0, "uint", default=0, since="0.5.0")
    tensor_alignment: int = slot(1, "uint", default=0, since="0.5.0", until="0.6.0")
    tensors: tuple[TensorMetadata, ...] | None = slot(2, "[TensorMetadata]", default=None, since="0.5.0", until="0.6.0")
    segments: tuple[OldDataSegment, ...] | None = slot(3, "[DataSegment]", default=None, since="0.5.0", until="0.6.0")
    named_data: tuple[OldNamedData, ...] | None = slot(4, "[NamedData]", default=None, since="0.6.0", until="0.6.0")


SCHEMA = FlatbufferSchema("flat_tensor", identifiers=("FT01",))
SCHEMA.enum(
    ScalarType,
    "byte",
    since=dict.fromkeys(
        (
            "BFLOAT16",
            "FLOAT8_E5M2",
            "FLOAT8_E4M3FN",
            "FLOAT8_E5M2FNUZ",
            "FLOAT8_E4M3FNUZ",
            "UINT16",
            "UINT32",
            "UINT64",
        ),
        "1.2.0",
    ),
)


@table(SCHEMA, since="0.7.0")
class TensorLayout:
    """``dim_order`` lists dimensions from outermost to innermost."""

    scalar_type: ScalarType = slot(0, "ScalarType", default=ScalarType.BYTE, since="0.7.0")
    sizes: tuple[int, ...] | None = slot(1, "[int]", default=None, since="0.7.0")
    dim_order: tuple[int, ...] | None = slot(2, "[ubyte]", default=None, since="0.7.0")


@table(SCHEMA, since="0.5.0")
class DataSegment:
    """``offset`` counts from the header's segment_base_offset. Both in bytes."""

    offset: int = slot(0, "ulong", default=0, since="0.5.0")
    size: int = slot(1, "ulong", default=0, since="0.5.0")


@table(SCHEMA, since="0.6.0")
class NamedData:
    """A blob, or a tensor where there is a ``tensor_layout``: the bytes of a segment."""

    key: str | None = slot(0, "string", default=None, since="0.6.0")
    segment_index: int = slot(1, "uint", default=0, since="0.6.0")
    tensor_layout: TensorLayout | None = slot(2, "TensorLayout", default=None, since="0.7.0")


@table(SCHEMA, since="0.5.0")
class FlatTensor:
    """The root table of a PTD file since 0.7."""

    version: int = slot(0, "uint", default=0, since="0.5.0")
    segments: tuple[DataSegment, ...] | None = slot(1, "[DataSegment]", default=None, since="0.7.0")
    named_data: tuple[NamedData, ...] | None = slot(2, "[NamedData]", default=None, since="0.7.0")
