"""integer: quantised layers in integers, with XNNPACK's rounding.

A layer is found by its shape in the graph: dequantised factors, a convolution, matrix product or elementwise
operation, perhaps a clamp, a quantisation. Sums are exact: they run in float32 where no sum of these weights can leave
the integers that it holds, in float64 otherwise. What XNNPACK does with a sum, by include/xnnpack.h's datatypes:
``qs8`` and ``qu8`` layers multiply it by the float32 ``input_scale * weight_scale / output_scale``, round to nearest
even, add the zero point and clamp (src/operators/*-nhwc.c, fully-connected-nc.c); additions work in fixed point with
20 bits and round halves up (src/microparams-init.c).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.graph.ir import Node, Operand, Value
from pteron.ops.registry import Registry

Array = NDArray[Any]
Step = Callable[[list[Any]], None]

QUANTIZE = "quantized_decomposed::quantize_per_tensor"
DEQUANTIZE = "quantized_decomposed::dequantize_per_tensor"
PER_CHANNEL = "quantized_decomposed::dequantize_per_channel"
CHOOSE_QPARAMS = "quantized_decomposed::choose_qparams_per_token_asymmetric"
_PRODUCTS = ("aten::convolution", "aten::linear")
_SUMS = {"aten::add.Tensor": 1, "aten::sub.Tensor": -1}
_MULTIPLY = "aten::mul.Tensor"
_FLOAT32_EXACT = 1 << 24
_FIXED_POINT_BITS = 20


@dataclass(eq=False)
class Layer:
    """One quantised layer: ``compute``, perhaps a ``clamp``, then ``quantize``.

    ``factors`` are the dequantisations in front of it, ``inputs`` the stored values that it reads in every call,
    ``constants`` those that it reads once.
    """

    quantize: Node
    compute: Node
    clamp: Node | None
    factors: list[Node]
    inputs: list[Value]
    constants: list[Value]

    def step(self, known: Mapping[Value, Array], slot: Callable[[Value], int], operators: Registry) -> Step:
        """The closure that computes it from ``slot`` to ``slot``; ``known`` are the constants' arrays."""
        out = slot(self.quantize.output)
        sources = [slot(value) for value in self.inputs]
        rounded = self._product(known, operators) if self.compute.op in _PRODUCTS else self._elementwise()
        low, high, zero = self._range()
        dtype = self.quantize.output.tensor_type.dtype

        def step(slots: list[Any]) -> None:
            result = rounded(*[slots[source] for source in sources])
            result += zero
            slots[out] = np.clip(result, low, high, out=result).astype(dtype)

        return step

    def _range(self) -> tuple[int, int, int]:
        """The least and the greatest stored result, and the zero point."""
        scale, zero = per_tensor(self.quantize)
        low, high = (int(_number(self.quantize.operands[name])) for name in ("quant_min", "quant_max"))
        if self.clamp is None:
            return low, high, zero
        least, greatest = self.clamp.operands.get("min"), self.clamp.operands.get("max")
        first = low if least is None else min(max(_rounded(least, scale) + zero, low), high)
        last = high if greatest is None else min(max(_rounded(greatest, scale) + zero, low), high)
        return first, last, zero

    def _product(self, known: Mapping[Value, Array], operators: Registry) -> Callable[..., Array]:
        """Sums of products, scaled and rounded."""
        operator = operators.by_functional(self.compute.op)
        assert operator is not None
        scale, zero = per_tensor(self.factors[0])
        weight_node = self.factors[1]
        weight = known[self.constants[0]].astype(np.int32)
        if weight_node.op == DEQUANTIZE:
            weight_scale, weight_zero = per_tensor(weight_node)
            weight -= weight_zero
            scales = np.asarray(weight_scale, np.float32)
        else:
            scales = known[_value(weight_node, "scales")]
        bias = known[_value(self.factors[2], "input")] if len(self.factors) > 2 else None
        scales = scales * scale / per_tensor(self.quantize)[0]
        stored = self.inputs[0].tensor_type.dtype
        reach = max(abs(int(end) - zero) for end in (np.iinfo(stored).min, np.iinfo(stored).max))
        exact = _exact_dtype(weight, bias, reach, self.compute)
        weight = np.ascontiguousarray(weight, exact)
        bound: dict[str, Any] = {
            name: operand for name, operand in self.compute.operands.items() if not isinstance(operand, Value)
        }
        bound |= {"weight": weight, "bias": None}
        trailing = (1, 1) if self.compute.op == "aten::convolution" else ()
        if bias is not None:
            bias = bias.astype(exact).reshape(-1, *trailing)
        if scales.ndim:
            scales = scales.reshape(-1, *trailing)
        kernel = operator.kernel

        def rounded(x: Array) -> Array:
            real = x.astype(exact)
            real -= zero
            total = kernel(**bound, input=real)
            if bias is not None:
                total += bias
            result = total.astype(np.float32, copy=False)
            result *= scales
            return np.asarray(np.rint(result, out=result))

        return rounded

    def _elementwise(self) -> Callable[..., Array]:
        (a_scale, a_zero), (b_scale, b_zero) = map(per_tensor, self.factors)
        out_scale = per_tensor(self.quantize)[0]
        if self.compute.op == _MULTIPLY:
            scale = a_scale * b_scale / out_scale

            def product(a: Array, b: Array) -> Array:
                result = ((a.astype(np.int32) - a_zero) * (b.astype(np.int32) - b_zero)).astype(np.float32)
                result *= scale
                return np.rint(result, out=result)

            return product
        a_multiplier, b_multiplier, shift = fixed_point(a_scale / out_scale, b_scale / out_scale)
        b_multiplier *= _SUMS[self.compute.op]
        offset = (1 << (shift - 1)) - a_multiplier * a_zero - b_multiplier * b_zero

        def total(a: Array, b: Array) -> Array:
            result = a.astype(np.int32) * np.int32(a_multiplier) + b.astype(np.int32) * np.int32(b_multiplier)
            result += np.int32(offset)
            return np.right_shift(result, shift, out=result)

        return total


