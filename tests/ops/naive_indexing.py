"""Advanced indexing, spelled out one element at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from naive_tensors import Index, common, indices, spread


def advanced(shape: tuple[int, ...], given: list[Any]) -> tuple[list[int], Callable[[Index], Index]]:
    """The shape of ``x[given]``, and for an index into it the one into ``x``.

    Masks stand for the coordinates of their true elements; the dimensions that the index tensors broadcast to replace
    the indexed ones where these are adjacent, and else come first.
    """
    found: dict[int, Any] = {}
    dim = 0
    for index in given:
        if index is None:
            dim += 1
        elif index.dtype in (np.bool_, np.uint8):
            true = [i for i in indices(index.shape) if index[i]]
            for k in range(index.ndim):
                found[dim + k] = np.array([i[k] for i in true], np.int64)
            dim += index.ndim
        else:
            found[dim] = index
            dim += 1
    together = common(*[index.shape for index in found.values()])
    dims = sorted(found)
    adjacent = bool(dims) and dims == list(range(dims[0], dims[-1] + 1))
    kept = [d for d in range(len(shape)) if d not in found]
    ahead = len([d for d in kept if d < dims[0]]) if adjacent else 0
    sizes = [shape[d] for d in kept]

    def source(i: Index) -> Index:
        inner = i[ahead : ahead + len(together)]
        outer = dict(zip(kept, i[:ahead] + i[ahead + len(together) :], strict=True))
        for d in dims:
            position = int(spread(found[d], inner))
            outer[d] = position + shape[d] if position < 0 else position
        return tuple(outer[d] for d in range(len(shape)))

    return sizes[:ahead] + together + sizes[ahead:], source


@st.composite
def index_lists(draw: st.DrawFn, shape: tuple[int, ...]) -> list[Any]:
    """Index lists that fit a tensor without empty dimensions."""
    form = draw(st.lists(st.integers(0, 2), max_size=2))
    result: list[Any] = []
    at, masked = 0, False
    while at < len(shape):
        kind = draw(st.sampled_from(["none", "index", "index", "mask", "stop"]))
        if kind == "stop":
            break
        if kind == "none":
            result.append(None)
        elif kind == "mask" and not masked and form in ([], [1]):
            masked = True
            rank = draw(st.integers(1, min(2, len(shape) - at)))
            mask = np.zeros(shape[at : at + rank], draw(st.sampled_from([np.bool_, np.uint8])))
            for i in indices(mask.shape):
                mask[i] = draw(st.booleans())
            result.append(mask)
            at += rank - 1
        else:
            own = [1 if draw(st.booleans()) else n for n in form[draw(st.integers(0, len(form))) :]]
            index = np.zeros(own, draw(st.sampled_from([np.int64, np.int32])))
            for i in indices(own):
                index[i] = draw(st.integers(-shape[at], shape[at] - 1))
            result.append(index)
        at += 1
    if all(index is None for index in result):
        result = [np.array([draw(st.integers(0, shape[0] - 1))])]
    return result
