"""Attention to caches through its lowering, where the position and the number of queries are known in a call only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import session

from pteron.ops import REGISTRY
from pteron.ops.invoke import call
from pteron.ops.lowering import Builder, Declined, Spec, find_lowering
from pteron.ops.promotion import INT64

Array = np.ndarray[Any, Any]
CACHE = "llama::sdpa_with_kv_cache"
REFUSED = "out of data bounds|cannot be reshaped"


class Model:
    """One operator with its numbers as inputs, and ``dynamic`` tensors with symbolic sizes."""

    def __init__(self, name: str, args: dict[str, Any], results: list[Array], *, dynamic: tuple[str, ...] = ()) -> None:
        entry, operator = find_lowering(name), REGISTRY.by_functional(name)
        assert entry is not None
        assert operator is not None
        b, given = Builder(), dict[str, Any]()
        for argument in operator.functional.arguments:
            value = args.get(argument.name)
            if isinstance(value, np.ndarray):
                value = b.input(argument.name, Spec(value.dtype, value.shape, argument.name in dynamic))
            elif isinstance(value, int) and not isinstance(value, bool):
                value = b.input(argument.name, Spec(INT64), scalar=True)
            given[argument.name] = value
        varies = "query" in dynamic
        specs = [Spec(r.dtype, r.shape, varies and i == 0) for i, r in enumerate(results)]
        refs = b.lower(entry, given, specs)
        model = b.model([(f"out{i}", ref) for i, ref in enumerate(refs) if ref is not None])
        self._session = session(model, b.arrays)

    def __call__(self, args: dict[str, Any]) -> list[Array]:
        names = {x.name for x in self._session.get_inputs()}
        results: list[Array] = self._session.run(None, {k: np.asarray(v) for k, v in args.items() if k in names})
        return results


def kernel(name: str, args: dict[str, Any]) -> list[Array]:
    """What the kernel gives, then what it leaves in the arguments that it writes."""
    operator = REGISTRY.by_functional(name)
    assert operator is not None
    own = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in args.items()}
    results = list(call(operator, own))
    return [*results, *(own[a.name] for a in operator.functional.arguments if a.writes)]


def arguments(rows: int, start: int, *, batch: int = 1, size: int = 12, **options: Any) -> dict[str, Any]:
    rng = np.random.default_rng(rows * 100 + start)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    new, cache = (batch, rows, 2, 8), (batch, size, 2, 8)
    tensors = {"query": normal(batch, rows, 6, 8), "key": normal(*new), "value": normal(*new)}
    caches = {"key_cache": normal(*cache), "value_cache": normal(*cache)}
    # What lies behind the filled positions must not matter.
    for content in caches.values():
        content[:, start + rows :] = np.nan
    return {**tensors, **caches, "start_pos": start, "seq_len": rows, **options}


def agree(given: list[Array], expected: list[Array]) -> None:
    assert len(given) == len(expected)
    for a, e in zip(given, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("rows", [1, 3])
def test_any_position_of_a_cache(rows: int, batch: int, causal: bool) -> None:
    args = arguments(rows, 0, batch=batch, is_causal=causal)
    model = Model(CACHE, args, kernel(CACHE, args))
    for start in (0, 1, 5, 12 - rows):
        args = arguments(rows, start, batch=batch, is_causal=causal)
        agree(model(args), kernel(CACHE, args))


@pytest.mark.parametrize("batch", [1, 2])
def test_prompts_of_any_length(batch: int) -> None:
    longest = arguments(7, 0, batch=batch, is_causal=True)
    model = Model(CACHE, longest, kernel(CACHE, longest), dynamic=("query", "key", "value"))
    for rows, start in ((7, 0), (7, 5), (3, 4), (1, 11), (1, 0)):
        args = arguments(rows, start, batch=batch, is_causal=True)
        agree(model(args), kernel(CACHE, args))


def test_a_mask_of_any_length() -> None:
    def masked(rows: int, start: int) -> dict[str, Any]:
        args = arguments(rows, start)
        keys = {"key": np.nan_to_num(args["key_cache"]), "value": np.nan_to_num(args["value_cache"])}
        mask = np.where(np.random.default_rng(rows).random((rows, 12)) < 0.4, -np.inf, 0.5).astype(np.float32)
        mask[:, start] = 0
        return {"query": args["query"], **keys, "start_pos": start, "attn_mask": mask, "is_causal": False}

    name = "llama::custom_sdpa"
    model = Model(name, masked(5, 0), kernel(name, masked(5, 0)), dynamic=("query", "attn_mask"))
    for rows, start in ((5, 0), (4, 9), (1, 3)):
        agree(model(masked(rows, start)), kernel(name, masked(rows, start)))
    wrong = masked(4, 0) | {"attn_mask": masked(1, 0)["attn_mask"]}
    with pytest.raises(Exception, match=REFUSED):
        model(wrong)


@pytest.mark.parametrize("start", [-1, -(2**63), 12, 11, 2**63 - 1])
@pytest.mark.parametrize("dynamic", [False, True])
def test_positions_outside_are_refused(start: int, dynamic: bool) -> None:
    """By every operator that has a position, the largest numbers of all included."""
    args = arguments(2, 0, is_causal=True)
    outside = args | {"start_pos": start}
    model = Model(CACHE, args, kernel(CACHE, args), dynamic=("query", "key", "value") if dynamic else ())
    with pytest.raises(Exception, match=REFUSED):
        model(outside)
    with pytest.raises(Exception, match=REFUSED):
        model(args | {"seq_len": max(start, 13)})

    def attended(of: dict[str, Any]) -> dict[str, Any]:
        return {"query": of["query"], "key": of["key_cache"], "value": of["value_cache"], "start_pos": of["start_pos"]}

    name = "llama::custom_sdpa"
    model = Model(name, attended(args), kernel(name, attended(args)), dynamic=("query",) if dynamic else ())
    with pytest.raises(Exception, match=REFUSED):
        model(attended(outside))

    def stored(of: dict[str, Any]) -> dict[str, Any]:
        return {"value": of["value"], "cache": of["value_cache"], "start_pos": of["start_pos"]}

    name = "llama::update_cache"
    model = Model(name, stored(args), kernel(name, stored(args)), dynamic=("value",) if dynamic else ())
    with pytest.raises(Exception, match=REFUSED):
        model(stored(outside))


def test_int8_is_attended_to_up_to_any_position() -> None:
    name = "llama::custom_quantized_sdpa"

    def quantized(start: int, at_dim_2: bool) -> dict[str, Any]:
        rng = np.random.default_rng(start)
        args: dict[str, Any] = {"start_pos": start, "is_causal": True, "is_seq_at_dim_2": at_dim_2}
        for key, (heads, size) in {"query": (4, 2), "key": (2, 9), "value": (2, 9)}.items():
            shape = (1, heads, size) if at_dim_2 else (1, size, heads)
            args[key] = rng.integers(-128, 128, (*shape, 8)).astype(np.int8)
            args[f"{key[0]}_zero_points"] = rng.integers(-9, 9, (*shape, 1)).astype(np.int8)
            args[f"{key[0]}_scales"] = rng.uniform(0.005, 0.03, (*shape, 1)).astype(np.float32)
        return args

    for at_dim_2 in (False, True):
        first = quantized(0, at_dim_2)
        model = Model(name, first, kernel(name, first))
        for start in (0, 3, 7):
            args = quantized(start, at_dim_2)
            agree(model(args), kernel(name, args))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"key_cache": np.zeros((1, 12, 2, 8), np.float16), "key": np.zeros((1, 2, 2, 8), np.float16)}, "float16"),
        ({"attn_mask": np.zeros((2, 5), np.float32), "is_causal": False}, "filled positions"),
        ({"attn_mask": np.zeros((2, 12), np.float32)}, "beside a causal"),
        ({"query": np.zeros((1, 2, 5, 8), np.float32)}, "does not fit"),
    ],
)
def test_what_is_declined(changed: dict[str, Any], reason: str) -> None:
    args = arguments(2, 0, is_causal=True)
    results = kernel(CACHE, args)
    with pytest.raises(Declined, match=reason):
        Model(CACHE, args | changed, results)
