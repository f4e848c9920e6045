"""Lowerings: padding. A negative pad crops."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.ops.conversion import fill_value
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import Scalar


def _pads(self: Ref, pad: Sequence[int]) -> list[int]:
    """ONNX's order (all begins, all ends) of pads listed from the last dimension."""
    rank = self.rank
    if self.dtype.name in ("int16", "uint16"):
        raise Declined(f"ONNX Runtime has no Pad for {self.dtype.name}")
    if any(isinstance(p, Ref) for p in pad) or len(pad) % 2 or len(pad) > 2 * rank:
        raise Declined("pads that are not constants, or too many")
    begins, ends = [0] * rank, [0] * rank
    for i in range(len(pad) // 2):
        begins[rank - 1 - i], ends[rank - 1 - i] = pad[2 * i], pad[2 * i + 1]
    return begins + ends


@lowering("aten::constant_pad_nd")
def constant_pad_nd(b: Builder, self: Ref, pad: Sequence[int], value: Scalar) -> Ref:
    if isinstance(value, Ref) or not self.rank:
        raise Declined("a value that is not a constant")
    number = b.const(fill_value(value, self.dtype))
    return b.op("Pad", self, b.ints(_pads(self, pad)), number, dtype=self.dtype, mode="constant")


def _register(name: str, mode: str) -> None:
    @lowering(*(f"aten::{name}_pad{n}d" for n in (1, 2, 3)))
    def lower(b: Builder, self: Ref, padding: Sequence[int]) -> Ref:
        if any(not isinstance(p, Ref) and p < 0 for p in padding) or self.dynamic or not all(self.shape):
            raise Declined("pads that crop, or sizes that are not constants")
        return b.op("Pad", self, b.ints(_pads(self, padding)), dtype=self.dtype, mode=mode)


_register("reflection", "reflect")
_register("replication", "edge")
