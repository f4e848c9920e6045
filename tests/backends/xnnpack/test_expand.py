"""Node kinds and datatypes that today's exporter does not write, against NumPy written out; and what is refused."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pteron
from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.values import (
    PerChannelGroupQuant,
    PerChannelQuant,
    PerTensorQuant,
    PerTokenDynamicQuant,
    XNNDatatype,
)
from xnnpack_handles import INVALID, Graphs, argument, results, run

RNG = np.random.default_rng(7)
F32 = np.float32


def real(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.uniform(-2, 2, shape).astype(F32)


def unary(kind: type[nodes.XNNNode], **fields: Any) -> Graphs:
    graph = Graphs()
    source, target = graph.input("fp32", 2, 5), graph.output("fp32", 2, 5)
    graph.node(kind(input_id=source, output_id=target, **fields))  # type: ignore[call-arg]
    return graph


def test_elu() -> None:
    x = real(2, 5)
    (y,) = results(unary(nodes.XNNELU, alpha=0.5), x, outputs=[x])
    np.testing.assert_allclose(y, np.where(x > 0, x, 0.5 * np.expm1(x)), rtol=1e-5)


def test_prelu_has_a_slope_per_channel() -> None:
    graph = Graphs()
    x, slope = real(1, 2, 3, 4), np.array([0.1, -0.2, 3, 0], F32)
    node = nodes.XNNPReLU(
        graph.input("fp32", 1, 2, 3, 4), graph.constant("fp32", slope), graph.output("fp32", 1, 2, 3, 4)
    )
    graph.node(node)
    (y,) = results(graph, x, outputs=[x])
    np.testing.assert_array_equal(y, np.where(x < 0, x * slope, x))


def test_a_node_clamps_its_result() -> None:
    graph = Graphs()
    a, b = graph.input("fp32", 2, 5), graph.input("fp32", 5)
    graph.node(nodes.XNNSubtract(a, b, graph.output("fp32", 2, 5)), -0.5, 0.25)
    x, y = real(2, 5), real(5)
    np.testing.assert_array_equal(results(graph, x, y, outputs=[x])[0], np.clip(x - y, -0.5, 0.25))


def test_scaled_dot_product_attention() -> None:
    q, k, v, scale, mask = real(1, 2, 3, 4), real(1, 2, 5, 4), real(1, 2, 5, 6), real(4), real(3, 5)
    graph = Graphs()
    ids = [graph.input("fp32", *x.shape) for x in (q, k, v)]
    ids += [graph.constant("fp32", scale), graph.constant("fp32", mask)]
    graph.node(nodes.XNNScaledDotProductAttention(*ids, graph.output("fp32", 1, 2, 3, 6)))
    logits = np.exp(np.einsum("bhtc,bhuc->bhtu", q * scale, k) + mask)
    expected = np.einsum("bhtu,bhud->bhtd", logits / logits.sum(-1, keepdims=True), v)
    np.testing.assert_allclose(
        results(graph, q, k, v, outputs=[expected.astype(F32)])[0], expected, rtol=1e-4, atol=1e-6
    )


def test_argmax_pooling_widens_its_indices() -> None:
    x = real(1, 4, 6, 2)
    graph = Graphs()
    source = graph.input("fp32", *x.shape)
    values, indices = graph.output("fp32", 1, 2, 2, 2), graph.output("int32", 1, 2, 2, 2)
    graph.node(
        nodes.XNNArgMaxPooling2d(
            pooling_height=2, pooling_width=3, input_id=source, output_value_id=values, output_index_id=indices
        )
    )
    largest, where = results(graph, x, outputs=[np.zeros((1, 2, 2, 2), F32), np.zeros((1, 2, 2, 2), np.int64)])
    for row, column, channel in np.ndindex(2, 2, 2):
        window = x[0, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3, channel]
        assert largest[0, row, column, channel] == window.max()
        # Down each column of the window first, as the kernels' indirection has it.
        assert where[0, row, column, channel] == window.T.reshape(-1).argmax()


def window_sums(x: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    views = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return views.sum((-1, -2), dtype=np.float64)


PADS = {"padding_top": 2, "padding_right": 1, "padding_bottom": 0, "padding_left": 0}


def pooling(kind: type[nodes.XNNPooling2D], x: np.ndarray[Any, Any], *shape: int) -> np.ndarray[Any, Any]:
    graph = Graphs()
    source, target = graph.input("fp32", *x.shape), graph.output("fp32", *shape)
    sizes = dict.fromkeys(("pooling_height", "pooling_width"), 3) | dict.fromkeys(("stride_height", "stride_width"), 1)
    sizes |= dict.fromkeys(("dilation_height", "dilation_width"), 1)
    graph.node(kind(**PADS, **sizes, input_id=source, output_id=target))
    result: np.ndarray[Any, Any] = results(graph, x, outputs=[np.zeros(shape, F32)])[0]
    return result


def test_uneven_pads_do_not_count_in_pooling() -> None:
    x = real(1, 5, 6, 2) - 5
    around = ((0, 0), (2, 0), (0, 1), (0, 0))
    count = window_sums(np.pad(np.ones_like(x), around), 3)
    average = pooling(nodes.XNNAvgPooling2d, x, 1, 5, 5, 2)
    np.testing.assert_allclose(average, window_sums(np.pad(x, around), 3) / count, rtol=1e-5)
    lowest = np.pad(x, around, constant_values=-np.inf)
    views = np.lib.stride_tricks.sliding_window_view(lowest, (3, 3), axis=(1, 2))
    np.testing.assert_array_equal(pooling(nodes.XNNMaxPooling2d, x, 1, 5, 5, 2), views.max((-1, -2)))


@pytest.mark.parametrize(("datatype", "dtype", "zero"), [("qint8", np.int8, 3), ("quint8", np.uint8, 131)])
@pytest.mark.parametrize("kind", [nodes.XNNConv2d, nodes.XNNConvTranspose2d])
def test_quantised_convolution_with_uneven_pads(datatype: str, dtype: Any, zero: int, kind: Any) -> None:
    """Sums in integers, one multiplication, round half to even; padding is the zero point."""
    info = np.iinfo(dtype)
    x = RNG.integers(info.min, info.max, (1, 5, 6, 3), dtype, endpoint=True)
    w = RNG.integers(-127, 127, (4, 3, 3, 3), np.int8, endpoint=True)
    bias = RNG.integers(-3000, 3000, 4, np.int32)
    weights = PerTensorQuant(0.01, 0) if dtype == np.int8 else PerTensorQuant(0.01, 120)
    scale, out = PerTensorQuant(0.05, zero), PerTensorQuant(0.3, zero)
    stored = w if dtype == np.int8 else (w.astype(np.int16) + 120).clip(0, 255).astype(np.uint8)
    integers = stored.astype(np.int64) - weights.zero_point
    centred = x.astype(np.int64) - zero
    transposed = kind is nodes.XNNConvTranspose2d
    if transposed:
        sums = np.zeros((1, 7, 8, 4), np.int64)
        for row, column in np.ndindex(3, 3):
            part = np.einsum("nhwi,oi->nhwo", centred, integers[:, row, column])
            sums[:, row : row + 5, column : column + 6] += part
        sums = sums[:, 2:, : 8 - 1]
    else:
        padded = np.pad(centred, ((0, 0), (2, 0), (0, 1), (0, 0)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        sums = np.einsum("nhwixy,oxyi->nhwo", views, integers)
    factor = F32(0.05) * F32(0.01) / F32(0.3)
    rounded = np.rint((sums + bias).astype(F32) * factor) + zero
    low = np.rint(-2.0 / 0.3) + zero
    expected = np.clip(rounded, max(low, info.min), info.max).astype(dtype)
    graph = Graphs()
    source, target = graph.input(datatype, 1, 5, 6, 3, quant=scale), graph.output(datatype, *sums.shape, quant=out)
    node = kind(
        **PADS,
        **dict.fromkeys(("kernel_height", "kernel_width"), 3),
        **dict.fromkeys(("subsampling_height", "subsampling_width", "dilation_height", "dilation_width"), 1),
        group_input_channels=3,
        group_output_channels=4,
        groups=1,
        input1_id=source,
        filter_id=graph.constant(datatype, stored, weights),
        bias_id=graph.constant("qint32", bias, PerTensorQuant(0.05 * 0.01, 0)),
        output_id=target,
    )
    graph.node(node, -2.0, math.inf)
    np.testing.assert_array_equal(results(graph, x, outputs=[expected])[0], expected)


def test_additions_are_in_fixed_point() -> None:
    """Halves go up, where rounding real numbers would go to even: 1 * 0.5 + 0 * 0.5 is 0.5, stored as 1."""
    graph = Graphs()
    half, one = PerTensorQuant(0.5, 0), PerTensorQuant(1.0, 0)
    a, b = (graph.input("qint8", 4, quant=half) for _ in range(2))
    graph.node(nodes.XNNAdd(a, b, graph.output("qint8", 4, quant=one)))
    x, y = np.array([1, -1, 3, 127], np.int8), np.array([0, 0, 2, 127], np.int8)
    np.testing.assert_array_equal(results(graph, x, y, outputs=[x])[0], np.array([1, 0, 3, 127], np.int8))


def dynamic_reference(x: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Rows quantised to 8 bits with 0 in their range, then the exact product."""
    rows = []
    for row in x:
        low, high = min(row.min(), F32(0)), max(row.max(), F32(0))
        factor = F32(255) / (high - low)
        zero = (
            np.rint(-128 - low * factor)
            if (low * factor - 128) + (high * factor + 127) > 0
            else np.rint(127 - high * factor)
        )
        stored = np.clip(np.rint(row * factor) + zero, -128, 127)
        rows.append((stored - zero) / factor)
    return np.array(rows, np.float64) @ weight.astype(np.float64).T


