"""Known faults: each condition fires on a call that has it and not on a near miss; and where releases have them."""

from typing import Any

import pytest

import corpus_files
from pteron.backends.xnnpack.nodes import XNNFullyConnected, XNNGlobalAvgPooling2d
from pteron.backends.xnnpack.values import XNNDatatype, XNNTensorValue
from pteron.compat.conditions import CALL_CONDITIONS, NODE_CONDITIONS, Call, NodeUse, optimized_path
from pteron.compat.fault_search import fault_uses
from pteron.compat.faults import Fault, faults
from pteron.compat.profile import profile_for, releases
from pteron.format import schema
from pteron.format.program import read_program
from pteron.format.scalar_type import ScalarType

DYNAMIC = schema.TensorShapeDynamism.DYNAMIC_BOUND


def tensor(*sizes: int, dtype: str = "FLOAT", **fields: Any) -> schema.Tensor:
    return schema.Tensor(
        scalar_type=ScalarType[dtype],
        sizes=sizes,
        dim_order=tuple(range(len(sizes))),
        shape_dynamism=fields.get("dynamism", 0),
    )


def call(operator: str, *arguments: Any) -> Call:
    """A call whose lists of numbers are given as Python lists."""
    values: list[schema.EValue] = []
    given = []
    for argument in arguments:
        if isinstance(argument, list):
            start = len(values)
            values += [schema.EValue(val=schema.Int(int_val=number)) for number in argument]
            given.append(schema.IntList(items=tuple(range(start, len(values)))))
        else:
            given.append(argument)
    return Call(operator, tuple(given), tuple(values))


def binary(operator: str, a: schema.Tensor, b: schema.Tensor, out: schema.Tensor, *between: Any) -> Call:
    return call(operator, a, b, *between, out, out)


def held(case: Call) -> dict[str, list[str]]:
    """Fault id → releases whose wheel has the fault and whose condition the call meets."""
    found: dict[str, list[str]] = {}
    for release in releases():
        for fault in profile_for(release).faults:
            met = case.operator in fault.operators and CALL_CONDITIONS[fault.condition](case, fault.parameters)
            if met:
                found.setdefault(fault.id, []).append(str(release))
    return found


ONE = schema.Int(int_val=1)
FALSE, TRUE = schema.Bool(bool_val=False), schema.Bool(bool_val=True)
FROM_1_1 = ["1.1.0", "1.2.0", "1.3.1", "1.4.1", "1.5.1"]


@pytest.mark.parametrize(
    ("a", "b", "out", "expected"),
    [
        # Each line but the last two was run on the wheels 1.4.1 (refused with 0x12 where it is listed) and 1.5.1.
        (
            (4, 5),
            (1, 1, 5),
            (1, 4, 5),
            {"elementwise.rank_of_larger": ["0.5.0", "0.6.0", "0.7.0", "1.0.1", *FROM_1_1[:-1]]},
        ),
        (
            (1, 1, 5),
            (4, 5),
            (1, 4, 5),
            {"elementwise.rank_of_larger": ["0.5.0", "0.6.0", "0.7.0", "1.0.1", *FROM_1_1[:-1]]},
        ),
        ((3, 4), (4,), (3, 4), {}),
        ((5,), (1, 1, 5), (1, 1, 5), {"elementwise.rank_of_first": ["0.5.0", "0.6.0", "0.7.0"]}),
        ((1, 1, 5), (5,), (1, 1, 5), {}),
        ((2, 3), (2, 1), (2, 3), {"elementwise.broadcast_assert": ["0.5.0"]}),
        ((2, 3), (1,), (2, 3), {}),
        ((2, 3), (2, 3), (2, 3), {}),
    ],
)
def test_add(a: Any, b: Any, out: Any, expected: dict[str, list[str]]) -> None:
    assert held(binary("aten::add.out", tensor(*a), tensor(*b), tensor(*out), ONE)) == expected


def test_add_of_other_dtypes_takes_no_fast_path() -> None:
    for dtype in ("HALF", "BFLOAT16"):
        operands = (tensor(5, dtype=dtype), tensor(1, 1, 5, dtype=dtype), tensor(1, 1, 5, dtype=dtype))
        assert held(binary("aten::add.out", *operands, ONE)) == {}
    assert held(binary("aten::add.out", tensor(5, dtype="INT"), tensor(1, 1, 5), tensor(1, 1, 5), ONE)) == {}


