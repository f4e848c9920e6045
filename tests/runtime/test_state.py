"""Mutable state, shared state, threads, repeatable random numbers, limits."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import corpus_files
import pteron
from pteron.format import schema


def case(name: str, release: str = "1.5.1") -> corpus_files.Case:
    return next(c for c in corpus_files.cases(release) if c.name == name)


def run_calls(module: pteron.Module, calls: list[corpus_files.Call]) -> list[np.ndarray]:
    return [module[call.method](*call.inputs)[0] for call in calls]


@pytest.mark.parametrize("name", ["mutable_counter.pte", "kv_cache.pte", "initialized_mutable_buffer.pte"])
def test_state_is_kept_and_reset(name: str) -> None:
    recorded = case(name)
    calls = recorded.calls()
    assert len(calls) > 1
    module = pteron.load(recorded.read())
    first = run_calls(module, calls)
    for output, call in zip(first, calls, strict=True):
        np.testing.assert_allclose(output, call.outputs[0], rtol=1e-5, atol=1e-6)
    again = run_calls(module, calls)
    module.reset()
    after = run_calls(module, calls)
    np.testing.assert_array_equal(np.stack(first), np.stack(after))
    if name == "mutable_counter.pte":
        assert not np.array_equal(np.stack(first), np.stack(again))


def test_modules_do_not_share_state() -> None:
    recorded = case("mutable_counter.pte")
    program = pteron.open(recorded.read())
    call = recorded.calls()[0]
    one, two = pteron.load(program), pteron.load(program)
    first = one.forward(*call.inputs)[0]
    one.forward(*call.inputs)
    np.testing.assert_array_equal(two.forward(*call.inputs)[0], first)


def test_named_state_is_shared_between_methods() -> None:
    recorded = case("mutable_buffer_shared_state.pte")
    calls = recorded.calls()
    assert len({call.method for call in calls}) == 2
    for options in ({}, {"share_memory_arenas": True}):
        outputs = run_calls(pteron.load(recorded.read(), **options), calls)
        np.testing.assert_array_equal(np.stack(outputs), np.stack([c.outputs[0] for c in calls]))
    apart = run_calls(pteron.load(recorded.read(), share_memory_arenas=False), calls)
    assert not np.array_equal(np.stack(apart), np.stack([c.outputs[0] for c in calls]))


def test_one_module_in_many_threads() -> None:
    recorded = case("lenet.pte")
    module = pteron.load(recorded.read())
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(recorded.calls()[0].inputs[0].shape).astype(np.float32) for _ in range(40)]
    expected = [module.forward(x)[0] for x in inputs]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda x: module.forward(x)[0], inputs))
    for output, right in zip(outputs, expected, strict=True):
        np.testing.assert_array_equal(output, right)


def test_two_modules_in_parallel() -> None:
    recorded = case("attention_block.pte")
    call = recorded.calls()[0]

    def work(_: int) -> np.ndarray:
        module = pteron.load(recorded.read())
        return np.stack([module.forward(*call.inputs)[0] for _ in range(5)])

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(8)))
    for result in results:
        np.testing.assert_allclose(result[0], call.outputs[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(result, results[0])


def test_seed_repeats_random_operators() -> None:
    data = corpus_files.read("1.5.1", "ops/rand.0.pte")
    inputs = case("ops/rand.0.pte").calls()[0].inputs
    outputs = [pteron.load(data, seed=seed).forward(*inputs)[0] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def endless(program: pteron.Program) -> pteron.Program:
    """The program with a jump to itself at its end."""
    plan = program.root.execution_plan[0]
    false = len(plan.values)
    end = len(plan.chains[0].instructions)
    jump = schema.Instruction(schema.JumpFalseCall(cond_value_index=false, destination_instruction=end))
    chain = dataclasses.replace(plan.chains[0], instructions=(*plan.chains[0].instructions, jump))
    plan = dataclasses.replace(plan, values=(*plan.values, schema.EValue(schema.Bool(False))), chains=(chain,))
    return program.replace(root=dataclasses.replace(program.root, execution_plan=(plan,)))


def test_an_endless_loop_ends() -> None:
    recorded = case("add.pte")
    program = pteron.open(recorded.read(), limits=pteron.Limits(max_instructions=1000))
    with pytest.raises(pteron.ExecutionError, match=r"more than 1,000 instructions; raise Limits\.max_instructions"):
        pteron.load(endless(program)).forward(*recorded.calls()[0].inputs)


def test_planned_memory_is_capped() -> None:
    data = corpus_files.read("1.5.1", "lenet.pte")
    limits = pteron.Limits(max_memory=1000)
    with pytest.raises(pteron.VerificationError, match=r"Limits\.max_memory is 1,000"):
        pteron.load(data, limits=limits)
    with pytest.raises(pteron.LimitError, match=r"plans [\d,]+ bytes of memory, more than 1,000"):
        _ = pteron.load(data, limits=limits, verify=False).forward
