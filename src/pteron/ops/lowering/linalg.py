"""Lowerings: matrix products.

A factor that is a transposed matrix becomes a flag of Gemm, so that a weight stays as it lies in the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from pteron.ops.lowering.builder import Builder, Ref
from pteron.ops.lowering.elementwise import finish, operands, work_dtype
from pteron.ops.lowering.model_bytes import MICROSOFT
from pteron.ops.lowering.quantized_linear import integer_linear
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BOOL, FLOAT32, FLOAT64, DType


def _check(a: Ref, c: Ref, rank: int) -> None:
    if a.rank != rank or c.rank != rank or a.dtype != c.dtype or a.dtype == BOOL:
        raise Declined("factors that do not fit")
    if 0 in a.shape or 0 in c.shape:
        raise Declined("factors without elements")


def untransposed(b: Builder, x: Ref) -> tuple[Ref, int]:
    """The matrix that ``x`` is the transpose of, and 1; or ``x`` itself and 0."""
    node = x.producer
    if node is None or node.op_type != "Transpose" or node.attributes["perm"] != [1, 0]:
        return x, 0
    return Ref(node.inputs[0], x.dtype, x.shape[::-1], x.dynamic), 1


def gemm(b: Builder, a: Ref, c: Ref, added: Ref | None, alpha: float = 1.0, beta: float = 1.0) -> Ref:
    """``alpha * a @ c + beta * added`` for matrices of float32 or float64."""
    a, turned = untransposed(b, a)
    c, turned_too = untransposed(b, c)
    return b.op(
        "Gemm", a, c, added, dtype=a.dtype, alpha=float(alpha), beta=float(beta), transA=turned, transB=turned_too
    )


def _product(b: Builder, a: Ref, c: Ref) -> Ref:
    x, y = operands(b, a, c, dtype=a.dtype)
    if a.rank == 2 and x.dtype == FLOAT32 and y.producer is not None and y.producer.op_type == "Transpose":
        return finish(b, gemm(b, x, y, None), a.dtype)
    return finish(b, b.op("MatMul", x, y, dtype=x.dtype), a.dtype)


@lowering("aten::mm")
def mm(b: Builder, self: Ref, mat2: Ref) -> Ref:
    _check(self, mat2, 2)
    return _product(b, self, mat2)


@lowering("aten::bmm")
def bmm(b: Builder, self: Ref, mat2: Ref) -> Ref:
    _check(self, mat2, 3)
    factor = _peeled(b, mat2) if work_dtype(self.dtype) == FLOAT32 else None
    if factor is None or self.dynamic:
        return _product(b, self, mat2)
    (x,) = operands(b, self, dtype=self.dtype)
    left = b.op("Reshape", x, b.ints([*factor.lead, *self.shape[1:]]), dtype=FLOAT32)
    y = b.op(
        "FusedMatMul",
        left,
        factor.matrix,
        dtype=FLOAT32,
        domain=MICROSOFT,
        alpha=factor.scale,
        transB=int(factor.turned),
    )
    return finish(b, b.op("Reshape", y, b.ints([*self.shape[:2], mat2.shape[2]]), dtype=FLOAT32), self.dtype)


@dataclass(frozen=True, slots=True)
class _Factor:
    """A batch of matrices as it was before it was transposed, scaled, and repeated; ``lead`` is the batch's shape."""

    matrix: Ref
    lead: tuple[int, ...]
    scale: float
    turned: bool


def _peeled(b: Builder, x: Ref) -> _Factor | None:
    """What the second factor of attention's products is made of.

    Exporters transpose and scale the keys, and repeat them for every head that shares them. Each of that would copy
    a whole cache; the product does it on the way.
    """
    lead, scale, turned, expanded = x.shape[:-2], 1.0, False, False
    gained = False
    while not x.dynamic and x.dtype == FLOAT32:
        found = next(((name, s) for name in _TRANSPARENT if (s := b.source(x, name))), None)
        if found is None:
            break
        name, (node, inputs) = found
        inner = inputs[0]
        if inner is None or inner.dynamic or inner.rank < 2 or inner.dtype != FLOAT32:
            break
        if name == "Transpose":
            if node.attributes["perm"] != [*range(inner.rank - 2), inner.rank - 1, inner.rank - 2]:
                break
            turned, gained = not turned, True
        elif name == "Mul":
            number = inputs[1].data if inputs[1] is not None else None
            if number is None or number.size != 1 or inner.shape != x.shape:
                break
            scale *= float(number.item())
            gained = True
        elif inner.shape[-2:] != x.shape[-2:] or (name == "Expand" and (expanded or inner.rank != x.rank)):
            break
        elif name == "Expand":
            expanded = gained = True
        elif expanded and inner.shape[:-2] != x.shape[:-2]:
            break
        else:
            lead = inner.shape[:-2]
        x = inner
    return _Factor(x, lead, scale, turned) if gained else None


_TRANSPARENT = ("Reshape", "Transpose", "Mul", "Expand")


def _matrices(dtype: DType) -> None:
    if work_dtype(dtype) not in (FLOAT32, FLOAT64):
        raise Declined(f"ONNX Runtime has no Gemm for {dtype.name}")


@lowering("aten::addmm")
def addmm(b: Builder, self: Ref, mat1: Ref, mat2: Ref, beta: float, alpha: float) -> Ref:
    _check(mat1, mat2, 2)
    _matrices(mat1.dtype)
    if self.dtype != mat1.dtype or self.rank > 2 or isinstance(beta, Ref) or isinstance(alpha, Ref) or alpha == 0:
        raise Declined("terms that do not fit")
    added, x, y = operands(b, self, mat1, mat2, dtype=mat1.dtype)
    return finish(b, gemm(b, x, y, added if beta != 0 else None, alpha, beta), mat1.dtype)


@lowering("aten::linear")
def linear(b: Builder, input: Ref, weight: Ref, bias: Ref | None) -> Ref:
    if weight.rank != 2 or input.rank < 1 or input.dtype != weight.dtype or 0 in (*input.shape, *weight.shape):
        raise Declined("input and weight do not fit")
    _matrices(input.dtype)
    x, y = operands(b, input, weight, dtype=input.dtype)
    added = None if bias is None else operands(b, bias, dtype=input.dtype)[0]
    if added is not None and added.rank > 1:
        raise Declined("a bias that is no vector")
    quantized = integer_linear(b, x, y, added)
    if quantized is not None:
        return finish(b, quantized, input.dtype)
    flat = x if input.rank == 2 else b.op("Reshape", x, b.ints([-1, weight.shape[1]]), dtype=x.dtype)
    result = b.op("Gemm", flat, y, added, dtype=x.dtype, transB=1)
    if input.rank != 2:
        outer = [b.size(input, d) for d in range(input.rank - 1)]
        result = b.op("Reshape", result, b.ints([*outer, weight.shape[0]]), dtype=x.dtype)
    return finish(b, result, input.dtype)
