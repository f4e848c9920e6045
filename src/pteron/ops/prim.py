"""Prim operators: arithmetic on the integers, floats and booleans that a program computes shapes and loops with.

They take and return Python scalars and have no out argument; the value is stored in the entry after the inputs. Source:
ExecuTorch's kernels/prim_ops. Integers are 64 bits wide and wrap. ``add.int``, ``sub.int`` and ``eq.int`` were written
by the exporters of 0.1 to 0.3 for ``torch.map`` although no runtime had them; they mean what ``.Scalar`` means for
integers.

The two operators on tensors are called with inputs and result only: ``et_view.default`` with self, size and result,
``et_copy_index.tensor`` with three entries of which the first is also the result.
"""

from __future__ import annotations

import math
import operator as py
from collections.abc import Callable
from typing import Any

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import Array, Scalar
from pteron.ops.registry import operator

_MAX_RANK = 16  # kTensorDimensionLimit


def wrap_int64(value: int) -> int:
    """``value`` as a 64-bit integer holds it, overflow wrapping around."""
    return (value + 2**63) % 2**64 - 2**63


def _is_int(value: Scalar) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _kinds(*values: Any) -> str:
    return " and ".join(type(v).__name__ for v in values)


def _ints(name: str, *values: Scalar) -> tuple[int, ...]:
    if not all(_is_int(v) for v in values):
        raise KernelError(f"{name} takes integers, not {_kinds(*values)}")
    return tuple(int(v) for v in values)


def _numbers(name: str, a: Scalar, b: Scalar) -> tuple[int | float, int | float]:
    """Two integers, or two floats where either is one; booleans are refused."""
    if isinstance(a, bool) or isinstance(b, bool):
        raise KernelError(f"{name} takes numbers, not {_kinds(a, b)}")
    return (a, b) if _is_int(a) and _is_int(b) else (float(a), float(b))


def _divisor(name: str, b: int) -> int:
    if b == 0:
        raise KernelError(f"{name} of an integer by zero")
    return b


