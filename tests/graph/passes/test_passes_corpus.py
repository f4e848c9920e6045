"""Passes over every graph of the corpus: alone and together, outputs and states stay the same bit for bit."""

from __future__ import annotations

import copy

import pytest
from graph_equality import SEED, GraphModule, same, schema_of
from test_lift_corpus import lifted, tensor_inputs

import corpus_files
from pteron.errors import PteronError
from pteron.graph.check import check_graph
from pteron.graph.passes import DEFAULT_PASSES, Pass, run_passes
from pteron.runtime.module import load

ALONE = [("0.2.1", each) for each in DEFAULT_PASSES] + [("1.5.1", each) for each in DEFAULT_PASSES]


def unchanged(release: str, run: Pass) -> tuple[int, int, int]:
    """Nodes before and after, and how many calls gave the same."""
    before = after = calls = 0
    for case in corpus_files.cases(release):
        module = load(case.read(), data=case.read_data(), seed=SEED, engine="reference")
        if any(method.backends for method in module.methods.values()):
            continue
        graphs = lifted(module)
        rewritten = copy.deepcopy(graphs)
        for graph in rewritten.values():
            before += len(list(graph.nodes()))
            run(graph)
            check_graph(graph, schema_of)
            after += len(list(graph.nodes()))
        shared = frozenset(module._shared.buffers) if module._shared else frozenset()
        old, new = GraphModule(graphs, shared), GraphModule(rewritten, shared)
        for number, call in enumerate(case.calls()):
            inputs = tensor_inputs(module.methods[call.method], call.inputs)
            try:
                expected = old.call(call.method, inputs)
            except PteronError:
                break  # a fault of the file, which test_lift_corpus counts
            actual = new.call(call.method, inputs)
            assert all(map(same, expected, actual)), f"{case}, call {number}"
            calls += 1
    return before, after, calls


@pytest.mark.parametrize("release", corpus_files.releases())
def test_all_passes(release: str, record_property: pytest.RecordProperty) -> None:
    before, after, calls = unchanged(release, run_passes)
    row = {"release": release, "calls equal": calls, "nodes before": before, "nodes after": after}
    record_property("table: passes over the graphs of the corpus", row)
    assert calls
    assert after < before


@pytest.mark.parametrize(
    ("release", "each"), ALONE, ids=lambda p: p if isinstance(p, str) else p.__module__.split(".")[-1]
)
def test_each_pass_alone(release: str, each: Pass) -> None:
    _, _, calls = unchanged(release, each)
    assert calls
