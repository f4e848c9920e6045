"""Memory planning: nothing alive overlaps, and room is used again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pteron.graph.memory_plan import Request, plan_memory

REQUESTS = st.lists(
    st.builds(
        lambda nbytes, first, length: Request(nbytes, first, first + length),
        st.integers(0, 5000),
        st.integers(0, 20),
        st.integers(0, 8),
    ),
    max_size=40,
)


@given(REQUESTS, st.sampled_from([1, 16, 64]))
def test_nothing_alive_overlaps(requests: list[Request], alignment: int) -> None:
    plan = plan_memory(requests, alignment)
    for index, (one, at) in enumerate(zip(requests, plan.offsets, strict=True)):
        assert at % alignment == 0
        assert at + one.nbytes <= plan.size
        for other, there in zip(requests[:index], plan.offsets[:index], strict=True):
            alive = one.first <= other.last and other.first <= one.last
            assert not alive or at + one.nbytes <= there or there + other.nbytes <= at


@given(REQUESTS)
def test_at_least_what_is_alive_at_once_and_at_most_all(requests: list[Request]) -> None:
    plan = plan_memory(requests, 1)
    peak = max(
        (sum(r.nbytes for r in requests if r.first <= time <= r.last) for time in range(30)),
        default=0,
    )
    assert peak <= plan.size <= sum(r.nbytes for r in requests)


def test_room_is_used_again() -> None:
    assert plan_memory([Request(100, 0, 1), Request(100, 2, 3), Request(50, 1, 2)], 1).size == 150


def test_the_plan_does_not_depend_on_the_order() -> None:
    requests = [Request(64 * n, n, n + 2) for n in range(1, 12)]
    shuffled = random.Random(0).sample(requests, len(requests))
    assert plan_memory(shuffled).size == plan_memory(requests).size
