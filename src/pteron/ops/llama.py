"""The ``llama`` and ``preprocess`` custom operators of ExecuTorch's extension/llm/custom_ops, but for its experts.

Attention is computed in float32 with one matrix product per block of query rows. Layouts, by operator: ``sdpa`` takes
[batch, heads, sequence, depth]; ``custom_sdpa`` and ``sdpa_with_kv_cache`` take [batch, sequence, heads, depth], caches
included; there may be fewer key than query heads, each shared by a group. Dropout is accepted and ignored, as in the
runtime.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, INT64, Array, cast, widen
from pteron.ops.registry import operator

_BLOCK = 1 << 22  # scores held at a time, which bounds the memory that a long prompt needs


def _heads_first(x: Array, what: str, *, sequence_first: bool) -> Array:
    """A view as [batch, heads, sequence, depth]."""
    if x.ndim != 4:
        raise KernelError(f"{what} must have four dimensions, not {x.ndim}")
    return x.swapaxes(1, 2) if sequence_first else x


def _check_attention(query: Array, key: Array, value: Array, mask: Array | None) -> None:
    """Arguments as [batch, heads, sequence, depth]."""
    if query.dtype not in (FLOAT32, FLOAT16, BFLOAT16) or key.dtype != query.dtype or value.dtype != query.dtype:
        raise KernelError(
            f"query, key and value must be of one floating type, not {query.dtype.name}, {key.dtype.name} and"
            f" {value.dtype.name}"
        )
    if not query.shape[3] == key.shape[3] == value.shape[3] or key.shape[:3] != value.shape[:3]:
        raise KernelError(
            f"query {list(query.shape)}, key {list(key.shape)} and value {list(value.shape)} do not fit together"
        )
    if query.shape[0] != key.shape[0] or key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise KernelError(
            f"{key.shape[1]} key heads cannot be shared by {query.shape[1]} query heads of the same batch"
        )
    if mask is None:
        return
    if mask.ndim != 2 or mask.dtype not in (FLOAT32, FLOAT16):
        raise KernelError(f"the attention mask must be a matrix of float32, not {mask.dtype.name}{list(mask.shape)}")
    if mask.size and mask.shape != (query.shape[2], key.shape[2]):
        raise KernelError(
            f"a mask of {list(mask.shape)} does not fit {query.shape[2]} query and {key.shape[2]} key positions"
        )


def _attention(
    query: Array,
    key: Array,
    value: Array,
    *,
    mask: Array | None,
    causal: bool,
    scale: float | None,
    start_pos: int = 0,
) -> Array:
    """softmax(query @ key.T * scale + mask) @ value, as [batch, heads, sequence, depth]; row i of a causal one sees
    the keys up to ``start_pos + i``."""
    _check_attention(query, key, value, mask)
    batch, heads, rows, depth = query.shape
    groups, keys = key.shape[1:3]
    if batch == 0 or heads == 0 or rows == 0 or depth == 0:
        return np.zeros(query.shape, query.dtype)
    factor = np.float32(1 / math.sqrt(depth) if scale is None else scale)
    wide_query, key, value = widen(query), widen(key), widen(value)
    bias = None if mask is None or mask.size == 0 else widen(mask)
    result = np.empty(query.shape, query.dtype)
    step = max(1, _BLOCK // max(1, batch * heads * keys))
    for first in range(0, rows, step):
        last = min(first + step, rows)
        limit = min(start_pos + last, keys) if causal else keys
        # The heads that share a key become rows of one product.
        block = (wide_query[:, :, first:last] * factor).reshape(batch, groups, -1, depth)
        scores = np.matmul(block, key[:, :, :limit].swapaxes(2, 3)).reshape(batch, heads, last - first, limit)
        if bias is not None:
            scores += bias[first:last, :limit]
        if causal and limit > start_pos + first + 1:
            future = np.arange(limit) > np.arange(start_pos + first, start_pos + last)[:, np.newaxis]
            np.copyto(scores, np.float32(-np.inf), where=future)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        total = scores.sum(axis=-1, keepdims=True)
        mixed = np.matmul(scores.reshape(batch, groups, -1, limit), value[:, :, :limit])
        result[:, :, first:last] = mixed.reshape(batch, heads, last - first, depth) / total
    return result


def _cached_attention(
    query: Array,
    key: Array,
    value: Array,
    start_pos: int,
    seq_len: int,
    mask: Array | None,
    causal: bool,
    scale: float | None,
) -> Array:
    """Attention to a cache, as [batch, heads, sequence, depth], of which ``start_pos + seq_len`` positions are filled.

    With a mask, the mask decides and all positions take part.
    """
    if mask is not None and causal:
        raise KernelError("attn_mask and is_causal cannot be set at the same time")
    if start_pos < 0:
        raise KernelError(f"the position {start_pos} is negative")
    if mask is None:
        filled = start_pos + seq_len
        if filled > key.shape[2] or filled > value.shape[2]:
            raise KernelError(f"{filled} positions are attended to, but there are {key.shape[2]} keys")
        if filled > 0:
            key, value = key[:, :, :filled], value[:, :, :filled]
    return _attention(query, key, value, mask=mask, causal=causal, scale=scale, start_pos=start_pos)


@operator(
    "llama::sdpa(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float drpout_p=0.0,"
    " bool is_causal=False, float? scale=None) -> Tensor",
    out="out",
)
def sdpa(
    query: Array, key: Array, value: Array, attn_mask: Array | None, is_causal: bool, scale: float | None
) -> Array:
    q, k, v = (_heads_first(x, "query, key or value", sequence_first=False) for x in (query, key, value))
    return _attention(q, k, v, mask=attn_mask, causal=is_causal, scale=scale)


@operator(
    "llama::custom_sdpa(Tensor query, Tensor key, Tensor value, int start_pos, Tensor? attn_mask=None,"
    " float drpout_p=0.0, bool is_causal=False, float? scale=None) -> Tensor",
    out="out",
)
def custom_sdpa(
    query: Array,
    key: Array,
    value: Array,
    start_pos: int,
    attn_mask: Array | None,
    is_causal: bool,
    scale: float | None,
) -> Array:
    q, k, v = (_heads_first(x, "query, key or value", sequence_first=True) for x in (query, key, value))
    return _cached_attention(q, k, v, start_pos, q.shape[2], attn_mask, is_causal, scale).swapaxes(1, 2)


def _store(value: Array, cache: Array, start_pos: int) -> None:
    _check_cache(value, cache)
    if start_pos < 0 or start_pos >= cache.shape[1] or start_pos + value.shape[1] > cache.shape[1]:
        raise KernelError(
            f"{value.shape[1]} positions from {start_pos} on do not fit a cache of {cache.shape[1]} positions"
        )
    cache[:, start_pos : start_pos + value.shape[1]] = value


def _check_cache(value: Array, cache: Array) -> None:
    if value.ndim != 4 or cache.ndim != 4 or value.dtype != cache.dtype:
        raise KernelError(
            f"{value.dtype.name}{list(value.shape)} does not fit a cache of {cache.dtype.name}{list(cache.shape)}"
        )
    if value.shape[0] != cache.shape[0] or value.shape[2:] != cache.shape[2:]:
        raise KernelError(f"values of {list(value.shape)} do not fit a cache of {list(cache.shape)}")


@operator(
    "llama::sdpa_with_kv_cache(Tensor query, Tensor key, Tensor value, Tensor(a!) key_cache, Tensor(b!) value_cache,"
    " int start_pos, int seq_len, Tensor? attn_mask=None, float drpout_p=0.0, bool is_causal=False,"
    " float? scale=None) -> Tensor",
    out="out",
)
def sdpa_with_kv_cache(
    query: Array,
    key: Array,
    value: Array,
    key_cache: Array,
    value_cache: Array,
    start_pos: int,
    seq_len: int,
    attn_mask: Array | None,
    is_causal: bool,
    scale: float | None,
) -> Array:
    if key_cache.ndim == 4 and start_pos + seq_len > key_cache.shape[1]:
        raise KernelError(
            f"{seq_len} positions from {start_pos} on do not fit a cache of {key_cache.shape[1]} positions"
        )
    _store(key, key_cache, start_pos)
    _store(value, value_cache, start_pos)
    q, k, v = (_heads_first(x, "query", sequence_first=True) for x in (query, key_cache, value_cache))
    if attn_mask is not None and attn_mask.ndim == 2 and attn_mask.shape[1] == start_pos + seq_len:
        # Up to 0.2.1 a mask covered only the filled positions.
        k, v = k[:, :, : start_pos + seq_len], v[:, :, : start_pos + seq_len]
    return _cached_attention(q, k, v, start_pos, q.shape[2], attn_mask, is_causal, scale).swapaxes(1, 2)


@operator("llama::update_cache(Tensor value, Tensor(a!) cache, int start_pos) -> Tensor", out="out")
def update_cache(value: Array, cache: Array, start_pos: int) -> Array:
    """Returns a placeholder, which the runtime leaves undefined."""
    _store(value, cache, start_pos)
    return np.zeros(1, value.dtype)


@operator(
    "llama::update_cache_with_indices(Tensor value, Tensor(a!) cache, int start_pos, Tensor indices) -> Tensor",
    out="out",
)
def update_cache_with_indices(value: Array, cache: Array, indices: Array) -> Array:
    """Stores each position of ``value`` where ``indices`` says; ``start_pos`` is not used, as in the runtime."""
    _check_cache(value, cache)
    if indices.shape != value.shape[:2] or indices.dtype != INT64:
        raise KernelError(f"indices {indices.dtype.name}{list(indices.shape)} do not fit values of {list(value.shape)}")
    if indices.size and (indices.min() < 0 or indices.max() >= cache.shape[1]):
        raise KernelError(f"an index is outside of the {cache.shape[1]} positions of the cache")
    cache[np.arange(len(value))[:, np.newaxis], indices] = value
    return np.zeros(1, value.dtype)


def _dequantize(x: Array, zero_points: Array | None, scales: Array | None) -> Array:
    """int8 [.., depth] with one zero point and scale per vector of ``depth``."""
    if zero_points is None or scales is None:
        raise KernelError("a quantised query, key or value needs scales and zero points")
    for parameter, dtype in ((zero_points, np.dtype(np.int8)), (scales, FLOAT32)):
        if parameter.dtype != dtype or parameter.ndim != x.ndim or parameter.shape[:-1] != x.shape[:-1]:
            raise KernelError(
                f"scales or zero points {parameter.dtype.name}{list(parameter.shape)} do not fit {list(x.shape)}"
            )
    real = x.astype(FLOAT32)
    real -= zero_points[..., :1]
    real *= scales[..., :1]
    return real


@operator(
    "llama::custom_quantized_sdpa(Tensor query, Tensor key, Tensor value, int start_pos, Tensor? attn_mask=None,"
    " float drpout_p=0.0, bool is_causal=False, float? scale=None, Tensor? q_zero_points=None, Tensor? q_scales=None,"
    " Tensor? k_zero_points=None, Tensor? k_scales=None, Tensor? v_zero_points=None, Tensor? v_scales=None,"
    " bool is_seq_at_dim_2=False) -> Tensor",
    out="out",
)
def custom_quantized_sdpa(
    query: Array,
    key: Array,
    value: Array,
    start_pos: int,
    attn_mask: Array | None,
    is_causal: bool,
    scale: float | None,
    q_zero_points: Array | None,
    q_scales: Array | None,
    k_zero_points: Array | None,
    k_scales: Array | None,
    v_zero_points: Array | None,
    v_scales: Array | None,
    is_seq_at_dim_2: bool,
) -> Array:
    # The runtime counts the sequence of an unquantised query in dimension 1 whatever the layout.
    seq_dim = 2 if is_seq_at_dim_2 and query.dtype == np.int8 else 1
    if query.ndim != 4:
        raise KernelError(f"query must have four dimensions, not {query.ndim}")
    seq_len = query.shape[seq_dim]
    if query.dtype == np.int8:
        if key.dtype != np.int8 or value.dtype != np.int8:
            raise KernelError("a quantised query needs a quantised key and value")
        query = _dequantize(query, q_zero_points, q_scales)
        key = _dequantize(key, k_zero_points, k_scales)
        value = _dequantize(value, v_zero_points, v_scales)
    first = not is_seq_at_dim_2
    q, k, v = (_heads_first(x, "query, key or value", sequence_first=first) for x in (query, key, value))
    result = _cached_attention(q, k, v, start_pos, seq_len, attn_mask, is_causal, scale)
    return result.swapaxes(1, 2) if first else result


def _gated_delta_rule(
    query: Array, key: Array, value: Array, decay: Array, beta: Array, initial_state: Array
) -> tuple[Array, Array]:
    """Linear attention with a state S [depth, width] per key head, one token after the other:

    S = decay * S; S = S + key (x) beta * (value - key @ S); output = query @ S.
    """
    tensors = (query, key, value, decay, beta, initial_state)
    if any(x.dtype != FLOAT32 for x in tensors):
        raise KernelError("every tensor of the gated delta rule must be float32")
    if any(x.ndim != 4 for x in (query, key, value, initial_state)) or decay.ndim not in (3, 4):
        raise KernelError("query, key, value and state must have four dimensions, decay three or four")
    batch, heads, tokens, depth = query.shape
    groups, width = key.shape[1], value.shape[3]
    if (
        key.shape != (batch, groups, tokens, depth)
        or value.shape != (batch, groups, tokens, width)
        or beta.shape != (batch, groups, tokens)
        or decay.shape != key.shape[: decay.ndim]
        or initial_state.shape != (batch, groups, depth, width)
        or groups == 0
        or heads % groups
    ):
        raise KernelError(f"the shapes {', '.join(str(list(x.shape)) for x in tensors)} do not fit together")
    shared = query.reshape(batch, groups, heads // groups, tokens, depth)
    fading = decay[..., np.newaxis] if decay.ndim == 4 else decay[..., np.newaxis, np.newaxis]
    output = np.empty((batch, groups, heads // groups, tokens, width), FLOAT32)
    state = initial_state.copy()
    for t in range(tokens):
        state *= fading[:, :, t]
        predicted = np.matmul(key[:, :, t, np.newaxis], state)
        change = (value[:, :, t, np.newaxis] - predicted) * beta[:, :, t, np.newaxis, np.newaxis]
        state += key[:, :, t, :, np.newaxis] * change
        output[:, :, :, t] = np.matmul(shared[:, :, :, t], state)
    return output.reshape(batch, heads, tokens, width), state


for _name in ("gated_delta_rule", "channelwise_gated_delta_rule"):
    operator(
        f"llama::{_name}(Tensor query, Tensor key, Tensor value, Tensor decay, Tensor beta, Tensor initial_state)"
        " -> (Tensor out, Tensor final_state_out)",
        out="out",
    )(_gated_delta_rule)


# First rows of the circulant blocks of the Hadamard matrix of order 28 that the runtime uses; + is 1 and - is -1.
_HADAMARD_28 = (
    ("+------", "++----+", "+-+--+-", "+--++--"),
    ("--++++-", "+------", "-++--++", "+-+--+-"),
    ("-+-++-+", "+--++--", "+------", "--++++-"),
    ("-++--++", "-+-++-+", "++----+", "+------"),
)


@functools.cache
def _hadamard_28() -> Array:
    def circulant(first: str) -> Array:
        row = np.array([1 if sign == "+" else -1 for sign in first], FLOAT64)
        return np.stack([np.roll(row, shift) for shift in range(len(row))])

    return np.block([[circulant(first) for first in blocks] for blocks in _HADAMARD_28])


@functools.cache
def _hadamard(log2: int) -> Array:
    """The matrix of order 2**log2, Sylvester's, scaled to be orthogonal."""
    matrix = np.ones((1, 1))
    for _ in range(log2):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / math.sqrt(len(matrix))