def _truncating_quotient(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _to_int(name: str, value: float) -> int:
    if not -(2.0**63) <= value < 2.0**63:
        raise KernelError(f"{name} of {value!r} does not fit in 64 bits")
    return int(value)


def _algebra(name: str, compute: Callable[[Any, Any], Any]) -> None:
    @operator(f"executorch_prim::{name}.Scalar(Scalar a, Scalar b) -> Scalar")
    def kernel(a: Scalar, b: Scalar) -> Scalar:
        x, y = _numbers(name, a, b)
        result: Scalar = compute(x, y)
        return wrap_int64(result) if isinstance(result, int) else result


def _comparison(name: str, compute: Callable[[Any, Any], bool]) -> None:
    @operator(f"executorch_prim::{name}.Scalar(Scalar a, Scalar b) -> bool")
    def kernel(a: Scalar, b: Scalar) -> bool:
        if isinstance(a, bool) and isinstance(b, bool):
            return compute(a, b)
        return compute(*_numbers(name, a, b))


for _name, _compute in {"add": py.add, "sub": py.sub, "mul": py.mul}.items():
    _algebra(_name, _compute)
for _name, _compute in {"eq": py.eq, "gt": py.gt, "lt": py.lt, "ge": py.ge, "le": py.le}.items():
    _comparison(_name, _compute)


@operator("executorch_prim::add.int(int a, int b) -> int")
def add_int(a: int, b: int) -> int:
    return wrap_int64(py.add(*_ints("add.int", a, b)))


@operator("executorch_prim::sub.int(int a, int b) -> int")
def sub_int(a: int, b: int) -> int:
    return wrap_int64(py.sub(*_ints("sub.int", a, b)))


@operator("executorch_prim::eq.int(int a, int b) -> bool")
def eq_int(a: int, b: int) -> bool:
    return bool(py.eq(*_ints("eq.int", a, b)))


@operator("executorch_prim::floordiv.Scalar(Scalar a, Scalar b) -> Scalar")
def floordiv(a: Scalar, b: Scalar) -> Scalar:
    x, y = _numbers("floordiv", a, b)
    if isinstance(x, int) and isinstance(y, int):
        return wrap_int64(x // _divisor("floordiv", y))
    if y == 0:
        return math.copysign(math.inf, x)
    return x // y


@operator("executorch_prim::floordiv.int(int a, int b) -> int")
def floordiv_int(a: int, b: int) -> int:
    """Truncates towards zero, unlike ``floordiv.Scalar``: the runtime's kernel is C's division."""
    x, y = _ints("floordiv.int", a, b)
    return wrap_int64(_truncating_quotient(x, _divisor("floordiv.int", y)))


@operator("executorch_prim::truediv.Scalar(Scalar a, Scalar b) -> Scalar")
def truediv(a: Scalar, b: Scalar) -> float:
    x, y = (float(v) for v in _numbers("truediv", a, b))
    if y == 0:
        return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1, y)
    return x / y


@operator("executorch_prim::mod.int(int a, int b) -> int")
@operator("executorch_prim::mod.Scalar(int a, int b) -> int")
def mod(a: int, b: int) -> int:
    """C's remainder, which has the sign of ``a``."""
    x, y = _ints("mod", a, b)
    return x - _truncating_quotient(x, _divisor("mod", y)) * y


@operator("executorch_prim::neg.Scalar(Scalar a) -> Scalar")
def neg(a: Scalar) -> Scalar:
    if isinstance(a, bool):
        raise KernelError("neg takes a number, not bool")
    return wrap_int64(-a) if isinstance(a, int) else -a


@operator("executorch_prim::sym_max.Scalar(Scalar a, Scalar b) -> Scalar")
def sym_max(a: Scalar, b: Scalar) -> int:
    return max(_ints("sym_max", a, b))


@operator("executorch_prim::sym_min.Scalar(Scalar a, Scalar b) -> Scalar")
def sym_min(a: Scalar, b: Scalar) -> int:
    return min(_ints("sym_min", a, b))


@operator("executorch_prim::sym_float.Scalar(Scalar a) -> Scalar")
def sym_float(a: Scalar) -> float:
    return float(a)


@operator("executorch_prim::sym_int.Scalar(Scalar a) -> Scalar")
def sym_int(a: Scalar) -> int:
    return _to_int("sym_int", a) if isinstance(a, float) else int(a)


@operator("executorch_prim::sym_not.Scalar(Scalar a) -> bool")
def sym_not(a: Scalar) -> bool:
    if not isinstance(a, bool):
        raise KernelError(f"sym_not takes a bool, not {_kinds(a)}")
    return not a


@operator("executorch_prim::sym_ite.Scalar(Scalar b, Scalar t, Scalar f) -> Scalar")
def sym_ite(b: Scalar, t: Scalar, f: Scalar) -> Scalar:
    if not isinstance(b, bool):
        raise KernelError(f"sym_ite takes a bool as its condition, not {_kinds(b)}")
    return t if b else f


def _rounding(name: str, compute: Callable[[float], float]) -> None:
    @operator(f"executorch_prim::{name}.Scalar(Scalar a) -> Scalar")
    def kernel(a: Scalar) -> int:
        if not isinstance(a, float):
            raise KernelError(f"{name} takes a float, not {_kinds(a)}")
        return _to_int(name, float(compute(a)))


for _name, _round in {"ceil": np.ceil, "round": np.rint, "trunc": np.trunc}.items():
    _rounding(_name, _round)


@operator("aten::sym_size.int(Tensor self, int dim) -> int")
def sym_size(self: Array, dim: int) -> int:
    if not -self.ndim <= dim < self.ndim:
        raise KernelError(f"dimension {dim} is out of range for a tensor of {self.ndim} dimensions")
    return int(self.shape[dim])


@operator("aten::sym_numel(Tensor self) -> int")
def sym_numel(self: Array) -> int:
    return self.size


@operator("aten::_local_scalar_dense(Tensor self) -> Scalar")
def local_scalar_dense(self: Array) -> Scalar:
    if self.size == 0:
        raise KernelError("an empty tensor has no element to read as a number")
    first = self[(0,) * self.ndim]
    if self.dtype.kind == "b":
        return bool(first)
    if self.dtype.kind in "iu":
        return wrap_int64(int(first))
    if self.dtype.kind == "c":
        raise KernelError("a complex element cannot be read as a number")
    return float(first)


@operator("executorch_prim::et_view.default(Tensor self, int[] size) -> Tensor")
def et_view(self: Array, size: list[int]) -> Array:
    """``self`` under another shape; one size may be -1. A view wherever the strides allow one."""
    if len(size) > _MAX_RANK:
        raise KernelError(f"et_view to {len(size)} dimensions, more than {_MAX_RANK}")
    if size.count(-1) > 1 or any(s < -1 for s in size):
        raise KernelError(f"et_view sizes {size} hold a negative size or more than one -1")
    known = math.prod(s for s in size if s != -1)
    if -1 in size:
        if known == 0:
            raise KernelError(f"et_view cannot tell the size -1 of {size} from a size of zero")
        size = [self.size // known if s == -1 else s for s in size]
    if math.prod(size) != self.size:
        raise KernelError(f"et_view of {list(self.shape)} to {size} changes the number of elements")
    return self.reshape(size)


@operator("executorch_prim::et_copy_index.tensor(Tensor(a!) copy_to, Tensor copy_from, int index) -> ()")
def et_copy_index(copy_to: Array, copy_from: Array, index: int) -> Array:
    """``copy_to`` with ``index + 1`` rows: the ones before ``index`` as they were, then ``copy_from``.

    The program resizes ``copy_to`` to that result; until then only a row that it already has is written in place.
    """
    if index < 0:
        raise KernelError(f"et_copy_index at the negative index {index}")
    if copy_to.ndim != copy_from.ndim + 1 or copy_to.shape[1:] != copy_from.shape:
        raise KernelError(
            f"et_copy_index of {list(copy_from.shape)} into {list(copy_to.shape)}: the shapes of a row differ"
        )
    if copy_to.dtype != copy_from.dtype:
        raise KernelError(f"et_copy_index of {copy_from.dtype.name} into {copy_to.dtype.name}")
    if index > copy_to.shape[0]:
        raise KernelError(f"et_copy_index at {index}, past the {copy_to.shape[0]} rows written so far")
    if index < copy_to.shape[0]:
        copy_to[index] = copy_from
        return copy_to[: index + 1]
    return np.concatenate([copy_to, copy_from[np.newaxis]])
