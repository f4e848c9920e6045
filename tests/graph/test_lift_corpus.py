"""Every file of the corpus, lifted and evaluated: bit for bit what the reference engine gives, call by call.

Files with delegates are lifted and checked; what their delegates compute is no business of lifting.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from graph_equality import SEED, GraphModule, same, schema_of

import corpus_files
from corpus_files import Case
from pteron.backends.xnnpack.payload import read_payload
from pteron.errors import PteronError, UnsupportedError
from pteron.format.method import Method
from pteron.graph import Graph
from pteron.graph.check import check_graph
from pteron.graph.lift import lift
from pteron.runtime.module import Module, load

# file: why its memory or control flow cannot be said as a graph
NOT_LIFTED: dict[str, str] = {}


def tensor_inputs(method: Method, inputs: list[Any]) -> list[Any]:
    """The tensor inputs of a call, Python numbers as arrays."""
    return [
        np.asarray(given, info.scalar_type.dtype) if isinstance(given, bool | int | float) else given
        for info, given in zip(method.inputs, inputs, strict=True)
        if info.kind == "tensor" and info.scalar_type is not None
    ]


def lifted(module: Module) -> dict[str, Graph]:
    """The graphs of a module's methods, checked."""
    graphs = {}
    for name, method in module.methods.items():
        graph = lift(module.program, name, external=module._settings.external)
        check_graph(graph, None if method.backends else schema_of)
        graphs[name] = graph
    return graphs


def run(case: Case, module: Module, graphs: dict[str, Graph]) -> tuple[int, int, str]:
    """Runs the recorded calls on both: how many were equal, how many failed on both, and what differs."""
    shared = frozenset(module._shared.buffers) if module._shared else frozenset()
    evaluated = GraphModule(graphs, shared)
    for number, call in enumerate(case.calls()):
        inputs = tensor_inputs(module.methods[call.method], call.inputs)
        try:
            expected = module[call.method](*call.inputs)
        except PteronError as error:
            # A fault of the file must stop the graph in the same place.
            with pytest.raises(PteronError) as caught:
                evaluated.call(call.method, inputs)
            return number, 1, "" if _place(error) == _place(caught.value) else f"{caught.value} instead of {error}"
        actual = evaluated.call(call.method, inputs)
        if len(actual) != len(expected) or not all(map(same, expected, actual)):
            return number, 0, f"call {number} differs"
    return number + 1, 0, ""


def _place(error: BaseException) -> str:
    """``instruction 12`` of a message."""
    found = re.search(r"instruction \d+", str(error))
    return found[0] if found else str(error)


@pytest.mark.parametrize("release", corpus_files.releases())
def test_graphs_mean_what_the_instructions_mean(release: str, record_property: pytest.RecordProperty) -> None:
    counts = {"files": 0, "lifted": 0, "delegated": 0, "calls equal": 0, "failed on both": 0}
    refused, different = {}, []
    for case in corpus_files.cases(release):
        module = load(case.read(), data=case.read_data(), seed=SEED, engine="reference")
        counts["files"] += 1
        try:
            graphs = lifted(module)
        except UnsupportedError as error:
            refused[case.name] = str(error)
            continue
        counts["lifted"] += 1
        if any(method.backends for method in module.methods.values()):
            counts["delegated"] += 1
            continue
        equal, failed, found = run(case, module, graphs)
        counts["calls equal"] += equal
        counts["failed on both"] += failed
        if found:
            different.append(f"{case}: {found}")
    record_property("table: graphs lifted from the corpus", {"release": release, **counts, "refused": len(refused)})
    assert not different, "\n".join(different)
    # One file of 0.2.1 declares a result static that is not, and its own runtime stops there as well.
    assert counts["failed on both"] == (release == "0.2.1")
    assert refused.keys() == {name for name in NOT_LIFTED if name in corpus_files.names(release)}
    assert counts["lifted"] + len(refused) == counts["files"]


@pytest.mark.parametrize("release", corpus_files.releases())
def test_the_outputs_of_opaque_delegates_are_those_of_their_payloads(release: str) -> None:
    found = 0
    for case in corpus_files.models(release):
        module = load(case.read(), data=case.read_data(), engine="reference")
        for name, method in module.methods.items():
            graph = lift(module.program, name, external=module._settings.external)
            nodes = [node for node in graph.nodes() if node.op == "delegate::XnnpackBackend"]
            for node in nodes:
                delegate = (method.plan.delegates or ())[int(node.operands["delegate"])]  # type: ignore[arg-type]
                payload = read_payload(module.program.payload(delegate))
                tensors = [value.tensor for value in payload.values.values()]
                outputs = sorted(t.external_id for t in tensors if t is not None and t.is_output)
                inputs = [t.external_id for t in tensors if t is not None and t.is_input]
                written = node.operands["written"]
                assert isinstance(written, list)
                assert written[-len(outputs) :] == outputs, f"{case}: {node.source}"
                assert all(node.operands["args"][i] is not None for i in inputs), f"{case}: {node.source}"  # type: ignore[index]
                found += 1
    assert found
