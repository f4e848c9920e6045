"""The backend as a whole: registered by itself, in a lifted graph, and on payloads that were changed at random."""

from __future__ import annotations

import numpy as np
import pytest

import corpus_files
import pteron
from corpus_files import Case
from pteron.backends.interface import BACKENDS, BackendRegistry
from pteron.backends.xnnpack.backend import XnnpackBackend, expander, payload_graph
from pteron.backends.xnnpack.payload import read_payload
from pteron.executorch import Runtime
from pteron.format.bundled_program import read_bundled_program
from pteron.format.flat_tensor import TensorEntry, read_tensor_data
from pteron.format.program import Program, read_program
from pteron.graph.check import check_graph
from pteron.graph.evaluate import evaluate, initial_state
from pteron.graph.lift import lift
from pteron.ops.registry import REGISTRY
from xnnpack_agreement import disagreement, output_steps
from xnnpack_handles import argument
from xnnpack_payloads import payloads


def test_the_backend_is_there_without_being_asked_for() -> None:
    assert "XnnpackBackend" in Runtime.get().backend_registry.registered_backend_names
    assert Runtime.get().backend_registry.is_available("XnnpackBackend")
    assert isinstance(BACKENDS.get("XnnpackBackend"), XnnpackBackend)


def test_an_own_backend_takes_its_place_once_it_is_gone() -> None:
    backends = BackendRegistry()
    with pytest.raises(ValueError, match="registered already"):
        backends.register(XnnpackBackend())
    backends.unregister("XnnpackBackend")
    assert backends.get("XnnpackBackend") is None
    own = XnnpackBackend()
    backends.register(own)
    assert backends.get("XnnpackBackend") is own


def delegated(release: str) -> list[Case]:
    return [case for case in corpus_files.models(release) if case.backends == ["XnnpackBackend"]]


@pytest.mark.parametrize("release", corpus_files.releases())
def test_lifted_graphs_compute_the_same(release: str) -> None:
    """In line in the method's graph: every node is a registered operator, no delegate is left, the outputs agree."""
    for case in delegated(release):
        program, external = open_case(case)
        module = pteron.load(program, data=case.read_data(), engine="reference")
        for method in {call.method: None for call in case.calls()}:
            graph = lift(program, method, expand=expander(program, external), external=external)
            check_graph(graph, lambda op: found.functional if (found := REGISTRY.by_functional(op)) else None)
            assert not [node.op for node in graph.nodes() if node.op.startswith("delegate::")]
            steps = output_steps(program, method)
            state = initial_state(graph)
            for call in case.calls():
                if call.method != method:
                    continue
                tensors = [x for x in call.inputs if isinstance(x, np.ndarray)]
                outputs, state = evaluate(graph, tensors, state)
                for actual, expected, step in zip(outputs, module[method](*call.inputs), steps, strict=True):
                    found = disagreement(actual, expected, step)
                    assert not found, f"{case}, {method}: {found}"


def open_case(case: Case) -> tuple[Program, dict[str, TensorEntry]]:
    data = case.read()
    program = read_bundled_program(data).program if case.name.endswith(".bpte") else read_program(data, file=str(case))
    return program, {key: entry for part in case.read_data() for key, entry in read_tensor_data(part).entries.items()}


def test_weights_are_views_into_the_file() -> None:
    """Offsets are where an engine can map the bytes from."""
    for release, name in (
        ("0.5.0", "xnnpack_mlp.pte"),
        ("1.5.1", "xnnpack_mlp.pte"),
        ("1.5.1", "xnnpack_int8_linear.pte"),
    ):
        data = corpus_files.read(release, name)
        program = read_program(data, file=name)
        graph = lift(program, "forward", expand=expander(program, {}))
        placed = [constant for constant in graph.constants if constant.offset is not None]
        assert placed
        for constant in placed:
            assert constant.file == name
            assert constant.offset is not None
            stored = data[constant.offset : constant.offset + constant.data.nbytes]
            assert constant.data.tobytes() == stored


def test_quantised_layers_stay_quantised_in_the_graph() -> None:
    """Integer constants behind dequantisations, which stand directly before the layer: what engines fuse."""
    found = next(p for p in payloads("1.5.1") if p.file.endswith("/xnnpack_int8_mobile_block.pte"))
    graph = payload_graph(found.read(), found.named_data)
    layers = [node for node in graph.nodes() if node.op in ("aten::convolution", "aten::linear")]
    assert layers
    for layer in layers:
        for name in ("input", "weight", "bias"):
            operand = layer.operands[name]
            assert operand is not None
            producer = operand.producer  # type: ignore[union-attr]
            assert producer.op.startswith("quantized_decomposed::dequantize_per_")
            assert producer.operands["input"].tensor_type.dtype.kind == "i"


@pytest.mark.parametrize("file", ["xnnpack_int8_mobile_block.pte", "xnnpack_ops.pte", "custom_sdpa_llama_8da4w.pte"])
def test_changed_payloads_end_in_an_error_or_a_result(file: str) -> None:
    rng = np.random.default_rng(3)
    found = next(p for p in payloads("1.5.1") if p.file.endswith(f"/{file}"))
    original = bytes(found.data)
    ran = 0
    for _ in range(300):
        data = bytearray(original)
        for position in rng.integers(0, len(data), rng.integers(1, 4)):
            data[position] = rng.integers(0, 256)
        ran += survives(memoryview(bytes(data)), found.named_data)
    assert ran, "no changed payload ran: nothing was tested"


def survives(data: memoryview, named: object) -> bool:
    from pteron.backends.interface import DelegateContext

    try:
        handle = XnnpackBackend().init(data, DelegateContext("forward", "changed.pte", {}, named))  # type: ignore[arg-type]
        values = [value.tensor for value in read_payload(data).values.values() if value.tensor]
        external = {t.external_id: t for t in values if t.is_input or t.is_output}
        shapes = [[min(size, 64) for size in external[n].dims or ()] for n in sorted(external)]
        args = [argument(np.zeros(shape, np.float32)) for shape in shapes]
        handle.execute(args)
    except pteron.PteronError:
        return False
    return True
