"""The llama operators against their definitions, in loops over Python numbers."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pteron.errors import KernelError
from pteron.ops import REGISTRY, llama
from pteron.ops.invoke import call

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.integers(1, 3)
INF = math.inf


def run(name, *args, **options):
    operator = REGISTRY.get(name)
    assert operator is not None
    names = [a.name for a in operator.functional.arguments]
    results = call(operator, dict(zip(names, args, strict=False)) | options)
    return results[0] if len(results) == 1 else results


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def attend(q, keys, values, visible, bias, scale):
    """One query row: vectors of Python floats, the keys that it sees and what is added to their scores."""
    if scale is None:
        scale = 1 / math.sqrt(len(q))
    scores = [sum(a * b for a, b in zip(q, keys[j], strict=True)) * scale + bias[j] for j in visible]
    top = max(scores)
    weights = [math.exp(s - top) for s in scores]
    total = sum(weights)
    return [sum(w * values[j][d] for w, j in zip(weights, visible, strict=True)) / total for d in range(len(values[0]))]


def naive_attention(q, k, v, filled, start_pos, mask, causal, scale):
    """[batch, heads, sequence, depth]; returns nested lists."""
    reps = q.shape[1] // k.shape[1]
    result = np.zeros(q.shape)
    for b, h, i in itertools.product(*map(range, q.shape[:3])):
        visible = range(min(filled, start_pos + i + 1) if causal else filled)
        bias = [0.0] * filled if mask is None else mask[i].tolist()
        keys, values = k[b, h // reps].tolist(), v[b, h // reps].tolist()
        result[b, h, i] = attend(q[b, h, i].tolist(), keys, values, visible, bias, scale)
    return result


def hidden_mask(seed, rows, columns):
    mask = normal(seed, rows, columns)
    mask[np.random.default_rng(seed).random((rows, columns)) < 0.3] = -INF
    mask[:, 0] = 0
    return mask


@st.composite
def attentions(draw):
    """Sizes: batch, key heads, query heads for each, rows, start, spare positions, depth; and a seed."""
    sizes = [draw(SIZES) for _ in range(4)]
    return *sizes, draw(st.integers(0, 4)), draw(st.integers(0, 2)), draw(SIZES), draw(SEEDS)


MODES = st.sampled_from(["plain", "causal", "mask"])
SCALES = st.sampled_from([None, 0.5, -1.0])


def close(actual, expected, tolerance=1e-4):
    np.testing.assert_allclose(actual.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


@given(a=attentions(), mode=MODES, scale=SCALES)
@settings(max_examples=40)
def test_sdpa(a, mode, scale):
    batch, groups, reps, rows, start, spare, depth, seed = a
    q, length = normal(seed, batch, groups * reps, rows, depth), rows + start + spare
    k, v = normal(seed + 1, batch, groups, length, depth), normal(seed + 2, batch, groups, length, depth)
    mask = hidden_mask(seed, rows, length) if mode == "mask" else None
    result = run("llama::sdpa.out", q, k, v, mask, 0.0, mode == "causal", scale)
    assert result.dtype == np.float32
    close(result, naive_attention(q, k, v, length, 0, mask, mode == "causal", scale))


@given(a=attentions(), mode=MODES, scale=SCALES)
@settings(max_examples=40)
def test_custom_sdpa_and_sdpa_with_kv_cache(a, mode, scale):
    batch, groups, reps, rows, start, spare, depth, seed = a
    length = rows + start + spare
    q = normal(seed, batch, rows, groups * reps, depth)
    k, v = normal(seed + 1, batch, length, groups, depth), normal(seed + 2, batch, length, groups, depth)
    mask = hidden_mask(seed, rows, length) if mode == "mask" else None
    filled = length if mode == "mask" else start + rows
    by_head = [x.transpose(0, 2, 1, 3) for x in (q, k, v)]
    expected = naive_attention(*by_head, filled, start, mask, mode == "causal", scale).transpose(0, 2, 1, 3)
    rest = (mask, 0.0, mode == "causal", scale)
    close(run("llama::custom_sdpa.out", q, k, v, start, *rest), expected)
    quantized = run("llama::custom_quantized_sdpa.out", q, k, v, start, *rest)
    close(quantized, expected)

    # The same with the last rows still to be stored.
    new = [x[:, start : start + rows].copy() for x in (k, v)]
    caches = [x.copy() for x in (k, v)]
    for cache in caches:
        cache[:, start : start + rows] = 99
    close(run("llama::sdpa_with_kv_cache.out", q, *new, *caches, start, rows, *rest), expected)
    assert [c.tolist() for c in caches] == [k.tolist(), v.tolist()]


def test_a_mask_of_the_filled_positions_as_up_to_0_2_1():
    q, k, v = normal(0, 1, 2, 1, 4), normal(1, 1, 2, 1, 4), normal(2, 1, 2, 1, 4)
    mask = np.array([[0, 0, -INF], [0, 0, 0]], np.float32)
    caches = [normal(3, 1, 5, 1, 4), normal(4, 1, 5, 1, 4)]
    short = run("llama::sdpa_with_kv_cache.out", q, k, v, *[c.copy() for c in caches], 1, 2, mask)
    wide = np.concatenate([mask, np.full((2, 2), -INF, np.float32)], axis=1)
    close(short, run("llama::sdpa_with_kv_cache.out", q, k, v, *caches, 1, 2, wide))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_attention_of_half_types(dtype):
    q, k, v = (normal(s, 1, 3, 2, 4).astype(dtype) for s in range(3))
    result = run("llama::custom_sdpa.out", q, k, v, 0, is_causal=True)
    assert result.dtype == dtype
    by_head = [x.astype(np.float64).transpose(0, 2, 1, 3) for x in (q, k, v)]
    close(result, naive_attention(*by_head, 3, 0, None, True, None).transpose(0, 2, 1, 3), 2e-2)


def test_attention_in_blocks_of_rows(monkeypatch):
    q, k, v = (normal(s, 1, 7, 2, 4) for s in range(3))
    whole = run("llama::custom_sdpa.out", q, k, v, 0, is_causal=True)
    monkeypatch.setattr(llama, "_BLOCK", 30)
    close(run("llama::custom_sdpa.out", q, k, v, 0, is_causal=True), whole, 1e-6)


@given(seed=SEEDS, at_dim_2=st.booleans(), mode=MODES, start=st.integers(0, 3))
@settings(max_examples=30)
def test_custom_quantized_sdpa(seed, at_dim_2, mode, start):
    rng = np.random.default_rng(seed)
    rows, length, groups, depth = 2, start + 3, 2, 3
    tensors, parameters, real = [], [], []
    for heads, size in ((4, rows), (groups, length), (groups, length)):
        shape = (1, heads, size) if at_dim_2 else (1, size, heads)
        tensors.append(rng.integers(-128, 128, (*shape, depth)).astype(np.int8))
        parameters.append(rng.integers(-9, 9, (*shape, 1)).astype(np.int8))
        parameters.append(rng.uniform(0.005, 0.03, (*shape, 1)).astype(np.float32))
        x = (tensors[-1].astype(float) - parameters[-2].astype(float)) * parameters[-1].astype(float)
        real.append(x if at_dim_2 else x.transpose(0, 2, 1, 3))
    mask = hidden_mask(seed, rows, length) if mode == "mask" else None
    filled = length if mode == "mask" else start + rows
    expected = naive_attention(*real, filled, start, mask, mode == "causal", None)
    result = run(
        "llama::custom_quantized_sdpa.out", *tensors, start, mask, 0.0, mode == "causal", None, *parameters, at_dim_2
    )
    assert result.dtype == np.float32
    close(result, expected if at_dim_2 else expected.transpose(0, 2, 1, 3))


@given(seed=SEEDS, batch=SIZES, rows=SIZES, start=st.integers(0, 3), kind=st.sampled_from(["float32", "int8"]))
@settings(max_examples=40)
def test_update_cache(seed, batch, rows, start, kind):
    value = (normal(seed, batch, rows, 2, 3) * 9).astype(kind)
    cache = (normal(seed + 1, batch, 6, 2, 3) * 9).astype(kind)
    before = cache.tolist()
    by_index = cache.copy()
    assert run("llama::update_cache.out", value, cache, start).tolist() == [0]
    positions = np.random.default_rng(seed).integers(0, 6, (batch, rows))
    assert run("llama::update_cache_with_indices.out", value, by_index, 0, positions).shape == (1,)
    for b in range(batch):
        expected, indexed = list(before[b]), list(before[b])
        for r in range(rows):
            expected[start + r] = value[b, r].tolist()
            indexed[positions[b, r]] = value[b, r].tolist()
        assert cache[b].tolist() == expected
        assert by_index[b].tolist() == indexed


@pytest.mark.parametrize("name", ["gated_delta_rule", "channelwise_gated_delta_rule"])
@given(seed=SEEDS, sizes=st.tuples(SIZES, SIZES, SIZES, st.integers(0, 4), SIZES, SIZES), channelwise=st.booleans())
@settings(max_examples=25)
def test_gated_delta_rule(name, seed, sizes, channelwise):
    batch, groups, reps, tokens, depth, width = sizes
    rng = np.random.default_rng(seed)
    shape = (batch, groups, tokens)
    q, k = normal(seed, batch, groups * reps, tokens, depth), normal(seed + 1, *shape, depth)
    v, initial = normal(seed + 2, *shape, width), normal(seed + 3, batch, groups, depth, width)
    decay = rng.uniform(0, 1, (*shape, depth) if channelwise else shape).astype(np.float32)
    beta = rng.uniform(0, 1, shape).astype(np.float32)
    kept = initial.copy()
    out, final = run(f"llama::{name}.out", q, k, v, decay, beta, initial)
    assert np.array_equal(initial, kept)
    assert out.shape == (batch, groups * reps, tokens, width)
    for b, g in itertools.product(range(batch), range(groups)):
        state = initial[b, g].tolist()
        for t in range(tokens):
            for i in range(depth):
                factor = float(decay[b, g, t, i] if channelwise else decay[b, g, t])
                state[i] = [factor * s for s in state[i]]
            key = k[b, g, t].tolist()
            for w in range(width):
                predicted = sum(key[i] * state[i][w] for i in range(depth))
                change = float(beta[b, g, t]) * (float(v[b, g, t, w]) - predicted)
                for i in range(depth):
                    state[i][w] += key[i] * change
            for r in range(reps):
                query = q[b, g * reps + r, t].tolist()
                expected = [sum(query[i] * state[i][w] for i in range(depth)) for w in range(width)]
                close(out[b, g * reps + r, t], expected)
        close(final[b, g], state)


@given(log2=st.integers(0, 8), rows=SIZES, seed=SEEDS)
@settings(max_examples=20)
def test_fast_hadamard_transform(log2, rows, seed):
    size = 2**log2
    x = normal(seed, rows, size)
    result = run("llama::fast_hadamard_transform.out", x)
    for r in range(rows):
        row = x[r].tolist()
        for i in (0, size // 2, size - 1):
            total = sum(-value if (i & j).bit_count() % 2 else value for j, value in enumerate(row))
            assert math.isclose(result[r, i], total / math.sqrt(size), rel_tol=1e-4, abs_tol=1e-4)


@pytest.mark.parametrize("power", [1, 2, 64, 128])
def test_fast_hadamard_transform_of_28_times_a_power(power):
    """Columns of the matrix: all entries of one size, and each orthogonal to the others."""
    units = np.eye(28 * power, dtype=np.float32)[:: max(1, power // 2)]
    rows = run("llama::fast_hadamard_transform.out", units).astype(np.float64)
    close(np.abs(rows), np.full(rows.shape, 1 / math.sqrt(power)), 1e-5)
    close(rows @ rows.T, 28 * np.eye(len(rows)), 1e-4)


def test_fast_hadamard_transform_of_nothing_and_of_half():
    assert run("llama::fast_hadamard_transform.out", np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert run("llama::fast_hadamard_transform.out", np.array(2.0)).tolist() == 2.0
    half = run("llama::fast_hadamard_transform.out", np.array([3, 1], np.float16))
    assert half.dtype == np.float16
    close(half, [4 / math.sqrt(2), 2 / math.sqrt(2)], 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_fallback(dtype):
    x = np.array([[1, 0], [2, 3]]).astype(dtype)
    result = run("llama::fallback.out", x)
    assert result.dtype == dtype
    assert result.tolist() == x.tolist()


@given(channels=SIZES, down=SIZES, across=SIZES, tile=SIZES, flip=st.booleans())
@settings(max_examples=30)
def test_tile_crop(channels, down, across, tile, flip):
    height, width = down * tile, across * tile
    image = np.arange(channels * height * width).reshape(channels, height, width)
    image = image[:, ::-1] if flip else image
    tiles = run("preprocess::tile_crop.out", image, tile)
    assert tiles.shape == (down * across, channels, tile, tile)
    for c, y, x in itertools.product(range(channels), range(height), range(width)):
        assert tiles[y // tile * across + x // tile, c, y % tile, x % tile] == image[c, y, x]


Q, C = np.zeros((1, 2, 2, 4), np.float32), np.zeros((1, 5, 2, 4), np.float32)
I8, P8, S8 = np.zeros((1, 2, 2, 4), np.int8), np.zeros((1, 2, 2, 1), np.int8), np.ones((1, 2, 2, 1), np.float32)
T = np.zeros((1, 1, 2, 3), np.float32)
DELTA = (T, T, T, T[..., 0], T[..., 0], np.zeros((1, 1, 3, 3), np.float32))
MASK = np.zeros((2, 5), np.float32)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("llama::sdpa.out", (Q[0], Q, Q)),
        ("llama::sdpa.out", (Q, Q[..., :3], Q[..., :3])),
        ("llama::sdpa.out", (Q, Q, Q[:, :, :1])),
        ("llama::sdpa.out", (Q, Q[:, :0], Q[:, :0])),
        ("llama::sdpa.out", (Q, C[:, :3, :, :], C[:, :3, :, :])),
        ("llama::sdpa.out", (Q.astype(int), Q.astype(int), Q.astype(int))),
        ("llama::sdpa.out", (Q, Q, Q, MASK)),
        ("llama::sdpa.out", (Q, Q, Q, MASK[:, :2] > 0)),
        ("llama::custom_sdpa.out", (Q, C, C, 4)),
        ("llama::custom_sdpa.out", (Q, C, C, -1)),
        ("llama::custom_sdpa.out", (Q, C, C, 2**62)),
        ("llama::custom_sdpa.out", (Q, C, C, 0, MASK, 0.0, True)),
        ("llama::custom_sdpa.out", (Q, C, C, 0, MASK[:, :4])),
        ("llama::custom_sdpa.out", (Q, C, C.astype(np.float16), 0)),
        ("llama::sdpa_with_kv_cache.out", (Q, Q, Q, C.copy(), C.copy(), 4, 2)),
        ("llama::sdpa_with_kv_cache.out", (Q, Q, Q, C.copy(), C.copy(), 3, 3)),
        ("llama::sdpa_with_kv_cache.out", (Q, Q, Q, C.copy(), C.copy(), -1, 2)),
        ("llama::sdpa_with_kv_cache.out", (Q, Q, Q[:, :, :1], C.copy(), C.copy(), 0, 2)),
        ("llama::sdpa_with_kv_cache.out", (Q, Q, Q, C[0], C.copy(), 0, 2)),
        ("llama::update_cache.out", (Q, C.copy(), 4)),
        ("llama::update_cache.out", (Q, C.copy(), -1)),
        ("llama::update_cache.out", (Q.astype(np.int32), C.copy(), 0)),
        ("llama::update_cache.out", (Q[..., :3], C.copy(), 0)),
        ("llama::update_cache.out", (Q[0], C.copy(), 0)),
        ("llama::update_cache_with_indices.out", (Q, C.copy(), 0, np.array([[0, 5]]))),
        ("llama::update_cache_with_indices.out", (Q, C.copy(), 0, np.array([[0, -1]]))),
        ("llama::update_cache_with_indices.out", (Q, C.copy(), 0, np.array([[0]]))),
        ("llama::update_cache_with_indices.out", (Q, C.copy(), 0, np.array([[0, 1]], np.int32))),
        ("llama::custom_quantized_sdpa.out", (I8, I8, I8, 0)),
        ("llama::custom_quantized_sdpa.out", (I8, Q, Q, 0, None, 0.0, False, None, P8, S8, P8, S8, P8, S8)),
        ("llama::custom_quantized_sdpa.out", (I8, I8, I8, 0, None, 0.0, False, None, P8, S8, P8, S8, P8[:, :1], S8)),
        ("llama::custom_quantized_sdpa.out", (I8, I8, I8, 0, None, 0.0, False, None, S8, S8, P8, S8, P8, S8)),
        ("llama::custom_quantized_sdpa.out", (I8[0], I8, I8, 0)),
        ("llama::gated_delta_rule.out", (T.astype(np.float64), *DELTA[1:])),
        ("llama::gated_delta_rule.out", (T[0], *DELTA[1:])),
        ("llama::gated_delta_rule.out", (T, T[:, :, :1], *DELTA[2:])),
        ("llama::channelwise_gated_delta_rule.out", (*DELTA[:3], T[..., :2], *DELTA[4:])),
        ("llama::channelwise_gated_delta_rule.out", (*DELTA[:5], np.zeros((1, 1, 3, 2), np.float32))),
        ("llama::fast_hadamard_transform.out", (np.zeros(6, np.float32),)),
        ("llama::fast_hadamard_transform.out", (np.zeros(84, np.float32),)),
        ("llama::fast_hadamard_transform.out", (np.zeros(8, np.int32),)),
        ("preprocess::tile_crop.out", (np.zeros((4, 4)), 2)),
        ("preprocess::tile_crop.out", (np.zeros((1, 4, 4)), 3)),
        ("preprocess::tile_crop.out", (np.zeros((1, 4, 4)), 0)),
        ("preprocess::tile_crop.out", (np.zeros((1, 4, 4)), -2)),
    ],
)
def test_refusals(name, args):
    with pytest.raises(KernelError):
        run(name, *args)
