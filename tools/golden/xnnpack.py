"""Record XNNPACK programs and what the official runtime makes of them: tests/golden/xnnpack.zip.

Every case is a small module, exported with ``XnnpackPartitioner`` and run by the wheel that is installed, on random
inputs. ``python tools/golden/xnnpack.py [NAME…]`` where ``pip install '.[interop]'`` was done writes the archive; with
names it only tries those cases. Either way it says where Pteron disagrees.
"""

from __future__ import annotations

import copy
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody gives it
from executorch.backends.xnnpack.partition.config.xnnpack_config import ConfigPrecisionType
from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
    XnnpackDynamicallyQuantizedPartitioner,
    XnnpackPartitioner,
)
from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)
from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower
from executorch.extension.pybindings import portable_lib as runtime
from torch import Tensor, nn
from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerAxis, PerGroup, quantize_
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.utils import unwrap_tensor_subclass

import pteron

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
from xnnpack_agreement import disagreement, output_steps

TARGET = Path(__file__).resolve().parents[2] / "tests" / "golden" / "xnnpack.zip"


class Call(nn.Module):
    """A function as a module; modules in ``parts`` belong to it."""

    def __init__(self, function: Callable[..., Any], *parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(parts)

    def forward(self, *x: Tensor) -> Any:
        return self.function(*self.parts, *x)


@dataclass
class Case:
    """``mode`` is plain, static, static per tensor, dynamic, or the name of a weight type of torchao's."""

    name: str
    module: nn.Module
    shapes: list[tuple[int, ...]]
    dtype: torch.dtype = torch.float32
    mode: str = "plain"
    low: float = -3.0
    high: float = 3.0
    dynamic: dict[int, dict[int, int]] = field(default_factory=dict)
    """Upper bounds of dynamic dimensions by input and dimension."""
    calls: list[list[tuple[int, ...]]] = field(default_factory=list)
    """Shapes of further calls of a dynamic program."""


def conv(*args: Any, **options: Any) -> nn.Module:
    return nn.Conv2d(*args, **options)


UNARY: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "abs": (torch.abs, -3, 3),
    "ceil": (torch.ceil, -3, 3),
    "clamp": (lambda x: torch.clamp(x, -1.0, 2.0), -3, 3),
    "clamp_min": (lambda x: torch.clamp(x, min=-1.0), -3, 3),
    "clone": (lambda x: torch.clone(x) + x, -3, 3),
    "cos": (torch.cos, -9, 9),
    "elu": (lambda x: F.elu(x, 0.7), -3, 3),
    "exp": (torch.exp, -9, 9),
    "floor": (torch.floor, -3, 3),
    "gelu": (F.gelu, -6, 6),
    "hardswish": (F.hardswish, -5, 5),
    "hardtanh": (F.hardtanh, -3, 3),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), -3, 3),
    "log": (torch.log, 0.01, 20),
    "neg": (torch.neg, -3, 3),
    "relu": (F.relu, -3, 3),
    "rsqrt": (torch.rsqrt, 0.01, 20),
    "sigmoid": (torch.sigmoid, -9, 9),
    "sin": (torch.sin, -9, 9),
    "softmax": (lambda x: F.softmax(x, -1), -9, 9),
    "sqrt": (torch.sqrt, 0, 20),
    "square": (lambda x: torch.pow(x, 2), -3, 3),
    "tanh": (torch.tanh, -5, 5),
}
BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "add_relu": lambda x, y: F.relu(x + y),
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
IMAGE = [(2, 6, 11, 9)]
CONVOLUTIONS: dict[str, nn.Module] = {
    "conv": conv(6, 8, 3, padding=1),
    "conv_no_bias": conv(6, 5, 3, bias=False),
    "conv_1x1": conv(6, 7, 1),
    "conv_stride": conv(6, 8, (5, 3), stride=(2, 3), padding=(2, 0)),
    "conv_dilation": conv(6, 8, 3, dilation=2, padding=2),
    "conv_groups": conv(6, 9, 3, groups=3, padding=1),
    "conv_depthwise": conv(6, 6, 3, groups=6, padding=1),
    "conv_depthwise_stride": conv(6, 6, 5, groups=6, stride=2, padding=2),
    "conv_depth_multiplier": conv(6, 12, 3, groups=6),
    "conv_relu": nn.Sequential(conv(6, 8, 3), nn.ReLU()),
    "conv_hardtanh": nn.Sequential(conv(6, 8, 3), nn.Hardtanh(-0.3, 0.4)),
    "conv_batch_norm": nn.Sequential(conv(6, 8, 3), nn.BatchNorm2d(8)),
    "conv_chain": nn.Sequential(conv(6, 12, 1), nn.ReLU6(), conv(12, 12, 3, groups=12), nn.ReLU6(), conv(12, 6, 1)),
}
TRANSPOSED: dict[str, nn.Module] = {
    "conv_transpose": nn.ConvTranspose2d(6, 8, 3),
    "conv_transpose_stride": nn.ConvTranspose2d(6, 8, 3, stride=2, padding=1, output_padding=1),
    "conv_transpose_groups": nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2),
}
LAYERS: dict[str, tuple[nn.Module, list[tuple[int, ...]]]] = {
    "linear": (nn.Linear(33, 17), [(4, 33)]),
    "linear_3d": (nn.Linear(32, 7), [(2, 5, 32)]),
    "linear_no_bias": (nn.Linear(32, 8, bias=False), [(1, 32)]),
    "linear_relu": (nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 8)), [(3, 32)]),
}
SHAPES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "cat2": (lambda x, y: torch.cat([x, y], 1), [(2, 3, 4), (2, 5, 4)]),
    "cat3": (lambda x, y: torch.cat([x, y, x], 0), [(2, 3), (1, 3)]),
    "cat4": (lambda x, y: torch.cat([x, y, x, y], -1), [(2, 3), (2, 5)]),
    "cat5": (lambda x, y: torch.cat([x, y, x, y, x], -1), [(2, 3), (2, 5)]),
    "slice": (lambda x: x[:, 1:3, :2], [(2, 5, 4)]),
    "permute": (lambda x: torch.permute(x, (2, 0, 1)) * 1.5, [(2, 3, 4)]),
    "view": (lambda x: x.view(3, 8) + 1.0, [(2, 3, 4)]),
    "pad": (lambda x: F.pad(x, (1, 2, 0, 3), value=0.5), [(2, 3, 4)]),
    "mean": (lambda x: torch.mean(x, (-1, -2), keepdim=True), IMAGE),
    "mean_flat": (lambda x: torch.mean(x, (-1, -2)), IMAGE),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), IMAGE),
    "max_pool_dilation": (lambda x: F.max_pool2d(x, 2, 1, 0, 2), IMAGE),
    "max_pool_ceil": (lambda x: F.max_pool2d(x, 2, 2, 0, 1, True), IMAGE),
    "max_dim": (lambda x: tuple(torch.max(x, 2, keepdim=True)), IMAGE),
    "avg_pool": (lambda x: F.avg_pool2d(x, 3, 2, 1, False, False), IMAGE),
    "upsample": (lambda x: F.interpolate(x, size=(17, 13), mode="bilinear", align_corners=False), IMAGE),
    "upsample_corners": (lambda x: F.interpolate(x, size=(17, 13), mode="bilinear", align_corners=True), IMAGE),
    "prelu": (lambda p, x: p(x), IMAGE),
    "bmm": (torch.bmm, [(3, 4, 5), (3, 5, 6)]),
    "matmul": (torch.matmul, [(2, 3, 4, 5), (2, 3, 5, 6)]),
    "mm": (lambda layer, x: torch.mm(x, layer.weight), [(4, 5)]),
    "addmm": (lambda layer, x: torch.addmm(layer.bias, x, layer.weight), [(4, 5)]),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), [(1, 2, 7, 8)] * 3),
}
PARTS: dict[str, tuple[nn.Module, ...]] = {
    "prelu": (nn.PReLU(6, 0.3),),
    "mm": (nn.Linear(6, 5),),
    "addmm": (nn.Linear(5, 5),),
}
HALF = {"mean", "max_pool", "avg_pool", "upsample", "prelu", "bmm", "attention", "cat2", "pad"}


