"""Lowerings: activation functions."""

from __future__ import annotations

from pteron.ops.elementwise import bound, check_dtype
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, floating, integral, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.lowering.unary import expm1_of, only_float32
from pteron.ops.promotion import BOOL, FLOAT32


@lowering("aten::relu")
def relu(b: Builder, self: Ref) -> Ref:
    check_dtype(self.dtype, "relu", boolean=False, complex=False)
    (x,) = operands(b, self, dtype=self.dtype)
    if integral(x.dtype):
        return finish(b, b.op("Max", x, b.const(0, x.dtype), dtype=x.dtype), self.dtype)
    return finish(b, b.op("Relu", x, dtype=x.dtype), self.dtype)


def clip(b: Builder, x: Ref, low: Ref | None, high: Ref | None) -> Ref:
    """At least ``low``, then at most ``high``: as Relu or one Clip, which fuse, for zero alone or two numbers in order.

    Clip takes a bound that is left away as the largest finite number, and would cut infinities down to it.
    """
    numbers = [y.data.item() for y in (low, high) if y is not None and y.data is not None and not y.rank]
    if high is None and numbers == [0] and x.dtype == FLOAT32:
        return b.op("Relu", x, dtype=x.dtype)
    if len(numbers) == 2 and numbers[0] <= numbers[1]:
        return b.op("Clip", x, low, high, dtype=x.dtype)
    if low is not None:
        x = b.op("Max", x, low, dtype=x.dtype)
    return b.op("Min", x, high, dtype=x.dtype) if high is not None else x


@lowering("aten::hardtanh")
def hardtanh(b: Builder, self: Ref, min_val: float, max_val: float) -> Ref:
    dtype = check_dtype(self.dtype, "hardtanh", boolean=False, complex=False)
    if isinstance(min_val, Ref) or isinstance(max_val, Ref):
        raise Declined("bounds that are not constants")
    x, low, high = operands(b, self, bound(min_val, dtype).item(), bound(max_val, dtype).item(), dtype=dtype)
    return finish(b, clip(b, x, low, high), dtype)


def _floating(b: Builder, self: Ref, name: str) -> Ref:
    check_dtype(self.dtype, name, boolean=False, integral=False, complex=False)
    return operands(b, self, dtype=self.dtype)[0]


@lowering("aten::leaky_relu")
def leaky_relu(b: Builder, self: Ref, negative_slope: float) -> Ref:
    x = _floating(b, self, "leaky_relu")
    only_float32(x, "LeakyRelu")
    return finish(b, b.op("LeakyRelu", x, dtype=x.dtype, alpha=float(negative_slope)), self.dtype)


@lowering("aten::elu")
def elu(b: Builder, self: Ref, alpha: float, scale: float, input_scale: float) -> Ref:
    x = _floating(b, self, "elu")
    inner = b.op("Mul", x, b.const(float(input_scale), x.dtype), dtype=x.dtype)
    low = b.op("Mul", expm1_of(b, inner), b.const(float(alpha) * float(scale), x.dtype), dtype=x.dtype)
    high = b.op("Mul", x, b.const(float(scale), x.dtype), dtype=x.dtype)
    positive = b.op("Greater", x, b.const(0, x.dtype), dtype=BOOL)
    return finish(b, b.op("Where", positive, high, low, dtype=x.dtype), self.dtype)


@lowering("aten::gelu")
def gelu(b: Builder, self: Ref, approximate: str) -> Ref:
    x = _floating(b, self, "gelu")
    if x.dtype != FLOAT32 or approximate not in ("none", "tanh"):
        raise Declined(f"gelu of {x.dtype.name}, approximate {approximate!r}")
    return finish(b, b.op("Gelu", x, dtype=x.dtype, approximate=approximate), self.dtype)


@lowering("aten::glu")
def glu(b: Builder, self: Ref, dim: int) -> Ref:
    x = _floating(b, self, "glu")
    if not x.rank:
        raise Declined("a tensor of no dimensions")
    values, gates = b.ops("Split", x, dtypes=[x.dtype, x.dtype], axis=dim, num_outputs=2)
    return finish(b, b.op("Mul", values, b.op("Sigmoid", gates, dtype=x.dtype), dtype=x.dtype), self.dtype)


@lowering("aten::logit")
def logit(b: Builder, self: Ref, eps: float | None) -> Ref:
    dtype = floating(check_dtype(self.dtype, "logit", complex=False))
    (x,) = operands(b, self, dtype=dtype)
    if eps is not None:
        if eps > 0.5:
            raise Declined("bounds that cross")
        x = clip(b, x, b.const(eps, x.dtype), b.const(1 - eps, x.dtype))
    odds = b.op("Div", x, b.op("Sub", b.const(1, x.dtype), x, dtype=x.dtype), dtype=x.dtype)
    return finish(b, b.op("Log", odds, dtype=x.dtype), dtype)
