"""The benchmark models, in plain torch: the usual architectures with random weights.

``python benchmarks/models.py FOLDER [NAME ...]`` exports them with the installed executorch (``pip install
'.[interop]'``): ``NAME.portable.pte``, ``NAME.xnnpack.pte`` (float32) and ``NAME.int8.pte`` (XNNPACK, statically
quantised), the decoder's also as ``.8da4w.pte``, with inputs and eager outputs in ``NAME.npz``.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn


def conv_bn(cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)
    )


class BasicBlock(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int) -> None:
        super().__init__()
        self.a = conv_bn(cin, cout, 3, stride)
        self.b = conv_bn(cout, cout, 3)
        self.skip = conv_bn(cin, cout, 1, stride) if stride != 1 or cin != cout else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.b(torch.relu(self.a(x))) + self.skip(x))


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            layers += [BasicBlock(channels, width, stride), BasicBlock(width, width, 1)]
            channels = width
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(512, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x).mean((2, 3)))


class InvertedResidual(nn.Module):
    def __init__(self, cin: int, cout: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = cin * expand
        layers: list[nn.Module] = []
        if expand != 1:
            layers += [conv_bn(cin, hidden, 1), nn.ReLU6()]
        layers += [conv_bn(hidden, hidden, 3, stride, hidden), nn.ReLU6(), conv_bn(hidden, cout, 1)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and cin == cout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn(3, 32, 3, 2), nn.ReLU6()]
        channels = 32
        for expand, width, count, stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for i in range(count):
                layers.append(InvertedResidual(channels, width, stride if i == 0 else 1, expand))
                channels = width
        layers += [conv_bn(320, 1280, 1), nn.ReLU6()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5, -1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def encoder() -> nn.Module:
    return nn.Sequential(*(TransformerBlock(256, 4) for _ in range(4)))


class ViT(nn.Module):
    """A tiny vision transformer: 16 × 16 patches of 224 × 224, width 192, 6 layers."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 192, 16, 16)
        self.position = nn.Parameter(torch.randn(1, 196, 192) * 0.02)
        self.blocks = nn.Sequential(*(TransformerBlock(192, 3) for _ in range(6)))
        self.head = nn.Linear(192, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.blocks(x).mean(1))


class UNet(nn.Module):
    """Two levels, 16 to 64 channels, on 96 × 96."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = self.double(3, 16), self.double(16, 32)
        self.bottom = self.double(32, 64)
        self.up2, self.up1 = nn.ConvTranspose2d(64, 32, 2, 2), nn.ConvTranspose2d(32, 16, 2, 2)
        self.join2, self.join1 = self.double(64, 32), self.double(32, 16)
        self.head = nn.Conv2d(16, 2, 1)
        self.pool = nn.MaxPool2d(2)

    @staticmethod
    def double(cin: int, cout: int) -> nn.Sequential:
        return nn.Sequential(conv_bn(cin, cout, 3), nn.ReLU(), conv_bn(cout, cout, 3), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(self.pool(a))
        y = self.bottom(self.pool(b))
        y = self.join2(torch.cat([self.up2(y), b], 1))
        return self.head(self.join1(torch.cat([self.up1(y), a], 1)))


class Decoder(nn.Module):
    """One step of a decoder with a key-value cache: width 256, 4 layers, 512 positions."""

    def __init__(self, width: int = 256, layers: int = 4, heads: int = 4, length: int = 512) -> None:
        super().__init__()
        self.heads, self.length = heads, length
        self.layers = layers
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width, bias=False) for _ in range(layers))
        self.out = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(layers))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width, bias=False) for _ in range(layers))
        self.down = nn.ModuleList(nn.Linear(4 * width, width, bias=False) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers))
        for i in range(layers):
            for kind in ("k", "v"):
                self.register_buffer(f"{kind}{i}", torch.zeros(1, heads, length, width // heads))

    def forward(self, x: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        mask = torch.arange(self.length) <= position
        for i in range(self.layers):
            q, k, v = self.qkv[i](self.norm[2 * i](x)).view(1, 1, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            keys, values = getattr(self, f"k{i}"), getattr(self, f"v{i}")
            keys[:, :, position] = k
            values[:, :, position] = v
            scores = q @ keys.transpose(-1, -2) * (q.shape[-1] ** -0.5)
            weights = torch.softmax(scores.masked_fill(~mask, float("-inf")), -1)
            x = x + self.out[i]((weights @ values).transpose(1, 2).reshape(1, 1, -1))
            x = x + self.down[i](torch.nn.functional.silu(self.up[i](self.norm[2 * i + 1](x))))
        return x


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def image(size: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(1, 3, size, size),)


MODELS = {
    "mlp": (mlp, lambda: (torch.randn(1, 64),)),
    "encoder": (encoder, lambda: (torch.randn(1, 128, 256),)),
    "mobilenet_v2": (MobileNetV2, lambda: image(224)),
    "resnet18": (ResNet18, lambda: image(224)),
    "vit": (ViT, lambda: image(224)),
    "unet": (UNet, lambda: image(96)),
    "decoder": (Decoder, lambda: (torch.randn(1, 1, 256), torch.tensor([0]))),
}


def quantized(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(torch.export.export(model, inputs).module(), quantizer)
    prepared(*inputs)
    return convert_pt2e(prepared)


def four_bit(model: nn.Module) -> nn.Module:
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, quantize_
    from torchao.quantization.granularity import PerGroup

    config = Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32))
    quantize_(model, config)
    return model


def write(path: Path, model: nn.Module, inputs: tuple[torch.Tensor, ...], delegate: bool) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    partitioner = [XnnpackPartitioner()] if delegate else None
    program = to_edge_transform_and_lower(torch.export.export(model, inputs), partitioner=partitioner).to_executorch()
    path.write_bytes(program.buffer)
    print(f"{path.name}: {len(program.buffer):,} bytes", flush=True)


def export(name: str, folder: Path) -> None:
    build, make = MODELS[name]
    torch.manual_seed(0)
    model, inputs = build().eval(), make()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        write(folder / f"{name}.portable.pte", model, inputs, delegate=False)
        write(folder / f"{name}.xnnpack.pte", model, inputs, delegate=True)
        if name == "decoder":
            write(folder / f"{name}.8da4w.pte", four_bit(copy.deepcopy(model)), inputs, delegate=True)
        else:
            write(folder / f"{name}.int8.pte", quantized(model, inputs), inputs, delegate=True)
        expected = model(*inputs)
    np.savez(folder / f"{name}.npz", **{f"in{i}": x.numpy() for i, x in enumerate(inputs)}, out0=expected.numpy())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for chosen in sys.argv[2:] or MODELS:
        export(chosen, target)
