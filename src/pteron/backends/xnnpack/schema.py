"""The payload's graph, and the complete declaration of the XNNPACK schema.

Identifier ``XN00`` was written by 0.1 (constants inside the flatbuffer), ``XN01`` since 0.2 (constants behind it, or
since 0.6 in named data). Runtimes since 0.2 read both through backends/xnnpack/serialization/runtime_schema.fbs.
"""

from __future__ import annotations

from pteron.backends.xnnpack.nodes import XNode
from pteron.backends.xnnpack.values import SCHEMA, XValue
from pteron.format.declare import slot, table

ROOT = "XNNGraph"
XN00 = "XN00"
XN01 = "XN01"
SINCE = {XN00: "0.1.0", XN01: "0.2.0"}
"""First release whose runtime reads each identifier."""

__all__ = ["ROOT", "SCHEMA", "SINCE", "XN00", "XN01", "Buffer", "ConstantDataOffset", "XNNGraph"]


@table(SCHEMA, since="0.1.0")
class Buffer:
    storage: memoryview | None = slot(0, "bytes", default=None, since="0.1.0", align=16)


@table(SCHEMA, since="0.2.0")
class ConstantDataOffset:
    """A constant of ``size`` bytes at ``offset`` of the payload's constant region, or the blob ``named_key``."""

    offset: int = slot(0, "ulong", default=0, since="0.2.0")
    size: int = slot(1, "ulong", default=0, since="0.2.0")
    named_key: str | None = slot(2, "string", default=None, since="0.6.0")


@table(SCHEMA, since="0.1.0")
class XNNGraph:
    """Entry 0 of ``constant_buffer`` and ``constant_data`` stands for no constant; 0.1 wrote the first, 0.2 the second.

    ``version`` is always "0"; runtimes read neither it nor ``input_ids``, ``output_ids`` and ``mem_buffer_sizes``: the
    values' flags and external ids say the same.
    """

    version: str | None = slot(0, "string", default=None, since="0.1.0")
    xnodes: tuple[XNode, ...] | None = slot(1, "[XNode]", default=None, since="0.1.0")
    xvalues: tuple[XValue, ...] | None = slot(2, "[XValue]", default=None, since="0.1.0")
    num_externs: int = slot(3, "uint", default=0, since="0.1.0")
    input_ids: tuple[int, ...] | None = slot(4, "[uint]", default=None, since="0.1.0")
    output_ids: tuple[int, ...] | None = slot(5, "[uint]", default=None, since="0.1.0")
    constant_buffer: tuple[Buffer, ...] | None = slot(6, "[Buffer]", default=None, since="0.1.0")
    mem_buffer_sizes: tuple[int, ...] | None = slot(7, "[uint]", default=None, since="0.1.0")
    constant_data: tuple[ConstantDataOffset, ...] | None = slot(8, "[ConstantDataOffset]", default=None, since="0.2.0")
