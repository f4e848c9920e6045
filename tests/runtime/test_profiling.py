"""Profiles: operators by their names, counted right, on both engines and between them."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.ops import Registry
from pteron.runtime.engines import EngineName
from pteron.runtime.onnx_engine.profiler import LAYOUT, NodeTime
from pteron.runtime.profiling import MethodProfile, _of_steps, _typical


def case(name: str) -> corpus_files.Case:
    return next(case for case in corpus_files.models("1.5.1") if case.name == name)


def profiled(name: str, engine: EngineName, **options: Any) -> MethodProfile:
    call = case(name).calls()[0]
    module = pteron.load(case(name).read(), engine=engine, threads=1)
    return module.profile(call.method, call.inputs, **options)


def counts(profile: MethodProfile) -> dict[str, float]:
    return {" + ".join(each.operators): each.calls for each in profile.operators}


def test_the_reference_engine_counts_instructions() -> None:
    profile = profiled("lenet.pte", "reference", runs=3)
    expected = pteron.open(case("lenet.pte").read()).methods["forward"].operators
    assert counts(profile) == expected
    assert {each.engine for each in profile.operators} == {"reference"}
    assert (profile.engine, profile.runs) == ("reference", 3)


def test_fused_operators_are_named_together() -> None:
    found = counts(profiled("mlp.pte", "onnxruntime", runs=5))
    plan = pteron.load(case("mlp.pte").read(), engine="onnxruntime").plan()["forward"]
    planned = Counter(op for entry in plan.entries for op in entry.operators)
    products = {name: number for name, number in found.items() if "aten::addmm" in name}
    assert sum(products.values()) == planned["aten::addmm"]
    assert any(" + " in name for name in products)


def test_integer_kernels_are_named_by_the_layer_that_they_are() -> None:
    profile = profiled("xnnpack_int8_convnet.pte", "onnxruntime", runs=2)
    layers = [each for each in profile.operators if "QLinearConv" in each.kernels]
    assert sum(each.calls for each in layers) == 2
    for each in layers:
        assert "aten::convolution" in each.operators
        assert "quantized_decomposed::dequantize_per_channel" not in each.operators


def test_kernels_between_sessions_and_loops() -> None:
    profile = profiled("map_model.pte", "onnxruntime", runs=2)
    by_name = {" + ".join(each.operators): each for each in profile.operators}
    rows = len(case("map_model.pte").calls()[0].inputs[0])
    between = by_name["executorch_prim::et_copy_index.tensor"]
    assert (between.engine, between.kernels, between.calls) == ("reference", (), rows)
    assert (by_name["aten::relu"].engine, by_name["aten::relu"].calls) == ("onnxruntime", rows)


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
@pytest.mark.parametrize("name", ["lenet.pte", "kv_cache.pte", "xnnpack_attention.pte", "multi_method.pte"])
def test_the_parts_make_the_whole(name: str, engine: EngineName) -> None:
    profile = profiled(name, engine, runs=3)
    times = [each.seconds for each in profile.operators]
    assert times == sorted(times, reverse=True)
    assert all(each.seconds >= 0 and each.calls > 0 for each in profile.operators)
    assert math.isclose(profile.seconds, math.fsum(times) + profile.between_seconds, rel_tol=1e-6) or (
        profile.between_seconds == 0 and profile.seconds < math.fsum(times)
    )


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_a_slow_operator_is_found(engine: EngineName) -> None:
    operators = Registry()

    @pteron.operator(
        "aten::add.Tensor(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor", out="out", registry=operators
    )
    def add(self: Any, other: Any, alpha: Any) -> Any:
        time.sleep(0.02)
        return self + alpha * other

    module = pteron.load(case("add.pte").read(), engine=engine, operators=operators)
    profile = module.profile("forward", case("add.pte").calls()[0].inputs, runs=2)
    (slow,) = profile.operators
    assert slow.operators[0].startswith("aten::add.")
    assert 0.02 <= slow.seconds <= profile.seconds


@pytest.mark.parametrize("engine", ["reference", "onnxruntime"])
def test_state_stays_as_it_is(engine: EngineName) -> None:
    calls = case("mutable_counter.pte").calls()
    module = pteron.load(case("mutable_counter.pte").read(), engine=engine)
    for call in calls:
        module.profile("forward", call.inputs, runs=2)
        np.testing.assert_allclose(module.forward(*call.inputs)[0], call.outputs[0], rtol=1e-6)


def test_wrong_numbers_of_runs_and_wrong_inputs() -> None:
    module = pteron.load(case("add.pte").read())
    with pytest.raises(ValueError, match="runs must be at least 1"):
        module.profile("forward", case("add.pte").calls()[0].inputs, runs=0)
    with pytest.raises(pteron.InputError):
        module.profile("forward", [])
    with pytest.raises(pteron.MethodNotFoundError):
        module.profile("backward", [])


def test_one_interruption_counts_for_little() -> None:
    assert _typical((1.0, 1.0, 50.0), 3) == 1.0
    assert _typical((1.0, 3.0, 1.0, 3.0, 90.0, 3.0), 3) == 4.0  # twice in a call
    assert _typical((1.0, 2.0, 3.0), 2) == 3.0  # not equally often
    (row,) = _of_steps([[("a", 1.0), ("a", 2.0)], [("a", 1.0), ("a", 2.0)], [("a", 70.0), ("a", 2.0)]])
    assert (row.seconds, row.calls) == (3.0, 2.0)
    rows = _of_steps([[("a", 1.0)], [("a", 1.0), ("b", 1.0)]])
    assert {row.operators: (row.seconds, row.calls) for row in rows} == {("a",): (1.0, 1.0), ("b",): (0.5, 0.5)}


def test_changes_of_layout_are_no_operator() -> None:
    assert NodeTime((LAYOUT,), ("0.ReorderOutput",), "ReorderOutput", (1e-6,)).operators == ("memory layout",)
    assert LAYOUT in counts(profiled("lenet.pte", "onnxruntime", runs=1))
