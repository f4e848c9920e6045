"""Each decomposition against the operator's own kernel."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

from program_edits import edited, program
from pteron.compat.migrate.decompositions import DECOMPOSITIONS
from pteron.compat.migrate.expression import Expression
from pteron.compat.migrate.operators import TABLES
from pteron.errors import UnsupportedError
from pteron.format import schema
from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.format.write import write_program
from pteron.graph.build import Builder
from pteron.graph.evaluate import evaluate
from pteron.graph.ir import Block, Graph, Return, TensorType
from pteron.migration import plan
from pteron.ops.invoke import call
from pteron.ops.registry import REGISTRY

RNG = np.random.default_rng(0)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def integers(high: int, *shape: int) -> Any:
    return RNG.integers(0, high, shape)


SPECIAL = np.array([-np.inf, -1.5, -0.0, 0.0, 2.0, np.inf, np.nan], np.float32)
MASK = RNG.integers(0, 2, (3, 4)).astype(bool)
GRID = RNG.uniform(-1.3, 1.3, (2, 3, 4, 2)).astype(np.float32)

CASES: list[tuple[str, dict[str, Any]]] = [
    ("aten::elu", {"self": floats(3, 4)}),
    ("aten::elu", {"self": SPECIAL, "alpha": 0.5, "scale": 2.0, "input_scale": 3.0}),
    ("aten::max", {"self": floats(3, 4)}),
    ("aten::max", {"self": SPECIAL}),
    ("aten::min", {"self": integers(100, 3, 4)}),
    ("aten::mean", {"self": floats(3, 4)}),
    ("aten::var_mean.correction", {"self": floats(3, 4, 5), "dim": [1], "correction": 1, "keepdim": True}),
    ("aten::var_mean.correction", {"self": floats(3, 4), "dim": None, "correction": 0, "keepdim": False}),
    ("aten::linalg_vector_norm", {"self": floats(3, 4), "ord": 2, "dim": [-1], "keepdim": True}),
    ("aten::linalg_vector_norm", {"self": floats(3, 4), "ord": 1, "dim": None, "keepdim": False}),
    ("aten::linalg_vector_norm", {"self": floats(3, 4), "ord": float("inf"), "dim": [0], "keepdim": False}),
    ("aten::linear", {"input": floats(3, 4), "weight": floats(5, 4), "bias": floats(5)}),
    ("aten::linear", {"input": floats(2, 3, 4), "weight": floats(5, 4), "bias": None}),
    ("aten::bitwise_left_shift.Tensor", {"self": integers(9, 5) - 4, "other": np.array([0, 1, 5, 31, 60])}),
    ("aten::bitwise_right_shift.Tensor", {"self": integers(9999, 5) - 5000, "other": np.array([0, 1, 5, 31, 62])}),
    ("aten::bucketize.Tensor", {"self": SPECIAL, "boundaries": np.array([-1.5, 0.0, 2.0], np.float32)}),
    ("aten::bucketize.Tensor", {"self": floats(2, 3), "boundaries": np.sort(floats(6)), "right": True}),
    ("aten::bucketize.Tensor", {"self": integers(9, 4), "boundaries": np.array([1, 3, 3, 7]), "out_int32": True}),
    ("aten::sort", {"self": floats(3, 6), "dim": 1, "descending": False}),
    ("aten::sort", {"self": floats(3, 6), "dim": 0, "descending": True}),
    ("aten::topk", {"self": floats(3, 6), "k": 4, "dim": 1}),
    ("aten::topk", {"self": floats(6, 3), "k": 2, "dim": 0, "largest": False}),
    ("aten::native_dropout", {"input": floats(3, 4), "p": 0.5, "train": False}),
    ("aten::_adaptive_avg_pool2d", {"self": floats(2, 3, 7, 5), "output_size": [3, 2]}),
    ("aten::_adaptive_avg_pool2d", {"self": floats(3, 8, 6), "output_size": [1, 1]}),
    ("aten::_adaptive_avg_pool2d", {"self": floats(1, 2, 3, 4), "output_size": [5, 4]}),
    ("aten::upsample_nearest2d.vec", {"input": floats(2, 3, 4, 5), "output_size": [9, 7], "scale_factors": None}),
    ("aten::upsample_nearest2d.vec", {"input": floats(1, 1, 4, 5), "output_size": None, "scale_factors": [2.0, 1.5]}),
    (
        "aten::upsample_bilinear2d.vec",
        {"input": floats(2, 3, 4, 5), "output_size": [9, 3], "scale_factors": None, "align_corners": True},
    ),
    (
        "aten::upsample_bilinear2d.vec",
        {"input": floats(2, 3, 4, 5), "output_size": None, "scale_factors": [1.7, 2.0], "align_corners": False},
    ),
    ("aten::_upsample_bilinear2d_aa", {"self": floats(1, 2, 9, 8), "output_size": [4, 3], "align_corners": False}),
    ("aten::unfold_copy", {"self": floats(2, 9, 3), "dimension": 1, "size": 4, "step": 2}),
    ("aten::narrow_copy", {"self": floats(2, 9), "dim": -1, "start": -5, "length": 3}),
    ("aten::gather", {"self": floats(3, 4, 5), "dim": 1, "index": integers(4, 2, 6, 5)}),
    ("aten::scatter.src", {"self": floats(3, 4), "dim": 1, "index": np.array([[3, 1], [0, 2]]), "src": floats(3, 3)}),
    ("aten::scatter.value", {"self": floats(3, 4), "dim": -1, "index": np.array([[3], [0], [2]]), "value": 2.5}),
    ("aten::_conj_physical", {"self": floats(2, 3)}),
    ("aten::add.Scalar", {"self": integers(9, 4), "other": 2.5, "alpha": 2}),
    ("aten::cumsum", {"self": np.array(3.5, np.float32), "dim": 0}),
    (
        "aten::max_pool2d_with_indices_backward",
        {
            "grad_output": floats(2, 3, 2, 2),
            "self": floats(2, 3, 4, 4),
            "kernel_size": [2, 2],
            "stride": [2, 2],
            "padding": [0, 0],
            "dilation": [1, 1],
            "ceil_mode": False,
            "indices": integers(17, 2, 3, 2, 2) - 1,
        },
    ),
    ("aten::masked_scatter", {"self": floats(3, 4), "mask": MASK, "source": floats(13)}),
    ("aten::masked_scatter", {"self": floats(4), "mask": MASK, "source": floats(4, 3)}),
    ("aten::masked_select", {"self": floats(3, 4), "mask": MASK}),
    ("aten::masked_select", {"self": integers(9, 4), "mask": MASK}),
    ("aten::repeat_interleave.Tensor", {"repeats": np.array([2, 0, 3, 1]), "output_size": 6}),
    ("aten::repeat_interleave.Tensor", {"repeats": np.array([0, 4], np.int32), "output_size": 4}),
    ("aten::constant_pad_nd", {"self": floats(3, 4), "pad": [1, -2], "value": 2.5}),
    ("aten::constant_pad_nd", {"self": floats(2, 3, 4), "pad": [-1, -1, 2, -1], "value": 0}),
    *(
        (
            "aten::convolution",
            {
                "input": floats(2, 4, *size),
                "weight": floats(4, 3, *window),
                "bias": floats(3 * groups) if bias else None,
                "stride": stride,
                "padding": padding,
                "dilation": dilation,
                "transposed": True,
                "output_padding": more,
                "groups": groups,
            },
        )
        for size, window, stride, padding, dilation, more, groups, bias in (
            ((5, 6), (3, 2), [2, 3], [1, 0], [1, 2], [1, 0], 2, True),
            ((5, 6), (3, 3), [1, 1], [3, 2], [1, 1], [0, 0], 1, False),
            ((7,), (2,), [4], [0], [1], [3], 1, True),
            ((7,), (2,), [4], [0], [1], [0], 4, True),
        )
    ),
    *(
        (
            "quantized_decomposed::embedding_4bit" + (".dtype" if dtype else ""),
            {
                "weight": integers(256, 6, 4).astype(np.uint8),
                "weight_scales": floats(*scales).astype(np.float16 if dtype else np.float32),
                "weight_zero_points": floats(*scales) if zeros else None,
                "weight_quant_min": -8,
                "weight_quant_max": 7,
                "indices": integers(6, 2, 3),
                **dtype,
            },
        )
        for scales, zeros, dtype in (((6,), False, {}), ((6, 2), True, {}), ((6, 4), False, {"dtype": 6}))
    ),
    *(
        (
            "aten::grid_sampler_2d",
            {
                "input": floats(2, 3, 5, 6),
                "grid": GRID,
                "interpolation_mode": mode,
                "padding_mode": padding,
                "align_corners": align,
            },
        )
        for mode in (0, 1)
        for padding in (0, 1)
        for align in (False, True)
    ),
    (
        "quantized_decomposed::quantize_per_tensor",
        {"input": floats(4, 5), "scale": 0.02, "zero_point": 3, "quant_min": -128, "quant_max": 127, "dtype": 1},
    ),
    (
        "quantized_decomposed::dequantize_per_tensor",
        {
            "input": integers(127, 9).astype(np.int8),
            "scale": 0.02,
            "zero_point": -4,
            "quant_min": -128,
            "quant_max": 127,
            "dtype": 1,
        },
    ),
]


def test_every_decomposition_has_a_case() -> None:
    # What empty memory holds is not defined.
    assert set(DECOMPOSITIONS) - {name for name, _ in CASES} == {"aten::empty_permuted"}
    assert TABLES


def decomposed(name: str, arguments: dict[str, Any]) -> list[Any]:
    graph = Graph("piece", blocks=[Block("block0")])
    operands, inputs = {}, []
    for key, value in arguments.items():
        operands[key] = value
        if isinstance(value, np.ndarray):
            operands[key] = graph.value(TensorType(from_dtype(value.dtype), value.shape), key)
            graph.inputs.append(operands[key])
            inputs.append(value)
    function = DECOMPOSITIONS[name]
    accepted = inspect.signature(function).parameters
    if "op" in accepted:
        operands["op"] = name
    if "result" in accepted:
        operands["result"] = ScalarType.FLOAT
    if "dtype" in accepted:
        operands.setdefault("dtype", None)
    operands = {key: operand for key, operand in operands.items() if key in accepted}
    results = function(Expression(Builder(graph, graph.entry), "here"), **operands)
    graph.entry.terminator = Return(list(results))
    return evaluate(graph, inputs)[0]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_against_the_kernel(name: str, arguments: dict[str, Any]) -> None:
    operator = REGISTRY.by_functional(name)
    assert operator is not None
    dtype = next(value.dtype for value in arguments.values() if isinstance(value, np.ndarray))
    if name.startswith("quantized"):
        dtype = np.dtype(np.int8 if "::quantize" in name else np.float32)
    if name == "aten::add.Scalar":
        dtype = np.dtype(np.float32)
    expected = call(operator, dict(arguments), out_dtype=dtype)
    found = decomposed(name, arguments)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        wanted = np.asarray(other)
        assert one.shape == wanted.shape
        if wanted.dtype.kind in "iub":
            np.testing.assert_array_equal(one, wanted)
        else:
            np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("aten::linalg_vector_norm", {"self": floats(3), "ord": 3}, "order 3"),
        ("aten::topk", {"self": integers(9, 5), "k": 2}, "floating point"),
        ("aten::_conj_physical", {"self": floats(3).astype(np.complex64)}, "complex"),
        ("aten::repeat_interleave.Tensor", {"repeats": integers(9, 3), "output_size": None}, "size of the result"),
        ("aten::cumsum", {"self": floats(3), "dim": 0}, "along a dimension"),
        ("aten::constant_pad_nd", {"self": floats(3), "pad": [1, 1]}, "padding"),
        ("aten::constant_pad_nd", {"self": floats(3), "pad": [-2, -1]}, "crops everything"),
        ("aten::native_dropout", {"input": floats(3), "p": 0.5, "train": True}, "random"),
        (
            "aten::grid_sampler_2d",
            {
                "input": floats(1, 1, 2, 2),
                "grid": floats(1, 1, 1, 2),
                "interpolation_mode": 2,
                "padding_mode": 0,
                "align_corners": False,
            },
            "cubics",
        ),
    ],
)
def test_what_is_not_covered_is_refused(name: str, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        decomposed(name, arguments)


def test_dynamic_sizes_are_refused_where_they_matter() -> None:
    graph = Graph("piece", blocks=[Block("block0")])
    value = graph.value(TensorType(ScalarType.FLOAT, (3, 4), dynamic=True))
    with pytest.raises(UnsupportedError, match="change at run time"):
        DECOMPOSITIONS["aten::unfold_copy"](Expression(Builder(graph, graph.entry), "here"), value, 0, 2, 1)


def test_calls_without_the_fault_stay() -> None:
    def twice(code: Any) -> Any:
        # The result plus 1.5 once more, which the kernel takes: its tensor is of floating point.
        call = code[0].instr_args
        return (*code, schema.Instruction(dataclasses.replace(call, args=(1, *call.args[1:]))))

    faulty = edited(program("0.2.1/ops/add_scalar.2.pte"), {"code": twice})
    migrated = plan(write_program(faulty), "1.2.0")
    assert migrated.plan.possible
    assert [applied.sentence for applied in migrated.plan.applied] == [
        "wrote 1 × aten::add.Scalar_out in terms of other operators"
    ]
    assert migrated.checked().exact
