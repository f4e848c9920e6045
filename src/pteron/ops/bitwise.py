"""Operators: bitwise logic and shifts of integers and booleans.

Shifts by a negative amount or by at least the width give 0, or all sign bits for a right shift of a negative number,
as eager PyTorch defines them; NumPy's shifts do the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.ops.elementwise import check_dtype, finish, operands, result_dtype
from pteron.ops.promotion import Array, Scalar
from pteron.ops.registry import operator

_LOGIC: dict[str, Callable[..., Any]] = {
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
}
_SHIFTS: dict[str, Callable[..., Any]] = {
    "bitwise_left_shift": np.left_shift,
    "bitwise_right_shift": np.right_shift,
}


def _register(name: str, function: Callable[..., Any], *, scalar_overload: str, boolean: bool) -> None:
    def apply(self: Array, other: Array | Scalar) -> Array:
        dtype = check_dtype(result_dtype(self, other), name, boolean=boolean, real=False, complex=False)
        a, b = operands(self, other, dtype=dtype)
        return finish(function(a, b), dtype)

    @operator(f"aten::{name}.Tensor(Tensor self, Tensor other) -> Tensor", out="Tensor_out")
    def tensor_kernel(self: Array, other: Array) -> Array:
        return apply(self, other)

    @operator(f"aten::{name}.{scalar_overload}(Tensor self, Scalar other) -> Tensor", out=f"{scalar_overload}_out")
    def scalar_kernel(self: Array, other: Scalar) -> Array:
        return apply(self, other)


for _name, _function in _LOGIC.items():
    _register(_name, _function, scalar_overload="Scalar", boolean=True)
for _name, _function in _SHIFTS.items():
    _register(_name, _function, scalar_overload="Tensor_Scalar", boolean=False)


@operator("aten::bitwise_not(Tensor self) -> Tensor", out="out")
def bitwise_not(self: Array) -> Array:
    check_dtype(self.dtype, "bitwise_not", real=False, complex=False)
    return finish(np.invert(self), self.dtype)
