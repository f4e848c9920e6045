"""Inputs made from signatures."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
from pteron.errors import LimitError, MethodNotFoundError
from pteron.format.limits import Limits
from pteron.format.program import Program, read_program
from pteron.prove.cases import Case, made_cases
from pteron.prove.compare import Tolerance, digest
from pteron.prove.exchange import dim_order
from pteron.prove.steps import output_scales
from pteron.runtime.module import load


def read(name: str, release: str = "1.5.1") -> Program:
    return read_program(corpus_files.read(release, name))


def make(program: Program, method: str | None = None, seed: int = 0) -> list[Case]:
    def runs(case: Case) -> bool:
        module = load(program, engine="reference")
        try:
            for call in case.calls:
                module[call.method].execute(list(call.inputs))
        except Exception:
            return False
        return True

    return made_cases(program, method, seed, Tolerance(), Limits(), runs)


def test_the_seed_decides() -> None:
    program = read("add.pte")
    first, second, other = (make(program, seed=seed)[0] for seed in (0, 0, 1))
    assert digest(first.values) == digest(second.values) != digest(other.values)
    assert [value.dtype.name for value in first.values] == ["float32", "float32"]


def test_dynamic_shapes_shrink_where_the_engine_runs() -> None:
    shapes = [next(case.values).shape for case in make(read("dynamic_mlp.pte"))]
    assert shapes == [(8, 16), (4, 16), (1, 16)]  # 16 is the width of the first layer, and stays


def test_integers_are_in_range() -> None:
    program = read("embedding_mean.pte")
    (case,) = make(program)
    indices = next(value for value in case.values if value.dtype.kind == "i")
    module = load(program, engine="reference")
    module["forward"].execute(list(case.calls[0].inputs))
    assert indices.max() > 1  # more than 0 and 1: the table has room for it
    assert indices.min() >= 0


def test_every_method_has_cases() -> None:
    program = read("multi_method.pte")
    assert {case.calls[0].method for case in make(program)} == set(program.methods)
    (name, *_) = program.methods
    assert {case.calls[0].method for case in make(program, name)} == {name}
    with pytest.raises(MethodNotFoundError, match="no method 'nonsense'"):
        make(program, "nonsense")


def test_dim_orders_are_kept() -> None:
    (case, *_) = make(read("channels_last_input.pte"))
    value = next(case.values)
    assert dim_order(value) == [0, 2, 3, 1]
    assert dim_order(np.ascontiguousarray(value)) == [0, 1, 2, 3]


def test_inputs_that_take_too_much() -> None:
    with pytest.raises(LimitError, match="take 48 bytes at their upper bounds"):
        made_cases(read("add.pte"), None, 0, Tolerance(), Limits(max_memory=47), lambda case: True)


def test_quantisation_steps_of_outputs() -> None:
    method = read("portable_quantized_convnet.pte").methods["forward"]
    assert any(scale is not None and 0 < scale < 1 for scale in output_scales(method))
    assert output_scales(read("add.pte").methods["forward"]) == (None,)
