"""Moving constants and delegate payloads between the flatbuffer and the segments.

Each function takes a Program and gives a new one with the same meaning; indices of segments and payloads are renumbered
wherever they are used. Offsets in ``root.segments`` are left for the writer to set.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator

from pteron.errors import LimitError, UnsupportedError
from pteron.format import schema
from pteron.format.program import Program
from pteron.format.schema import BackendDelegate, BackendDelegateDataReference, DataLocation, TensorDataLocation
from pteron.format.source import memory_address

_EMPTY = memoryview(b"")
_FLOOR = 1 << 16


def align_up(offset: int, alignment: int) -> int:
    """The next multiple of ``alignment`` from ``offset`` on."""
    return -(-offset // alignment) * alignment


def constant_sizes(program: Program) -> dict[int, int]:
    """Bytes of each constant by its index, taken from the tensors that use it; the largest where several share one.

    The file does not store these sizes. Tensors that are planned, external or uninitialised use no constant.
    """
    sizes: dict[int, int] = {}
    for plan in program.root.execution_plan or ():
        for value in plan.values or ():
            tensor = value.val
            if isinstance(tensor, schema.Tensor) and _is_constant(tensor):
                nbytes = math.prod(tensor.sizes or ()) * tensor.scalar_type.itemsize
                sizes[tensor.data_buffer_idx] = max(nbytes, sizes.get(tensor.data_buffer_idx, 0))
    return sizes


def _is_constant(tensor: schema.Tensor) -> bool:
    extra = tensor.extra_tensor_info
    external = extra is not None and extra.location == TensorDataLocation.EXTERNAL
    return tensor.data_buffer_idx > 0 and tensor.allocation_info is None and not external


def constants_to_buffers(program: Program) -> Program:
    """Constants from the constant segment to the inline ``constant_buffer``, as exporters wrote before 0.4.

    Raises ``UnsupportedError`` where a constant's size cannot be known because no tensor uses it.
    """
    place = program.root.constant_segment
    if place is None or not place.offsets:
        return program
    _refuse_both(program)
    sizes = constant_sizes(program)
    unknown = next((index for index in range(1, len(place.offsets)) if index not in sizes), None)
    if unknown is not None:
        raise UnsupportedError(
            f"{program.file}: no tensor uses constant {unknown}, so its size is not known and it cannot be moved; "
            "keep the constants where they are"
        )
    segment = program.segment(place.segment_index, "constant_segment.segment_index")
    total = sum(sizes.get(index, 0) for index in range(1, len(place.offsets)))
    if total > program.limits.max_expansion * (len(segment) + _FLOOR):
        raise LimitError(
            f"constants overlap so that they take {total:,} bytes out of a segment of {len(segment):,}; "
            "raise Limits.max_expansion to move them",
            file=program.file,
            path="constant_segment",
        )
    buffers = tuple(
        schema.Buffer(program.constant(index, sizes.get(index, 0), f"constant_segment.offsets[{index}]"))
        for index in range(len(place.offsets))
    )
    root = dataclasses.replace(program.root, constant_buffer=buffers, constant_segment=None)
    moved = program.replace(root=root)
    return _without_segments(moved, {place.segment_index} - set(_uses(root)))


def constants_to_segment(program: Program, alignment: int) -> Program:
    """Constants to one constant segment, each at a multiple of ``alignment`` bytes from its start.

    A constant segment that is aligned so already stays as it is; another one is packed again, which needs the
    constants' sizes and raises ``UnsupportedError`` where one is not known.
    """
    place = program.root.constant_segment
    if place is not None and place.offsets:
        if all(offset % alignment == 0 for offset in place.offsets):
            return program
        program = constants_to_buffers(program)
    buffers = program.root.constant_buffer
    if not buffers:
        return program
    data = bytearray()
    offsets = []
    placed: dict[tuple[int, int], int] = {}
    for buffer in buffers:
        storage = buffer.storage or _EMPTY
        identity = (memory_address(storage), len(storage)) if storage else (0, 0)
        if identity not in placed:
            data += bytes(align_up(len(data), alignment) - len(data)) if storage else b""
            placed[identity] = len(data)
            data += storage
        offsets.append(placed[identity])
    inserted = _with_segments(program, 0, [memoryview(bytes(data))])
    constant_segment = schema.SubsegmentOffsets(segment_index=0, offsets=tuple(offsets))
    root = dataclasses.replace(inserted.root, constant_buffer=(), constant_segment=constant_segment)
    return inserted.replace(root=root)


def _refuse_both(program: Program) -> None:
    if program.root.constant_buffer:
        raise UnsupportedError(
            f"{program.file}: constants are both inline and in a segment; which of them count is not defined, so they "
            "cannot be moved"
        )


def payloads_to_inline(program: Program) -> Program:
    """Delegate payloads from segments to ``backend_delegate_data``; a payload that several delegates share is one."""
    inline = list(program.root.backend_delegate_data or ())
    numbers: dict[int, int] = {}

    def move(delegate: BackendDelegate, path: str) -> BackendDelegate:
        processed = delegate.processed
        if processed is None or processed.location is not DataLocation.SEGMENT:
            return delegate
        if processed.index not in numbers:
            numbers[processed.index] = len(inline)
            inline.append(schema.BackendDelegateInlineData(program.payload(delegate, path)))
        reference = BackendDelegateDataReference(DataLocation.INLINE, numbers[processed.index])
        return dataclasses.replace(delegate, processed=reference)

    root = _map_delegates(program.root, move)
    if not numbers:
        return program
    moved = program.replace(root=dataclasses.replace(root, backend_delegate_data=tuple(inline)))
    return _without_segments(moved, set(numbers) - set(_uses(root)))


def payloads_to_segments(program: Program) -> Program:
    """Inline delegate payloads to segments of their own; empty ones stay inline, as exporters leave them.

    Payloads with equal bytes share a segment. Inline entries that no delegate uses stay too.
    """
    inline = program.root.backend_delegate_data or ()
    segments: list[memoryview] = []
    numbers: dict[bytes, int] = {}
    # Before the named data, where exporters put them.
    end = len(program.segment_data)
    first = min((entry.segment_index for entry in program.root.named_data or ()), default=end)
    first = min(first, end)
    moved: dict[int, int] = {}
    for delegate, path in _delegates(program.root):
        if delegate.processed is None or delegate.processed.location is not DataLocation.INLINE:
            continue
        payload = program.payload(delegate, path)
        if payload and delegate.processed.index not in moved:
            digest = hashlib.sha256(payload).digest()
            if digest not in numbers:
                numbers[digest] = first + len(segments)
                segments.append(payload)
            moved[delegate.processed.index] = numbers[digest]
    if not moved:
        return program
    kept = {index: number for number, index in enumerate(i for i in range(len(inline)) if i not in moved)}
    program = _with_segments(program, first, segments)

    def move(delegate: BackendDelegate, path: str) -> BackendDelegate:
        processed = delegate.processed
        if processed is None or processed.location is not DataLocation.INLINE:
            return delegate
        if processed.index in moved:
            reference = BackendDelegateDataReference(DataLocation.SEGMENT, moved[processed.index])
        else:
            reference = BackendDelegateDataReference(DataLocation.INLINE, kept[processed.index])
        return dataclasses.replace(delegate, processed=reference)

    root = _map_delegates(program.root, move)
    return program.replace(root=dataclasses.replace(root, backend_delegate_data=tuple(inline[i] for i in kept)))


def _delegates(root: schema.Program) -> Iterator[tuple[BackendDelegate, str]]:
    for p, plan in enumerate(root.execution_plan or ()):
        for d, delegate in enumerate(plan.delegates or ()):
            yield delegate, f"execution_plan[{p}].delegates[{d}]"


def _map_delegates(root: schema.Program, change: Callable[[BackendDelegate, str], BackendDelegate]) -> schema.Program:
    if root.execution_plan is None:
        return root
    plans = []
    for p, plan in enumerate(root.execution_plan):
        delegates = plan.delegates and tuple(
            change(delegate, f"execution_plan[{p}].delegates[{d}]") for d, delegate in enumerate(plan.delegates)
        )
        plans.append(dataclasses.replace(plan, delegates=delegates))
    return dataclasses.replace(root, execution_plan=tuple(plans))


def _uses(root: schema.Program) -> Iterator[int]:
    """Every segment index that something in the program names."""
    if root.constant_segment is not None and root.constant_segment.offsets:
        yield root.constant_segment.segment_index
    for place in root.mutable_data_segments or ():
        yield place.segment_index
    for entry in root.named_data or ():
        yield entry.segment_index
    for delegate, _ in _delegates(root):
        if delegate.processed is not None and delegate.processed.location is DataLocation.SEGMENT:
            yield delegate.processed.index


def _without_segments(program: Program, unused: set[int]) -> Program:
    kept = [index for index in range(len(program.segment_data)) if index not in unused]
    numbers = {old: new for new, old in enumerate(kept)}
    return _renumbered(program, tuple(program.segment_data[index] for index in kept), lambda old: numbers.get(old, old))


def _with_segments(program: Program, index: int, segments: list[memoryview]) -> Program:
    data = (*program.segment_data[:index], *segments, *program.segment_data[index:])
    return _renumbered(program, data, lambda old: old + len(segments) * (old >= index))


def _renumbered(program: Program, data: tuple[memoryview, ...], number: Callable[[int], int]) -> Program:
    """The program with other segments, every use of a segment renumbered."""

    def change(delegate: BackendDelegate, path: str) -> BackendDelegate:
        processed = delegate.processed
        if processed is None or processed.location is not DataLocation.SEGMENT:
            return delegate
        return dataclasses.replace(delegate, processed=dataclasses.replace(processed, index=number(processed.index)))

    def place(offsets: schema.SubsegmentOffsets) -> schema.SubsegmentOffsets:
        return dataclasses.replace(offsets, segment_index=number(offsets.segment_index))

    old = program.root
    constant = old.constant_segment
    root = dataclasses.replace(
        _map_delegates(old, change),
        segments=tuple(schema.DataSegment(0, len(segment)) for segment in data),
        constant_segment=place(constant) if constant is not None and constant.offsets else constant,
        mutable_data_segments=old.mutable_data_segments and tuple(map(place, old.mutable_data_segments)),
        named_data=old.named_data
        and tuple(dataclasses.replace(entry, segment_index=number(entry.segment_index)) for entry in old.named_data),
    )
    return program.replace(root=root, segment_data=data)


def without_unused_segments(program: Program) -> Program:
    """The program without the segments that nothing in it names."""
    unused = set(range(len(program.segment_data))) - set(_uses(program.root))
    return _without_segments(program, unused) if unused else program
