"""``llama::quantized_moe_ffn``: a mixture of experts whose weights are packed by torchao.

Source: ExecuTorch's extension/llm/custom_ops/op_moe.cpp (on main, for 1.5). As there in a build without optimised
kernels, weights are unpacked and the products are done in float32; optimised builds quantise activations to 8 bits.

The packed weight of an expert [n, k] is a header of 64 bytes (magic, kind, parameters) and then, for every 8 rows and
every group of ``group_size`` columns: the values, 16 columns of the 8 rows at a time (the first 8 columns of each row,
then the last 8; with 4 bits, 32 values in 16 bytes, the first 16 in the low halves, all plus 8), 8 scales (float32)
and 8 sums (int32). Rows are filled up to a multiple of 8.
"""

from __future__ import annotations

import numpy as np

from pteron.errors import KernelError
from pteron.ops.promotion import FLOAT32, Array
from pteron.ops.registry import operator

_HEADER = 64
_MAGIC = 6712
_UNIVERSAL = 1
_ROWS, _COLUMNS = 8, 16


def _sigmoid(x: Array) -> Array:
    """Without overflow: exp is only taken of what is not positive."""
    fading = np.exp(-np.abs(x))
    result: Array = np.where(x >= 0, np.float32(1), fading) / (1 + fading)
    return result


def _unpack(blob: Array, n: int, k: int, group_size: int, bits: int) -> Array:
    """The weight [n, k] of one expert, as float32."""
    blocks, groups = -(-n // _ROWS), k // group_size
    values = group_size * bits  # bytes of 8 rows of a group: 8 * group_size * bits / 8
    group_bytes = values + 2 * 4 * _ROWS
    needed = _HEADER + blocks * groups * group_bytes
    if blob.size < needed:
        raise KernelError(f"a packed weight of [{n}, {k}] takes {needed} bytes, but there are {blob.size}")
    magic, kind = np.ascontiguousarray(blob[:8]).view("<i4")
    if magic == _MAGIC and kind != _UNIVERSAL:
        raise KernelError(f"weights packed as kind {kind} of torchao are not supported, only the universal kind 1")
    data = np.ascontiguousarray(blob[_HEADER:needed]).reshape(blocks, groups, group_bytes)
    packed = data[:, :, :values]
    scales = np.ascontiguousarray(data[:, :, values : values + 4 * _ROWS]).view("<f4")
    if bits == 4:
        halves = packed.reshape(blocks, groups, -1, 1, 16)
        integers = ((halves >> np.array([[0], [4]], np.uint8)) & np.uint8(15)).astype(np.int8) - np.int8(8)
    else:
        integers = packed.view(np.int8)
    # [block, group, chunk of 16 columns, half of the chunk, row, column in the half] to [row, column]
    real = integers.reshape(blocks, groups, group_size // _COLUMNS, 2, _ROWS, _COLUMNS // 2).astype(FLOAT32)
    real *= scales.reshape(blocks, groups, 1, 1, _ROWS, 1)
    return real.transpose(0, 4, 1, 2, 3, 5).reshape(blocks * _ROWS, k)[:n]


def _route(scores: Array, bias: Array, activated: int, score_func: str, route_scale: float) -> tuple[Array, Array]:
    """For each token its experts, the best first, and their weights."""
    if score_func == "sigmoid":
        scores = _sigmoid(scores)
    chosen_by = scores + bias if bias.size else scores
    # A stable sort puts the lower index first among equals, and NaN last.
    experts = np.argsort(-chosen_by, axis=1, kind="stable")[:, :activated]
    weights = np.take_along_axis(scores, experts, axis=1)
    if score_func == "sigmoid":
        total = np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return experts, weights * (np.float32(route_scale) / total)
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    return experts, weights / weights.sum(axis=1, keepdims=True)


def _check(
    x: Array,
    gate_weight: Array,
    expert_bias: Array,
    packed: tuple[Array, Array],
    activated: int,
    experts: int,
    sizes: tuple[int, int],
    group_size: int,
    weight_nbit: int,
    score_func: str,
) -> None:
    dim = sizes[0]
    if any(t.dtype != FLOAT32 for t in (x, gate_weight)) or (expert_bias.size and expert_bias.dtype != FLOAT32):
        raise KernelError("x, gate_weight and expert_bias must be float32")
    if x.ndim != 2 or x.shape[1] != dim or gate_weight.shape != (experts, dim):
        raise KernelError(f"x {list(x.shape)} and gate_weight {list(gate_weight.shape)} do not fit {experts} x {dim}")
    if expert_bias.size and expert_bias.shape != (experts,):
        raise KernelError(f"expert_bias of {list(expert_bias.shape)} does not fit {experts} experts")
    if any(w.ndim != 2 or w.shape[0] != experts or w.dtype != np.uint8 for w in packed):
        raise KernelError(f"packed weights must be bytes, one row for each of {experts} experts")
    if not 0 < activated <= experts:
        raise KernelError(f"{activated} of {experts} experts cannot be activated")
    if score_func not in ("sigmoid", "softmax") or (score_func == "softmax" and expert_bias.size):
        raise KernelError(f"score_func {score_func!r} must be sigmoid, or softmax without expert_bias")
    if weight_nbit not in (4, 8):
        raise KernelError(f"weights of {weight_nbit} bits are not supported, only of 4 and 8")
    if group_size <= 0 or group_size % _COLUMNS or any(s <= 0 or s % group_size for s in sizes):
        raise KernelError(f"groups of {group_size} columns do not divide {sizes[0]} and {sizes[1]}")


@operator(
    "llama::quantized_moe_ffn(Tensor x, Tensor gate_weight, Tensor expert_bias, Tensor packed_w13, Tensor packed_w2,"
    " int num_activated_experts, int num_experts, int hidden_dim, int dim, int group_size, int weight_nbit,"
    " str score_func, float route_scale) -> Tensor",
    out="out",
)
def quantized_moe_ffn(
    x: Array,
    gate_weight: Array,
    expert_bias: Array,
    packed_w13: Array,
    packed_w2: Array,
    num_activated_experts: int,
    num_experts: int,
    hidden_dim: int,
    dim: int,
    group_size: int,
    weight_nbit: int,
    score_func: str,
    route_scale: float,
) -> Array:
    _check(
        x,
        gate_weight,
        expert_bias,
        (packed_w13, packed_w2),
        num_activated_experts,
        num_experts,
        (dim, hidden_dim),
        group_size,
        weight_nbit,
        score_func,
    )
    experts, weights = _route(x @ gate_weight.T, expert_bias, num_activated_experts, score_func, route_scale)
    result = np.zeros(x.shape, FLOAT32)
    for expert in np.unique(experts):
        tokens, place = np.nonzero(experts == expert)
        both = x[tokens] @ _unpack(packed_w13[expert], 2 * hidden_dim, dim, group_size, weight_nbit).T
        up, gate = both[:, :hidden_dim], both[:, hidden_dim:]
        down = (up * _sigmoid(up) * gate) @ _unpack(packed_w2[expert], dim, hidden_dim, group_size, weight_nbit).T
        result[tokens] += weights[tokens, place, np.newaxis] * down
    return result
