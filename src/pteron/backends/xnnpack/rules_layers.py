"""Rules: matrix products, convolutions, pooling, softmax and attention."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pteron.backends.xnnpack import nodes
from pteron.backends.xnnpack.expand import FLOATS, Expansion, rule
from pteron.backends.xnnpack.quantization import Dynamic, PerChannel, PerTensor, Quantization
from pteron.backends.xnnpack.rules_elementwise import binary, elementwise
from pteron.backends.xnnpack.rules_shape import NCHW, NHWC, pad
from pteron.backends.xnnpack.values import XNN_INVALID_VALUE_ID
from pteron.format.scalar_type import ScalarType
from pteron.graph.ir import Operand, TensorType, Value
from pteron.ops.windows import extent, output_size

TRANSPOSE_WEIGHTS = 1
TRANSPOSE_B = 1
FP32_STATIC_WEIGHTS = 8
KEEP_DIMS = 64
FP32_STATIC_BIASES = 128
_WEIGHT_FLAGS = FP32_STATIC_WEIGHTS | FP32_STATIC_BIASES


@rule(nodes.XNNFullyConnected)
def fully_connected(x: Expansion, node: nodes.XNNFullyConnected) -> None:
    x.refuse_flags(node.flags, TRANSPOSE_WEIGHTS | _WEIGHT_FLAGS)
    value = x.real(node.input1_id)
    weight = x.real(node.filter_id)
    if node.flags & TRANSPOSE_WEIGHTS:
        weight = x.permute(weight, (1, 0))
    bias = _bias(x, node.bias_id, node.input1_id, node.filter_id)
    compute = _compute_type(x, value)
    value, weight = x.convert(value, compute), x.convert(weight, compute)
    shape = value.tensor_type.shape
    x.need(len(shape) > 0 and shape[-1] == weight.tensor_type.shape[1], f"an input of shape {list(shape)}")
    operands: dict[str, Operand] = {"input": value, "weight": weight, "bias": bias and x.convert(bias, compute)}
    result = x.call("aten::linear", operands, compute, (*shape[:-1], weight.tensor_type.shape[0]))
    x.define(node.output_id, x.clamp(result))


def _compute_type(x: Expansion, value: Value) -> ScalarType:
    """The type that weights are taken in: the input's own, but float32 for bfloat16, whose bias is float32."""
    scalar_type = value.tensor_type.scalar_type
    x.need(scalar_type in FLOATS, "integers that are not quantised")
    return ScalarType.FLOAT if scalar_type == ScalarType.BFLOAT16 else scalar_type


def _bias(x: Expansion, number: int, input: int, filter: int) -> Value | None:
    """The bias as real numbers: a quantised one has the scale of the products."""
    if number == XNN_INVALID_VALUE_ID:
        return None
    stored = x.stored(number)
    scale, weights = x.quantization(input), x.quantization(filter)
    if stored.tensor_type.scalar_type != ScalarType.INT:
        return x.real(number)
    x.need(isinstance(scale, PerTensor) and isinstance(weights, PerTensor | PerChannel), "an integer bias")
    assert isinstance(scale, PerTensor)
    channels = stored.tensor_type.shape[0]
    factors = np.full(channels, weights.scale, np.float32) if isinstance(weights, PerTensor) else _scales(weights)
    x.need(len(factors) == channels, f"a bias of {channels} channels")
    return x.dequantize(stored, PerChannel(factors * np.float32(scale.scale), 0))


