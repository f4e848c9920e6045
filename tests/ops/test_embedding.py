"""``embedding``: each element is the table's, in the row that its index names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_tensors import build, indices, run, same, tensors

from pteron.errors import KernelError

NAME = "aten::embedding.out"


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_embedding(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 3))
    table = data.draw(tensors([rows, columns]))
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    index = np.zeros(shape, data.draw(st.sampled_from([np.int64, np.int32])))
    for i in indices(shape):
        index[i] = data.draw(st.integers(0, rows - 1))
    result = run(NAME, weight=table, indices=index, padding_idx=data.draw(st.sampled_from([-1, 0])))
    same(result, build([*shape, columns], table.dtype, lambda i: table[int(index[i[:-1]]), i[-1]]))


TABLE = np.zeros((3, 4), np.float32)
REFUSED: list[dict[str, Any]] = [
    {"weight": TABLE, "indices": np.array([-1])},
    {"weight": TABLE, "indices": np.array([3])},
    {"weight": TABLE, "indices": np.array([1], np.int16)},
    {"weight": TABLE, "indices": np.array([1.0])},
    {"weight": TABLE[0], "indices": np.array([0])},
    {"weight": TABLE[None], "indices": np.array([0])},
    {"weight": TABLE[:0], "indices": np.array([0])},
    {"weight": np.broadcast_to(TABLE[:1, :1], (1, 2**20)), "indices": np.zeros(2**12, np.int64)},
]


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals(arguments: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        run(NAME, **arguments)
