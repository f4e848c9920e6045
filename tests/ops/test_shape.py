"""Shape operators against rules for where each element comes from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_tensors import Index, build, index_of, number, run, same, tensors, wrapped

from pteron.errors import KernelError

# Draws the arguments for a tensor, and says what the result is: its shape, and where each element comes from.
Plan = tuple[dict[str, Any], list[int], Callable[[Index], Index | None]]
PLANS: dict[str, Callable[[Any, Any], Plan]] = {}


def plan(name: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        PLANS[f"aten::{name}"] = function
        return function

    return register


@plan("view_copy.out")
def _(draw: Any, x: Any) -> Plan:
    size, left = [], x.size
    for _ in range(draw(st.integers(0, 2))):
        size.append(draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0] or [0, 2])))
        left = left // size[-1] if size[-1] else 0
    size = size if left == 1 and draw(st.booleans()) else [*size, left]
    assume(math.prod(size) == x.size)
    asked = list(size)
    if size and draw(st.booleans()):
        at = draw(st.integers(0, len(size) - 1))
        if math.prod(size[:at] + size[at + 1 :]):
            asked[at] = -1
    return {"size": asked}, size, lambda i: index_of(number(i, size), x.shape)


@plan("permute_copy.out")
def _(draw: Any, x: Any) -> Plan:
    dims = draw(st.permutations(range(x.ndim)))
    asked = [wrapped(draw, d, x.ndim) for d in dims]
    return {"dims": asked}, [x.shape[d] for d in dims], lambda i: tuple(i[dims.index(d)] for d in range(x.ndim))


@plan("transpose_copy.int_out")
def _(draw: Any, x: Any) -> Plan:
    a, b = (draw(st.integers(0, max(x.ndim, 1) - 1)) for _ in range(2))

    def swap(i: Any) -> list[int]:
        i = list(i)
        if i:
            i[a], i[b] = i[b], i[a]
        return i

    asked = {"dim0": wrapped(draw, a, x.ndim), "dim1": wrapped(draw, b, x.ndim)}
    return asked, swap(x.shape), lambda i: tuple(swap(i))


@plan("t_copy.out")
def _(draw: Any, x: Any) -> Plan:
    assume(x.ndim <= 2)
    return {}, list(reversed(x.shape)), lambda i: tuple(reversed(i))


def _squeezed(x: Any, dims: list[int]) -> tuple[list[int], Callable[[Index], Index]]:
    gone = [d for d in dims if d < x.ndim and x.shape[d] == 1]

    def back(i: Index) -> Index:
        rest = list(i)
        return tuple(0 if d in gone else rest.pop(0) for d in range(x.ndim))

    return [s for d, s in enumerate(x.shape) if d not in gone], back


@plan("squeeze_copy.dim_out")
def _(draw: Any, x: Any) -> Plan:
    dim = draw(st.integers(0, max(x.ndim, 1) - 1))
    return {"dim": wrapped(draw, dim, x.ndim)}, *_squeezed(x, [dim])


@plan("squeeze_copy.dims_out")
def _(draw: Any, x: Any) -> Plan:
    dims = draw(st.lists(st.integers(0, max(x.ndim, 1) - 1), unique=True))
    return {"dim": [wrapped(draw, d, x.ndim) for d in dims]}, *_squeezed(x, dims)


@plan("unsqueeze_copy.out")
def _(draw: Any, x: Any) -> Plan:
    dim = draw(st.integers(0, x.ndim))
    shape = [*x.shape[:dim], 1, *x.shape[dim:]]
    return {"dim": wrapped(draw, dim, x.ndim + 1)}, shape, lambda i: i[:dim] + i[dim + 1 :]


@plan("expand_copy.out")
def _(draw: Any, x: Any) -> Plan:
    extra = draw(st.lists(st.integers(0, 2), max_size=2))
    shape = extra + [draw(st.integers(0, 3)) if s == 1 else s for s in x.shape]
    asked = [-1 if k >= len(extra) and s == x.shape[k - len(extra)] else s for k, s in enumerate(shape)]
    back = lambda i: tuple(0 if s == 1 else k for k, s in zip(i[len(extra) :], x.shape, strict=True))  # noqa: E731
    return {"size": draw(st.sampled_from([asked, shape])), "implicit": draw(st.booleans())}, shape, back


@plan("repeat.out")
def _(draw: Any, x: Any) -> Plan:
    repeats = draw(st.lists(st.integers(0, 2), min_size=x.ndim, max_size=x.ndim + 2))
    own = [1] * (len(repeats) - x.ndim) + list(x.shape)
    shape = [r * s for r, s in zip(repeats, own, strict=True)]
    return {"repeats": repeats}, shape, lambda i: tuple(k % s for k, s in zip(i, own, strict=True))[len(i) - x.ndim :]


@plan("flip.out")
def _(draw: Any, x: Any) -> Plan:
    dims = draw(st.lists(st.integers(0, max(x.ndim, 1) - 1), unique=True))
    back = lambda i: tuple(x.shape[d] - 1 - k if d in dims else k for d, k in enumerate(i))  # noqa: E731
    return {"dims": [wrapped(draw, d, x.ndim) for d in dims]}, list(x.shape), back


@plan("roll.out")
def _(draw: Any, x: Any) -> Plan:
    far = st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))
    if x.ndim == 0 or draw(st.booleans()):
        shift = draw(far)
        back = lambda i: index_of((number(i, x.shape) - shift) % x.size, x.shape)  # noqa: E731
        return {"shifts": [shift], "dims": []}, list(x.shape), back
    dims = draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, max_size=3))
    shifts = [draw(far) for _ in dims]
    total = [sum(s for s, d in zip(shifts, dims, strict=True) if d == axis) for axis in range(x.ndim)]
    asked = {"shifts": shifts, "dims": [wrapped(draw, d, x.ndim) for d in dims]}
    return asked, list(x.shape), lambda i: tuple((k - t) % s for k, t, s in zip(i, total, x.shape, strict=True))


@plan("select_copy.int_out")
def _(draw: Any, x: Any) -> Plan:
    assume(x.size)
    assume(x.ndim)
    dim = draw(st.integers(0, x.ndim - 1))
    index = draw(st.integers(0, x.shape[dim] - 1))
    asked = {"dim": wrapped(draw, dim, x.ndim), "index": draw(st.sampled_from([index, index - x.shape[dim]]))}
    return asked, [*x.shape[:dim], *x.shape[dim + 1 :]], lambda i: (*i[:dim], index, *i[dim:])


@plan("slice_copy.Tensor_out")
def _(draw: Any, x: Any) -> Plan:
    assume(x.ndim)
    dim, step = draw(st.integers(0, x.ndim - 1)), draw(st.integers(1, 3))
    bound = st.one_of(st.none(), st.integers(-5, 5), st.just(2**63 - 1))
    start, end = draw(bound), draw(bound)
    size = x.shape[dim]
    first = 0 if start is None else start + size if start < 0 else start
    last = size if end is None else end + size if end < 0 else end
    taken = [k for k in range(size) if first <= k < last and (k - max(first, 0)) % step == 0]
    shape = [*x.shape[:dim], len(taken), *x.shape[dim + 1 :]]
    asked = {"dim": wrapped(draw, dim, x.ndim), "start": start, "end": end, "step": step}
    return asked, shape, lambda i: (*i[:dim], taken[i[dim]], *i[dim + 1 :])


@plan("narrow_copy.out")
def _(draw: Any, x: Any) -> Plan:
    assume(x.ndim)
    dim = draw(st.integers(0, x.ndim - 1))
    start = draw(st.integers(0, x.shape[dim]))
    length = draw(st.integers(0, x.shape[dim] - start))
    asked = start - x.shape[dim] if start < x.shape[dim] and draw(st.booleans()) else start
    shape = [*x.shape[:dim], length, *x.shape[dim + 1 :]]
    back = lambda i: (*i[:dim], i[dim] + start, *i[dim + 1 :])  # noqa: E731
    return {"dim": wrapped(draw, dim, x.ndim), "start": asked, "length": length}, shape, back


@plan("diagonal_copy.out")
def _(draw: Any, x: Any) -> Plan:
    assume(x.ndim >= 2)
    a, b = draw(st.permutations(range(x.ndim)))[:2]
    offset = draw(st.integers(-4, 4))
    length = len([k for k in range(4) if k < x.shape[a] and 0 <= k + offset < x.shape[b]])
    if offset < 0:
        length = len([k for k in range(4) if k < x.shape[b] and 0 <= k - offset < x.shape[a]])
    kept = [d for d in range(x.ndim) if d not in (a, b)]

    def back(i: Index) -> Index:
        found = dict(zip(kept, i, strict=False)) | {a: i[-1] - min(offset, 0), b: i[-1] + max(offset, 0)}
        return tuple(found[d] for d in range(x.ndim))

    asked = {"offset": offset, "dim1": wrapped(draw, a, x.ndim), "dim2": wrapped(draw, b, x.ndim)}
    return asked, [*[x.shape[d] for d in kept], length], back


@plan("tril.out")
def _(draw: Any, x: Any) -> Plan:
    assume(x.ndim >= 2)
    diagonal = draw(st.one_of(st.integers(-4, 4), st.sampled_from([2**63 - 1, -(2**63)])))
    return {"diagonal": diagonal}, list(x.shape), lambda i: i if i[-1] - i[-2] <= diagonal else None


@plan("unfold_copy.out")
def _(draw: Any, x: Any) -> Plan:
    dim = draw(st.integers(0, max(x.ndim, 1) - 1))
    length = x.shape[dim] if x.ndim else 1
    size, step = draw(st.integers(0, length)), draw(st.integers(1, 3))
    asked = {"dimension": wrapped(draw, dim, x.ndim), "size": size, "step": step}
    if x.ndim == 0:
        return asked, [size], lambda i: ()
    windows = len([s for s in range(0, length + 1, step) if s + size <= length])
    shape = [*x.shape[:dim], windows, *x.shape[dim + 1 :], size]
    return asked, shape, lambda i: (*i[:dim], i[dim] * step + i[-1], *i[dim + 1 : -1])


@pytest.mark.parametrize("name", sorted(PLANS))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_each_element_comes_from_its_place(name: str, data: st.DataObject) -> None:
    x = data.draw(tensors())
    arguments, shape, source = PLANS[name](data.draw, x)

    def element(i: Index) -> Any:
        place = source(i)
        return 0 if place is None else x[place]

    same(run(name, self=x, **arguments), build(shape, x.dtype, element))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_as_strided_copy_reads_memory(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 3), max_size=4))
    order = data.draw(st.permutations(range(len(shape))))
    flat = list(range(10, 10 + math.prod(shape)))
    memory = np.array(flat, np.int32).reshape([shape[d] for d in order])
    x = memory.transpose([order.index(d) for d in range(len(shape))])
    size = data.draw(st.lists(st.integers(0, 3), max_size=3))
    stride = [data.draw(st.integers(0, 3)) for _ in size]
    offset = data.draw(st.integers(0, len(flat) - 1))
    at = lambda i: offset + sum(k * s for k, s in zip(i, stride, strict=True))  # noqa: E731
    arguments = {"self": x, "size": size, "stride": stride, "storage_offset": offset or None}
    if 0 not in size and at(tuple(n - 1 for n in size)) >= len(flat):
        with pytest.raises(KernelError, match="exceed"):
            run("aten::as_strided_copy.out", **arguments)
    else:
        same(run("aten::as_strided_copy.out", **arguments), build(size, np.int32, lambda i: flat[at(i)]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=5), st.sampled_from([np.int32, np.int64]), st.booleans())
def test_repeat_interleave_counts(repeats: list[int], dtype: Any, sized: bool) -> None:
    expected = [k for k, count in enumerate(repeats) for _ in range(count)]
    size = len(expected) if sized else None
    result = run("aten::repeat_interleave.Tensor_out", repeats=np.array(repeats, dtype), output_size=size)
    same(result, np.array(expected, dtype))


X = np.zeros((3, 4), np.float32)
POINT = np.float32(1).reshape(())
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("view_copy.out", {"self": X, "size": [5]}),
    ("view_copy.out", {"self": X, "size": [-1, -1]}),
    ("view_copy.out", {"self": X, "size": [-2, -6]}),
    ("view_copy.out", {"self": X, "size": [-1, 5]}),
    ("view_copy.out", {"self": X[:0], "size": [-1, 0]}),
    ("permute_copy.out", {"self": X, "dims": [0]}),
    ("permute_copy.out", {"self": X, "dims": [0, -2]}),
    ("transpose_copy.int_out", {"self": X, "dim0": 0, "dim1": 2}),
    ("t_copy.out", {"self": X[None]}),
    ("squeeze_copy.dim_out", {"self": POINT, "dim": 1}),
    ("squeeze_copy.dims_out", {"self": X, "dim": [0, -2]}),
    ("unsqueeze_copy.out", {"self": X, "dim": 3}),
    ("expand_copy.out", {"self": X, "size": [4]}),
    ("expand_copy.out", {"self": X, "size": [-1, 3, 4]}),
    ("expand_copy.out", {"self": X, "size": [3, 5]}),
    ("expand_copy.out", {"self": X, "size": [3, -2]}),
    ("expand_copy.out", {"self": POINT, "size": [2**40]}),
    ("repeat.out", {"self": X, "repeats": [2]}),
    ("repeat.out", {"self": X, "repeats": [2, -1]}),
    ("repeat.out", {"self": X, "repeats": [2**40, 2**40]}),
    ("flip.out", {"self": X, "dims": [0, 0]}),
    ("flip.out", {"self": X, "dims": [2]}),
    ("roll.out", {"self": X, "shifts": [1, 2], "dims": []}),
    ("roll.out", {"self": X, "shifts": [], "dims": []}),
    ("roll.out", {"self": X, "shifts": [1], "dims": [0, 1]}),
    ("roll.out", {"self": POINT, "shifts": [1], "dims": [0]}),
    ("select_copy.int_out", {"self": X, "dim": 0, "index": 3}),
    ("select_copy.int_out", {"self": X, "dim": 0, "index": -4}),
    ("select_copy.int_out", {"self": POINT, "dim": 0, "index": 0}),
    ("slice_copy.Tensor_out", {"self": X, "step": 0}),
    ("slice_copy.Tensor_out", {"self": POINT}),
    ("narrow_copy.out", {"self": X, "dim": 0, "start": 2, "length": 2}),
    ("narrow_copy.out", {"self": X, "dim": 0, "start": -4, "length": 1}),
    ("narrow_copy.out", {"self": X, "dim": 0, "start": 2, "length": -1}),
    ("narrow_copy.out", {"self": POINT, "dim": 0, "start": 0, "length": 1}),
    ("diagonal_copy.out", {"self": X, "dim1": 0, "dim2": -2}),
    ("diagonal_copy.out", {"self": X[0]}),
    ("tril.out", {"self": X[0]}),
    ("unfold_copy.out", {"self": X, "dimension": 0, "size": 4, "step": 1}),
    ("unfold_copy.out", {"self": X, "dimension": 0, "size": -1, "step": 1}),
    ("unfold_copy.out", {"self": X, "dimension": 0, "size": 1, "step": 0}),
    ("as_strided_copy.out", {"self": X, "size": [2], "stride": [1, 1]}),
    ("as_strided_copy.out", {"self": X, "size": [2], "stride": [-1], "storage_offset": 3}),
    ("as_strided_copy.out", {"self": X, "size": [-2], "stride": [1]}),
    ("as_strided_copy.out", {"self": X, "size": [1], "stride": [1], "storage_offset": -1}),
    ("as_strided_copy.out", {"self": X, "size": [], "stride": [], "storage_offset": 12}),
    ("as_strided_copy.out", {"self": X, "size": [2**40], "stride": [0]}),
    ("repeat_interleave.Tensor_out", {"repeats": np.array([[1]])}),
    ("repeat_interleave.Tensor_out", {"repeats": np.array([1, -1])}),
    ("repeat_interleave.Tensor_out", {"repeats": np.array([1.0])}),
    ("repeat_interleave.Tensor_out", {"repeats": np.array([1, 2]), "output_size": 4}),
    ("repeat_interleave.Tensor_out", {"repeats": np.array([2**62, 2**62, 2**62])}),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_refusals(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}", **arguments)