def test_wheels_without_optimized_kernels_do_not_have_their_faults() -> None:
    for release in ("0.2.1", "0.3.0", "0.4.0"):
        assert not [fault for fault in profile_for(release).faults if fault.library == "optimized"]


@pytest.mark.parametrize(
    ("a", "b", "path"),
    [
        ((2, 3), (2, 3), "1d"),
        ((1, 7), (1, 1, 7), "1d"),
        ((4, 5), (5,), "2d_by_1d"),
        ((2, 3, 4), (2, 1, 4), "nd_by_nd"),
        ((2, 3), (2, 1), "last_dim"),
        ((2, 3, 4), (2, 1, 1), ""),
        ((2, 3, 4), (4,), ""),
        ((2, 1, 4), (2, 3, 1), ""),
    ],
)
def test_fast_paths(a: tuple[int, ...], b: tuple[int, ...], path: str) -> None:
    rank = max(len(a), len(b))
    out = tuple(max(x, y) for x, y in zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True))
    assert optimized_path(a, b, out)[0] == path


OTHERS: list[tuple[Call, dict[str, list[str]]]] = [
    (
        binary("aten::le.Tensor_out", tensor(2, 3), tensor(3), tensor(2, 3, dtype="BOOL")),
        {"le.no_broadcast": ["0.5.0", "0.6.0"]},
    ),
    (
        binary("aten::le.Tensor_out", tensor(2, 3), tensor(1), tensor(2, 3, dtype="BOOL")),
        {"le.no_broadcast": ["0.5.0"]},
    ),
    (binary("aten::le.Tensor_out", tensor(2, 3), tensor(2, 3), tensor(2, 3, dtype="BOOL")), {}),
    (
        binary("aten::copy.out", tensor(2, 3), tensor(2, 3, dtype="LONG"), tensor(2, 3), FALSE),
        {"copy.other_dtype": ["0.7.0"]},
    ),
    (binary("aten::copy.out", tensor(2, 3), tensor(2, 3), tensor(2, 3), FALSE), {}),
    (binary("aten::copy.out", tensor(2, 3), tensor(3, dtype="LONG"), tensor(2, 3), FALSE), {}),
    (
        call("aten::add.Scalar_out", tensor(2, dtype="LONG"), schema.Double(double_val=1.5), ONE, tensor(2), tensor(2)),
        {"add_scalar.other_kind": ["1.0.1", *FROM_1_1]},
    ),
    (call("aten::add.Scalar_out", tensor(2), schema.Double(double_val=1.5), ONE, tensor(2), tensor(2)), {}),
    (call("aten::add.Scalar_out", tensor(2, dtype="LONG"), ONE, ONE, tensor(2), tensor(2)), {}),
    (
        call("executorch_prim::et_copy_index.tensor", tensor(4, 3), tensor(3), ONE),
        {"et_copy_index.static": ["0.2.1", "0.3.0", *FROM_1_1]},
    ),
    (call("executorch_prim::et_copy_index.tensor", tensor(4, 3, dynamism=DYNAMIC), tensor(3), ONE), {}),
    (call("executorch_prim::et_copy_index.tensor", tensor(1, 3), tensor(3), ONE), {}),
    (call("aten::convolution.out", *[ONE] * 6, TRUE, ONE), {"convolution.transposed": ["0.2.1", "0.3.0"]}),
    (call("aten::convolution.out", *[ONE] * 6, FALSE, ONE), {}),
    (call("aten::linear.out", tensor(2, 4), tensor(3, 4), tensor(3)), {"linear.bias": ["0.5.0", "0.6.0"]}),
    (call("aten::linear.out", tensor(2, 4), tensor(3, 4), schema.Null()), {}),
    (call("aten::topk.values", tensor(3)), {"topk.python": ["0.4.0", "0.5.0", "0.6.0", "0.7.0"]}),
    (
        call("quantized_decomposed::dequantize_per_channel.out", tensor(2, dtype="CHAR"), tensor(2)),
        {"dequantize_per_channel.float_scale": ["0.2.1", "0.3.0"]},
    ),
    (call("quantized_decomposed::dequantize_per_channel.out", tensor(2, dtype="CHAR"), tensor(2, dtype="DOUBLE")), {}),
    (
        call("aten::constant_pad_nd.out", tensor(2, 3), [1, -1], ONE),
        {"pad.negative": ["0.2.1", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "1.0.1", *FROM_1_1]},
    ),
    (call("aten::constant_pad_nd.out", tensor(2, 3), [1, 0], ONE), {}),
]


