"""A method's own cap on the size of results holds in every family that computes sizes from arguments."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pteron.errors import KernelError
from pteron.ops import REGISTRY
from pteron.ops.result_size import elements_allowed, results_within


def test_the_lower_cap_counts_for_as_long_as_it_is_set() -> None:
    assert elements_allowed(1 << 40) == 1 << 31
    with results_within(800):
        assert elements_allowed(1000) == 100
        assert elements_allowed(7) == 7
        with results_within(80):
            assert elements_allowed(1000) == 10
        assert elements_allowed(1000) == 100
    assert elements_allowed(1000) == 1000


def kernel(name: str) -> Callable[..., Any]:
    operator = REGISTRY.get(name)
    assert operator is not None
    return operator.kernel


CALLS: list[Callable[[], Any]] = [
    lambda: kernel("aten::arange.start_out")(0, 101, 1, None),
    lambda: kernel("aten::full.out")([101], 1.0, np.dtype(np.float32)),
    lambda: kernel("aten::add.out")(np.ones((11, 1), np.float32), np.ones((1, 11), np.float32), alpha=1),
    lambda: kernel("aten::expand_copy.out")(np.ones((1,), np.float32), [101]),
    lambda: kernel("aten::upsample_nearest2d.vec_out")(np.ones((1, 1, 1, 1), np.float32), [11, 10], None),
    lambda: kernel("aten::convolution.out")(
        *(np.ones((1, 1, 1), np.float32), np.ones((1, 1, 1), np.float32), None, [1], [60], [1], False, [0], 1)
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=["range", "fill", "broadcast", "expand", "upsample", "convolution"])
def test_larger_results_are_refused(call: Callable[[], Any]) -> None:
    call()
    with results_within(8000):
        call()
    with results_within(800), pytest.raises(KernelError):
        call()
