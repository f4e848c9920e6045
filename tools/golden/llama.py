"""Golden cases of the llama operators, computed by the official wheel's custom operator library."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch
from executorch import version
from executorch.extension.llm.custom_ops import custom_ops, op_fallback  # noqa: F401  (loads the operators)
from recorder import Recorder, _from_torch, _to_torch

from pteron.ops import REGISTRY

BF16 = ml_dtypes.bfloat16
WHEEL = f"executorch {version.__version__} custom operators"
HALF = {"rtol": 1e-2, "atol": 1e-2}


class LlamaRecorder(Recorder):
    def wheel_case(self, op: str, *args: Any, placeholder: bool = False, **options: Any) -> None:
        """A case of the wheel's operator, with what it leaves in its caches.

        ``placeholder``: the result is left undefined, it is recorded as one zero of the value's dtype.
        """
        entry = REGISTRY.get(op)
        assert entry is not None
        schema = entry.functional
        namespace, name = schema.name.split("::")
        given = [_to_torch(np.array(a) if isinstance(a, np.ndarray) else a) for a in args]
        given = [g.clone() if isinstance(g, torch.Tensor) else g for g in given]
        results = getattr(getattr(torch.ops, namespace), name)(*given)
        results = list(results) if isinstance(results, tuple) else [results]
        expected = [np.zeros(1, args[0].dtype)] if placeholder else [_from_torch(r) for r in results]
        written = {a.name: _from_torch(g) for a, g in zip(schema.arguments, given, strict=False) if a.writes}
        self.case(op, *args, expected=expected, written=written, source=WHEEL, **options)

    def wheel_out_case(self, op: str, out: np.ndarray, *args: Any, **options: Any) -> None:
        """A case of the wheel's out-variant, for operators whose functional form assumes float32."""
        namespace, name = op.split("::")
        function = getattr(getattr(torch.ops, namespace), name.split(".")[0]).out
        given = [_to_torch(a) for a in args]
        self.case(op, *args, expected=[_from_torch(function(*given, out=_to_torch(out)))], source=WHEEL, **options)


