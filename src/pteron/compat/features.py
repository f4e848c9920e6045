"""Format features: what of the PTE format a file uses, each with the first release whose runtime knows it.

Where a feature is a field, table or enum member, its release is the ``since`` of the declaration in
:mod:`pteron.format.schema`; the others come from the runtime's sources at the tags (runtime/executor/program.cpp,
runtime/executor/tensor_parser_portable.cpp, schema/extended_header.cpp, v0.1.0 … v1.4.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pteron.compat.forgotten_memory import without_memory
from pteron.format import schema
from pteron.format.declare import FieldSpec
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import SCHEMA, DeviceType, TensorDataLocation, TensorShapeDynamism


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature in use: ``id`` from :data:`CATALOGUE`, ``since`` the first release that knows it (empty: none does,
    as far as Pteron knows), ``place`` the field path of its first use."""

    id: str
    sentence: str
    since: str
    place: str


def _since(table: str, name: str = "") -> str:
    spec = SCHEMA.tables[table]
    return _field(table, name).since if name else spec.since


def _field(table: str, name: str) -> FieldSpec:
    return next(field for field in SCHEMA.tables[table].fields if field.name == name)


# id -> (sentence, first release whose runtime knows it)
CATALOGUE: dict[str, tuple[str, str]] = {
    "header.none": ("The file has no extended header, so it has no segments.", "0.1.0"),
    "header.24": ("The extended header has 24 bytes, without the size of the segment data.", "0.1.0"),
    "header.32": ("The extended header has 32 bytes and gives the size of the segment data.", "0.1.0"),
    "header.longer": ("The extended header is longer than any that Pteron knows.", "0.1.0"),
    "constants.inline": ("Constants are stored inside the flatbuffer.", "0.1.0"),
    "constants.no_segment": (
        "The file has no constant segment, not even an empty one, so runtimes take the path of inline constants.",
        "0.1.0",
    ),
    "constants.segment": ("Constants are stored in a segment.", _since("Program", "constant_segment")),
    "constants.placeholder": (
        "The constant segment has a placeholder offset only: the program has no constants.",
        "0.4.0",
    ),
    "constants.inline_oversized": ("A constant inside the flatbuffer has more bytes than its tensor.", "0.1.0"),
    "constants.dim_order": ("Constants lie in memory in another order than that of their dimensions.", "0.1.0"),
    "state.initial": (
        "Mutable buffers start from data in the file.",
        _since("Program", "mutable_data_segments"),
    ),
    "memory.offset_high": (
        "Planned memory reaches beyond 4 GiB, with 64-bit offsets.",
        _since("AllocationDetails", "memory_offset_high"),
    ),
    "external.tensor": ("Tensors come from a .ptd file.", "0.6.0"),
    "external.planned": ("Planned tensors are initialised from a .ptd file.", "0.6.0"),
    "named_data": ("The file stores blobs by key.", _since("Program", "named_data")),
    "named_data.with_external": (
        "The file has blobs by key and also needs a .ptd file; 0.7 refuses the two together.",
        "1.0.0",
    ),
    "tensor.name": (
        "Tensors carry names that a caller can look them up by.",
        _since("ExtraTensorInfo", "fully_qualified_name"),
    ),
    "memory.forgotten": ("An operator writes a tensor that the plan has no memory for.", "0.1.0"),
    "device.tensor": ("Tensors live on a device other than the CPU.", _since("ExtraTensorInfo", "device_type")),
    "device.memory": (
        "Planned memory lives on a device other than the CPU.",
        _since("ExecutionPlan", "non_const_buffer_device"),
    ),
    "delegate.inline": ("A delegate's payload is stored inside the flatbuffer.", "0.1.0"),
    "delegate.segment": ("A delegate's payload is stored in a segment.", "0.1.0"),
    "shape.dynamic": ("Tensors have shapes with upper bounds that may change at run time.", "0.1.0"),
    "shape.unbound": ("Tensors have shapes without upper bound, which no portable runtime loads.", ""),
    "tensor.storage_offset": ("Tensors have a storage offset, which no runtime loads.", ""),
    "control.jump": ("The program branches.", "0.1.0"),
    "control.loop": ("The program jumps backwards: it loops.", "0.1.0"),
    "control.move": ("The program moves values.", "0.1.0"),
    "control.free": ("The program frees tensors.", "0.1.0"),
    "list.tensor": ("Operators are called with lists of tensors.", "0.1.0"),
    "list.optional_tensor": ("Operators are called with lists of tensors that may be missing.", "0.1.0"),
    "value.string": ("Operators are called with strings.", "0.1.0"),
    "stacktrace": ("Instructions carry their Python stack traces.", "0.1.0"),
    "rank.high": ("A tensor has more than 16 dimensions, which runtimes refuse since 1.0.", ""),
}

