"""Lowerings: symbolic numbers. Scalars are zero-dim tensors of int64, float64 or bool."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pteron.ops.dims import wrap_dim
from pteron.ops.lowering.builder import Builder, Ref, Size, Spec
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT64, INT64, DType

Number = int | float | bool | Ref


@lowering("aten::sym_size.int")
def sym_size(b: Builder, self: Ref, dim: int) -> Ref:
    size: Size = b.size(self, wrap_dim(dim, self.rank))
    return size if isinstance(size, Ref) else b.const(size, INT64)


@lowering("aten::sym_numel")
def sym_numel(b: Builder, self: Ref) -> Ref:
    return b.op("Size", self, dtype=INT64)


@lowering("aten::_local_scalar_dense")
def local_scalar_dense(b: Builder, self: Ref, out: Sequence[Spec]) -> Ref:
    if self.dynamic or math.prod(self.shape) != 1:
        raise Declined("a tensor that may have more or fewer elements than one")
    kind = BOOL if self.dtype == BOOL else INT64 if self.dtype.kind in "iu" else FLOAT64
    if out[0].dtype != kind:
        raise Declined("a number of another type than the tensor's")
    return b.cast(b.reshape(self, []), kind)


def _dtype(x: Number) -> DType:
    if isinstance(x, Ref):
        return x.dtype
    return BOOL if isinstance(x, bool) else INT64 if isinstance(x, int) else FLOAT64


def _pair(builder: Builder, x: Number, y: Number) -> list[Ref]:
    kinds = {_dtype(x), _dtype(y)}
    if BOOL in kinds:
        raise Declined("numbers are needed, not bool")
    dtype = FLOAT64 if FLOAT64 in kinds else INT64
    return [builder.cast(v, dtype) if isinstance(v, Ref) else builder.const(v, dtype) for v in (x, y)]


# Also written as ``.int`` by old exporters.
_INTEGER_FORMS = frozenset({"add", "sub", "eq"})


def _names(name: str) -> list[str]:
    forms = ("Scalar", "int") if name in _INTEGER_FORMS else ("Scalar",)
    return [f"executorch_prim::{name}.{form}" for form in forms]


def _register_algebra(name: str, op_type: str) -> None:
    @lowering(*_names(name))
    def lower(builder: Builder, a: Number, b: Number) -> Ref:
        x, y = _pair(builder, a, b)
        return builder.op(op_type, x, y, dtype=x.dtype)


def _register_comparison(name: str, op_type: str) -> None:
    @lowering(*_names(name))
    def lower(builder: Builder, a: Number, b: Number) -> Ref:
        return builder.op(op_type, *_pair(builder, a, b), dtype=BOOL)


for _name, _op in {"add": "Add", "sub": "Sub", "mul": "Mul"}.items():
    _register_algebra(_name, _op)
for _name, _op in {
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
}.items():
    _register_comparison(_name, _op)


@lowering("executorch_prim::floordiv.Scalar")
def floordiv(builder: Builder, a: Number, b: Number) -> Ref:
    if isinstance(b, Ref) or not isinstance(b, int) or b <= 0 or _dtype(a) != INT64:
        raise Declined("a divisor that is not a positive constant")
    x, y = _pair(builder, a, b)
    # ONNX's integer Mod has the sign of the divisor, as Python's.
    rest = builder.op("Mod", x, y, dtype=INT64)
    return builder.op("Div", builder.op("Sub", x, rest, dtype=INT64), y, dtype=INT64)


@lowering("executorch_prim::neg.Scalar")
def neg(builder: Builder, a: Number) -> Ref:
    if not isinstance(a, Ref) or a.dtype == BOOL:
        raise Declined("a constant")
    return builder.op("Neg", a, dtype=a.dtype)


def _register_choice(name: str, op_type: str) -> None:
    @lowering(f"executorch_prim::{name}.Scalar")
    def lower(builder: Builder, a: Number, b: Number) -> Ref:
        x, y = _pair(builder, a, b)
        if x.dtype != INT64:
            raise Declined("integers are needed")
        return builder.op(op_type, x, y, dtype=INT64)


_register_choice("sym_max", "Max")
_register_choice("sym_min", "Min")