@pytest.mark.parametrize(
    ("case", "expected"), OTHERS, ids=[f"{n}-{case.operator}" for n, (case, _) in enumerate(OTHERS)]
)
def test_conditions(case: Call, expected: dict[str, list[str]]) -> None:
    assert held(case) == expected


def test_the_python_bindings_fault_is_not_one_of_other_builds() -> None:
    (topk,) = (fault for fault in faults() if fault.id == "topk.python")
    assert topk in profile_for("0.6").faults
    assert topk.distribution == "python"


def value(*dims: int, dtype: str = "fp32") -> XNNTensorValue:
    return XNNTensorValue(datatype=XNNDatatype[f"xnn_datatype_{dtype}"], num_dims=len(dims), dims=dims)


@pytest.mark.parametrize(
    ("flags", "result", "expected"),
    [
        (0, (1, 1, 1, 16), ["0.3 and later"]),
        (64, (1, 1, 1, 16), ["up to 0.2"]),
        (0, (1, 16), ["up to 0.2"]),
        (64, (1, 16), ["0.3 and later"]),
    ],
)
def test_pooling_flag(flags: int, result: tuple[int, ...], expected: list[str]) -> None:
    use = NodeUse(
        XNNGlobalAvgPooling2d(input_id=0, output_id=1, flags=flags), {0: value(1, 6, 6, 16), 1: value(*result)}
    )
    rows = [fault for fault in faults() if fault.id == "xnnpack.global_pooling_dims"]
    assert [str(f.releases) for f in rows if NODE_CONDITIONS[f.condition](use, f.parameters)] == expected


@pytest.mark.parametrize(("bias", "expected"), [("qcint32", True), ("qint32", False)])
def test_linear_bias(bias: str, expected: bool) -> None:
    node = XNNFullyConnected(input1_id=0, filter_id=1, bias_id=2, output_id=3)
    use = NodeUse(node, {0: value(3, 8, dtype="qint8"), 1: value(4, 8, dtype="qcint8"), 2: value(4, dtype=bias)})
    (fault,) = (fault for fault in faults() if fault.id == "xnnpack.linear_qcint32_bias")
    assert NODE_CONDITIONS[fault.condition](use, fault.parameters) is expected


@pytest.mark.parametrize(("dtype", "expected"), [("qbint4", True), ("qcint4", False)])
def test_int4_weights_in_blocks(dtype: str, expected: bool) -> None:
    node = XNNFullyConnected(input1_id=0, filter_id=1, bias_id=2, output_id=3)
    use = NodeUse(node, {0: value(3, 8, dtype="qdint8"), 1: value(4, 8, dtype=dtype)})
    (fault,) = (fault for fault in faults() if fault.id == "xnnpack.blockwise_int4")
    assert NODE_CONDITIONS[fault.condition](use, fault.parameters) is expected
    assert [str(r) for r in releases() if fault in profile_for(r).faults] == ["0.4.0"]


def found(name: str) -> list[tuple[str, str, str]]:
    release, _, file = name.partition("/")
    uses = fault_uses(read_program(corpus_files.read(release, file), file=name))
    return [(use.fault.id, str(use.fault.releases), use.place) for use in uses]


def test_real_programs_name_the_place() -> None:
    code = "execution_plan[0].chains[0].instructions"
    assert found("1.0.1/gru.pte") == [("elementwise.rank_of_first", "0.5 to 0.7", f"{code}[21].instr_args")]
    assert found("0.4.0/map_model.pte") == [
        ("et_copy_index.static", "1.1 and later", f"{code}[4].instr_args"),
        ("et_copy_index.static", "up to 0.3", f"{code}[4].instr_args"),
    ]
    assert found("1.1.0/map_model.pte") == []
    assert found("0.2.1/xnnpack_mobile_block.pte") == [
        ("xnnpack.global_pooling_dims", "0.3 and later", "execution_plan[0].delegates[0]")
    ]


def test_broken_calls_have_no_faults() -> None:
    everything: list[Fault] = [fault for fault in faults() if fault.condition in CALL_CONDITIONS]
    for arguments in ((), (None,), (None,) * 12, (schema.Null(),) * 12):
        for fault in everything:
            if fault.condition != "always":
                for operator in fault.operators:
                    assert not CALL_CONDITIONS[fault.condition](call(operator, *arguments), fault.parameters)
    use = NodeUse(XNNFullyConnected(input1_id=9, filter_id=9, bias_id=9, output_id=9), {})
    for fault in faults():
        if fault.condition in NODE_CONDITIONS:
            assert not NODE_CONDITIONS[fault.condition](use, fault.parameters)