def find_layers(nodes: list[Node], uses: Counter[Value], constants: set[Value]) -> dict[Node, Layer]:
    """Every quantised layer by its last node; ``uses`` counts what reads a value, ``constants`` never change."""
    found = {}
    for node in nodes:
        layer = _layer(node, uses, constants) if node.op == QUANTIZE else None
        if layer is not None:
            found[node] = layer
    return found


def choose_qparams(x: Array) -> tuple[Array, Array]:
    """Scale and zero point of every row of the last dimension, as XNNPACK chooses them.

    Computed in float32 from the factor 255 / (max - min), 0 always within the range; all zeros have the scale 1
    (src/xnnpack/quantization.h). Torch's kernel never goes below a scale of 2**-23.
    """
    wide = x.astype(np.float32, copy=False)
    low = wide.min(axis=-1, keepdims=True, initial=0)
    high = wide.max(axis=-1, keepdims=True, initial=0)
    span = high - low
    factor = np.where(span == 0, np.float32(1), np.float32(255) / span)
    low, high = low * factor, high * factor
    from_low = (low - np.float32(128)) + (high + np.float32(127)) > 0
    zero = np.where(from_low, np.float32(-128) - low, np.float32(127) - high)
    return 1.0 / factor.astype(np.float64), np.rint(np.clip(zero, -128, 127)).astype(np.int64)


def fixed_point(a: np.float32, b: np.float32) -> tuple[int, int, int]:
    """Two factors as integers of at most 21 bits, and the number of bits after the point."""
    exponent = int(np.frexp(max(a, b))[1]) - 1
    shift = _FIXED_POINT_BITS - exponent
    return int(np.rint(np.ldexp(np.float64(a), shift))), int(np.rint(np.ldexp(np.float64(b), shift))), shift


def per_tensor(node: Node) -> tuple[np.float32, int]:
    """Scale and zero point of a quantisation per tensor."""
    return np.float32(_number(node.operands["scale"])), int(_number(node.operands["zero_point"]))


def _layer(quantize: Node, uses: Counter[Value], constants: set[Value]) -> Layer | None:
    clamp, compute = None, _only(quantize.operands["input"], uses)
    if compute is not None and compute.op == "aten::clamp":
        clamp, compute = compute, _only(compute.operands["self"], uses)
    if compute is None:
        return None
    is_product = compute.op in _PRODUCTS
    if not is_product and compute.op not in _SUMS and compute.op != _MULTIPLY:
        return None
    names = ("input", "weight", "bias") if is_product else ("self", "other")
    factors = [_producer(compute.operands.get(name)) for name in names]
    if is_product and compute.operands.get("bias") is None:
        factors.pop()
    kept = [node for node in factors if node is not None and node.op in (DEQUANTIZE, PER_CHANNEL)]
    stored = [_value(node, "input") for node in kept]
    if len(kept) < len(factors) or kept[0].op != DEQUANTIZE:
        return None
    if is_product:
        if not constants.issuperset(stored[1:]):
            return None
        return Layer(quantize, compute, clamp, kept, stored[:1], stored[1:])
    if PER_CHANNEL in (node.op for node in kept) or not _in_range(compute, kept, quantize):
        return None
    return Layer(quantize, compute, clamp, kept, stored, [])


def _in_range(compute: Node, factors: list[Node], quantize: Node) -> bool:
    """Whether XNNPACK computes an addition in fixed point: factors from 2**-10 to 2**8."""
    if compute.op == _MULTIPLY:
        return True
    out = per_tensor(quantize)[0]
    return all(2.0**-10 <= per_tensor(node)[0] / out < 2.0**8 for node in factors)


def _exact_dtype(weight: Array, bias: Array | None, reach: int, compute: Node) -> np.dtype[Any]:
    """float32 where every partial sum of any input is an integer that it holds, else float64."""
    if compute.operands.get("transposed"):
        largest = int(np.abs(weight).sum())
    else:
        largest = int(np.abs(weight.reshape(weight.shape[0], -1)).sum(axis=1, dtype=np.int64).max(initial=0))
    total = largest * reach + (0 if bias is None else int(np.abs(bias.astype(np.int64)).max(initial=0)))
    return np.dtype(np.float32 if total < _FLOAT32_EXACT else np.float64)


def _only(operand: Operand, uses: Counter[Value]) -> Node | None:
    """What makes a value that nothing else reads."""
    return operand.producer if isinstance(operand, Value) and uses[operand] == 1 else None


def _producer(operand: Operand) -> Node | None:
    return operand.producer if isinstance(operand, Value) else None


def _value(node: Node, name: str) -> Value:
    operand = node.operands[name]
    assert isinstance(operand, Value)
    return operand


def _number(operand: Operand) -> float:
    assert isinstance(operand, int | float)
    return operand


def _rounded(bound: Operand, scale: np.float32) -> int:
    return int(np.rint(np.clip(np.float32(_number(bound)) / scale, -(2.0**31), 2.0**31)))
