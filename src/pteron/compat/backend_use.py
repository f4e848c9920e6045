"""Backends that a file delegates to, with what their payloads are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pteron.backends.identify import identify_payload
from pteron.backends.xnnpack.payload import read_payload
from pteron.backends.xnnpack.releases import Need, needs
from pteron.backends.xnnpack.schema import XNNGraph
from pteron.backends.xnnpack.values import (
    PerChannelGroupQuant,
    PerChannelQuant,
    PerTokenDynamicQuant,
    XNNDatatype,
    XNNTensorValue,
)
from pteron.errors import FormatError
from pteron.format.program import Program

XNNPACK = "XnnpackBackend"

XNNPACK_FEATURES: dict[str, tuple[str, str]] = {
    "constants.inline": ("Constants are stored inside the payload's flatbuffer.", "0.1.0"),
    "constants.region": ("Constants are stored behind the payload's flatbuffer.", "0.2.0"),
    "constants.named": ("Constants are blobs of the program's named data or of a .ptd file.", "0.6.0"),
    "scales.inline": ("Scales of quantised weights are stored inside the payload's flatbuffer.", "0.1.0"),
    "scales.constant": ("Scales of quantised weights are stored as constants.", "0.7.0"),
    "quant.per_channel": ("Weights are quantised per channel.", "0.1.0"),
    "quant.per_channel_group": ("Weights are quantised per group of a channel.", "0.2.0"),
    "quant.per_token": ("Activations are quantised at run time.", "0.2.0"),
    "dq_datatype": ("Inputs are quantised at run time as 0.1 wrote it.", "0.1.0"),
}
"""Feature of an XNNPACK payload -> sentence, first release whose runtime knows it."""


@dataclass(frozen=True, slots=True)
class BackendUse:
    """The payloads of one backend and one payload form.

    ``format`` is the payload's identifier, ``version`` what it says of its version and ``container`` the magic of a
    header around it (``XH00``). For XNNPACK ``node_types``
    and ``datatypes`` name what its graphs contain and ``features`` is out of :data:`XNNPACK_FEATURES`; ``named_keys``
    are blobs that the payloads ask for, and ``needs`` says which releases' runtimes know each thing inside. ``problem``
    says why a payload could not be read, or is empty.
    """

    id: str
    format: str
    version: str
    container: str
    node_types: tuple[str, ...]
    datatypes: tuple[str, ...]
    features: tuple[str, ...]
    named_keys: tuple[str, ...]
    max_rank: int
    compile_spec_keys: tuple[str, ...]
    payloads: int
    bytes: int
    methods: tuple[str, ...]
    places: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class _Graph:
    """What is inside of one payload, if it can be read."""

    node_types: frozenset[str] = frozenset()
    datatypes: frozenset[str] = frozenset()
    features: frozenset[str] = frozenset()
    named_keys: tuple[str, ...] = ()
    max_rank: int = 0
    needs: tuple[Need, ...] = ()
    problem: str = ""


def backend_uses(program: Program) -> tuple[BackendUse, ...]:
    """One entry per backend and payload form, in order of first use; payloads that cannot be read are said to be so."""
    groups: dict[tuple[str, str, str, str], list[tuple[str, str, int, _Graph, tuple[str, ...]]]] = {}
    for plan_index, plan in enumerate(program.root.execution_plan or ()):
        for index, delegate in enumerate(plan.delegates or ()):
            place = f"execution_plan[{plan_index}].delegates[{index}]"
            backend = delegate.id or ""
            try:
                payload = program.payload(delegate, place)
            except FormatError as error:
                key, size, graph = (backend, "unknown", "", ""), 0, _Graph(problem=error.problem)
            else:
                info = identify_payload(backend, payload)
                container = _container(payload)
                version = "" if info.version == container else info.version
                key, size = (backend, info.format, version, container), len(payload)
                graph = _xnnpack(payload, program.file, place) if backend == XNNPACK else _Graph()
            specs = tuple(spec.key or "" for spec in delegate.compile_specs or ())
            groups.setdefault(key, []).append((place, plan.name or "", size, graph, specs))
    return tuple(_use(*key, found) for key, found in groups.items())


def _use(
    backend: str,
    form: str,
    version: str,
    container: str,
    found: list[tuple[str, str, int, _Graph, tuple[str, ...]]],
) -> BackendUse:
    places, methods, sizes, graphs, specs = zip(*found, strict=True)
    return BackendUse(
        backend,
        form,
        version,
        container,
        tuple(sorted(frozenset().union(*(graph.node_types for graph in graphs)))),
        tuple(sorted(frozenset().union(*(graph.datatypes for graph in graphs)))),
        tuple(sorted(frozenset().union(*(graph.features for graph in graphs)))),
        tuple(dict.fromkeys(key for graph in graphs for key in graph.named_keys)),
        max(graph.max_rank for graph in graphs),
        tuple(dict.fromkeys(key for keys in specs for key in keys)),
        len(found),
        sum(sizes),
        tuple(dict.fromkeys(methods)),
        places,
        tuple({need.what: need for graph in reversed(graphs) for need in graph.needs}.values()),
        next((graph.problem for graph in graphs if graph.problem), ""),
    )


def _container(payload: memoryview) -> str:
    """The magic of the header that XNNPACK's and Vulkan's payloads start with, or an empty string."""
    magic = bytes(payload[4:8])
    return magic.decode() if magic in (b"XH00", b"VH00") else ""


def _xnnpack(payload: memoryview, file: str, place: str) -> _Graph:
    try:
        read = read_payload(payload, file=file, path=place)
    except FormatError as error:
        return _Graph(problem=error.problem)
    tensors = [value.tensor for value in read.graph.xvalues or () if value.tensor is not None]
    return _Graph(
        frozenset(read.node_kinds),
        frozenset(datatype.short for datatype in read.datatypes),
        frozenset(_features(read.graph, tensors)),
        read.named_keys,
        max((tensor.num_dims for tensor in tensors), default=0),
        needs(read),
    )


def _features(graph: XNNGraph, tensors: list[XNNTensorValue]) -> Iterator[str]:
    if any(buffer.storage for buffer in graph.constant_buffer or ()):
        yield "constants.inline"
    for entry in (graph.constant_data or ())[1:]:
        yield "constants.named" if entry.named_key else "constants.region"
    if any(tensor.dq_datatype != XNNDatatype.xnn_datatype_invalid for tensor in tensors):
        yield "dq_datatype"
    for value in graph.xvalues or ():
        quant = value.quant_params
        if isinstance(quant, PerTokenDynamicQuant):
            yield "quant.per_token"
        elif isinstance(quant, PerChannelQuant | PerChannelGroupQuant):
            yield "quant.per_channel" if isinstance(quant, PerChannelQuant) else "quant.per_channel_group"
            yield "scales.constant" if quant.scale_buffer_idx else "scales.inline"
