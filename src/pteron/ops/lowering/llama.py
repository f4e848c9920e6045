"""Lowerings: attention to a cache, and its update, as ExecuTorch's extension/llm/custom_ops define them.

A cache is written by ScatterND on the tensor itself, which the engine has in place, and what is filled of it is read as
it lies where the batch is one. Positions that only a call knows are checked in the model: reading a constant at a place
that it has only while they fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pteron.ops.lowering.builder import Builder, Ref, Size, Spec
from pteron.ops.lowering.elementwise import finish, operands
from pteron.ops.lowering.model_bytes import MICROSOFT
from pteron.ops.lowering.registry import Declined, lowering
from pteron.ops.promotion import BFLOAT16, BOOL, FLOAT16, FLOAT32, INT64

_INT8 = np.dtype(np.int8)

# Scores are computed for all rows at once; the reference kernel takes one block of rows after the other.
_MOST_SCORES = 1 << 28


def _plus(b: Builder, x: Size, y: Size) -> Size:
    if not isinstance(x, Ref) and not isinstance(y, Ref):
        return x + y
    return b.op("Add", _number(b, x), _number(b, y), dtype=INT64)


def _times(b: Builder, x: Size, factor: int) -> Size:
    return b.op("Mul", x, b.const(factor, INT64), dtype=INT64) if isinstance(x, Ref) else x * factor


def _number(b: Builder, x: Size) -> Ref:
    return x if isinstance(x, Ref) else b.const(x, INT64)


class _Checks:
    """What must hold in a call: differences that must not be above zero."""

    def __init__(self, b: Builder) -> None:
        self._b = b
        self._above: list[Ref] = []

    def at_most(self, x: Size, limit: Size) -> None:
        if not isinstance(x, Ref) and not isinstance(limit, Ref):
            if x > limit:
                raise Declined("positions that do not fit")
            return
        self._above.append(self._b.op("Sub", _number(self._b, x), _number(self._b, limit), dtype=INT64))

    def shape(self, x: Ref, sizes: Sequence[Size]) -> None:
        """``x`` has these sizes."""
        b = self._b
        if not x.dynamic and not any(isinstance(size, Ref) for size in sizes):
            if x.shape != tuple(sizes):
                raise Declined("sizes that do not fit")
            return
        apart = b.op("Abs", b.op("Sub", b.dims(x), b.ints(sizes), dtype=INT64), dtype=INT64)
        self._above.append(b.op("ReduceMax", apart, dtype=INT64, keepdims=0))

    def guarded(self, content: Ref) -> Ref:
        """The constant without dimensions, which only a call with everything in place can read."""
        if not self._above:
            return content
        b = self._b
        place = b.op("Max", b.const(0, INT64), *self._above, dtype=INT64)
        assert content.data is not None
        return b.gather(b.const(content.data.reshape(1)), place, 0)


def _position(b: Builder, start: Size, size: int) -> Size:
    """The position kept within what a cache of that size can have, and one beyond: sums with it cannot overflow."""
    if not isinstance(start, Ref):
        return start
    if start.dtype != INT64:
        raise Declined("a position that is no integer")
    low = b.op("Max", start, b.const(-1, INT64), dtype=INT64)
    return b.op("Min", low, b.const(size + 1, INT64), dtype=INT64)


def _store(b: Builder, value: Ref, cache: Ref, start_pos: Size) -> Ref:
    """``cache`` [batch, sequence, ..] with ``value`` from position ``start_pos`` on."""
    if cache.dynamic or cache.rank != 4 or value.rank != 4 or value.dtype != cache.dtype or 0 in cache.shape:
        raise Declined("a cache of sizes that are not constants, or of another dtype than the values")
    if cache.dtype in (FLOAT16, BFLOAT16):
        raise Declined(f"a cache of {cache.dtype.name} would be converted as a whole")
    batch, size = cache.shape[:2]
    count, start = b.size(value, 1), _position(b, start_pos, size)
    if count == 0:
        raise Declined("values without elements")
    checks = _Checks(b)
    checks.shape(value, [batch, count, *cache.shape[2:]])
    checks.at_most(0, start)
    checks.at_most(start, size - 1)
    checks.at_most(_plus(b, start, count), size)
    start = _plus(b, start, checks.guarded(b.const(0, INT64)))
    if isinstance(count, Ref):
        end = _number(b, _plus(b, start, count))
        along = b.op("Range", _number(b, start), end, b.const(1, INT64), dtype=INT64)
        places = b.op("Reshape", along, b.ints([1, -1, 1]), dtype=INT64)
        whole = b.ints([batch, count, 1])
        samples = b.op("Expand", b.const(np.arange(batch).reshape(-1, 1, 1), INT64), whole, dtype=INT64)
        index = b.op("Concat", samples, b.op("Expand", places, whole, dtype=INT64), dtype=INT64, axis=-1)
    else:
        first = np.stack(np.meshgrid(np.arange(batch), np.arange(count), indexing="ij"), -1)
        index = b.op("Add", b.const(first, INT64), b.ints([0, start]), dtype=INT64)
    return b.op("ScatterND", cache, index, value, dtype=cache.dtype, shape=cache.shape)


def _placeholder(b: Builder, spec: Spec) -> Ref | None:
    """The result of an update, which the runtime leaves undefined and the kernel zero."""
    return b.const(np.zeros(1, spec.dtype)) if spec.used else None


@lowering("llama::update_cache")
def update_cache(b: Builder, value: Ref, cache: Ref, start_pos: Size, out: Sequence[Spec]) -> tuple[Ref | None, Ref]:
    return _placeholder(b, out[0]), _store(b, value, cache, start_pos)


@dataclass(frozen=True, slots=True)
class _Quantized:
    """int8 with one zero point and scale per vector of the last dimension, or plain floats where these are None."""

    tensor: Ref
    zero_points: Ref | None = None
    scales: Ref | None = None

    def real(self, b: Builder, filled: Size, axis: int) -> Ref:
        """The first ``filled`` positions of dimension ``axis`` as float32."""
        x = _first(b, self.tensor, filled, axis)
        if self.zero_points is None or self.scales is None:
            return operands(b, x, dtype=x.dtype)[0]
        zero = b.cast(_first(b, self.zero_points, filled, axis), FLOAT32)
        apart = b.op("Sub", b.cast(x, FLOAT32), zero, dtype=FLOAT32)
        return b.op("Mul", apart, _first(b, self.scales, filled, axis), dtype=FLOAT32)


def _first(b: Builder, x: Ref, count: Size, axis: int) -> Ref:
    if not isinstance(count, Ref) and count == x.shape[axis]:
        return x
    sizes = b.ints([0]), b.ints([count]), b.ints([axis])
    return b.op("Slice", x, *sizes, dtype=x.dtype, shape=x.shape, dynamic=x.dynamic)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """``size`` keys of ``groups`` heads, and ``rows`` queries of ``heads``; ``axis`` is the sequence's dimension."""

    batch: int
    size: int
    groups: int
    depth: int
    heads: int
    rows: Size
    axis: int

    @property
    def flat(self) -> bool:
        """Whether keys and values are read [sequence, heads, depth] as they lie."""
        return self.axis == 1 and self.batch == 1

    @property
    def lead(self) -> list[Size]:
        return [self.groups] if self.flat else [self.batch, self.groups]

    def query(self) -> list[Size]:
        if self.axis == 1:
            return [self.batch, self.rows, self.heads, self.depth]
        return [self.batch, self.heads, self.rows, self.depth]