_ACCEPTED_SINCE = {
    # Releases whose load check takes the type; the schema lists some of them later or never.
    ScalarType.HALF: "0.2.0",
    ScalarType.BFLOAT16: "0.3.0",
    ScalarType.COMPLEX_HALF: "0.6.0",
    ScalarType.COMPLEX_FLOAT: "0.6.0",
    ScalarType.COMPLEX_DOUBLE: "0.6.0",
    **{
        ScalarType[name]: since
        for name, since in SCHEMA.enums["ScalarType"].since.items()
        if name not in ("HALF", "BFLOAT16")
    },
}

MAX_RANK = 16
_UNKNOWN = "unknown."


def dtype_since(scalar_type: ScalarType) -> str:
    """First release whose runtime loads tensors of the type."""
    return _ACCEPTED_SINCE.get(scalar_type, "0.1.0")


def features_of(program: Program) -> tuple[Feature, ...]:
    """The features that a program uses, each once, with the place of its first use."""
    found: dict[str, Feature] = {}
    for identifier, place in _uses(program):
        if identifier not in found:
            found[identifier] = _feature(identifier, place)
    return tuple(found.values())


def _feature(identifier: str, place: str) -> Feature:
    if identifier.startswith("dtype."):
        scalar_type = ScalarType[identifier.removeprefix("dtype.").upper()]
        sentence = f"Tensors have elements of type {scalar_type.torch_name}."
        return Feature(identifier, sentence, dtype_since(scalar_type), place)
    if identifier.startswith(_UNKNOWN):
        return Feature(identifier, "The file has a field of a release newer than Pteron knows.", "", place)
    sentence, since = CATALOGUE[identifier]
    return Feature(identifier, sentence, since, place)


def _uses(program: Program) -> Iterator[tuple[str, str]]:
    yield from _container(program)
    external = False
    for index, plan in enumerate(program.root.execution_plan or ()):
        path = f"execution_plan[{index}]"
        for identifier, place in _plan(plan, path, program.root.constant_buffer or ()):
            external = external or identifier.startswith("external.")
            yield identifier, place
    if external and program.root.named_data:
        yield "named_data.with_external", "named_data"
    for table, number in sorted(program.unknown_fields):
        yield f"{_UNKNOWN}{table}.{number}", table


def _container(program: Program) -> Iterator[tuple[str, str]]:
    root, header = program.root, program.header
    if header is None:
        yield "header.none", "header"
    else:
        yield {24: "header.24", 32: "header.32"}.get(header.length, "header.longer"), "header.length"
    segment = root.constant_segment
    if any(buffer.storage for buffer in root.constant_buffer or ()):
        yield "constants.inline", "constant_buffer"
    if segment is None or not segment.offsets:
        yield "constants.no_segment", "constant_segment"
    else:
        yield "constants.placeholder" if len(segment.offsets) == 1 else "constants.segment", "constant_segment"
    if root.mutable_data_segments:
        yield "state.initial", "mutable_data_segments"
    if root.named_data:
        yield "named_data", "named_data"


def memory_order(tensor: schema.Tensor) -> tuple[int, ...]:
    """The tensor's dimensions from the outermost in memory to the innermost; those of size 1 lie nowhere."""
    sizes = tensor.sizes or ()
    return tuple(dim for dim in tensor.dim_order or () if dim < len(sizes) and sizes[dim] != 1)


