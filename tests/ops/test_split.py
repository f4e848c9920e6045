"""Joining and splitting against rules for where each element comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tensors import BF16, build, run, same, tensors, wrapped

from pteron.errors import KernelError

# Dtypes from narrow to wide: the common dtype of two is the later one.
LADDER = tuple(np.dtype(d) for d in ("bool", "uint8", "int16", "int32", "int64", BF16, "float32", "float64"))


def widest(tensors: list[Any]) -> Any:
    return LADDER[max(LADDER.index(t.dtype) for t in tensors)]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_cat(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    parts = [data.draw(tensors([*shape[:axis], n, *shape[axis + 1 :]], dtypes=LADDER)) for n in sizes]
    origin = [(part, k) for part, n in zip(parts, sizes, strict=True) for k in range(n)]
    nothing = np.zeros(0, data.draw(st.sampled_from(LADDER)))
    given_parts = list(parts)
    if data.draw(st.booleans()):
        given_parts.insert(data.draw(st.integers(0, len(parts))), nothing)

    def element(i: Any) -> Any:
        part, k = origin[i[axis]]
        return part[(*i[:axis], k, *i[axis + 1 :])]

    result = run("aten::cat.out", tensors=given_parts, dim=wrapped(data.draw, axis, len(shape)))
    expected = [*shape[:axis], len(origin), *shape[axis + 1 :]]
    same(result, build(expected, widest(given_parts), element))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_stack(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    axis = data.draw(st.integers(0, len(shape)))
    parts = [data.draw(tensors(shape, dtypes=LADDER)) for _ in range(data.draw(st.integers(1, 3)))]
    expected = build(
        [*shape[:axis], len(parts), *shape[axis:]], widest(parts), lambda i: parts[i[axis]][i[:axis] + i[axis + 1 :]]
    )
    same(run("aten::stack.out", tensors=parts, dim=wrapped(data.draw, axis, len(shape) + 1)), expected)


def check_pieces(result: Any, x: Any, axis: int, ranges: list[range]) -> None:
    assert isinstance(result, list)
    assert len(result) == len(ranges)
    for piece, places in zip(result, ranges, strict=True):
        shape = [*x.shape[:axis], len(places), *x.shape[axis + 1 :]]

        def element(i: Any, places: range = places) -> Any:
            return x[(*i[:axis], places[i[axis]], *i[axis + 1 :])]

        same(piece, build(shape, x.dtype, element))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_split_copy(data: st.DataObject) -> None:
    x = data.draw(tensors(low=1))
    axis = data.draw(st.integers(0, x.ndim - 1))
    n, size = x.shape[axis], data.draw(st.integers(1, 4))
    size = 0 if n == 0 and data.draw(st.booleans()) else size
    ranges = [range(k, min(k + size, n)) for k in range(0, n, size)] if n else [range(0)]
    check_pieces(
        run("aten::split_copy.Tensor_out", self=x, split_size=size, dim=wrapped(data.draw, axis, x.ndim)),
        x,
        axis,
        ranges,
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_split_with_sizes_copy(data: st.DataObject) -> None:
    x = data.draw(tensors(low=1))
    axis = data.draw(st.integers(0, x.ndim - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, x.shape[axis]), max_size=3)))
    ranges = [range(a, b) for a, b in zip([0, *cuts], [*cuts, x.shape[axis]], strict=True)]
    dim = wrapped(data.draw, axis, x.ndim)
    result = run("aten::split_with_sizes_copy.out", self=x, split_sizes=[len(r) for r in ranges], dim=dim)
    check_pieces(result, x, axis, ranges)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_unbind_copy(data: st.DataObject) -> None:
    x = data.draw(tensors(low=1))
    axis = data.draw(st.integers(0, x.ndim - 1))
    result = run("aten::unbind_copy.int_out", self=x, dim=wrapped(data.draw, axis, x.ndim))
    assert isinstance(result, list)
    assert len(result) == x.shape[axis]
    for k, piece in enumerate(result):
        shape = x.shape[:axis] + x.shape[axis + 1 :]
        same(piece, build(shape, x.dtype, lambda i, k=k: x[(*i[:axis], k, *i[axis:])]))


X = np.zeros((3, 4), np.float32)
POINT = np.zeros((), np.float32)
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("cat.out", {"tensors": []}),
    ("cat.out", {"tensors": [POINT, POINT]}),
    ("cat.out", {"tensors": [X[0], POINT]}),
    ("cat.out", {"tensors": [X, X], "dim": 2}),
    ("cat.out", {"tensors": [X, X[:, :3]]}),
    ("cat.out", {"tensors": [X, X[0]]}),
    ("cat.out", {"tensors": [X[:0], X[:, :1]]}),
    ("cat.out", {"tensors": [np.zeros(1, np.uint16), np.zeros(1, np.int16)]}),
    ("cat.out", {"tensors": [np.broadcast_to(POINT, 2**30)] * 3}),
    ("stack.out", {"tensors": []}),
    ("stack.out", {"tensors": [X, X[:2]]}),
    ("stack.out", {"tensors": [X, X], "dim": 3}),
    ("stack.out", {"tensors": [np.broadcast_to(POINT, 2**30)] * 3}),
    ("split_copy.Tensor_out", {"self": X, "split_size": 0}),
    ("split_copy.Tensor_out", {"self": X, "split_size": -1}),
    ("split_copy.Tensor_out", {"self": X, "split_size": 1, "dim": 2}),
    ("split_copy.Tensor_out", {"self": POINT, "split_size": 1}),
    ("split_copy.Tensor_out", {"self": np.zeros((2**40, 0), np.int8), "split_size": 1}),
    ("split_with_sizes_copy.out", {"self": X, "split_sizes": [1, 1]}),
    ("split_with_sizes_copy.out", {"self": X, "split_sizes": [4, -1]}),
    ("split_with_sizes_copy.out", {"self": POINT, "split_sizes": [1]}),
    ("unbind_copy.int_out", {"self": POINT}),
    ("unbind_copy.int_out", {"self": X, "dim": -3}),
    ("unbind_copy.int_out", {"self": np.zeros((2**40, 0), np.int8)}),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_refusals(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}", **arguments)
