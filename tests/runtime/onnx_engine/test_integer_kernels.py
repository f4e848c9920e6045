"""Quantised graphs become integer kernels that give what the graph's definition gives, within one quantisation step."""

from __future__ import annotations

import numpy as np
import pytest
from graph_text import read_graph

from pteron.graph.evaluate import evaluate
from pteron.graph.ir import Return, Value
from pteron.graph.passes import unsigned
from pteron.ops.registry import REGISTRY
from pteron.runtime.onnx_engine.model import Lowerer
from pteron.runtime.onnx_engine.session import open_session

Q = "quantized_decomposed::quantize_per_tensor"
DQ = "quantized_decomposed::dequantize_per_tensor"
CHANNELS = "quantized_decomposed::dequantize_per_channel"
FULL = "quant_min=-128, quant_max=127, dtype=1"
WIDE = "quant_min=-2147483648, quant_max=2147483647, dtype=3"
IN, OUT = 0.05, 0.09

STATIC = """
    graph forward(%x: float32[{x}]) {{
      constant %w: int8[{w}]
      constant %ws: float32[{n}]
      constant %b: int32[{n}]
      constant %bs: float32[{n}]
    block0:
      %1: int8[{x}] = {Q}(input=%x, scale={IN}, zero_point=-7, {FULL})
      %2: float32[{x}] = {DQ}(input=%1, scale={IN}, zero_point=-7, {FULL})
      %3: float32[{w}] = {CHANNELS}(input=%w, scales=%ws, zero_points=None, axis={axis}, {FULL})
      %4: float32[{n}] = {CHANNELS}(input=%b, scales=%bs, zero_points=None, axis=0, {WIDE})
      %5: float32[{y}] = {compute}
      %6: int8[{y}] = {Q}(input=%5, scale={OUT}, zero_point=11, quant_min=-100, quant_max=127, dtype=1)
      %7: float32[{y}] = {DQ}(input=%6, scale={OUT}, zero_point=11, {FULL})
      return %7
    }}
    """


def run_both(text: str, data: dict[str, np.ndarray], inputs: list[np.ndarray]) -> tuple[list, list, bytes]:
    """Results of the graph's definition and of one ONNX session, and the session's model."""
    graph = read_graph(text, **data)
    expected, _ = evaluate(graph, inputs)
    unsigned.run(graph)
    end = graph.entry.terminator
    assert isinstance(end, Return)
    results = [value for value in end.values if isinstance(value, Value)]
    constants = {constant.value: constant for constant in graph.constants}
    model = Lowerer(REGISTRY, constants, {v for node in graph.nodes() for v in node.inputs()} | set(results)).model(
        graph.entry.nodes, [*graph.inputs, *constants], results
    )
    session = open_session(model, threads=1)
    feeds = {name: inputs[graph.inputs.index(value)] for name, value in model.inputs}
    return expected, session.run([name for name, _ in model.outputs], feeds), model.bytes


def convolution(transposed: bool, stride: int, padding: int, groups: int, rank: int = 2) -> str:
    strides, paddings, ones, zeros = ([n] * rank for n in (stride, padding, 1, 0))
    return (
        f"aten::convolution(input=%2, weight=%3, bias=%4, stride={strides}, padding={paddings},"
        f" dilation={ones}, transposed={transposed}, output_padding={zeros}, groups={groups})"
    )


