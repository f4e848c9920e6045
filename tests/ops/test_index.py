"""Reading by index against indexing spelled out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_indexing import advanced, index_lists
from naive_tensors import build, common, indices, run, same, spread, tensors, wrapped

from pteron.errors import KernelError


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_index(data: st.DataObject) -> None:
    x = data.draw(tensors(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    asked = data.draw(index_lists(x.shape))
    shape, source = advanced(x.shape, asked)
    same(run("aten::index.Tensor_out", self=x, indices=asked), build(shape, x.dtype, lambda i: x[source(i)]))


def test_index_by_nothing_copies() -> None:
    x = np.arange(6.0).reshape(2, 3)
    for asked in ([], [None], [None, None]):
        same(run("aten::index.Tensor_out", self=x, indices=asked), x)


def test_empty_results_look_at_no_index() -> None:
    x, far, none = np.zeros((3, 0), np.float32), np.array([7]), np.zeros(0, np.int64)
    same(run("aten::index.Tensor_out", self=x, indices=[far]), np.zeros((1, 0), np.float32))
    same(run("aten::index.Tensor_out", self=x, indices=[far, none]), np.zeros(0, np.float32))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_index_select(data: st.DataObject) -> None:
    x = data.draw(tensors(st.lists(st.integers(1, 3), max_size=4)))
    axis = data.draw(st.integers(0, max(x.ndim, 1) - 1))
    size = x.shape[axis] if x.ndim else 1
    chosen = data.draw(st.lists(st.integers(0, size - 1), max_size=4 if x.ndim else 1, min_size=0 if x.ndim else 1))
    index = np.array(chosen, data.draw(st.sampled_from([np.int64, np.int32])))
    if len(chosen) == 1 and data.draw(st.booleans()):
        index = index.reshape(())
    shape = [*x.shape[:axis], len(chosen), *x.shape[axis + 1 :]] if x.ndim else []
    result = run("aten::index_select.out", self=x, dim=wrapped(data.draw, axis, x.ndim), index=index)
    same(result, build(shape, x.dtype, lambda i: x[(*i[:axis], chosen[i[axis]], *i[axis + 1 :])] if i else x[()]))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_gather(data: st.DataObject) -> None:
    x = data.draw(tensors(st.lists(st.integers(1, 3), max_size=4)))
    axis = data.draw(st.integers(0, max(x.ndim, 1) - 1))
    shape = [data.draw(st.integers(0, 4 if d == axis else n)) for d, n in enumerate(x.shape)]
    index = np.zeros(shape, data.draw(st.sampled_from([np.int64, np.int32])))
    for i in indices(shape):
        index[i] = data.draw(st.integers(0, x.shape[axis] - 1)) if x.ndim else 0
    result = run("aten::gather.out", self=x, dim=wrapped(data.draw, axis, x.ndim), index=index, sparse_grad=False)
    same(result, build(shape, x.dtype, lambda i: x[(*i[:axis], int(index[i]), *i[axis + 1 :])] if i else x[()]))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_masked_select(data: st.DataObject) -> None:
    x = data.draw(tensors(high=3))
    mask = data.draw(tensors([data.draw(st.sampled_from([1, s])) for s in x.shape], dtypes=[np.bool_]))
    cut = data.draw(st.integers(0, x.ndim))
    x, mask = data.draw(st.sampled_from([(x, mask[(0,) * cut] if mask.size else mask), (x, mask)]))
    shape = common(x.shape, mask.shape)
    chosen = [spread(x, i) for i in indices(shape) if spread(mask, i)]
    same(run("aten::masked_select.out", self=x, mask=np.asarray(mask)), np.array(chosen, x.dtype))


X = np.zeros((3, 4), np.float32)
POINT = np.zeros((), np.float32)
ONE = np.array([1])
MANY = np.zeros(2**17, np.int64)
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("index.Tensor_out", {"self": X, "indices": [np.array([3])]}),
    ("index.Tensor_out", {"self": X, "indices": [None, np.array([-5])]}),
    ("index.Tensor_out", {"self": X, "indices": [ONE, ONE, ONE]}),
    ("index.Tensor_out", {"self": POINT, "indices": [ONE]}),
    ("index.Tensor_out", {"self": X, "indices": [ONE.astype(np.int16)]}),
    ("index.Tensor_out", {"self": X, "indices": [ONE.astype(np.float32)]}),
    ("index.Tensor_out", {"self": X, "indices": [np.array([True, False])]}),
    ("index.Tensor_out", {"self": X, "indices": [None, np.ones((4, 1), bool)]}),
    ("index.Tensor_out", {"self": X, "indices": [np.array(True)]}),
    ("index.Tensor_out", {"self": X, "indices": [np.array([0, 1]), np.array([0, 1, 2])]}),
    ("index.Tensor_out", {"self": X[:0], "indices": [ONE]}),
    ("index.Tensor_out", {"self": X, "indices": [MANY[:, None], MANY[None]]}),
    ("index_select.out", {"self": X, "dim": 0, "index": np.array([-1])}),
    ("index_select.out", {"self": X, "dim": 0, "index": np.array([3])}),
    ("index_select.out", {"self": X, "dim": 2, "index": ONE}),
    ("index_select.out", {"self": X, "dim": 0, "index": ONE[None]}),
    ("index_select.out", {"self": X, "dim": 0, "index": ONE.astype(np.uint8)}),
    ("index_select.out", {"self": POINT, "dim": 0, "index": np.array([0, 0])}),
    ("index_select.out", {"self": np.broadcast_to(POINT, (1, 2**20)), "dim": 0, "index": MANY}),
    ("gather.out", {"self": X, "dim": 0, "index": np.array([[-1]])}),
    ("gather.out", {"self": X, "dim": 0, "index": np.array([[3]])}),
    ("gather.out", {"self": X, "dim": 0, "index": ONE}),
    ("gather.out", {"self": X, "dim": 0, "index": np.zeros((1, 5), np.int64)}),
    ("gather.out", {"self": X, "dim": -3, "index": np.zeros((1, 1), np.int64)}),
    ("gather.out", {"self": X, "dim": 0, "index": np.zeros((1, 1), np.float32)}),
    ("masked_select.out", {"self": X, "mask": np.ones(4, np.uint8)}),
    ("masked_select.out", {"self": X, "mask": np.ones(3, bool)}),
    ("masked_select.out", {"self": np.zeros((2**17, 1)), "mask": np.ones(2**17, bool)}),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_refusals(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}", **arguments)