def _sizes(b: Builder, q: Ref, k: Ref, v: Ref, axis: int) -> _Sizes:
    if k.dynamic or v.dynamic or k.rank != 4 or k.shape != v.shape or 0 in k.shape:
        raise Declined("keys of sizes that are not constants")
    if q.rank != 4 or 0 in q.shape or k.dtype != q.dtype or v.dtype != q.dtype or q.shape[3 - axis] % k.shape[3 - axis]:
        raise Declined("a query that does not fit the keys")
    if math.prod(q.shape[:3]) * k.shape[axis] > _MOST_SCORES:
        raise Declined("more scores than are computed at a time")
    return _Sizes(k.shape[0], k.shape[axis], k.shape[3 - axis], k.shape[3], q.shape[3 - axis], b.size(q, axis), axis)


def _attention(
    b: Builder,
    query: _Quantized,
    key: _Quantized,
    value: _Quantized,
    *,
    sequence_first: bool,
    start: Size,
    mask: Ref | None,
    causal: bool,
    scale: float | None,
    cached: bool = True,
    seq_len: Size | None = None,
) -> Ref:
    """softmax(query @ key.T * scale + mask) @ value in the layout of the query.

    Without a mask a cached one attends to the positions that are filled, ``start`` and the query's; with one, to all.
    """
    q = query.tensor
    if isinstance(scale, Ref) or isinstance(causal, Ref) or (mask is not None and causal and cached):
        raise Declined("a mask beside a causal one, or a scale that is not a constant")
    sizes = _sizes(b, q, key.tensor, value.tensor, 1 if sequence_first else 2)
    rows, size, heads, depth = sizes.rows, sizes.size, sizes.heads, sizes.depth
    start = _position(b, start, size)
    checks = _Checks(b)
    checks.shape(q, sizes.query())
    checks.at_most(0, start)
    filled: Size = size
    if mask is not None:
        checks.shape(_checked_mask(mask), [rows, size])
    elif cached:
        filled = _plus(b, start, rows)
        checks.at_most(filled, size)
    if seq_len is not None:
        checks.at_most(_plus(b, start, _position(b, seq_len, size)), size)
    factor = checks.guarded(b.const(np.float32(1 / math.sqrt(depth) if scale is None else scale)))

    # The heads that share a key become rows of one product.
    together = _times(b, rows, heads // sizes.groups)
    left = _heads_first(b, query.real(b, q.shape[sizes.axis], sizes.axis), sizes)
    left = b.op("Reshape", left, b.ints([*sizes.lead, together, depth]), dtype=FLOAT32, allowzero=1)
    left = b.op("Mul", left, factor, dtype=FLOAT32)
    scores = _product(b, left, key, sizes, filled, turned=1)
    # The one row of a step sees everything that is filled.
    hidden = _future(b, start, rows, filled) if causal and (rows != 1 or not cached) else None
    if mask is None and hidden is None:
        weights = b.op("Softmax", scores, dtype=FLOAT32, axis=-1)
    else:
        scores = b.op("Reshape", scores, b.ints([sizes.batch, heads, rows, filled]), dtype=FLOAT32, allowzero=1)
        if mask is not None:
            scores = b.op("Add", scores, operands(b, mask, dtype=mask.dtype)[0], dtype=FLOAT32)
        if hidden is not None:
            scores = b.op("Where", hidden, b.const(np.float32(-np.inf)), scores, dtype=FLOAT32)
        weights = b.op("Softmax", scores, dtype=FLOAT32, axis=-1)
        weights = b.op("Reshape", weights, b.ints([*sizes.lead, together, filled]), dtype=FLOAT32, allowzero=1)
    mixed = _product(b, weights, value, sizes, filled, turned=0)
    shape = b.ints(sizes.query() if rows == 1 else [sizes.batch, heads, rows, depth])
    result = _heads_first(b, b.op("Reshape", mixed, shape, dtype=FLOAT32, allowzero=1), sizes)
    return result if q.dtype == _INT8 else finish(b, result, q.dtype)


def _checked_mask(mask: Ref) -> Ref:
    if mask.rank != 2 or mask.dtype not in (FLOAT32, FLOAT16) or 0 in mask.shape:
        raise Declined("a mask that is no matrix of floats")
    return mask


def _heads_first(b: Builder, x: Ref, sizes: _Sizes) -> Ref:
    """[batch, sequence, heads, depth] as [batch, heads, sequence, depth], and back; of one row both are the same."""
    return x if sizes.axis == 2 or sizes.rows == 1 else b.op("Transpose", x, dtype=FLOAT32, perm=[0, 2, 1, 3])


def _product(b: Builder, x: Ref, part: _Quantized, sizes: _Sizes, filled: Size, *, turned: int) -> Ref:
    """``x`` times keys (``turned``) or values, head by head."""
    y = part.real(b, filled, sizes.axis)
    if sizes.flat:
        y = b.op("Reshape", y, b.ints([filled, sizes.groups, sizes.depth]), dtype=FLOAT32, allowzero=1)
    elif sizes.axis == 1:
        y = b.op("Transpose", y, dtype=FLOAT32, perm=[0, 2, 1, 3])
    return b.op("FusedMatMul", x, y, dtype=FLOAT32, domain=MICROSOFT, transB=turned, transBatchB=int(sizes.flat))


def _future(b: Builder, start: Size, rows: Size, filled: Size) -> Ref:
    """Which keys [rows, filled] lie after the query's row; row i is position ``start + i``."""

    def positions(first: Size, count: Size) -> Ref:
        if not isinstance(first, Ref) and not isinstance(count, Ref):
            return b.const(np.arange(first, first + count), INT64)
        last = _number(b, _plus(b, first, count))
        return b.op("Range", _number(b, first), last, b.const(1, INT64), dtype=INT64)

    of_rows = b.op("Unsqueeze", positions(start, rows), b.ints([1]), dtype=INT64)
    return b.op("Greater", positions(0, filled), of_rows, dtype=BOOL)


def _floats(*tensors: Ref) -> list[_Quantized]:
    if any(x.dtype not in (FLOAT32, FLOAT16, BFLOAT16) for x in tensors):
        raise Declined("a query, key or value that is no float32 or narrower")
    return [_Quantized(x) for x in tensors]


@lowering("llama::sdpa")
def sdpa(
    b: Builder, query: Ref, key: Ref, value: Ref, attn_mask: Ref | None, is_causal: bool, scale: float | None
) -> Ref:
    parts = _floats(query, key, value)
    return _attention(
        b, *parts, sequence_first=False, start=0, mask=attn_mask, causal=is_causal, scale=scale, cached=False
    )


@lowering("llama::custom_sdpa")
def custom_sdpa(
    b: Builder,
    query: Ref,
    key: Ref,
    value: Ref,
    start_pos: Size,
    attn_mask: Ref | None,
    is_causal: bool,
    scale: float | None,
) -> Ref:
    parts = _floats(query, key, value)
    return _attention(b, *parts, sequence_first=True, start=start_pos, mask=attn_mask, causal=is_causal, scale=scale)


@lowering("llama::sdpa_with_kv_cache")
def sdpa_with_kv_cache(
    b: Builder,
    query: Ref,
    key: Ref,
    value: Ref,
    key_cache: Ref,
    value_cache: Ref,
    start_pos: Size,
    seq_len: Size,
    attn_mask: Ref | None,
    is_causal: bool,
    scale: float | None,
) -> tuple[Ref, Ref, Ref]:
    if attn_mask is not None and (attn_mask.dynamic or attn_mask.shape[1:] != key_cache.shape[1:2]):
        raise Declined("a mask that may be of the filled positions only")
    keys = _store(b, key, key_cache, start_pos)
    values = _store(b, value, value_cache, start_pos)
    parts = _floats(query, keys, values)
    result = _attention(
        b,
        *parts,
        sequence_first=True,
        start=start_pos,
        mask=attn_mask,
        causal=is_causal,
        scale=scale,
        seq_len=seq_len,
    )
    return result, keys, values


def _dequantized(x: Ref, zero_points: Ref | None, scales: Ref | None) -> _Quantized:
    if zero_points is None or scales is None or x.dtype != _INT8 or x.dynamic:
        raise Declined("an int8 tensor without scales and zero points, or of sizes that are not constants")
    for parameter, dtype in ((zero_points, _INT8), (scales, FLOAT32)):
        if parameter.dtype != dtype or parameter.dynamic or parameter.shape != (*x.shape[:-1], 1):
            raise Declined("scales or zero points of other sizes")
    return _Quantized(x, zero_points, scales)


@lowering("llama::custom_quantized_sdpa")
def custom_quantized_sdpa(
    b: Builder,
    query: Ref,
    key: Ref,
    value: Ref,
    start_pos: Size,
    attn_mask: Ref | None,
    is_causal: bool,
    scale: float | None,
    q_zero_points: Ref | None,
    q_scales: Ref | None,
    k_zero_points: Ref | None,
    k_scales: Ref | None,
    v_zero_points: Ref | None,
    v_scales: Ref | None,
    is_seq_at_dim_2: bool,
) -> Ref:
    if query.dtype == _INT8:
        parts = [
            _dequantized(query, q_zero_points, q_scales),
            _dequantized(key, k_zero_points, k_scales),
            _dequantized(value, v_zero_points, v_scales),
        ]
    elif is_seq_at_dim_2:
        raise Declined("the runtime counts heads instead of positions")
    else:
        parts = _floats(query, key, value)
    return _attention(
        b,
        *parts,
        sequence_first=not is_seq_at_dim_2,
        start=start_pos,
        mask=attn_mask,
        causal=is_causal,
        scale=scale,
    )
