"""topk's choice among equal elements, against results recorded from libstdc++ and torch, and against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pteron.ops import REGISTRY
from pteron.ops.invoke import call
from pteron.ops.selection import pick

# (keys as digits, k, ordered, positions), from std::nth_element + std::sort or std::partial_sort, whichever topk takes;
# recorded with g++ 12.
RECORDED = [
    ("101200", 2, True, "1 5"),
    ("010000", 3, False, "3 5 4"),
    ("110002102", 4, True, "7 4 3 2"),
    ("01030101231021012", 5, True, "4 14 6 0 2"),
    ("04040413432343221", 17, True, "2 4 0 16 6 15 14 10 7 9 11 13 8 3 1 12 5"),
    ("02002121121120021010", 12, False, "10 19 2 3 18 17 16 14 13 11 0 7"),
    ("3300222330023002323203210", 20, True, "24 20 14 13 10 9 3 2 23 6 22 5 4 11 15 17 19 21 12 8"),
    (
        "3012151333013342134253253110111510341220",
        33,
        True,
        "39 33 27 10 1 16 25 26 28 29 30 32 11 4 36 6 2 37 38 3 22 15 19 24 7 0 9 21 13 12 34 17 8",
    ),
    ("1342442144034333303301013102400041402400143122423003333201022314014214", 1, True, "10"),
    (
        "084148525388853336338750047435755131373537075116372651676122202727528820018263304348354862"
        "0578682828807202227180588871803340187801",
        2,
        True,
        "23 0",
    ),
    (
        "321233121313033201301201212131033111332312202023303220010022012132313202013020020102030232"
        "101012011221231220200013130333211211320100231003212031123022221021210230321100201303022101"
        "32312103101000120330",
        3,
        True,
        "19 16 12",
    ),
]


@pytest.mark.parametrize(("keys", "k", "ordered", "expected"), RECORDED)
def test_recorded(keys: str, k: int, ordered: bool, expected: str) -> None:
    assert pick([int(key) for key in keys], k, ordered) == [int(position) for position in expected.split()]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=300), st.data(), st.booleans())
def test_definition(keys: list[int], data: st.DataObject, ordered: bool) -> None:
    k = data.draw(st.integers(1, len(keys)))
    picked = pick(keys, k, ordered)
    assert len(set(picked)) == k
    assert sorted(keys[i] for i in picked) == sorted(keys)[:k]
    if ordered:
        assert [keys[i] for i in picked] == sorted(keys)[:k]


def test_topk_of_equal_elements_is_torchs() -> None:
    # torch.topk(torch.tensor([-1, 1, 3, 3, 5, -5]), 2) gives the second 3, at index 3.
    values, indices = call(REGISTRY.get("aten::topk.values"), {"self": np.array([-1, 1, 3, 3, 5, -5]), "k": 2})
    assert values.tolist() == [5, 3]
    assert indices.tolist() == [4, 3]
