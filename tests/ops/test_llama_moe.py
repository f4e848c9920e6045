"""The mixture of experts against its definition, token by token, on weights packed here number by number."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pteron.errors import KernelError
from pteron.ops import REGISTRY
from pteron.ops.invoke import call

GROUP = 16


def run(*args):
    operator = REGISTRY.get("llama::quantized_moe_ffn.out")
    (result,) = call(operator, dict(zip([a.name for a in operator.functional.arguments], args, strict=True)))
    return result


def pack(values, scales, bits):
    """Rows of small integers and their scales per group, as torchao's universal layout."""
    n, k = len(values), len(values[0])
    rows = [*values, *([0] * k for _ in range(-n % 8))]
    factors = [*scales, *([0.0] * (k // GROUP) for _ in range(-n % 8))]
    blob = struct.pack("<16i", 6712, 1, *[0] * 14)
    for block in range(0, len(rows), 8):
        for group in range(k // GROUP):
            stored = []
            for column in range(group * GROUP, (group + 1) * GROUP, 16):
                for half in (column, column + 8):
                    for row in rows[block : block + 8]:
                        stored += row[half : half + 8]
            if bits == 8:
                blob += struct.pack(f"{len(stored)}b", *stored)
            else:
                for i in range(0, len(stored), 32):
                    blob += bytes(stored[i + j] + 8 + 16 * (stored[i + 16 + j] + 8) for j in range(16))
            blob += struct.pack("<8f", *(f[group] for f in factors[block : block + 8]))
            blob += struct.pack("<8i", *(sum(r[group * GROUP : (group + 1) * GROUP]) for r in rows[block : block + 8]))
    return list(blob)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def route(scores, bias, activated, score_func, scale):
    if score_func == "sigmoid":
        scores = [sigmoid(s) for s in scores]
    order = sorted(range(len(scores)), key=lambda e: (-(scores[e] + bias[e]), e))[:activated]
    chosen = [scores[e] for e in order]
    if score_func == "softmax":
        chosen, scale = [math.exp(s) for s in chosen], 1.0
    return {e: scale * w / sum(chosen) for e, w in zip(order, chosen, strict=True)}


class Experts:
    """Random experts with ``n`` rows and ``k`` columns, packed and as plain rows."""

    def __init__(self, rng, count, n, k, bits):
        top = 2 ** (bits - 1)
        self.rows, packed = [], []
        for _ in range(count):
            values = rng.integers(-top, top, (n, k)).tolist()
            scales = (rng.uniform(0.5, 1, (n, k // GROUP)) / top).astype(np.float32).tolist()
            packed.append(pack(values, scales, bits))
            self.rows.append(
                [[v * s[j // GROUP] for j, v in enumerate(r)] for r, s in zip(values, scales, strict=True)]
            )
        self.packed = np.array(packed, np.uint8)


@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from([4, 8]),
    tokens=st.integers(0, 3),
    count=st.integers(1, 3),
    sizes=st.sampled_from([(16, 32), (32, 16), (48, 16)]),
    mode=st.sampled_from(["sigmoid", "biased", "softmax"]),
    data=st.data(),
)
@settings(max_examples=15, deadline=None)
def test_quantized_moe_ffn(seed, bits, tokens, count, sizes, mode, data):
    rng = np.random.default_rng(seed)
    (dim, hidden), activated = sizes, data.draw(st.integers(1, count))
    w13, w2 = Experts(rng, count, 2 * hidden, dim, bits), Experts(rng, count, dim, hidden, bits)
    x, gate = (rng.normal(size=(n, dim)).astype(np.float32) for n in (tokens, count))
    bias = rng.normal(size=count if mode == "biased" else 0).astype(np.float32)
    score = "softmax" if mode == "softmax" else "sigmoid"
    result = run(x, gate, bias, w13.packed, w2.packed, activated, count, hidden, dim, GROUP, bits, score, 1.5)
    assert result.shape == (tokens, dim)
    assert result.dtype == np.float32
    for t in range(tokens):
        row = x[t].tolist()
        scores = [dot(row, g) for g in gate.tolist()]
        expected = [0.0] * dim
        for expert, weight in route(scores, bias.tolist() or [0.0] * count, activated, score, 1.5).items():
            both = [dot(row, w) for w in w13.rows[expert]]
            middle = [u * sigmoid(u) * g for u, g in zip(both[:hidden], both[hidden:], strict=True)]
            expected = [e + weight * dot(middle, w) for e, w in zip(expected, w2.rows[expert], strict=True)]
        np.testing.assert_allclose(result[t], expected, rtol=1e-3, atol=1e-3)


def arguments(**changes):
    rng = np.random.default_rng(0)
    given = {
        "x": np.zeros((2, 16), np.float32),
        "gate_weight": np.zeros((2, 16), np.float32),
        "expert_bias": np.zeros(2, np.float32),
        "packed_w13": Experts(rng, 2, 32, 16, 4).packed,
        "packed_w2": Experts(rng, 2, 16, 16, 4).packed,
        "num_activated_experts": 1,
        "num_experts": 2,
        "hidden_dim": 16,
        "dim": 16,
        "group_size": 16,
        "weight_nbit": 4,
        "score_func": "sigmoid",
        "route_scale": 1.0,
    }
    return tuple((given | changes).values())


def test_equal_scores_choose_the_first_expert_and_nan_the_last():
    assert run(*arguments()).tolist() == np.zeros((2, 16)).tolist()
    scores = np.array([[np.nan, 1.0]] * 2, np.float32)
    x = np.ones((2, 16), np.float32)
    gate = np.zeros((2, 16), np.float32)
    chosen = run(*arguments(x=x, gate_weight=gate, expert_bias=scores[0]))
    second = run(*arguments(x=x, gate_weight=gate, expert_bias=np.array([0, 5], np.float32)))
    assert chosen.tolist() == second.tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"x": np.zeros((2, 16))},
        {"x": np.zeros((2, 17), np.float32)},
        {"gate_weight": np.zeros((3, 16), np.float32)},
        {"expert_bias": np.zeros(3, np.float32)},
        {"packed_w13": np.zeros((2, 10), np.uint8)},
        {"packed_w2": np.zeros((1, 1000), np.uint8)},
        {"packed_w2": np.zeros((2, 1000), np.int8)},
        {"num_activated_experts": 0},
        {"num_activated_experts": 3},
        {"score_func": "tanh"},
        {"score_func": "softmax"},
        {"weight_nbit": 3},
        {"group_size": 0},
        {"group_size": 8},
        {"hidden_dim": 24},
        {"hidden_dim": 2**40},
        {"dim": 0},
    ],
)
def test_refusals(changes):
    with pytest.raises(KernelError):
        run(*arguments(**changes))


def test_other_packings_are_refused():
    packed = Experts(np.random.default_rng(0), 2, 32, 16, 4).packed
    packed[:, 4] = 3
    with pytest.raises(KernelError, match="kind 3"):
        run(*arguments(packed_w13=packed))