@operator("llama::fast_hadamard_transform(Tensor mat) -> Tensor", out="out")
def fast_hadamard_transform(mat: Array) -> Array:
    """The last dimension, of 2**n or 28 * 2**n, times the Hadamard matrix; only the part 2**n is scaled by its root."""
    if mat.dtype not in (FLOAT16, FLOAT32, FLOAT64):
        raise KernelError(f"the Hadamard transform takes float types, not {mat.dtype.name}")
    if mat.ndim == 0 or mat.size == 0:
        return mat
    size = mat.shape[-1]
    order = 28 if size % 28 == 0 else 1
    power = size // order
    if power & (power - 1):
        raise KernelError(f"the Hadamard transform takes a last dimension of 2**n or 28 * 2**n, not {size}")
    rows, x = mat.size // power, widen(mat)
    # The matrix is a Kronecker product: one factor at a time takes the lowest bits of the index, which then move to
    # the top, so that in the end every bit is in its place again.
    bits = power.bit_length() - 1
    while bits > 0:
        factor = _hadamard(min(bits, 6))
        x = (x.reshape(-1, len(factor)) @ factor.astype(x.dtype)).reshape(rows, -1, len(factor)).swapaxes(1, 2)
        bits -= 6
    if order == 28:
        x = _hadamard_28().astype(x.dtype) @ x.reshape(*mat.shape[:-1], order, power)
    return cast(x.reshape(mat.shape), mat.dtype)


@operator("llama::fallback(Tensor input) -> Tensor output", out="out")
def fallback(input: Array) -> Array:
    return input


@operator("preprocess::tile_crop(Tensor input, int tile_size) -> Tensor", out="out")
def tile_crop(input: Array, tile_size: int) -> Array:
    """[channels, height, width] cut into [tiles, channels, tile_size, tile_size], row of tiles by row."""
    if input.ndim != 3:
        raise KernelError(f"tile_crop takes three dimensions, not {input.ndim}")
    channels, height, width = input.shape
    if tile_size <= 0 or height % tile_size or width % tile_size:
        raise KernelError(f"an image of {height} x {width} cannot be cut into tiles of {tile_size}")
    down, across = height // tile_size, width // tile_size
    tiles = input.reshape(channels, down, tile_size, across, tile_size).transpose(1, 3, 0, 2, 4)
    return tiles.reshape(down * across, channels, tile_size, tile_size)
