"""Milliseconds of the convolution and pooling kernels on every layer shape of ResNet-18 and MobileNetV2.

    OPENBLAS_NUM_THREADS=1 python benchmarks/conv_kernels.py [--channels-last] [--repeat N]

Images of 224 x 224, batch 1, float32; the best of N runs of each layer, and their sum over a whole network.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pteron.ops import REGISTRY
from pteron.ops.invoke import call


@dataclass(frozen=True)
class Layer:
    """A convolution, and how often a network has it."""

    inputs: int
    outputs: int
    size: int
    kernel: int
    stride: int = 1
    groups: int = 1
    times: int = 1

    @property
    def padding(self) -> int:
        return self.kernel // 2

    @property
    def multiplications(self) -> int:
        made = (self.size + 2 * self.padding - self.kernel) // self.stride + 1
        return made**2 * self.outputs * self.inputs // self.groups * self.kernel**2

    def __str__(self) -> str:
        kind = f"{self.kernel}x{self.kernel}/{self.stride}{' depthwise' if self.groups > 1 else ''}"
        return f"{self.inputs:4} -> {self.outputs:4}  {self.size:3}x{self.size:<3} {kind}"


def resnet18() -> Iterator[Layer]:
    yield Layer(3, 64, 224, 7, 2)
    yield Layer(64, 64, 56, 3, times=4)
    for inputs, size in ((64, 56), (128, 28), (256, 14)):
        yield Layer(inputs, 2 * inputs, size, 3, 2)
        yield Layer(inputs, 2 * inputs, size, 1, 2)
        yield Layer(2 * inputs, 2 * inputs, size // 2, 3, times=3)


def mobilenet_v2() -> Iterator[Layer]:
    yield Layer(3, 32, 224, 3, 2)
    inputs, size = 32, 112
    # Expansion, outputs, blocks and stride of every stage, as the paper lists them.
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, outputs, blocks, first_stride in stages:
        for block in range(blocks):
            stride, hidden = first_stride if block == 0 else 1, inputs * expansion
            if expansion > 1:
                yield Layer(inputs, hidden, size, 1)
            yield Layer(hidden, hidden, size, 3, stride, groups=hidden)
            size //= stride
            yield Layer(hidden, outputs, size, 1)
            inputs = outputs
    yield Layer(inputs, 1280, size, 1)


def best(function: Callable[[], object], repeat: int) -> float:
    """Milliseconds of the fastest of ``repeat`` runs, after one that does not count."""
    function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times) * 1e3


def random(shape: tuple[int, ...], channels_last: bool = False) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if channels_last else x


def convolution(layer: Layer, channels_last: bool, repeat: int) -> float:
    operator = REGISTRY.get("aten::convolution.out")
    assert operator is not None
    weight = random((layer.outputs, layer.inputs // layer.groups, layer.kernel, layer.kernel), channels_last)
    arguments = {
        "input": random((1, layer.inputs, layer.size, layer.size), channels_last),
        "weight": weight,
        "bias": random((layer.outputs,)),
        "stride": [layer.stride] * 2,
        "padding": [layer.padding] * 2,
        "dilation": [1, 1],
        "transposed": False,
        "output_padding": [0, 0],
        "groups": layer.groups,
    }
    return best(lambda: call(operator, arguments), repeat)


def pooling(channels_last: bool, repeat: int) -> float:
    operator = REGISTRY.get("aten::max_pool2d_with_indices.out")
    assert operator is not None
    x = random((1, 64, 112, 112), channels_last)
    arguments = {"self": x, "kernel_size": [3, 3], "stride": [2, 2], "padding": [1, 1]}
    return best(lambda: call(operator, arguments), repeat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--channels-last", action="store_true", help="inputs and weights in channels_last order")
    parser.add_argument("--repeat", type=int, default=7, help="runs of each layer (7)")
    options = parser.parse_args()
    for name, layers in (("ResNet-18", resnet18()), ("MobileNetV2", mobilenet_v2())):
        total, known = 0.0, dict[Layer, float]()
        print(name)
        for layer in layers:
            if layer not in known:
                known[layer] = convolution(layer, options.channels_last, options.repeat)
                rate = 2e-6 * layer.multiplications / known[layer]
                print(f"  {layer!s:40}{known[layer]:8.2f} ms {rate:6.0f} GFLOP/s")
            total += layer.times * known[layer]
        if name == "ResNet-18":
            pooled = pooling(options.channels_last, options.repeat)
            print(f"  {'max pool 3x3/2':40}{pooled:8.2f} ms")
            total += pooled
        print(f"  {'all of them':40}{total:8.2f} ms")


if __name__ == "__main__":
    main()