def _scales(weights: Quantization | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    assert isinstance(weights, PerChannel)
    return weights.scales


@rule(nodes.XNNBatchMatrixMultiply)
def batch_matrix_multiply(x: Expansion, node: nodes.XNNBatchMatrixMultiply) -> None:
    x.refuse_flags(node.flags, TRANSPOSE_B)
    a, b = x.real(node.input1_id), x.real(node.input2_id)
    if node.flags & TRANSPOSE_B:
        b = _transposed(x, b)
    x.define(node.output_id, matmul(x, a, b))


def _transposed(x: Expansion, value: Value) -> Value:
    rank = value.tensor_type.rank
    return x.permute(value, (*range(rank - 2), rank - 1, rank - 2))


def matmul(x: Expansion, a: Value, b: Value) -> Value:
    """``a @ b`` with leading dimensions broadcast."""
    first, second = a.tensor_type.shape, b.tensor_type.shape
    scalar_type = a.tensor_type.scalar_type
    x.need(min(len(first), len(second)) >= 2 and first[-1] == second[-2], f"factors {list(first)} and {list(second)}")
    try:
        batch = np.broadcast_shapes(first[:-2], second[:-2])
    except ValueError:
        raise x.refuse(f"a product of shapes {list(first)} and {list(second)}") from None
    result = (*batch, first[-2], second[-1])
    if not batch:
        return x.call("aten::mm", {"self": a, "mat2": b}, scalar_type, result)
    rows, columns = x.sizes(a), x.sizes(b)
    sizes: list[Operand] = []
    for dim, size in enumerate(batch, start=-len(batch)):
        of_first = len(first) - 2 >= -dim and first[dim - 2] == size
        sizes.append((rows if of_first else columns)[dim - 2])
    a, b = _batched(x, a, sizes, batch), _batched(x, b, sizes, batch)
    product = x.call("aten::bmm", {"self": a, "mat2": b}, scalar_type, (math.prod(batch), *result[-2:]))
    return x.view(product, [*sizes, rows[-2], columns[-1]], result)


def _batched(x: Expansion, value: Value, sizes: list[Operand], batch: tuple[int, ...]) -> Value:
    """The value broadcast to the batch, which becomes one dimension."""
    own = x.sizes(value)[-2:]
    shape = value.tensor_type.shape
    if shape[:-2] != batch:
        operands: dict[str, Operand] = {"self": value, "size": [*sizes, *own]}
        value = x.call("aten::expand_copy", operands, value.tensor_type.scalar_type, (*batch, *shape[-2:]))
    return value if len(batch) == 1 else x.view(value, [-1, *own], (math.prod(batch), *shape[-2:]))


@rule(nodes.XNNScaledDotProductAttention)
def scaled_dot_product_attention(x: Expansion, node: nodes.XNNScaledDotProductAttention) -> None:
    """softmax(query * scale @ keyᵀ + mask) @ value; the scale is per channel."""
    query = binary(x, "aten::mul.Tensor", x.real(node.query_id), x.real(node.scale_id))
    logits = matmul(x, query, _transposed(x, x.real(node.key_id)))
    logits = binary(x, "aten::add.Tensor", logits, x.real(node.mask_id))
    x.define(node.output_id, matmul(x, _softmax(x, logits), x.real(node.value_id)))


@rule(nodes.XNNSoftmax)
def softmax(x: Expansion, node: nodes.XNNSoftmax) -> None:
    x.define(node.output_id, _softmax(x, x.real(node.input_id)))


def _softmax(x: Expansion, value: Value) -> Value:
    x.need(value.tensor_type.rank > 0, "a tensor without dimensions")
    return elementwise(x, "aten::_softmax", value, dim=value.tensor_type.rank - 1, half_to_float=False)


def _pads(node: nodes.XNNNodeConv | nodes.XNNPooling2D) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Pads of an NHWC tensor, before and after."""
    return (0, node.padding_top, node.padding_left, 0), (0, node.padding_bottom, node.padding_right, 0)


def _padded_input(x: Expansion, node: nodes.XNNNodeConv) -> tuple[Value, list[int]]:
    """A convolution's input in NCHW, and the pads that are left for the convolution: those alike on both sides."""
    before, after = _pads(node)
    if before == after:
        return x.real_permuted(node.input1_id, NCHW), [node.padding_top, node.padding_left]
    quantization = x.quantization(node.input1_id)
    x.need(not isinstance(quantization, Dynamic), "uneven pads of values quantised at run time")
    zero = quantization.zero_point if isinstance(quantization, PerTensor) else 0
    padded = pad(x, x.stored(node.input1_id), before, after, zero)
    return x.dequantize(x.permute(padded, NCHW), quantization), [0, 0]


def _filter(x: Expansion, number: int, dims: Sequence[int]) -> Value:
    """A filter as real numbers, permuted; the scales go with their dimension."""
    quantization = x.quantization(number)
    if isinstance(quantization, PerChannel):
        x.need(not quantization.group_size, "a filter quantised in blocks")
        quantization = PerChannel(quantization.scales, list(dims).index(quantization.axis))
    return x.dequantize(x.permute(x.stored(number), dims), quantization)


def _convolve(
    x: Expansion,
    node: nodes.XNNNodeConv,
    weight: Value,
    *,
    groups: int,
    transposed: bool = False,
) -> None:
    x.refuse_flags(node.flags, _WEIGHT_FLAGS)
    value, padding = _padded_input(x, node) if not transposed else (x.real_permuted(node.input1_id, NCHW), [0, 0])
    before, after = _pads(node)
    even = before == after
    if transposed and even:
        padding = [node.padding_top, node.padding_left]
    bias = _bias(x, node.bias_id, node.input1_id, node.filter_id)
    compute = _compute_type(x, value)
    value, weight = x.convert(value, compute), x.convert(weight, compute)
    stride = [node.subsampling_height, node.subsampling_width]
    dilation = [node.dilation_height, node.dilation_width]
    extra = [node.adjustment_height, node.adjustment_width] if transposed else [0, 0]
    batch, channels, *size = value.tensor_type.shape
    kernel = weight.tensor_type.shape[2:]
    taken = weight.tensor_type.shape[0] if transposed else weight.tensor_type.shape[1] * groups
    x.need(channels == taken, f"{channels} channels for a filter of {taken}")
    steps = zip(size, kernel, stride, padding, dilation, extra, strict=True)
    if transposed:
        made = [(n - 1) * s - 2 * p + extent(k, d) + e for n, k, s, p, d, e in steps]
    else:
        made = [output_size(n, k, s, p, d) for n, k, s, p, d, _ in steps]
    outputs = weight.tensor_type.shape[1] * groups if transposed else weight.tensor_type.shape[0]
    x.need(min(made) > 0, f"an image of {size} for a kernel of {list(kernel)}")
    operands: dict[str, Operand] = {
        "input": value,
        "weight": weight,
        "bias": bias and x.convert(bias, compute),
        "stride": list(stride),
        "padding": list(padding),
        "dilation": list(dilation),
        "transposed": transposed,
        "output_padding": list(extra),
        "groups": groups,
    }
    result = x.call("aten::convolution", operands, compute, (batch, outputs, *made))
    if transposed and not even:
        for dim, (first, last) in enumerate(zip(before[1:3], after[1:3], strict=True), start=2):
            shape = list(result.tensor_type.shape)
            shape[dim] -= first + last
            end: Operand = -last if last else None
            cut: dict[str, Operand] = {"self": result, "dim": dim, "start": first, "end": end}
            result = x.call("aten::slice_copy.Tensor", cut, compute, shape)
    x.define_permuted(node.output_id, x.clamp(result), NHWC)


@rule(nodes.XNNConv2d)
def conv2d(x: Expansion, node: nodes.XNNConv2d) -> None:
    _convolve(x, node, _filter(x, node.filter_id, NCHW), groups=node.groups)


@rule(nodes.XNNDepthwiseConv2d)
def depthwise_conv2d(x: Expansion, node: nodes.XNNDepthwiseConv2d) -> None:
    """The filter is (1, height, width, channels): one group per channel of the input."""
    _convolve(x, node, _filter(x, node.filter_id, (3, 0, 1, 2)), groups=node.groups)


@rule(nodes.XNNConvTranspose2d)
def conv_transpose2d(x: Expansion, node: nodes.XNNConvTranspose2d) -> None:
    """The filter is (output, height, width, input per group), ATen's (input, output per group, height, width)."""
    if node.groups == 1:
        weight = _filter(x, node.filter_id, (3, 0, 1, 2))
    else:
        real = x.real(node.filter_id)
        outputs, height, width, inputs = real.tensor_type.shape
        x.need(outputs % node.groups == 0, f"{node.groups} groups")
        per_group = outputs // node.groups
        split = x.view(real, [node.groups, per_group, height, width, inputs])
        turned = x.permute(split, (0, 4, 1, 2, 3))
        weight = x.view(turned, [node.groups * inputs, per_group, height, width])
    _convolve(x, node, weight, groups=node.groups, transposed=True)


def _pool_operands(node: nodes.XNNPooling2D, value: Value) -> dict[str, Operand]:
    return {
        "self": value,
        "kernel_size": [node.pooling_height, node.pooling_width],
        "stride": [node.stride_height, node.stride_width],
    }


def _pooled(x: Expansion, node: nodes.XNNPooling2D, value: Value, pads: Sequence[int]) -> tuple[int, ...]:
    batch, channels, *size = value.tensor_type.shape
    dilation = (node.dilation_height or 1, node.dilation_width or 1)
    kernel, stride = (node.pooling_height, node.pooling_width), (node.stride_height, node.stride_width)
    steps = zip(size, kernel, stride, pads, dilation, strict=True)
    made = [output_size(*step) for step in steps]
    x.need(min(made) > 0, f"an image of {size} for a window of {list(kernel)}")
    return (batch, channels, *made)


@rule(nodes.XNNMaxPooling2d)
def max_pooling(x: Expansion, node: nodes.XNNMaxPooling2d) -> None:
    x.refuse_flags(node.flags, KEEP_DIMS)
    alike = x.alike(node.input_id, node.output_id) and x.clamp_is_idle()
    value = x.stored(node.input_id) if alike else x.real(node.input_id)
    scalar_type = value.tensor_type.scalar_type
    before, after = _pads(node)
    half = (node.pooling_height // 2, node.pooling_width // 2)
    even = before == after and node.padding_top <= half[0] and node.padding_left <= half[1]
    if not even:
        # What is padded must never be the greatest element.
        lowest = -math.inf if scalar_type in FLOATS else int(np.iinfo(value.tensor_type.dtype).min)
        value = pad(x, value, before, after, lowest)
    value = x.permute(value, NCHW)
    padding = [node.padding_top, node.padding_left] if even else [0, 0]
    shape = _pooled(x, node, value, padding)
    dynamic = value.tensor_type.dynamic
    result, _ = x.builder.node(
        "aten::max_pool2d_with_indices",
        _pool_operands(node, value)
        | {"padding": list(padding), "dilation": [node.dilation_height, node.dilation_width], "ceil_mode": False},
        [TensorType(scalar_type, shape, dynamic), TensorType(ScalarType.LONG, shape, dynamic)],
    )
    if alike:
        x.define_stored(node.output_id, x.permute(result, NHWC))
    else:
        x.define_permuted(node.output_id, x.clamp(result), NHWC)


@rule(nodes.XNNAvgPooling2d)
def avg_pooling(x: Expansion, node: nodes.XNNAvgPooling2d) -> None:
    """Padding does not count: neither in the sum nor in the number of elements."""
    x.refuse_flags(node.flags, KEEP_DIMS)
    before, after = _pads(node)
    half = (node.pooling_height // 2, node.pooling_width // 2)
    if before == after and node.padding_top <= half[0] and node.padding_left <= half[1]:
        value = x.real_permuted(node.input_id, NCHW)
        padding = [node.padding_top, node.padding_left]
        operands = _pool_operands(node, value) | {"padding": list(padding), "count_include_pad": False}
        shape = _pooled(x, node, value, padding)
        result = x.call("aten::avg_pool2d", operands, value.tensor_type.scalar_type, shape)
    else:
        value = x.real(node.input_id)
        ones = elementwise(x, "aten::full_like", value, fill_value=1.0)
        totals = []
        for part in (value, ones):
            part = x.permute(pad(x, part, before, after, 0.0), NCHW)
            operands = _pool_operands(node, part)
            operands |= {"padding": [0, 0], "count_include_pad": True, "divisor_override": 1}
            shape = _pooled(x, node, part, (0, 0))
            totals.append(x.call("aten::avg_pool2d", operands, part.tensor_type.scalar_type, shape))
        result = binary(x, "aten::div.Tensor", *totals)
    x.define_permuted(node.output_id, x.clamp(result), NHWC)


@rule(nodes.XNNGlobalAvgPooling2d)
def global_avg_pooling(x: Expansion, node: nodes.XNNGlobalAvgPooling2d) -> None:
    """The mean over height and width; older exporters keep the dimensions without saying so."""
    x.refuse_flags(node.flags, KEEP_DIMS)
    value = x.real(node.input_id)
    shape = value.tensor_type.shape
    rank = len(shape)
    x.need(rank >= 3, f"{rank} dimensions")
    keep = len(x.tensor(node.output_id).dims or ()) == rank
    kept = (*shape[:-3], 1, 1, shape[-1]) if keep else (*shape[:-3], shape[-1])
    operands: dict[str, Operand] = {"self": value, "dim": [rank - 3, rank - 2], "keepdim": keep}
    x.define(node.output_id, x.clamp(x.call("aten::mean.dim", operands, value.tensor_type.scalar_type, kept)))


@rule(nodes.XNNArgMaxPooling2d)
def argmax_pooling(x: Expansion, node: nodes.XNNArgMaxPooling2d) -> None:
    """Windows side by side; an index counts the columns of its window one after the other."""
    x.refuse_flags(node.flags)
    x.need(not any((node.padding_top, node.padding_right, node.padding_bottom, node.padding_left)), "pads")
    value = x.real(node.input_id)
    batch, height, width, channels = value.tensor_type.shape
    tall, wide = node.pooling_height, node.pooling_width
    x.need(height % tall == 0 and width % wide == 0, f"an image of {[height, width]} for a window of {[tall, wide]}")
    rows: Operand = x.sizes(value)[0]
    grid = (height // tall, width // wide)
    windows = x.view(
        value, [rows, grid[0], tall, grid[1], wide, channels], (batch, grid[0], tall, grid[1], wide, channels)
    )
    windows = x.permute(windows, (0, 1, 3, 5, 4, 2))
    windows = x.view(windows, [rows, *grid, channels, wide * tall], (batch, *grid, channels, wide * tall))
    shape = (batch, *grid, channels)
    largest: dict[str, Operand] = {"self": windows, "dim": [4], "keepdim": False}
    x.define(node.output_value_id, x.call("aten::amax", largest, value.tensor_type.scalar_type, shape))
    index = x.call("aten::argmax", {"self": windows, "dim": 4, "keepdim": False}, ScalarType.LONG, shape)
    x.define_stored(node.output_index_id, x.convert(index, ScalarType.INT))
