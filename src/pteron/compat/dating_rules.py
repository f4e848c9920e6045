"""The rules of dating: what a file shows, and the releases that can have written it.

Facts are read from the exporters' sources at the tags v0.1.0 … v1.4.1 and main (exir/emit, exir/_serialize,
exir/memory_planning.py, exir/passes, backends/xnnpack); docs/dating.md explains each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pteron.compat.dating_sample import Sample
from pteron.compat.fingerprints import Writer
from pteron.format import schema
from pteron.format.schema import DataLocation, TensorShapeDynamism

MINORS = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
"""Minor releases in order; patch releases of one minor write alike."""

Releases = frozenset[str]
Predicate = Callable[[Sample], str | None]
"""The field path of what a rule looks for, "" for the file as a whole, or None where it is not there."""


@dataclass(frozen=True, slots=True)
class Rule:
    """``releases`` are the minor releases that can have written a file in which ``find`` finds something.

    ``hard`` is what those releases' exporters cannot do otherwise; a soft rule holds for their default configuration.
    ``layout`` is what a tool that reads the file and writes it again changes.
    """

    id: str
    sentence: str
    releases: Releases
    find: Predicate
    hard: bool = True
    layout: bool = False


def since(minor: str) -> Releases:
    """That release and later ones."""
    return frozenset(MINORS[MINORS.index(minor) :])


def until(minor: str) -> Releases:
    """That release and earlier ones."""
    return frozenset(MINORS[: MINORS.index(minor) + 1])


def between(first: str, last: str) -> Releases:
    """Both releases and those between them."""
    return since(first) & until(last)


def _feature(identifier: str) -> Predicate:
    def find(sample: Sample) -> str | None:
        feature = sample.features.get(identifier)
        return feature.place if feature else None

    return find


def _operator(*names: str) -> Predicate:
    def find(sample: Sample) -> str | None:
        return next((sample.operators[name].place for name in names if name in sample.operators), None)

    return find


def _backend(*ids: str) -> Predicate:
    def find(sample: Sample) -> str | None:
        return next((use.places[0] for use in sample.backends if use.id in ids), None)

    return find


def _payload(feature: str) -> Predicate:
    def find(sample: Sample) -> str | None:
        return next((use.places[0] for use in sample.xnnpack if feature in use.features), None)

    return find


def _keys(form: str, *, beside: str = "") -> Predicate:
    def find(sample: Sample) -> str | None:
        forms = sample.weight_keys
        return "named_data" if form in forms and (not beside or beside in forms) else None

    return find


def _writer(writer: Writer) -> Predicate:
    return lambda sample: "" if sample.writer is writer else None


def _scales_by_hash(sample: Sample) -> str | None:
    place = _payload("scales.constant")(sample)
    return place if place and sample.weight_keys == ("hash",) else None


def _constant_table(sample: Sample) -> str | None:
    return "constant_segment" if sample.program.root.constant_segment is not None else None


def _unknown(sample: Sample) -> str | None:
    return min((table for table, _ in sample.program.unknown_fields), default=None)


def _coarse_segments(sample: Sample) -> str | None:
    starts = sample.segment_starts
    return "segments" if len(starts) > 1 and not any(start % 4096 for start in starts) else None


def _fine_segments(sample: Sample) -> str | None:
    return "segments" if any(start % 4096 for start in sample.segment_starts) else None


def _getter(sizes: tuple[int, ...]) -> Predicate:
    """A method that returns values fixed at export, with these ``non_const_buffer_sizes``."""

    def find(sample: Sample) -> str | None:
        for path, plan in sample.plans:
            described = plan.container_meta_type
            runs = any(chain.instructions for chain in plan.chains or ())
            getter = described is not None and described.encoded_inp_str == "" and not runs and not plan.inputs
            if getter and plan.outputs and plan.non_const_buffer_sizes == sizes:
                return f"{path}.non_const_buffer_sizes"
        return None

    return find


def _copies_back(shared: bool) -> Predicate:
    """A buffer's new contents copied into it by a call whose result is the buffer's own value, or another one."""

    def find(sample: Sample) -> str | None:
        if "control.jump" in sample.features:
            return None
        for path, call, _ in sample.calls("aten::copy_"):
            args = call.args or ()
            if args and (args[0] == args[-1]) == shared:
                return path
        return None

    return find


def _static_map(sample: Sample) -> str | None:
    for path, call, plan in sample.calls("executorch_prim::et_copy_index.tensor"):
        values, args = plan.values or (), call.args or ()
        val = values[args[0]].val if args and 0 <= args[0] < len(values) else None
        if isinstance(val, schema.Tensor) and val.shape_dynamism == TensorShapeDynamism.STATIC:
            return path
    return None


def _delegate_called_twice(sample: Sample) -> str | None:
    for path, plan in sample.plans:
        called: set[int] = set()
        for chain_index, chain in enumerate(plan.chains or ()):
            for index, instruction in enumerate(chain.instructions or ()):
                call = instruction.instr_args
                if isinstance(call, schema.DelegateCall):
                    if call.delegate_index in called:
                        return f"{path}.chains[{chain_index}].instructions[{index}].instr_args"
                    called.add(call.delegate_index)
    return None


def _payload_used_twice(across: bool) -> Predicate:
    """Two delegates with one payload, in one method or in two methods."""

    def find(sample: Sample) -> str | None:
        before: set[tuple[DataLocation, int]] = set()
        for path, plan in sample.plans:
            own: set[tuple[DataLocation, int]] = set()
            for index, delegate in enumerate(plan.delegates or ()):
                if delegate.processed is None:
                    continue
                place = (delegate.processed.location, delegate.processed.index)
                if place in (before if across else own):
                    return f"{path}.delegates[{index}].processed"
                own.add(place)
            before |= own
        return None

    return find


def _planned(name: str) -> Predicate:
    def find(sample: Sample) -> str | None:
        for path, habits in sample.plan_habits:
            value = getattr(habits, name)
            if value is True:
                return f"{path}.non_const_buffer_sizes"
            if value is not None and value is not False:
                return f"{path}.values[{value}].val.allocation_info"
        return None

    return find


def _open_slice(sample: Sample) -> str | None:
    """A slice whose start is left out."""
    for path, call, plan in sample.calls("aten::slice_copy.Tensor_out"):
        values, args = plan.values or (), call.args or ()
        index = args[2] if len(args) > 2 else -1
        if 0 <= index < len(values) and isinstance(values[index].val, schema.Null):
            return path
    return None


_OPERATORS_SINCE: dict[str, tuple[str, ...]] = {
    "0.3": ("executorch_prim::et_view.default", "executorch_prim::sym_float.Scalar"),
    "0.4": ("executorch_prim::mod.Scalar", "executorch_prim::neg.Scalar"),
    "0.5": (
        "dim_order_ops::_empty_dim_order.out",
        "executorch_prim::ceil.Scalar",
        "executorch_prim::round.Scalar",
        "executorch_prim::trunc.Scalar",
    ),
    "0.7": ("llama::custom_quantized_sdpa.out", "llama::update_cache_with_indices.out"),
    "1.0": (
        "dim_order_ops::_clone_dim_order.out",
        "executorch_prim::sym_max.Scalar",
        "executorch_prim::sym_min.Scalar",
    ),
    "1.4": (
        "et_copy::_d2h_copy.out",
        "et_copy::_h2d_copy.out",
        "executorch_prim::sym_int.Scalar",
        "executorch_prim::sym_ite.Scalar",
        "executorch_prim::sym_not.Scalar",
    ),
}
_BACKENDS_SINCE: dict[str, tuple[str, ...]] = {
    "0.4": ("NeuropilotBackend",),
    "0.6": ("EthosUBackend", "TOSABackend"),
    "0.7": ("NeutronBackend", "OpenvinoBackend", "VgfBackend"),
    "1.0": ("EnnBackend",),
    "1.1": ("CudaBackend", "MetalBackend"),
    "1.3": ("MLXBackend",),
}
_NEWEST = MINORS[-1]
_BY_HASH = between("0.6", "1.0") | since("1.3")

RULES: tuple[Rule, ...] = (
    # Container
    Rule("unknown-field", "A field is newer than the newest release known.", since(_NEWEST), _unknown),
    Rule("constant-segment", "The program says where its constant segment is.", since("0.2"), _constant_table),
    Rule(
        "no-constant-segment",
        "No constant segment is written.",
        until("0.3"),
        _feature("constants.no_segment"),
        layout=True,
    ),
    Rule(
        "inline-constants",
        "Constants are inside the flatbuffer.",
        until("0.3"),
        _feature("constants.inline"),
        layout=True,
    ),
    Rule(
        "placeholder",
        "The constant segment is written although it is empty.",
        since("0.4"),
        _feature("constants.placeholder"),
        layout=True,
    ),
    Rule("header-24", "The header has 24 bytes.", until("0.7"), _feature("header.24"), layout=True),
    Rule("header-32", "The header has 32 bytes.", since("1.0"), _feature("header.32"), layout=True),
    Rule("flatc", "Tables are laid out as flatc lays them out.", until("1.1"), _writer(Writer.FLATC), layout=True),
    Rule(
        "generated-classes",
        "Tables are laid out as the generated Python classes do it.",
        since("1.2"),
        _writer(Writer.GENERATED_CLASSES),
        layout=True,
    ),
    Rule("offset-high", "Memory offsets use 64 bits.", since("0.2"), _feature("memory.offset_high")),
    Rule("initial-state", "Mutable buffers have initial data.", since("0.4"), _feature("state.initial")),
    Rule("external-tensor", "Tensors are in a .ptd file.", since("0.5"), _feature("external.tensor")),
    Rule(
        "external-planned",
        "Planned tensors are initialised from a .ptd file.",
        since("0.6"),
        _feature("external.planned"),
    ),
    Rule("named-data", "Blobs are stored by key.", since("0.6"), _feature("named_data")),
    Rule("tensor-name", "Tensors in the file carry their names.", since("0.7"), _feature("tensor.name")),
    Rule("device-tensor", "Tensors have a device.", since("1.3"), _feature("device.tensor")),
    Rule("device-memory", "Planned memory has a device.", since("1.3"), _feature("device.memory")),
    # Emission
    Rule(
        "getter-two-buffers",
        "A method that returns fixed values has two planned buffers.",
        until("0.2"),
        _getter((0, 0)),
    ),
    Rule(
        "getter-one-buffer", "A method that returns fixed values has one planned buffer.", since("0.3"), _getter((0,))
    ),
    Rule(
        "integer-loop",
        "A loop counts with add.int, sub.int or eq.int.",
        until("0.3"),
        _operator("executorch_prim::add.int", "executorch_prim::sub.int", "executorch_prim::eq.int"),
    ),
    *(
        Rule(f"operators-{minor}", f"An operator is used that {minor} introduced.", since(minor), _operator(*names))
        for minor, names in _OPERATORS_SINCE.items()
    ),
    Rule("copy-to-new-value", "A buffer is written back with a result of its own.", until("1.2"), _copies_back(False)),
    Rule(
        "copy-to-buffer", "A buffer is written back with the buffer itself as result.", since("1.3"), _copies_back(True)
    ),
    Rule("static-map", "A loop fills a tensor whose shape is static.", until("1.0"), _static_map),
    Rule("delegate-shared", "One delegate is called twice.", until("0.7"), _delegate_called_twice),
    Rule(
        "payload-repeated",
        "Two delegates of a method have one payload.",
        since("1.0"),
        _payload_used_twice(across=False),
    ),
    Rule(
        "payload-shared", "Two methods have delegates with one payload.", since("0.6"), _payload_used_twice(across=True)
    ),
    # Memory plan
    Rule(
        "plan-by-size",
        "Planned memory is not handed out in the order of the graph.",
        since("0.6"),
        _planned("not_by_graph"),
    ),
    Rule("plan-by-graph", "Planned memory is not handed out by size.", until("0.5"), _planned("not_by_size")),
    Rule("plan-padded", "64 bytes for XNNPACK end the planned memory.", since("0.6"), _planned("padded")),
    Rule("plan-unpadded", "No bytes for XNNPACK end the planned memory.", until("0.5"), _planned("unpadded")),
    # Backends
    *(
        Rule(f"backends-{minor}", f"A backend is used that {minor} introduced.", since(minor), _backend(*ids))
        for minor, ids in _BACKENDS_SINCE.items()
    ),
    Rule("arm-backend", "Ethos-U payloads are under the id ArmBackend.", until("0.5"), _backend("ArmBackend")),
    Rule(
        "xnnpack-inline",
        "An XNNPACK payload has its constants in its flatbuffer.",
        until("0.1"),
        _payload("constants.inline"),
    ),
    Rule(
        "xnnpack-region",
        "An XNNPACK payload has its constants behind its flatbuffer.",
        between("0.2", "0.5"),
        _payload("constants.region"),
    ),
    Rule(
        "xnnpack-named",
        "An XNNPACK payload has its constants in named data.",
        since("0.6"),
        _payload("constants.named"),
    ),
    Rule(
        "xnnpack-scales-inline",
        "Scales are inside an XNNPACK payload's flatbuffer.",
        until("0.6"),
        _payload("scales.inline"),
    ),
    Rule(
        "xnnpack-scales-constant",
        "Scales are constants of an XNNPACK payload.",
        since("0.7"),
        _payload("scales.constant"),
    ),
    Rule("xnnpack-scales-by-hash", "Scales are named by their hash alone.", between("0.7", "1.0"), _scales_by_hash),
    Rule("xnnpack-scales-marked", "Scales are named scale_ and their hash.", since("1.1"), _keys("scale_hash")),
    Rule("xnnpack-weights-by-name", "Weights are named by tensor and hash.", between("1.1", "1.2"), _keys("name_hash")),
    Rule("xnnpack-weights-by-hash", "Weights are named by their hash alone.", _BY_HASH, _keys("hash")),
    # Default configuration
    Rule(
        "segments-coarse",
        "Segments start at multiples of 4096 bytes.",
        until("0.3"),
        _coarse_segments,
        hard=False,
        layout=True,
    ),
    Rule(
        "segments-fine",
        "Segments start at other places than multiples of 4096 bytes.",
        since("0.4"),
        _fine_segments,
        hard=False,
        layout=True,
    ),
    Rule(
        "delegate-inline",
        "Payloads are inside the flatbuffer.",
        until("0.2"),
        _feature("delegate.inline"),
        hard=False,
        layout=True,
    ),
    Rule(
        "delegate-segment",
        "Payloads are in segments.",
        since("0.3"),
        _feature("delegate.segment"),
        hard=False,
        layout=True,
    ),
    Rule(
        "no-dim-order",
        "Tensors are converted without dim order.",
        until("0.4"),
        _operator("aten::_to_copy.out", "aten::empty.out"),
        hard=False,
    ),
    Rule(
        "dim-order",
        "Tensors are converted with dim order.",
        since("0.5"),
        _operator("dim_order_ops::_to_dim_order_copy.out"),
        hard=False,
    ),
    Rule(
        "clone-without-dim-order",
        "Tensors are cloned without dim order.",
        until("0.7"),
        _operator("aten::clone.out"),
        hard=False,
    ),
    Rule("slice-open", "The start of a slice is left out.", between("0.7", "0.7"), _open_slice, hard=False),
)