def cases() -> Iterator[Case]:
    """Every case, seeded by its name."""
    half = torch.float16
    for name, (function, low, high) in UNARY.items():
        for dtype in (torch.float32, half):
            yield Case(name, Call(function), [(3, 7, 5)], dtype, low=low, high=high)
    for name, binary in BINARY.items():
        for dtype in (torch.float32, half):
            yield Case(name, Call(binary), [(3, 7, 5), (3, 7, 5)], dtype)
        yield Case(f"{name}_broadcast", Call(binary), [(3, 1, 5), (7, 1)])
    for name, (made, shapes) in SHAPES.items():
        parts = PARTS.get(name, ())
        for dtype in (torch.float32, half) if name in HALF else (torch.float32,):
            yield Case(name, Call(made, *parts), shapes, dtype)
    for name, module in (*CONVOLUTIONS.items(), *TRANSPOSED.items()):
        for dtype in (torch.float32, half):
            yield Case(name, module, IMAGE, dtype)
    for name, (module, shapes) in LAYERS.items():
        yield Case(name, module, shapes)
        yield Case(name, module, shapes, half)
        yield Case(name, module, shapes, torch.bfloat16)
        yield Case(name, module, shapes, half, "dynamic")
        for mode in ("static", "static per tensor", "dynamic", "int8", "int4", "int4 in groups"):
            yield Case(name, module, shapes, mode=mode)
    for name, module in CONVOLUTIONS.items():
        yield Case(name, module, IMAGE, mode="static")
        yield Case(name, module, IMAGE, mode="static per tensor")
    for name in ("conv", "conv_stride", "conv_groups", "conv_depthwise"):
        yield Case(name, CONVOLUTIONS[name], IMAGE, mode="dynamic")
    for name, module in TRANSPOSED.items():
        yield Case(name, module, IMAGE, mode="static")
    yield from quantized_chains()
    yield from dynamic_shapes()


