"""Golden cases of quantisation: torch's definitions, and the official kernels for what torch does not define."""

from __future__ import annotations

from typing import Any

import executorch.kernels.quantized  # noqa: F401  (loads the kernels as torch operators)
import ml_dtypes
import numpy as np
import torch
import torch.ao.quantization.fx._decomposed
from executorch import version
from recorder import _TORCH_DTYPES, Recorder, _from_torch, _to_torch

from pteron.format.scalar_type import ScalarType
from pteron.ops import REGISTRY

BF16 = ml_dtypes.bfloat16
KERNEL = f"executorch {version.__version__} kernels/quantized"
RANGES = [(np.uint8, 0, 255), (np.int8, -128, 127), (np.int8, -8, 7), (np.int16, -32768, 32767), (np.uint16, 0, 65535)]


def number(dtype: Any) -> int:
    names = {t.dtype: int(t) for t in reversed(ScalarType) if t.torch_name == t.dtype.name}
    return names[np.dtype(dtype)]


class QuantizedRecorder(Recorder):
    def torch_case(self, op: str, *args: Any, **options: Any) -> None:
        """A case whose results are those of torch's functional operator; ScalarType numbers become torch dtypes."""
        entry = REGISTRY.get(op)
        assert entry is not None
        schema = entry.functional
        packet = getattr(torch.ops.quantized_decomposed, schema.name.split("::")[1])
        positional, keywords = [], {}
        for argument, value in zip(schema.arguments, args, strict=False):
            given = _to_torch(value)
            if argument.type.startswith("ScalarType") and value is not None:
                given = torch.uint16 if value == ScalarType.UINT16 else _TORCH_DTYPES[value]
            if argument.kwarg_only:
                keywords[argument.name] = given
            else:
                positional.append(given)
        results = getattr(packet, schema.overload or "default")(*positional, **keywords)
        results = list(results) if isinstance(results, tuple) else [results]
        self.case(op, *args, expected=[_from_torch(r) for r in results], source=f"torch {torch.__version__}", **options)

    def kernel_case(self, op: str, out: np.ndarray, *args: Any, **options: Any) -> None:
        """A case whose result is that of the official kernel, called with ``out``."""
        namespace, name = op.split("::")
        packet, overload = name.split(".")
        function = getattr(getattr(getattr(torch.ops, namespace), packet), overload)
        result = function(*[_to_torch(a) for a in args], out=_to_torch(out))
        self.case(op, *args, expected=[_from_torch(result)], source=KERNEL, **options)


NS = "quantized_decomposed::"
HALF = {"rtol": 1e-2, "atol": 1e-2}


def quantize_tensor(rec: QuantizedRecorder, rng: np.random.Generator, normal: np.ndarray) -> None:
    special = np.array([0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1e9, -1e9, np.inf, -np.inf], np.float32)
    channels_last = np.ascontiguousarray(rng.normal(size=(2, 4, 4, 3)).astype(np.float32)).transpose(0, 3, 1, 2)

    for dtype, low, high in RANGES:
        scale = 6.0 / (high - low)
        zero = (low + high) // 2
        for x in (normal, normal.astype(np.float16), normal.astype(BF16)):
            rec.torch_case(NS + "quantize_per_tensor.out", x, scale, zero, low, high, number(dtype))
    for x in (special, np.zeros((0, 3), np.float32), np.array(1.25, np.float32), channels_last):
        rec.torch_case(NS + "quantize_per_tensor.out", x, 1.0, 3, -128, 127, number(np.int8))
    rec.torch_case(NS + "quantize_per_tensor.out", normal, 1e-4, 7, -(2**31), 2**31 - 1, number(np.int32))
    for shape in ((1,), ()):
        scale, zero = np.full(shape, 0.0371), np.full(shape, -5)
        rec.torch_case(NS + "quantize_per_tensor.Tensor_out", normal, scale, zero, -128, 127, number(np.int8))


def dequantize_tensor(rec: QuantizedRecorder, rng: np.random.Generator, normal: np.ndarray) -> None:
    for dtype, low, high in RANGES:
        q = rng.integers(low, high + 1, (2, 3, 5)).astype(dtype)
        zero = (low + high) // 2 + 1
        for target in (None, np.float32, np.float16, BF16, np.float64):
            if dtype in (np.int16, np.uint16) and target in (np.float16, BF16):
                continue
            loose = HALF if target in (np.float16, BF16) else {}
            out = None if target is None else number(target)
            rec.torch_case(NS + "dequantize_per_tensor.out", q, 0.0213, zero, low, high, number(dtype), out, **loose)
        rec.torch_case(
            NS + "dequantize_per_tensor.Tensor_out", q, np.array([0.0213]), np.array([zero]), low, high, number(dtype),
        )  # fmt: skip
    for q in (np.zeros((0, 2), np.int8), np.array(5, np.int8)):
        rec.torch_case(NS + "dequantize_per_tensor.out", q, 0.5, 1, -128, 127, number(np.int8), None)
    big = rng.integers(-(2**20), 2**20, (3, 4)).astype(np.int32)
    rec.torch_case(NS + "dequantize_per_tensor.out", big, 0.01, 100, -(2**31), 2**31 - 1, number(np.int32), None)


