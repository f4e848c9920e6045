"""Golden cases of the prim operators.

Scalars are computed by the official runtime: for each case a program is written that holds the arguments as constants
and calls the operator once. What no runtime has, and the operators on tensors, come from torch or plain Python.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from executorch import version
from executorch.exir import schema
from executorch.exir._serialize import _serialize_pte_binary
from executorch.exir._serialize._program import PTEFile
from executorch.extension.pybindings.portable_lib import _load_for_executorch_from_buffer
from recorder import Recorder

RUNTIME = f"executorch {version.__version__} runtime"
I64 = (2**63 - 1, -(2**63))
INTS = [(7, 2), (-7, 2), (7, -2), (-7, -2), (0, 5), (6, 3), (-6, 3), (2**40, 3), (5, 5)]
FLOATS = [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (1.0, 0.1), (math.inf, 2.0), (math.nan, 1.0), (0.0, 3.0), (5.0, 5.0)]
MIXED = [(7, 2.0), (-7.5, 2), (3, 0.25), (5, 5.0)]


def evalue(value: Any) -> schema.EValue:
    if isinstance(value, bool):
        return schema.EValue(schema.Bool(value))
    return schema.EValue(schema.Int(value) if isinstance(value, int) else schema.Double(value))


def official(op: str, *args: Any) -> Any:
    """The operator's value as the official runtime computes it."""
    name, overload = op.split(".")
    plan = schema.ExecutionPlan(
        name="forward",
        container_meta_type=schema.ContainerMetadata(encoded_inp_str="", encoded_out_str=""),
        values=[*map(evalue, args), evalue(0)],
        inputs=[],
        outputs=[len(args)],
        chains=[
            schema.Chain(
                inputs=[],
                outputs=[],
                instructions=[schema.Instruction(schema.KernelCall(op_index=0, args=list(range(len(args) + 1))))],
                stacktrace=None,
            )
        ],
        operators=[schema.Operator(name=name, overload=overload)],
        delegates=[],
        non_const_buffer_sizes=[0, 0],
    )
    program = schema.Program(
        version=0,
        execution_plan=[plan],
        constant_buffer=[schema.Buffer(storage=b"")],
        backend_delegate_data=[],
        segments=[],
        constant_segment=schema.SubsegmentOffsets(segment_index=0, offsets=[]),
    )
    data = bytes(_serialize_pte_binary(PTEFile(program=program)))
    return _load_for_executorch_from_buffer(data).forward([])[0]


def record(rec: Recorder, op: str, *args: Any) -> None:
    rec.case(op, *args, expected=[official(op, *args)], rtol=1e-15, atol=0, source=RUNTIME)


def scalars(rec: Recorder) -> None:
    for name in ("add", "sub", "mul"):
        for pair in [*INTS, *FLOATS, *MIXED, (2**63 - 1, 2), (-(2**63), 3)]:
            record(rec, f"executorch_prim::{name}.Scalar", *pair)
    for name in ("eq", "gt", "lt", "ge", "le"):
        for pair in [*INTS, *FLOATS, *MIXED, (True, False), (True, True), I64]:
            record(rec, f"executorch_prim::{name}.Scalar", *pair)
    for pair in [*INTS, (1.0, 0.0), (-1.0, 0.0), *MIXED, *FLOATS]:
        record(rec, "executorch_prim::floordiv.Scalar", *pair)
    for pair in [*INTS, *FLOATS, *MIXED, (1, 0), (-1, 0), (0, 0), (-1.0, 0.0)]:
        record(rec, "executorch_prim::truediv.Scalar", *pair)
    for name in ("floordiv.int", "mod.int", "mod.Scalar", "sym_max.Scalar", "sym_min.Scalar"):
        for pair in INTS:
            record(rec, f"executorch_prim::{name}", *pair)


def unary(rec: Recorder) -> None:
    for value in (5, -5, 0, 2.5, -2.5, math.inf):
        record(rec, "executorch_prim::neg.Scalar", value)
    for value in (5, -5, 2**53 + 1, 2.5, True, False):
        record(rec, "executorch_prim::sym_float.Scalar", value)
    for value in (5, -5, 2.9, -2.9, 1e15, True, False):
        record(rec, "executorch_prim::sym_int.Scalar", value)
    for value in (True, False):
        record(rec, "executorch_prim::sym_not.Scalar", value)
        for pair in ((1, 2), (1.5, -2.5), (True, False), (3, 0.5)):
            record(rec, "executorch_prim::sym_ite.Scalar", value, *pair)
    for name in ("ceil", "round", "trunc"):
        for value in (2.5, 3.5, -2.5, -3.5, 0.5, -0.5, 2.4999, 7.0, 1e15 + 0.5):
            record(rec, f"executorch_prim::{name}.Scalar", value)


def without_runtime(rec: Recorder) -> None:
    python = "Python's arithmetic (no runtime has this operator)"
    for a, b in INTS:
        rec.case("executorch_prim::add.int", a, b, expected=[a + b], source=python)
        rec.case("executorch_prim::sub.int", a, b, expected=[a - b], source=python)
        rec.case("executorch_prim::eq.int", a, b, expected=[a == b], source=python)


def tensors(rec: Recorder) -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for dim in (0, 1, 2, -1, -3):
        rec.case("aten::sym_size.int", x, dim)
    for tensor in (x, np.zeros((0, 3), np.int8), np.array(4.0)):
        rec.case("aten::sym_numel", tensor)
    for tensor in (np.array([2.5, 3.5], np.float32)[:1], np.array(-7), np.array([[True]]), np.array(1.5, np.float16)):
        rec.case("aten::_local_scalar_dense", tensor)
    for size in ([24], [4, -1], [2, 3, 2, 2], [1, 24, 1], [-1]):
        expected = torch.from_numpy(x).view(size).numpy()
        rec.case("executorch_prim::et_view.default", x, size, expected=[expected], source="torch view")
    empty = np.zeros((0, 3), np.float16)
    rec.case("executorch_prim::et_view.default", empty, [3, 0], expected=[empty.reshape(3, 0)], source="definition")
    rows = torch.arange(6, dtype=torch.int32).reshape(3, 2)
    for index in range(4):
        new = torch.tensor([-1, -2], dtype=torch.int32)
        expected = torch.cat([rows[:index], new[None]]).numpy()
        rec.case(
            "executorch_prim::et_copy_index.tensor", rows.numpy(), new.numpy(), index, expected=[expected],
            source="torch cat, by the definition of kernels/prim_ops/et_copy_index.cpp",
        )  # fmt: skip


def main() -> None:
    rec = Recorder("prim")
    for section in (scalars, unary, without_runtime, tensors):
        section(rec)
    rec.save()


if __name__ == "__main__":
    main()
