"""Golden cases of the mixture of experts, computed by the official wheel's operator on weights packed here."""

from __future__ import annotations

import numpy as np
from llama import LlamaRecorder

GROUP = 32


def pack(values: np.ndarray, scales: np.ndarray, bits: int) -> np.ndarray:
    """One expert's weight in torchao's universal layout, written value by value."""
    n, k = values.shape
    blob = bytearray(np.array([6712, 1, bits, 0, 0, 8, 16, 2, *[0] * 8], "<i4").tobytes())
    for block in range(0, n, 8):
        rows = [values[block + j] if block + j < n else np.zeros(k, np.int64) for j in range(8)]
        for group in range(k // GROUP):
            for chunk in range(group * GROUP, (group + 1) * GROUP, 16):
                order = [int(rows[j][chunk + half * 8 + i]) for half in range(2) for j in range(8) for i in range(8)]
                if bits == 8:
                    blob += bytes(v & 255 for v in order)
                else:
                    for start in range(0, 128, 32):
                        low, high = order[start : start + 16], order[start + 16 : start + 32]
                        blob += bytes((a + 8) | (b + 8) << 4 for a, b in zip(low, high, strict=True))
            blob += np.array([scales[block + j, group] if block + j < n else 0 for j in range(8)], "<f4").tobytes()
            blob += np.array([r[group * GROUP : (group + 1) * GROUP].sum() for r in rows], "<i4").tobytes()
    return np.frombuffer(bytes(blob), np.uint8)


def experts(rng: np.random.Generator, count: int, n: int, k: int, bits: int) -> np.ndarray:
    top = 2 ** (bits - 1)
    return np.stack(
        [
            pack(
                rng.integers(-top, top, (n, k)),
                rng.uniform(0.5, 1.5, (n, k // GROUP)).astype(np.float32) / (top * k**0.5),
                bits,
            )
            for _ in range(count)
        ]
    )


def main() -> None:
    rng = np.random.default_rng(23)
    rec = LlamaRecorder("llama_moe")
    for bits, dim, hidden, count in ((4, 32, 64, 3), (8, 64, 32, 2)):
        w13, w2 = experts(rng, count, 2 * hidden, dim, bits), experts(rng, count, dim, hidden, bits)
        gate = rng.normal(size=(count, dim)).astype(np.float32) / dim**0.5
        bias = rng.normal(size=count).astype(np.float32)
        none = np.zeros(0, np.float32)
        for tokens, shift, activated, score in (
            (1, bias, 2, "sigmoid"),
            (5, bias, 1, "sigmoid"),
            (4, none, 2, "sigmoid"),
            (6, none, 2, "softmax"),
            (0, none, 1, "softmax"),
        ):
            x = rng.normal(size=(tokens, dim)).astype(np.float32)
            rec.wheel_case(
                "llama::quantized_moe_ffn.out",
                x, gate, shift, w13, w2, activated, count, hidden, dim, GROUP, bits, score, 2.5, rtol=1e-4, atol=1e-5,
            )  # fmt: skip
    rec.save()


if __name__ == "__main__":
    main()