def mask_of(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A float mask; no row is hidden entirely."""
    hidden = rng.random((rows, columns)) < 0.3
    hidden[:, 0] = False
    return np.where(hidden, -np.inf, rng.normal(size=(rows, columns))).astype(np.float32)


def sdpa(rec: LlamaRecorder, rng: np.random.Generator) -> None:
    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    cases = [(1, 4, 3, 3, 6, 8, 0), (2, 4, 2, 1, 7, 4, 5), (1, 3, 3, 5, 5, 2, 0), (1, 8, 1, 2, 9, 4, 6)]
    for batch, heads, groups, rows, length, depth, start in cases:
        if heads % groups:
            heads = groups
        q, k, v = normal(batch, rows, heads, depth), *(normal(batch, length, groups, depth) for _ in range(2))
        mask = mask_of(rng, rows, length)
        for causal in (True, False):
            rec.wheel_case("llama::custom_sdpa.out", q, k, v, start, None, 0.0, causal)
        rec.wheel_case("llama::custom_sdpa.out", q, k, v, start, mask, 0.0, False, 0.3)
        new_k, new_v = normal(batch, rows, groups, depth), normal(batch, rows, groups, depth)
        for given, causal in ((None, True), (mask, False)):
            rec.wheel_case(
                "llama::sdpa_with_kv_cache.out", q, new_k, new_v, k, v, start, rows, given, 0.0, causal, None
            )
        for dtype in (np.float16, BF16):
            half = [x.astype(dtype) for x in (q, k, v)]
            rec.wheel_out_case("llama::custom_sdpa.out", np.empty_like(half[0]), *half, start, None, 0.0, True, **HALF)
        # llama::sdpa is in no wheel after 0.2.1; without a mask it is torch's attention.
        heads_first = [np.ascontiguousarray(x.swapaxes(1, 2)) for x in (q, k, v)]
        for given, causal, scale in ((None, False, None), (None, True, 0.4), (mask, False, 0.25)):
            tensors = [torch.from_numpy(x) for x in heads_first]
            result = torch.nn.functional.scaled_dot_product_attention(
                *tensors,
                attn_mask=None if given is None else torch.from_numpy(given),
                is_causal=causal,
                scale=scale,
                enable_gqa=True,
            )
            rec.case(
                "llama::sdpa.out", *heads_first, given, 0.0, causal, scale, expected=[result.numpy()],
                source=f"torch {torch.__version__} scaled_dot_product_attention",
            )  # fmt: skip


def quantized_sdpa(rec: LlamaRecorder, rng: np.random.Generator) -> None:
    for at_dim_2 in (False, True):
        for batch, heads, groups, rows, length, depth, start in ((1, 4, 2, 3, 6, 8, 2), (2, 2, 2, 1, 5, 4, 3)):
            parameters: list[np.ndarray] = []
            tensors = []
            for count, size in ((heads, rows), (groups, length), (groups, length)):
                shape = (batch, count, size) if at_dim_2 else (batch, size, count)
                tensors.append(rng.integers(-128, 128, (*shape, depth)).astype(np.int8))
                parameters.append(rng.integers(-10, 10, (*shape, 1)).astype(np.int8))
                parameters.append(rng.uniform(0.01, 0.03, (*shape, 1)).astype(np.float32))
            for mask, causal in ((None, True), (None, False), (mask_of(rng, rows, length), False)):
                rec.wheel_case(
                    "llama::custom_quantized_sdpa.out",
                    *tensors, start, mask, 0.0, causal, None, *parameters, at_dim_2, rtol=1e-4, atol=1e-5,
                )  # fmt: skip
    q, k, v = (rng.normal(size=(1, 3, 2, 4)).astype(np.float32) for _ in range(3))
    rec.wheel_case("llama::custom_quantized_sdpa.out", q, k, v, 0, None, 0.0, True)
    k, v = (rng.normal(size=(1, 3, 4, 4)).astype(np.float32) for _ in range(2))
    for causal in (True, False):
        # An unquantised query [batch, heads, sequence, depth], of which the runtime takes the heads for the sequence.
        rec.wheel_case("llama::custom_quantized_sdpa.out", q, k, v, 1, None, 0.0, causal, None, *[None] * 6, True)


def caches(rec: LlamaRecorder, rng: np.random.Generator) -> None:
    for dtype in (np.float32, np.int8, np.float16):
        value = (rng.normal(size=(2, 3, 2, 4)) * 5).astype(dtype)
        cache = (rng.normal(size=(2, 8, 2, 4)) * 5).astype(dtype)
        for start in (0, 5):
            rec.wheel_case("llama::update_cache.out", value, cache, start, placeholder=True)
        indices = np.array([[7, 0, 3], [1, 1, 6]])
        rec.wheel_case("llama::update_cache_with_indices.out", value, cache, 0, indices, placeholder=True)


def gated_delta(rec: LlamaRecorder, rng: np.random.Generator) -> None:
    for batch, heads, groups, tokens, depth, width in ((1, 2, 2, 1, 4, 3), (2, 4, 2, 6, 4, 5), (1, 2, 1, 40, 4, 4)):
        shape = (batch, groups, tokens)
        for name, decay in (
            ("gated_delta_rule", rng.uniform(0.7, 1.0, shape)),
            ("gated_delta_rule", rng.uniform(0.7, 1.0, (*shape, depth))),
            ("channelwise_gated_delta_rule", rng.uniform(0.7, 1.0, (*shape, depth))),
        ):
            rec.wheel_case(
                f"llama::{name}.out",
                *(
                    x.astype(np.float32)
                    for x in (
                        rng.normal(size=(batch, heads, tokens, depth)),
                        rng.normal(size=(*shape, depth)) / depth,
                        rng.normal(size=(*shape, width)),
                        decay,
                        rng.uniform(0, 1, shape),
                        rng.normal(size=(batch, groups, depth, width)),
                    )
                ),
                rtol=1e-4,
                atol=1e-4,
            )


def others(rec: LlamaRecorder, rng: np.random.Generator) -> None:
    for shape in ((1,), (3, 2), (2, 2, 16), (128,), (2, 28), (56,), (3, 112), (0, 4)):
        rec.wheel_case(
            "llama::fast_hadamard_transform.out", rng.normal(size=shape).astype(np.float32), rtol=1e-5, atol=1e-5
        )
    for shape in ((2, 16), (28,)):
        rec.wheel_case(
            "llama::fast_hadamard_transform.out", rng.normal(size=shape).astype(np.float16), rtol=1e-2, atol=1e-2
        )
    for x in (np.arange(6, dtype=np.int32).reshape(2, 3), np.array(1.5, np.float32), np.zeros((0, 2), np.float16)):
        rec.wheel_case("llama::fallback.out", x)
    image = rng.integers(0, 256, (3, 8, 12))
    for dtype, tile in ((np.float32, 4), (np.uint8, 2), (np.int64, 4)):
        out = np.empty((96 // tile**2, 3, tile, tile), dtype)
        rec.wheel_out_case("preprocess::tile_crop.out", out, image.astype(dtype), tile)


def main() -> None:
    rng = np.random.default_rng(22)
    rec = LlamaRecorder("llama")
    for section in (sdpa, quantized_sdpa, caches, gated_delta, others):
        section(rec, rng)
    rec.save()


if __name__ == "__main__":
    main()
