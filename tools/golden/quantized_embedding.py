"""Golden cases of the quantised embeddings: ExecuTorch's definitions, run eagerly in torch."""

from __future__ import annotations

from typing import Any

import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401  (defines the operators)
import ml_dtypes
import numpy as np
from quantized import QuantizedRecorder, number

BF16 = ml_dtypes.bfloat16
HALF = {"rtol": 1e-2, "atol": 1e-2}
ROWS, COLUMNS = 6, 16


def table(rng: np.random.Generator, bits: int, dtype: Any) -> np.ndarray:
    if dtype == np.int8:
        return rng.integers(-128, 128, (ROWS, COLUMNS)).astype(np.int8)
    return rng.integers(0, 256, (ROWS, COLUMNS * bits // 8)).astype(np.uint8)


def main() -> None:
    rng = np.random.default_rng(21)
    rec = QuantizedRecorder("quantized_embedding")
    for bits, name, low, high in ((8, "byte", -128, 127), (4, "4bit", -8, 7), (2, "2bit", -2, 1)):
        op = f"quantized_decomposed::embedding_{name}"
        weight = table(rng, bits, np.int8 if bits == 8 else np.uint8)
        for kind in (np.float32, np.float16, BF16):
            for groups in (None, 1, 4):
                shape = (ROWS,) if groups is None else (ROWS, groups)
                scales = rng.uniform(0.01, 0.1, shape).astype(np.float32).astype(kind)
                zeros = rng.integers(-3, 4, shape).astype(np.float32).astype(kind)
                loose = {} if kind is np.float32 else HALF
                for indices in (np.array([3, 0, 5, 3]), np.array([[1, 2], [4, 1]]), np.array(5)):
                    for zero_points in (zeros, None):
                        given = (weight, scales, zero_points, low, high, indices)
                        rec.torch_case(f"{op}.out", *given, **loose)
                for target in (np.float32, np.float16):
                    rec.torch_case(f"{op}.dtype_out", *given, number(target), **HALF)
        scales = rng.uniform(0.01, 0.1, ROWS).astype(np.float32)
        weight = table(rng, bits, np.uint8)
        rec.torch_case(f"{op}.out", weight, scales, None, low, high, np.zeros((0,), np.int64))
        if bits < 8:
            rec.torch_case(f"{op}.out", weight, scales, None, low, high, np.array([[1, 2]], np.int32))
        else:
            rec.torch_case(f"{op}.out", weight, scales, None, 0, 255, np.array([1, 2]))
    rec.save()


if __name__ == "__main__":
    main()