@pytest.mark.parametrize(
    ("x", "w", "y", "axis", "compute", "kernel"),
    [
        ("1, 6, 9, 7", "8, 6, 3, 3", "1, 8, 9, 7", 0, convolution(False, 1, 1, 1), b"QLinearConv"),
        ("2, 6, 9, 7", "6, 1, 3, 3", "2, 6, 4, 3", 0, convolution(False, 2, 0, 6), b"QLinearConv"),
        ("2, 6, 9", "8, 6, 3", "2, 8, 5", 0, convolution(False, 2, 1, 1, 1), b"QLinearConv"),
        ("2, 6, 9", "8, 3, 3", "2, 8, 9", 0, convolution(False, 1, 1, 2, 1), b"QLinearConv"),
        ("1, 2, 5, 4, 3", "6, 2, 2, 2, 2", "1, 6, 4, 3, 2", 0, convolution(False, 1, 0, 1, 3), b"QLinearConv"),
        ("2, 5, 4, 3", "5, 6, 2, 2", "2, 6, 8, 6", 1, convolution(True, 2, 0, 1), b"QLinearConv"),
        ("2, 5, 4, 3", "5, 6, 3, 3", "2, 6, 9, 7", 1, convolution(True, 2, 0, 1), b"ConvTranspose"),
        ("4, 24", "9, 24", "4, 9", 0, "aten::linear(input=%2, weight=%3, bias=%4)", b"QGemm"),
        ("2, 3, 24", "9, 24", "2, 3, 9", 0, "aten::linear(input=%2, weight=%3, bias=%4)", b"QGemm"),
    ],
    ids=[
        "convolution",
        "depthwise",
        "one dimension",
        "groups",
        "three dimensions",
        "windows side by side",
        "windows that overlap",
        "matrix",
        "batch",
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_layers_with_weights(x: str, w: str, y: str, axis: int, compute: str, kernel: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [int(size) for size in w.split(",")]
    n = shape[axis]
    scales = rng.uniform(0.001, 0.01, n).astype(np.float32)
    data = {
        "w": rng.integers(-127, 128, shape),
        "ws": scales,
        "b": rng.integers(-9000, 9000, n),
        "bs": scales * np.float32(IN),
    }
    text = STATIC.format(x=x, w=w, y=y, n=n, axis=axis, compute=compute, **globals())
    given = rng.normal(0, 3, [int(size) for size in x.split(",")]).astype(np.float32)
    (expected,), (actual,), model = run_both(text, data, [given])
    assert kernel in model
    assert model.count(b"DequantizeLinear") == (1 if kernel != b"ConvTranspose" else 3)
    steps = np.rint(np.abs(actual - expected) / OUT)
    assert steps.max() <= 1
    assert (steps == 0).mean() > 0.98, "differences may only come from ties"
    assert len(np.unique(expected)) > 20


PER_TENSOR = """
    graph forward(%x: float32[3, 20]) {{
      constant %w: int8[5, 20]
      constant %b: int32[5]
    block0:
      %1: int8[3, 20] = {Q}(input=%x, scale={IN}, zero_point=-7, {FULL})
      %2: float32[3, 20] = {DQ}(input=%1, scale={IN}, zero_point=-7, {FULL})
      %3: float32[5, 20] = {DQ}(input=%w, scale=0.004, zero_point={zero}, {FULL})
      %4: float32[5] = {DQ}(input=%b, scale={bias_scale}, zero_point=0, {WIDE})
      %5: float32[3, 5] = aten::linear(input=%2, weight=%3, bias=%4)
      %6: int8[3, 5] = {Q}(input=%5, scale={OUT}, zero_point=11, {FULL})
      %7: float32[3, 5] = {DQ}(input=%6, scale={OUT}, zero_point=11, {FULL})
      return %7
    }}
    """


@pytest.mark.parametrize(
    ("zero", "bias_scale", "kernel"), [(0, IN * 0.004, b"QGemm"), (5, IN * 0.004, b"QGemm"), (0, 0.001, b"Gemm")]
)
def test_one_scale_for_a_weight(zero: int, bias_scale: float, kernel: bytes) -> None:
    """A bias of another scale than the products' is added in floats."""
    rng = np.random.default_rng(1)
    data = {"w": rng.integers(-127, 128, (5, 20)), "b": rng.integers(-9000, 9000, 5)}
    text = PER_TENSOR.format(zero=zero, bias_scale=bias_scale, **globals())
    (expected,), (actual,), model = run_both(text, data, [rng.normal(0, 3, (3, 20)).astype(np.float32)])
    assert kernel in model
    assert (b"QGemm" in model) == (kernel == b"QGemm")
    assert np.rint(np.abs(actual - expected) / OUT).max() <= 1


def test_rows_of_different_zero_points_stay_floats() -> None:
    """ONNX Runtime's integer convolution takes one zero point only."""
    rng = np.random.default_rng(2)
    text = f"""
        graph forward(%x: float32[1, 4, 5, 5]) {{
          constant %w: int8[3, 4, 3, 3]
          constant %ws: float32[3]
          constant %wz: int64[3]
        block0:
          %1: int8[1, 4, 5, 5] = {Q}(input=%x, scale={IN}, zero_point=-7, {FULL})
          %2: float32[1, 4, 5, 5] = {DQ}(input=%1, scale={IN}, zero_point=-7, {FULL})
          %3: float32[3, 4, 3, 3] = {CHANNELS}(input=%w, scales=%ws, zero_points=%wz, axis=0, {FULL})
          %5: float32[1, 3, 3, 3] = {convolution(False, 1, 0, 1).replace("%4", "None")}
          %6: int8[1, 3, 3, 3] = {Q}(input=%5, scale={OUT}, zero_point=11, {FULL})
          %7: float32[1, 3, 3, 3] = {DQ}(input=%6, scale={OUT}, zero_point=11, {FULL})
          return %7
        }}
        """
    data = {"w": rng.integers(-127, 128, (3, 4, 3, 3)), "ws": [0.004, 0.005, 0.003], "wz": [1, -2, 3]}
    (expected,), (actual,), _ = run_both(text, data, [rng.normal(0, 3, (1, 4, 5, 5)).astype(np.float32)])
    assert np.rint(np.abs(actual - expected) / OUT).max() <= 1


@pytest.mark.parametrize(("op", "kernel"), [("add", b"QLinearAdd"), ("mul", b"QLinearMul")])
@pytest.mark.parametrize("constant", [False, True])
def test_sums_and_products(op: str, kernel: bytes, constant: bool) -> None:
    rng = np.random.default_rng(5)
    other = "%k" if constant else "%1"
    text = f"""
        graph forward(%x: float32[3, 40], %y: float32[1, 40]) {{
          constant %k: int8[1, 40]
        block0:
          %0: int8[3, 40] = {Q}(input=%x, scale=0.03, zero_point=4, {FULL})
          %1: int8[1, 40] = {Q}(input=%y, scale=0.02, zero_point=-9, {FULL})
          %2: float32[3, 40] = {DQ}(input=%0, scale=0.03, zero_point=4, {FULL})
          %3: float32[1, 40] = {DQ}(input={other}, scale=0.02, zero_point=-9, {FULL})
          %4: float32[3, 40] = aten::{op}.Tensor(self=%2, other=%3)
          %5: int8[3, 40] = {Q}(input=%4, scale=0.05, zero_point=0, {FULL})
          %6: float32[3, 40] = {DQ}(input=%5, scale=0.05, zero_point=0, {FULL})
          return %6
        }}
        """
    inputs = [rng.normal(0, 2, (3, 40)).astype(np.float32), rng.normal(0, 1, (1, 40)).astype(np.float32)]
    (expected,), (actual,), model = run_both(text, {"k": rng.integers(-128, 128, (1, 40))}, inputs)
    assert kernel in model
    steps = np.rint(np.abs(actual - expected) / 0.05)
    assert steps.max() <= 1
    assert (steps == 0).mean() > 0.95
    assert len(np.unique(expected)) > 20


DYNAMIC = """
    graph forward(%x: float32[{rows}, {k}]) {{
      constant %w: int8[{stored}]
      constant %ws: float32[{scales}]
      constant %b: float32[48]
    block0:
      %1: float64[{rows}, 1], %2: int64[{rows}, 1] = quantized_decomposed::choose_qparams_per_token_asymmetric(\
input=%x, dtype=1)
      %3: int8[{rows}, {k}] = quantized_decomposed::quantize_per_token(input=%x, scales=%1, zero_points=%2, {FULL})
      %4: float32[{rows}, {k}] = quantized_decomposed::dequantize_per_token(input=%3, scales=%1, zero_points=%2, \
{FULL}, output_dtype=6)
      %5: float32[{stored}] = {CHANNELS}(input=%w, scales=%ws, zero_points=None, axis=0, {FULL})
      %6: float32[48, {k}] = aten::view_copy(self=%5, size=[48, {k}])
      %7: float32[{rows}, 48] = aten::linear(input=%4, weight={weight}, bias=%b)
      return %7
    }}
    """


@pytest.mark.parametrize("rows", [1, 4, 7])
@pytest.mark.parametrize(
    ("stored", "bits", "kernels"),
    [
        ("48, 64", 8, {1: b"MatMulInteger", 4: b"MatMulInteger", 7: b"MatMulInteger"}),
        ("48, 64", 4, {1: b"MatMulInteger", 4: b"MatMulInteger", 7: b"MatMulInteger"}),
        ("96, 32", 4, {1: b"MatMulNBits", 4: b"MatMulNBits", 7: b"Gemm"}),
        ("96, 32", 8, {1: b"Gemm", 4: b"Gemm", 7: b"Gemm"}),
        ("384, 8", 4, {1: b"Gemm", 4: b"Gemm", 7: b"Gemm"}),
    ],
    ids=["8 bits", "4 bits in rows", "4 bits in blocks", "8 bits in blocks", "blocks too small"],
)
def test_linear_quantised_at_run_time(rows: int, stored: str, bits: int, kernels: dict[int, bytes]) -> None:
    """Activations are quantised alike on both sides, so that only the order of the sums differs."""
    rng = np.random.default_rng(rows)
    shape = [int(size) for size in stored.split(",")]
    half = 1 << (bits - 1)
    data = {
        "w": rng.integers(-half, half, shape),
        "ws": rng.uniform(0.001, 0.01, shape[0]),
        "b": rng.normal(0, 1, 48),
    }
    text = DYNAMIC.format(
        rows=rows,
        k=64,
        stored=stored,
        scales=shape[0],
        weight="%5" if shape[0] == 48 else "%6",
        FULL=FULL,
        CHANNELS=CHANNELS,
    )
    given = rng.normal(0.5, 2, (rows, 64)).astype(np.float32)
    (expected,), (actual,), model = run_both(text, data, [given])
    assert kernels[rows] in model
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