def channels(rec: QuantizedRecorder, rng: np.random.Generator, normal: np.ndarray) -> None:
    for axis in (0, 1, 2):
        size = normal.shape[axis]
        for kind in (np.float64, np.float32):
            scales = rng.uniform(0.01, 0.1, size).astype(kind)
            zeros = rng.integers(-20, 20, size)
            per_channel = (scales, zeros, axis, -128, 127, number(np.int8))
            rec.torch_case(NS + "quantize_per_channel.out", normal, *per_channel)
            q = rng.integers(-128, 128, normal.shape).astype(np.int8)
            rec.torch_case(NS + "dequantize_per_channel.out", q, *per_channel, None)
            rec.torch_case(NS + "dequantize_per_channel.out", q, scales, None, *per_channel[2:], None)
        rec.torch_case(NS + "dequantize_per_channel.out", q, *per_channel, number(np.float16), **HALF)
        rec.torch_case(NS + "quantize_per_channel.out", normal.astype(np.float16), *per_channel)
    weight = rng.integers(-128, 128, (3, 4, 4, 2)).astype(np.int8).transpose(0, 3, 1, 2)
    scales, zeros = rng.uniform(0.01, 0.1, 3), np.zeros(3, np.int64)
    rec.torch_case(NS + "dequantize_per_channel.out", weight, scales, zeros, 0, -127, 127, number(np.int8), None)
    wide = rng.integers(-(2**20), 2**20, (3, 4)).astype(np.int32)
    rec.torch_case(
        NS + "dequantize_per_channel.out", wide, scales, zeros, 0, -(2**31), 2**31 - 1, number(np.int32), None
    )


def tokens(rec: QuantizedRecorder, rng: np.random.Generator, normal: np.ndarray) -> None:
    for kind in (np.float64, np.float32):
        scales = rng.uniform(0.01, 0.1, (2, 3, 1)).astype(kind)
        zeros = rng.integers(-20, 20, (2, 3, 1))
        token = (scales, zeros, -128, 127, number(np.int8))
        rec.torch_case(NS + "quantize_per_token.out", normal, *token)
        q = rng.integers(-128, 128, normal.shape).astype(np.int8)
        rec.torch_case(NS + "dequantize_per_token.out", q, *token, number(np.float32))
        rec.torch_case(NS + "dequantize_per_token.out", q, *token, number(np.float16), **HALF)


def choose(rec: QuantizedRecorder, rng: np.random.Generator, normal: np.ndarray) -> None:
    large = (normal * 100 + 3).astype(np.float32)
    for x in (normal, large, np.abs(normal), -np.abs(normal), np.zeros((2, 2), np.float32)):
        for dtype, low, high in ((np.int8, -128, 127), (np.uint8, 0, 255), (np.int8, -127, 127)):
            rec.torch_case(NS + "choose_qparams.Tensor_out", x, low, high, 1.1920928955078125e-07, number(dtype))
        rec.torch_case(NS + "choose_qparams_per_token_asymmetric.out", x, number(np.int8))
    rec.torch_case(NS + "choose_qparams.Tensor_out", normal, -128, 127, 0.1, number(np.int8))
    for x in (normal.astype(np.float16), normal.astype(BF16)):
        rec.torch_case(NS + "choose_qparams.Tensor_out", x, -128, 127, 1e-6, number(np.int8))
        rec.torch_case(NS + "choose_qparams_per_token_asymmetric.out", x, number(np.int8))
    rec.torch_case(NS + "choose_qparams_per_token_asymmetric.out", normal[0, 0], number(np.int8))


def kernels(rec: QuantizedRecorder, rng: np.random.Generator, normal: np.ndarray) -> None:
    for dtype, low, high in ((np.uint8, 0, 255), (np.uint8, 10, 200), (np.int8, 0, 127), (np.int32, 0, 255)):
        a, b = (rng.integers(low, high + 1, (3, 4)).astype(dtype) for _ in range(2))
        rec.kernel_case(
            NS + "add.out", np.empty_like(a), a, 0.03, 17, low, high, b, 0.05, 40, low, high, 0.07, 60, low, high
        )

    for kind in (np.float32, np.float16):
        x = rng.normal(size=(3, 8)).astype(kind)
        w = rng.integers(-128, 128, (8, 5)).astype(np.int8)
        scales = rng.uniform(0.001, 0.01, 8).astype(kind)
        loose = HALF if kind is np.float16 else {}
        rec.kernel_case(NS + "mixed_mm.out", np.empty((3, 5), kind), x, w, scales, None, **loose)
        w = rng.integers(-128, 128, (5, 8)).astype(np.int8)
        for shape in ((5,), (5, 2), (5, 3)):
            scales = rng.uniform(0.001, 0.01, shape).astype(kind)
            rec.kernel_case(
                NS + "mixed_linear.out", np.empty((3, 5), kind), x, w, scales, None, None, out_dtype=kind, **loose
            )
            rec.kernel_case(
                NS + "mixed_linear.out", np.empty((3, 5), np.float32), x, w, scales, None, number(np.float32), **loose
            )


def main() -> None:
    rng = np.random.default_rng(20)
    rec = QuantizedRecorder("quantized")
    normal = rng.normal(size=(2, 3, 5)).astype(np.float32)
    for section in (quantize_tensor, dequantize_tensor, channels, tokens, choose, kernels):
        section(rec, rng, normal)
    rec.save()


if __name__ == "__main__":
    main()
