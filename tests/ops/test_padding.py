"""Padding against a walk to the element that each place shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from naive_tensors import build, run, same, tensors

from pteron.errors import KernelError


def bounced(at: int, size: int) -> int:
    while not 0 <= at < size:
        at = -at if at < 0 else 2 * (size - 1) - at
    return at


def held(at: int, size: int) -> int:
    return min(max(at, 0), size - 1)


@pytest.mark.parametrize(("kind", "walk"), [("reflection", bounced), ("replication", held)])
@pytest.mark.parametrize("spatial", [1, 2, 3])
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_pads_with_own_elements(kind: str, walk: Any, spatial: int, data: st.DataObject) -> None:
    batch = data.draw(st.sampled_from([[], [0], [2]]))
    shape = [*batch, data.draw(st.integers(1, 2)), *[data.draw(st.integers(1, 3)) for _ in range(spatial)]]
    x = data.draw(tensors(shape))
    highest = [size - 1 if kind == "reflection" else 4 for size in reversed(shape[-spatial:]) for _ in range(2)]
    padding = [data.draw(st.integers(-2, high)) for high in highest]
    before = [0] * (len(shape) - spatial) + [padding[2 * d] for d in reversed(range(spatial))]
    after = [0] * (len(shape) - spatial) + [padding[2 * d + 1] for d in reversed(range(spatial))]
    padded = [b + s + a for b, s, a in zip(before, shape, after, strict=True)]
    assume(min(padded[-spatial:]) >= 1)
    result = run(f"aten::{kind}_pad{spatial}d.out", self=x, padding=padding)
    expected = build(
        padded, x.dtype, lambda i: x[tuple(walk(k - b, s) for k, b, s in zip(i, before, shape, strict=True))]
    )
    same(result, expected)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_constant_pad_nd(data: st.DataObject) -> None:
    x = data.draw(tensors())
    count = data.draw(st.integers(0, x.ndim))
    pad = [data.draw(st.integers(-2, 2)) for _ in range(2 * count)]
    value = data.draw(st.integers(0, 9))
    before = [0] * (x.ndim - count) + [pad[2 * d] for d in reversed(range(count))]
    after = [0] * (x.ndim - count) + [pad[2 * d + 1] for d in reversed(range(count))]
    sizes = list(zip(before, x.shape, after, strict=True))
    arguments = {"self": x, "pad": pad, "value": value}
    if any(s + min(b, 0) + min(a, 0) < 0 for b, s, a in sizes):
        with pytest.raises(KernelError, match="crop"):
            run("aten::constant_pad_nd.out", **arguments)
        return

    def element(i: Any) -> Any:
        at = tuple(k - b for k, b in zip(i, before, strict=True))
        return x[at] if all(0 <= k < s for k, s in zip(at, x.shape, strict=True)) else value

    same(run("aten::constant_pad_nd.out", **arguments), build([b + s + a for b, s, a in sizes], x.dtype, element))


X = np.zeros((2, 3, 4), np.float32)
REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("constant_pad_nd.out", {"self": X, "pad": [1]}),
    ("constant_pad_nd.out", {"self": X, "pad": [1] * 8}),
    ("constant_pad_nd.out", {"self": X, "pad": [-3, -2]}),
    ("constant_pad_nd.out", {"self": X, "pad": [-5, 5]}),
    ("constant_pad_nd.out", {"self": X, "pad": [2**40, 0]}),
    ("constant_pad_nd.out", {"self": X.astype(np.int8), "pad": [1, 0], "value": 300}),
    *[
        (f"{kind}_pad{n}d.out", {"self": x, "padding": padding})
        for kind in ("reflection", "replication")
        for n, x, padding in [
            (1, X[0, 0], [1, 1]),
            (1, X, [1, 1, 1]),
            (1, X[..., :0], [1, 1]),
            (1, X[:, :0], [1, 1]),
            (1, X, [-2, -2]),
            (2, X[0], [1, 1, 1, 1]),
            (2, X, [0, -4, 0, 0]),
            (3, X, [0] * 6),
            (3, X[:, None, None, None, None], [0] * 6),
        ]
    ],
    ("reflection_pad1d.out", {"self": X, "padding": [4, 0]}),
    ("reflection_pad2d.out", {"self": X, "padding": [0, 0, 0, 3]}),
    ("reflection_pad3d.out", {"self": X[None], "padding": [0, 0, 0, 0, 2, 0]}),
    ("replication_pad1d.out", {"self": X, "padding": [2**40, 0]}),
    ("replication_pad2d.out", {"self": X, "padding": [2**20, 0, 0, 2**20]}),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_refusals(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(KernelError):
        run(f"aten::{name}", **arguments)
