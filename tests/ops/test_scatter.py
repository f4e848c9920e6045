"""Writing by index against writes done one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_indexing import advanced, index_lists
from naive_tensors import BF16, build, common, indices, run, same, spread, tensors, wrapped

from pteron.errors import KernelError

NUMERIC = tuple(np.dtype(d) for d in ("float32", "float16", BF16, "int64", "int8"))


@pytest.mark.parametrize("name", ["aten::index_put.out", "aten::index_put_"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_index_put(name: str, data: st.DataObject) -> None:
    accumulate = data.draw(st.booleans())
    x = data.draw(
        tensors(st.lists(st.integers(1, 3), min_size=1, max_size=4), dtypes=NUMERIC if accumulate else (*NUMERIC, bool))
    )
    asked = data.draw(index_lists(x.shape))
    shape, source = advanced(x.shape, asked)
    cut = data.draw(st.integers(0, len(shape)))
    own = [1 if data.draw(st.booleans()) else n for n in shape[cut:]]
    values = data.draw(tensors(own, dtypes=[x.dtype]))
    before, expected = x.copy(), x.copy()
    for i in indices(shape):
        value = spread(values, i)
        expected[source(i)] = expected[source(i)] + value if accumulate else value
    result = run(name, self=x, indices=asked, values=values, accumulate=accumulate)
    same(result, expected)
    same(x, expected if name.endswith("_") else before)


def test_index_put_rounds_each_sum() -> None:
    for dtype, start in ((np.float16, 2048), (BF16, 256)):
        x, ones = np.full(1, start, dtype), np.ones(5, dtype)
        result = run("aten::index_put.out", self=x, indices=[np.zeros(5, np.int64)], values=ones, accumulate=True)
        same(result, x)
        total = run("aten::scatter_add.out", self=x, dim=0, index=np.zeros(5, np.int64), src=ones)
        assert float(total[0]) > start


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_masked_fill_and_scatter(data: st.DataObject) -> None:
    x = data.draw(tensors(high=3))
    mask = data.draw(tensors([data.draw(st.sampled_from([1, s])) for s in x.shape], dtypes=[np.bool_]))
    if data.draw(st.booleans()) and 1 in mask.shape:
        x, mask = data.draw(tensors([1] * x.ndim)), data.draw(tensors(x.shape, dtypes=[np.bool_]))
    shape = common(x.shape, mask.shape)
    value = data.draw(st.integers(0, 99))
    filled = build(shape, x.dtype, lambda i: value if spread(mask, i) else spread(x, i))
    same(run("aten::masked_fill.Scalar_out", self=x, mask=mask, value=value), filled)

    source = data.draw(tensors([2, 27], dtypes=[x.dtype]))
    supply = iter([source[i] for i in indices(source.shape)])
    scattered = build(shape, x.dtype, lambda i: next(supply) if spread(mask, i) else spread(x, i))
    same(run("aten::masked_scatter.out", self=x, mask=mask, source=source), scattered)


@pytest.mark.parametrize("name", ["scatter.src_out", "scatter.value_out", "scatter_add.out"])
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_scatter(name: str, data: st.DataObject) -> None:
    x = data.draw(tensors(st.lists(st.integers(1, 3), max_size=4), dtypes=NUMERIC))
    axis = data.draw(st.integers(0, max(x.ndim, 1) - 1))
    shape = [data.draw(st.integers(0, 4 if d == axis else n)) for d, n in enumerate(x.shape)]
    index = np.zeros(shape, data.draw(st.sampled_from([np.int64, np.int32])))
    for i in indices(shape):
        index[i] = data.draw(st.integers(0, x.shape[axis] - 1)) if x.ndim else 0
    source = data.draw(tensors([n + data.draw(st.integers(0, 1)) for n in shape], dtypes=[x.dtype]))
    value = data.draw(st.integers(-9, 9))
    before, expected = x.copy(), x.copy()
    for i in indices(shape):
        place = (*i[:axis], int(index[i]), *i[axis + 1 :]) if i else ()
        if name == "scatter_add.out":
            expected[place] = expected[place] + source[i]
        else:
            expected[place] = value if name == "scatter.value_out" else source[i]
    arguments = {"value": value} if name == "scatter.value_out" else {"src": source}
    same(run(f"aten::{name}", self=x, dim=wrapped(data.draw, axis, x.ndim), index=index, **arguments), expected)
    same(x, before)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_select_scatter(data: st.DataObject) -> None:
    x = data.draw(tensors(st.lists(st.integers(1, 3), min_size=1, max_size=4)))
    axis = data.draw(st.integers(0, x.ndim - 1))
    at = data.draw(st.integers(0, x.shape[axis] - 1))
    source = data.draw(tensors([*x.shape[:axis], *x.shape[axis + 1 :]], dtypes=[x.dtype]))
    expected = build(x.shape, x.dtype, lambda i: source[i[:axis] + i[axis + 1 :]] if i[axis] == at else x[i])
    index = data.draw(st.sampled_from([at, at - x.shape[axis]]))
    result = run("aten::select_scatter.out", self=x, src=source, dim=wrapped(data.draw, axis, x.ndim), index=index)
    same(result, expected)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_slice_scatter(data: st.DataObject) -> None:
    x = data.draw(tensors(low=1, dtypes=NUMERIC))
    axis, step = data.draw(st.integers(0, x.ndim - 1)), data.draw(st.integers(1, 3))
    n = x.shape[axis]
    start = data.draw(st.one_of(st.none(), st.integers(0, n)))
    end = data.draw(st.one_of(st.none(), st.integers(0, n), st.just(2**63 - 1)))
    taken = [k for k in range(n) if k >= (start or 0) and (end is None or k < end) and (k - (start or 0)) % step == 0]
    source = data.draw(tensors([*x.shape[:axis], len(taken), *x.shape[axis + 1 :]], dtypes=NUMERIC))

    def element(i: Any) -> Any:
        if i[axis] not in taken:
            return x[i]
        return int(source[(*i[:axis], taken.index(i[axis]), *i[axis + 1 :])])

    dim = wrapped(data.draw, axis, x.ndim)
    result = run("aten::slice_scatter.out", self=x, src=source, dim=dim, start=start, end=end, step=step)
    same(result, build(x.shape, x.dtype, element))


X = np.zeros((3, 4), np.float32)
POINT = np.zeros((), np.float32)
ONE = np.array([1])
BYTES = np.zeros(2, np.int8)
AT = np.array([[0]])
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("index_put.out", {"self": X, "indices": [np.array([3])], "values": POINT}),
    ("index_put.out", {"self": X, "indices": [ONE], "values": X[0, :3]}),
    ("index_put.out", {"self": X, "indices": [ONE], "values": X[0].astype(np.float64)}),
    ("index_put.out", {"self": X, "indices": [ONE], "values": np.zeros((1, 1, 4), np.float32)}),
    ("index_put_", {"self": X, "indices": [ONE, ONE, ONE], "values": POINT}),
    ("index_put_", {"self": X, "indices": [np.array([-4])], "values": POINT, "accumulate": True}),
    ("masked_fill.Scalar_out", {"self": X, "mask": np.ones(4, np.uint8), "value": 1}),
    ("masked_fill.Scalar_out", {"self": X, "mask": np.ones(3, bool), "value": 1}),
    ("masked_fill.Scalar_out", {"self": X, "mask": np.ones(4, bool), "value": 1e39}),
    ("masked_fill.Scalar_out", {"self": BYTES, "mask": np.ones(2, bool), "value": 300}),
    ("masked_fill.Scalar_out", {"self": BYTES, "mask": np.ones(2, bool), "value": float("nan")}),
    ("masked_fill.Scalar_out", {"self": np.zeros(2, np.float16), "mask": np.ones(2, bool), "value": 1e6}),
    ("masked_scatter.out", {"self": X, "mask": np.ones(4, bool), "source": X[0]}),
    ("masked_scatter.out", {"self": X, "mask": np.ones(4, bool), "source": X.astype(np.float64)}),
    ("masked_scatter.out", {"self": X, "mask": np.ones(4, np.uint8), "source": X}),
    ("masked_scatter.out", {"self": np.zeros((2**17, 1)), "mask": np.ones(2**17, bool), "source": np.zeros(1)}),
    ("scatter.src_out", {"self": X, "dim": 0, "index": AT - 1, "src": X}),
    ("scatter.src_out", {"self": X, "dim": 0, "index": AT + 3, "src": X}),
    ("scatter.src_out", {"self": X, "dim": 2, "index": AT, "src": X}),
    ("scatter.src_out", {"self": X, "dim": 0, "index": AT, "src": X.astype(np.int32)}),
    ("scatter.src_out", {"self": X, "dim": 0, "index": ONE, "src": X}),
    ("scatter.src_out", {"self": X, "dim": 0, "index": AT, "src": X[0]}),
    ("scatter.src_out", {"self": X, "dim": 0, "index": np.zeros((1, 2), np.int64), "src": X[:, :1]}),
    (
        "scatter.src_out",
        {"self": X, "dim": 0, "index": np.zeros((1, 5), np.int64), "src": np.zeros((1, 5), np.float32)},
    ),
    ("scatter.src_out", {"self": X, "dim": 0, "index": AT.astype(np.float32), "src": X}),
    ("scatter.value_out", {"self": BYTES, "dim": 0, "index": np.array([0]), "value": -129}),
    ("scatter.value_out", {"self": BYTES, "dim": 0, "index": np.array([2]), "value": 1}),
    ("scatter.value_out", {"self": X, "dim": 1, "index": np.zeros((4, 1), np.int64), "value": 1}),
    ("scatter_add.out", {"self": X, "dim": 0, "index": AT - 1, "src": X}),
    ("scatter_add.out", {"self": X, "dim": 0, "index": AT, "src": X.astype(np.float16)}),
    ("select_scatter.out", {"self": X, "src": X[0, :1], "dim": 0, "index": 0}),
    ("select_scatter.out", {"self": X, "src": X[0], "dim": 0, "index": 3}),
    ("select_scatter.out", {"self": POINT, "src": POINT, "dim": 0, "index": 0}),
    ("slice_scatter.out", {"self": X, "src": X[:1], "dim": 0, "start": 0, "end": 2}),
    ("slice_scatter.out", {"self": X, "src": X, "step": 0}),
    ("slice_scatter.out", {"self": POINT, "src": POINT}),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_refusals(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}", **arguments)
    assert not X.any()