def test_an_input_quantised_at_run_time_by_its_datatype() -> None:
    """0.1 wrote no conversion: ``dq_datatype`` of an external input asks for it."""
    x, w, scales = real(3, 8) * F32(1e-6), RNG.integers(-127, 127, (5, 8), np.int8), real(5) + F32(3)
    graph = Graphs()
    source = graph.input("fp32", 3, 8, dq_datatype=XNNDatatype.xnn_datatype_qint8)
    weight = graph.constant("qcint8", w, PerChannelQuant(tuple(map(float, scales)), 0))
    graph.node(nodes.XNNFullyConnected(source, weight, INVALID, graph.output("fp32", 3, 5)))
    expected = dynamic_reference(x, w * scales[:, None])
    np.testing.assert_allclose(results(graph, x, outputs=[expected.astype(F32)])[0], expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("columns", [64, 33])
def test_four_bit_weights(columns: int) -> None:
    """Nibbles less 8, low one first; blocks have their own scales, of which float32 ones lose their last 16 bits."""
    x, codes = real(3, columns), RNG.integers(0, 16, (5, columns), np.uint8)
    even = np.pad(codes, ((0, 0), (0, columns % 2)), constant_values=8)
    packed = even[:, 0::2] | even[:, 1::2] << 4
    graph = Graphs()
    source = graph.input("fp32", 3, columns)
    inner = graph.inner("qdint8", 3, columns, quant=PerTokenDynamicQuant(1))
    graph.node(nodes.XNNConvert(source, inner))
    if columns % 32:
        scales = RNG.uniform(0.1, 1, 5).astype(F32)
        quant: Any = PerChannelQuant(tuple(map(float, scales)), 0)
        factors = np.repeat(scales[:, None], columns, 1)
        datatype = "qcint4"
    else:
        scales = RNG.uniform(0.1, 1, 10).astype(F32)
        quant, datatype = PerChannelGroupQuant(tuple(map(float, scales)), 0, 32), "qbint4"
        short = ((scales * F32(1.00389105)).view(np.uint32) >> 16 << 16).view(F32)
        factors = np.repeat(short, 32).reshape(5, columns)
    weight = graph.constant(datatype, packed, quant, (5, columns))
    graph.node(nodes.XNNFullyConnected(inner, weight, INVALID, graph.output("fp32", 3, 5)))
    expected = dynamic_reference(x, (codes.astype(np.int64) - 8) * factors)
    np.testing.assert_allclose(results(graph, x, outputs=[expected.astype(F32)])[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("output", ["fp32", "bf16"])
def test_bfloat16_linear(output: str) -> None:
    x, w = (real(*shape).astype(ml_dtypes.bfloat16) for shape in ((3, 8), (5, 8)))
    b = real(5)
    dtype = F32 if output == "fp32" else ml_dtypes.bfloat16
    graph = Graphs()
    ids = graph.input("bf16", 3, 8), graph.constant("bf16", w), graph.constant("fp32", b), graph.output(output, 3, 5)
    graph.node(nodes.XNNFullyConnected(*ids))
    (y,) = results(graph, x, outputs=[np.zeros((3, 5), dtype)])
    expected = x.astype(np.float64) @ w.T.astype(np.float64) + b.astype(np.float64)
    np.testing.assert_allclose(y.astype(np.float64), expected, rtol=1e-6 if output == "fp32" else 2**-7, atol=1e-5)


def test_arguments_in_another_order_of_dimensions() -> None:
    """XNNPACK sees memory: a channels-last argument of (N, C, H, W) is an (N, H, W, C) tensor to it."""
    x, bias = real(1, 3, 2, 2), np.array([1, 2, 3], F32)
    graph = Graphs()
    ids = graph.input("fp32", 1, 2, 2, 3), graph.constant("fp32", bias), graph.output("fp32", 1, 2, 2, 3)
    graph.node(nodes.XNNAdd(*ids))
    out = argument(np.zeros((1, 3, 2, 2), F32), (0, 2, 3, 1))
    run(graph.payload(), argument(x, (0, 2, 3, 1)), out)
    np.testing.assert_array_equal(out.array, x + bias.reshape(1, 3, 1, 1))


def test_a_reshape_leaves_one_size_open() -> None:
    graph = Graphs()
    source, target = graph.input("fp32", 8, 6), graph.output("fp32", 8, 2, 3)
    graph.node(nodes.XNNStaticReshape(3, (0, 2, 3), source, target))
    x, out = real(5, 6), argument(np.zeros((8, 2, 3), F32))
    run(graph.payload(), argument(x), out)
    np.testing.assert_array_equal(out.array, x.reshape(5, 2, 3))


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (nodes.XNNStaticResizeBilinear2D(4, 4, 0, 1, flags=4), "XNNStaticResizeBilinear2D with flags 0x4"),
        (nodes.XNNGlobalAvgPooling2d(0, 1, flags=1), "XNNGlobalAvgPooling2d with flags 0x1"),
        (nodes.XNNSigmoid(2, 1), "datatype invalid"),
    ],
)
def test_what_is_not_run_is_named(node: nodes.XNNNode, said: str) -> None:
    graph = Graphs()
    graph.input("fp32", 1, 2, 2, 3)
    graph.output("fp32", 1, 2, 2, 3)
    graph.node(node)
    if said.startswith("datatype"):
        graph.constant("invalid", np.zeros(4, F32))
    with pytest.raises(pteron.PteronError) as error:
        run(graph.payload())
    assert "made.pte, method 'forward', delegate" in str(error.value)
    assert said in str(error.value) or isinstance(error.value, pteron.FormatError)


def test_arguments_of_another_kind_are_refused() -> None:
    graph = unary(nodes.XNNAbs)
    x = real(2, 5)
    for given, said in ((x.astype(np.int32), r"int32\[2, 5\]"), (x[0], r"float32\[5\]")):
        with pytest.raises(
            pteron.ExecutionError, match=rf"argument 0 of the delegate is {said}, the payload takes float32"
        ):
            run(graph.payload(), argument(given), argument(x))
    with pytest.raises(pteron.ExecutionError, match="argument 1 of the delegate must be a tensor"):
        run(graph.payload(), argument(x))


def test_integer_arithmetic() -> None:
    graph = Graphs()
    a, b = graph.input("int32", 3), graph.input("int32", 3)
    graph.node(nodes.XNNMultiply(a, b, graph.output("int32", 3)))
    x, y = np.array([1, -2, 3], np.int32), np.array([5, 6, -7], np.int32)
    np.testing.assert_array_equal(results(graph, x, y, outputs=[x])[0], x * y)


def test_a_filter_may_be_turned() -> None:
    x, w = real(3, 8), real(8, 5)
    graph = Graphs()
    ids = graph.input("fp32", 3, 8), graph.constant("fp32", w), INVALID, graph.output("fp32", 3, 5)
    graph.node(nodes.XNNFullyConnected(*ids, flags=1))
    np.testing.assert_allclose(results(graph, x, outputs=[x @ w])[0], x @ w, rtol=1e-5, atol=1e-6)
