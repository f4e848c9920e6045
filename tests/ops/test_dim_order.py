"""Copies into a dim order. (Conversion of elements is tested in test_copy.)"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tensors import BF16, build, run, same, tensors

from pteron.errors import KernelError

TO_COPY, CLONE, EMPTY = (
    f"dim_order_ops::{op}.out" for op in ("_to_dim_order_copy", "_clone_dim_order", "_empty_dim_order")
)


@pytest.mark.parametrize("name", [TO_COPY, CLONE])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_values_stay(name: str, data: st.DataObject) -> None:
    x = data.draw(tensors())
    order = data.draw(st.one_of(st.none(), st.permutations(range(x.ndim))))
    result = run(name, self=x, dim_order=order, non_blocking=False, out_dtype=x.dtype)
    same(result, build(x.shape, x.dtype, lambda i: x[i]))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_to_dim_order_copy_converts(data: st.DataObject) -> None:
    x = data.draw(tensors())
    result = run(TO_COPY, self=x, dim_order=list(range(x.ndim)), out_dtype="int16")
    same(result, build(x.shape, "int16", lambda i: int(x[i])))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(["float32", "int64", BF16, "bool"]))
def test_empty_has_shape_and_dtype(size: list[int], dtype: Any) -> None:
    same(run(EMPTY, size=size, dim_order=list(range(len(size))), out_dtype=dtype), build(size, dtype, lambda i: 0))


@pytest.mark.parametrize("order", [[0], [0, 0], [1, 2], [0, 1, 2], [-1, 0]])
def test_refused_orders(order: list[int]) -> None:
    x = np.zeros((2, 3), np.float32)
    for name in (TO_COPY, CLONE):
        with pytest.raises(KernelError, match="order"):
            run(name, self=x, dim_order=order)
    with pytest.raises(KernelError, match="order"):
        run(EMPTY, size=[2, 3], dim_order=order)


@pytest.mark.parametrize("size", [[-1], [2, -3], [2**40], [2**20, 2**20]])
def test_refused_sizes(size: list[int]) -> None:
    with pytest.raises(KernelError):
        run(EMPTY, size=size, dim_order=None)
