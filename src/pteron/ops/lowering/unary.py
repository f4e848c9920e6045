"""Lowerings: elementwise mathematics of one tensor."""

from __future__ import annotations

import math

import numpy as np

from pteron.ops.elementwise import check_dtype
from pteron.ops.lowering.binary import truncated
from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, floating, integral, operands
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT64

# Floating functions that ONNX has under (nearly) the same name, and whether ONNX Runtime has them for float64.
_DIRECT: dict[str, tuple[str, bool]] = {
    "acos": ("Acos", False),
    "acosh": ("Acosh", False),
    "asin": ("Asin", False),
    "asinh": ("Asinh", False),
    "atan": ("Atan", False),
    "atanh": ("Atanh", False),
    "cos": ("Cos", True),
    "cosh": ("Cosh", False),
    "erf": ("Erf", False),
    "exp": ("Exp", True),
    "log": ("Log", True),
    "reciprocal": ("Reciprocal", True),
    "sigmoid": ("Sigmoid", True),
    "sin": ("Sin", True),
    "sinh": ("Sinh", False),
    "sqrt": ("Sqrt", True),
    "tan": ("Tan", False),
    "tanh": ("Tanh", True),
}


def _argument(b: Builder, self: Ref, name: str) -> tuple[Ref, np.dtype[np.generic]]:
    dtype = floating(check_dtype(self.dtype, name, complex=False))
    (x,) = operands(b, self, dtype=dtype)
    return x, dtype


def only_float32(x: Ref, name: str) -> None:
    if x.dtype == FLOAT64:
        raise Declined(f"ONNX Runtime has no {name} for float64")


def _register(name: str, op_type: str, double: bool) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref) -> Ref:
        x, dtype = _argument(b, self, name)
        if not double:
            only_float32(x, op_type)
        return finish(b, b.op(op_type, x, dtype=x.dtype), dtype)


for _name, (_op, _double) in _DIRECT.items():
    _register(_name, _op, _double)


@lowering("aten::rsqrt")
def rsqrt(b: Builder, self: Ref) -> Ref:
    x, dtype = _argument(b, self, "rsqrt")
    return finish(b, b.op("Reciprocal", b.op("Sqrt", x, dtype=x.dtype), dtype=x.dtype), dtype)


@lowering("aten::expm1")
def expm1(b: Builder, self: Ref) -> Ref:
    x, dtype = _argument(b, self, "expm1")
    return finish(b, expm1_of(b, x), dtype)


def expm1_of(b: Builder, x: Ref) -> Ref:
    """exp(x) - 1 as tanh(x / 2) * (exp(x) + 1), which keeps its digits near zero."""
    half = b.op("Tanh", b.op("Mul", x, b.const(0.5, x.dtype), dtype=x.dtype), dtype=x.dtype)
    above = b.op("Add", b.op("Exp", x, dtype=x.dtype), b.const(1, x.dtype), dtype=x.dtype)
    return b.op("Mul", half, above, dtype=x.dtype)


@lowering("aten::log1p")
def log1p(b: Builder, self: Ref) -> Ref:
    x, dtype = _argument(b, self, "log1p")
    one = b.const(1, x.dtype)
    total = b.op("Add", x, one, dtype=x.dtype)
    # What rounding took from 1 + x comes back as the factor x / ((1 + x) - 1).
    gained = b.op("Sub", total, one, dtype=x.dtype)
    log = b.op("Log", total, dtype=x.dtype)
    corrected = b.op("Mul", log, b.op("Div", x, gained, dtype=x.dtype), dtype=x.dtype)
    tiny = b.op("Equal", gained, b.const(0, x.dtype), dtype=BOOL)
    huge = b.op("Greater", x, b.const(1e4, x.dtype), dtype=BOOL)
    plain = b.op("Where", huge, log, corrected, dtype=x.dtype)
    return finish(b, b.op("Where", tiny, x, plain, dtype=x.dtype), dtype)


def _register_log(name: str, base: float) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref) -> Ref:
        x, dtype = _argument(b, self, name)
        factor = b.const(1 / math.log(base), x.dtype)
        return finish(b, b.op("Mul", b.op("Log", x, dtype=x.dtype), factor, dtype=x.dtype), dtype)


_register_log("log2", 2.0)
_register_log("log10", 10.0)


def _register_rounding(name: str, op_type: str) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref) -> Ref:
        dtype = check_dtype(self.dtype, name, boolean=False, complex=False)
        if integral(dtype):
            return self
        (x,) = operands(b, self, dtype=dtype)
        return finish(b, truncated(b, x) if name == "trunc" else b.op(op_type, x, dtype=x.dtype), dtype)


for _name, _op in {"ceil": "Ceil", "floor": "Floor", "round": "Round", "trunc": ""}.items():
    _register_rounding(_name, _op)


def _register_sign(name: str, op_type: str) -> None:
    @lowering(f"aten::{name}")
    def lower(b: Builder, self: Ref) -> Ref:
        dtype = check_dtype(self.dtype, name, boolean=False, complex=False)
        (x,) = operands(b, self, dtype=dtype)
        return finish(b, b.op(op_type, x, dtype=x.dtype), dtype)


for _name, _op in {"abs": "Abs", "neg": "Neg"}.items():
    _register_sign(_name, _op)


@lowering("aten::sign")
def sign(b: Builder, self: Ref) -> Ref:
    dtype = check_dtype(self.dtype, "sign", complex=False)
    if dtype == BOOL:
        return self
    (x,) = operands(b, self, dtype=dtype)
    result = b.op("Sign", x, dtype=x.dtype)
    if not integral(x.dtype):
        # The sign of NaN is 0.
        nan = b.op("IsNaN", x, dtype=BOOL)
        result = b.op("Where", nan, b.const(0, x.dtype), result, dtype=x.dtype)
    return finish(b, result, dtype)


@lowering("aten::_conj_physical")
def conj_physical(b: Builder, self: Ref) -> Ref:
    return self


@lowering("aten::bitwise_not")
def bitwise_not(b: Builder, self: Ref) -> Ref:
    if self.dtype == BOOL:
        return b.op("Not", self, dtype=BOOL)
    check_dtype(self.dtype, "bitwise_not", real=False, complex=False)
    return b.op("BitwiseNot", self, dtype=self.dtype)