def is_contiguous(tensor: schema.Tensor) -> bool:
    """Whether the elements lie in memory in the order of the dimensions."""
    order = memory_order(tensor)
    return order == tuple(sorted(order))


def _constant(tensor: schema.Tensor, buffers: tuple[schema.Buffer, ...], place: str) -> Iterator[tuple[str, str]]:
    index = tensor.data_buffer_idx
    if tensor.allocation_info is not None or not index:
        return
    if not is_contiguous(tensor):
        yield "constants.dim_order", f"{place}.dim_order"
    if index < len(buffers) and tensor.sizes is not None:
        nbytes = math.prod(tensor.sizes) * tensor.scalar_type.itemsize
        if len(buffers[index].storage or b"") > nbytes:
            yield "constants.inline_oversized", f"{place}.data_buffer_idx"


def _plan(plan: schema.ExecutionPlan, path: str, buffers: tuple[schema.Buffer, ...]) -> Iterator[tuple[str, str]]:
    for index, value in enumerate(plan.values or ()):
        val = value.val
        place = f"{path}.values[{index}].val"
        if isinstance(val, schema.Tensor):
            yield from _tensor(val, place)
            yield from _constant(val, buffers, place)
        elif isinstance(val, schema.TensorList):
            yield "list.tensor", place
        elif isinstance(val, schema.OptionalTensorList):
            yield "list.optional_tensor", place
        elif isinstance(val, schema.String):
            yield "value.string", place
    for index in without_memory(plan):
        yield "memory.forgotten", f"{path}.values[{index}].val"
    for index, delegate in enumerate(plan.delegates or ()):
        inline = delegate.processed is None or delegate.processed.location == schema.DataLocation.INLINE
        yield "delegate.inline" if inline else "delegate.segment", f"{path}.delegates[{index}].processed"
    for index, device in enumerate(plan.non_const_buffer_device or ()):
        if device.device_type != DeviceType.CPU:
            yield "device.memory", f"{path}.non_const_buffer_device[{index}]"
    for index, chain in enumerate(plan.chains or ()):
        if chain.stacktrace:
            yield "stacktrace", f"{path}.chains[{index}].stacktrace"
        yield from _instructions(chain, f"{path}.chains[{index}]")


def _tensor(tensor: schema.Tensor, place: str) -> Iterator[tuple[str, str]]:
    yield f"dtype.{tensor.scalar_type.name.lower()}", f"{place}.scalar_type"
    if tensor.shape_dynamism == TensorShapeDynamism.DYNAMIC_BOUND:
        yield "shape.dynamic", f"{place}.shape_dynamism"
    elif tensor.shape_dynamism == TensorShapeDynamism.DYNAMIC_UNBOUND:
        yield "shape.unbound", f"{place}.shape_dynamism"
    if tensor.storage_offset:
        yield "tensor.storage_offset", f"{place}.storage_offset"
    if len(tensor.sizes or ()) > MAX_RANK:
        yield "rank.high", f"{place}.sizes"
    allocation, extra = tensor.allocation_info, tensor.extra_tensor_info
    if allocation is not None and allocation.memory_offset_high:
        yield "memory.offset_high", f"{place}.allocation_info.memory_offset_high"
    if extra is None:
        return
    if extra.location == TensorDataLocation.EXTERNAL:
        yield "external.tensor" if allocation is None else "external.planned", f"{place}.extra_tensor_info.location"
    elif extra.fully_qualified_name:
        yield "tensor.name", f"{place}.extra_tensor_info.fully_qualified_name"
    if extra.device_type != DeviceType.CPU:
        yield "device.tensor", f"{place}.extra_tensor_info.device_type"


def _instructions(chain: schema.Chain, path: str) -> Iterator[tuple[str, str]]:
    for index, instruction in enumerate(chain.instructions or ()):
        call = instruction.instr_args
        place = f"{path}.instructions[{index}].instr_args"
        if isinstance(call, schema.JumpFalseCall):
            yield "control.jump", place
            if call.destination_instruction <= index:
                yield "control.loop", place
        elif isinstance(call, schema.MoveCall):
            yield "control.move", place
        elif isinstance(call, schema.FreeCall):
            yield "control.free", place