def quantized_chains() -> Iterator[Case]:
    """What the quantiser annotates only beside a layer."""
    for name, function in {
        "q_add": lambda c, x: c(x) + x,
        "q_add_relu": lambda c, x: F.relu(c(x) + x),
        "q_mul": lambda c, x: c(x) * x,
        "q_mul_relu": lambda c, x: F.relu(c(x) * x),
        "q_cat": lambda c, x: torch.cat([c(x), x], 1),
        "q_relu": lambda c, x: F.relu(c(x) + 0.0),
        "q_hardtanh": lambda c, x: F.hardtanh(c(x)),
        "q_max_pool": lambda c, x: F.max_pool2d(c(x), 2),
        "q_mean": lambda c, x: torch.mean(c(x), (-1, -2), keepdim=True),
        "q_avg_pool": lambda c, x: F.adaptive_avg_pool2d(c(x), 1),
        "q_permute": lambda c, x: torch.permute(c(x), (0, 2, 3, 1)),
        "q_slice": lambda c, x: c(x)[:, 1:4, 2:],
        "q_view": lambda c, x: c(x).view(2, -1),
        "q_pad": lambda c, x: F.pad(c(x), (1, 1, 2, 2)),
        "q_sigmoid": lambda c, x: torch.sigmoid(c(x)),
        "q_tanh": lambda c, x: torch.tanh(c(x)),
        "q_elu": lambda c, x: F.elu(c(x)),
        "q_leaky_relu": lambda c, x: F.leaky_relu(c(x)),
        "q_hardswish": lambda c, x: F.hardswish(c(x)),
        "q_upsample": lambda c, x: F.interpolate(c(x), scale_factor=2, mode="bilinear"),
        "q_sub": lambda c, x: c(x) - x,
        "q_residual": lambda c, x: c(F.relu(c(x) + x)) + x,
    }.items():
        yield Case(name, Call(function, conv(6, 6, 3, padding=1)), IMAGE, mode="static")


def dynamic_shapes() -> Iterator[Case]:
    """Programs whose inputs change their shape from call to call."""
    rows = {0: {0: 8}}
    yield Case("dyn_linear", LAYERS["linear_relu"][0], [(8, 32)], dynamic=rows, calls=[[(3, 32)], [(1, 32)]])
    yield Case(
        "dyn_linear", LAYERS["linear_relu"][0], [(8, 32)], mode="int8", dynamic=rows, calls=[[(3, 32)], [(1, 32)]]
    )
    yield Case(
        "dyn_linear", LAYERS["linear_relu"][0], [(8, 32)], mode="static", dynamic=rows, calls=[[(3, 32)], [(5, 32)]]
    )
    yield Case("dyn_view", Call(lambda x: x.view(x.shape[0], 12) * 2.0), [(8, 3, 4)], dynamic=rows, calls=[[(3, 3, 4)]])
    attention = Call(lambda x: torch.softmax(torch.bmm(x, x.permute(0, 2, 1)), -1))
    yield Case("dyn_bmm", attention, [(2, 8, 4)], dynamic={0: {1: 8}}, calls=[[(2, 5, 4)], [(2, 1, 4)]])
    yield Case("dyn_add", Call(lambda x: x + x * 0.5), [(8, 3)], dynamic=rows, calls=[[(2, 3)]])


def inputs_of(case: Case, shapes: list[tuple[int, ...]], random: torch.Generator) -> tuple[Tensor, ...]:
    span = case.high - case.low
    return tuple((torch.rand(shape, generator=random) * span + case.low).to(case.dtype) for shape in shapes)


def quantized(case: Case, module: nn.Module, example: tuple[Tensor, ...], shapes: Any) -> nn.Module:
    """The module quantised as the case says."""
    if case.mode.startswith(("static", "dynamic")):
        config = get_symmetric_quantization_config(
            is_per_channel=case.mode != "static per tensor", is_dynamic=case.mode == "dynamic"
        )
        quantizer = XNNPACKQuantizer().set_global(config)
        graph = torch.export.export(module, example, dynamic_shapes=shapes, strict=True).module()
        prepared = prepare_pt2e(graph, quantizer)
        prepared(*example)
        return convert_pt2e(prepared)
    weight = torch.int8 if case.mode == "int8" else torch.int4
    granularity = PerGroup(32) if case.mode == "int4 in groups" else PerAxis(0)
    quantize_(module, Int8DynamicActivationIntxWeightConfig(weight_dtype=weight, weight_granularity=granularity))
    return unwrap_tensor_subclass(module)


def export(case: Case, random: torch.Generator) -> tuple[bytes, list[tuple[Tensor, ...]]]:
    """The program and its calls' inputs."""
    example = inputs_of(case, case.shapes, random)
    module = copy.deepcopy(case.module)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random) * 0.3
    module = module.to(case.dtype).eval()
    shapes = None
    if case.dynamic:
        shapes = tuple(
            {d: torch.export.Dim(f"d{i}_{d}", min=1, max=most) for d, most in case.dynamic.get(i, {}).items()}
            for i in range(len(example))
        )
        if isinstance(module, Call):
            shapes = (shapes,)
    partitioner: list[Any] = [XnnpackPartitioner()]
    if case.mode != "plain":
        module = quantized(case, module, example, shapes)
        if case.mode == "dynamic":
            partitioner = [XnnpackPartitioner(config_precisions=ConfigPrecisionType.DYNAMIC_QUANT, per_op_mode=True)]
            if case.name.startswith("linear"):
                partitioner = [XnnpackDynamicallyQuantizedPartitioner()]
        elif not case.mode.startswith("static"):
            partitioner = [XnnpackDynamicallyQuantizedPartitioner(), XnnpackPartitioner()]
    exported = torch.export.export(module, example, dynamic_shapes=shapes, strict=True)
    lowered = to_edge_transform_and_lower(
        exported, partitioner=partitioner, compile_config=EdgeCompileConfig(_check_ir_validity=False)
    )
    calls = [example, *(inputs_of(case, list(shape), random) for shape in case.calls)]
    return bytes(lowered.to_executorch().buffer), calls


def is_bfloat16(tensor: Tensor) -> bool:
    return tensor.dtype == torch.bfloat16


def array_of(tensor: Tensor) -> Any:
    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if is_bfloat16(tensor) else tensor.numpy()


def record(name: str, program: bytes, calls: list[tuple[Tensor, ...]]) -> list[tuple[tuple[Tensor, ...], list[Tensor]]]:
    """Inputs and the wheel's outputs of each call; prints where Pteron's are others."""
    loaded = runtime._load_for_executorch_from_buffer(program)
    found = [(x, [y.clone() for y in loaded.run_method("forward", x, clone_outputs=True)]) for x in calls]
    try:
        module = pteron.load(program, engine="reference")
        for number, (inputs, outputs) in enumerate(found):
            mine = module.forward(*map(array_of, inputs))
            for actual, tensor, step in zip(mine, outputs, output_steps(module.program), strict=True):
                if difference := disagreement(actual, array_of(tensor), step):
                    print(f"{name}, call {number}: {difference}")
    except pteron.PteronError as error:
        print(f"{name}: {error}")
    return found


def main(chosen: list[str]) -> None:
    """Record every case, or try the chosen ones."""
    index: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    programs: dict[str, bytes] = {}
    for case in cases():
        words = [case.name, case.mode, str(case.dtype).removeprefix("torch.")]
        name = " ".join(word for word in words if word not in ("plain", "float32"))
        if chosen and name not in chosen and case.name not in chosen:
            continue
        random = torch.Generator().manual_seed(sum(name.encode()))
        try:
            program, calls = export(case, random)
        except Exception as error:
            print(f"{name}: not exported: {type(error).__name__}: {str(error).splitlines()[0][:150]}")
            continue
        if b"XnnpackBackend" not in program:
            print(f"{name}: nothing delegated")
            continue
        try:
            recorded = record(name, program, calls)
        except RuntimeError as error:
            print(f"{name}: not run by the wheel: {error}")
            continue
        entries = []
        for inputs, outputs in recorded:
            keys: dict[str, list[str]] = {"inputs": [], "outputs": []}
            for kind, tensors in (("inputs", inputs), ("outputs", outputs)):
                for tensor in tensors:
                    keys[kind].append(str(len(arrays)))
                    arrays[str(len(arrays))] = (tensor.view(torch.int16) if is_bfloat16(tensor) else tensor).numpy()
            entries.append(keys)
        index[name] = {"calls": entries, "bfloat16": case.dtype == torch.bfloat16}
        programs[name] = program
    if chosen:
        return
    stored = io.BytesIO()
    np.savez(stored, **arrays)
    with zipfile.ZipFile(TARGET, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("index.json", json.dumps(index))
        archive.writestr("arrays.npz", stored.getvalue())
        for name, program in programs.items():
            archive.writestr(f"{name}.pte", program)
    print(f"{len(index)} programs, {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1:])
