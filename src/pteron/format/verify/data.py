"""Checks of the data beside the instructions: segments, constants, initial state and named data."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pteron.format import schema
from pteron.format.header import OFFSET
from pteron.format.schema import TensorDataLocation
from pteron.format.verify.finding import Report
from pteron.format.verify.structure import check_segment_index

_ALIGNMENT = 16


def check_segments(report: Report) -> None:
    """Segments inside the file and apart from each other, as the header says."""
    program = report.program
    segments = program.root.segments or ()
    base = program.header.segment_base_offset if program.header else 0
    size = len(program.buffer)
    ends: list[tuple[int, int, int]] = []
    for index, segment in enumerate(segments):
        path = f"segments[{index}]"
        have = len(program.segment_data[index]) if index < len(program.segment_data) else 0
        if have != segment.size or (size and segment.size and base + segment.offset + segment.size > size):
            report.add(
                "PT-VF-077", f"{path}.size", f"the segment should have {segment.size:,} bytes, {have:,} are there"
            )
        if segment.size:
            ends.append((segment.offset, segment.offset + segment.size, index))
            if (base + segment.offset) % _ALIGNMENT:
                report.add("PT-VF-079", f"{path}.offset", f"the segment starts at byte {base + segment.offset:,}")
    ends.sort()
    last, owner = 0, -1
    for start, end, index in ends:
        if start < last:
            report.add("PT-VF-078", f"segments[{index}].offset", f"the segment starts inside segment {owner}")
        if end > last:
            last, owner = end, index
    _check_end(report, last)


def _check_end(report: Report, last: int) -> None:
    header = report.program.header
    if header is None:
        return
    if header.segment_data_size is not None and header.segment_data_size != last:
        problem = f"byte {OFFSET + 24} says {header.segment_data_size:,} bytes of segments, they take {last:,}"
        report.add("PT-VF-080", "segments", problem)
    end = header.segment_base_offset + last if last else header.program_size
    behind = len(report.program.buffer) - end
    if behind > 0:
        report.add("PT-VF-081", "", f"{behind:,} bytes follow the last segment, which ends at byte {end:,}")


def check_constants(report: Report) -> None:
    """Every tensor's constant or initial state lies in the data that holds it."""
    root = report.program.root
    place = root.constant_segment
    offsets = place.offsets or () if place is not None else ()
    if len(offsets) > 1 and root.constant_buffer:
        problem = f"{len(root.constant_buffer)} constants in constant_buffer, {len(offsets)} in constant_segment"
        report.add("PT-VF-073", "constant_segment.offsets", problem)
    if place is not None and len(offsets) > 1:
        path = "constant_segment.segment_index"
        if not check_segment_index(report, place.segment_index, path, "the constants"):
            return
        size = root.segments[place.segment_index].size if root.segments else 0
        used: dict[int, int] = {}
        for index, nbytes, where in _tensors(report, planned=False):
            if index >= len(offsets):
                problem = f"constant {index} does not exist (there are {len(offsets)} offsets)"
                report.add("PT-VF-070", where, problem)
            elif offsets[index] + nbytes > size:
                end = offsets[index] + nbytes
                report.add("PT-VF-071", where, f"constant {index} ends at byte {end:,} of a segment of {size:,}")
            else:
                used[index] = max(used.get(index, 0), nbytes)
        _check_apart(report, offsets, used)
        return
    buffers = root.constant_buffer or ()
    for index, nbytes, where in _tensors(report, planned=False):
        if index >= len(buffers):
            count = len(buffers) or len(offsets)
            report.add("PT-VF-070", where, f"constant {index} does not exist (there are {count})")
            continue
        storage = buffers[index].storage
        have = 0 if storage is None else len(storage)
        if nbytes > have:
            report.add("PT-VF-071", where, f"constant {index} takes {nbytes:,} bytes, its storage has {have:,}")


def _check_apart(report: Report, offsets: tuple[int, ...], used: dict[int, int]) -> None:
    """Constants in a segment share bytes only where they begin together."""
    last = owner = -1
    start = -1
    for index in sorted(used, key=lambda number: (offsets[number], used[number])):
        if used[index] == 0:
            continue
        if start < offsets[index] < last:
            path = f"constant_segment.offsets[{index}]"
            report.add("PT-VF-072", path, f"constant {index} starts inside constant {owner}")
        if offsets[index] + used[index] > last:
            last, owner, start = offsets[index] + used[index], index, offsets[index]


def check_state(report: Report) -> None:
    """Initial state in ``mutable_data_segments``. The runtime reads group 0, whatever the tensor names."""
    root = report.program.root
    groups = root.mutable_data_segments or ()
    known = [
        check_segment_index(report, group.segment_index, f"mutable_data_segments[{number}].segment_index", "the state")
        for number, group in enumerate(groups)
    ]
    for index, nbytes, where in _tensors(report, planned=True):
        offsets = groups[0].offsets or () if groups else ()
        if index >= len(offsets):
            report.add("PT-VF-075", where, f"state {index} does not exist (there are {len(offsets)} offsets)")
        elif known[0] and root.segments:
            size = root.segments[groups[0].segment_index].size
            end = offsets[index] + nbytes
            if end > size:
                report.add("PT-VF-076", where, f"state {index} ends at byte {end:,} of a segment of {size:,}")


def _tensors(report: Report, *, planned: bool) -> Iterator[tuple[int, int, str]]:
    """(data_buffer_idx, nbytes, path) of tensors with data in this file: constants, or planned ones (state)."""
    for number, plan in enumerate(report.program.root.execution_plan or ()):
        for position, value in enumerate(plan.values or ()):
            tensor = value.val
            if not isinstance(tensor, schema.Tensor) or tensor.data_buffer_idx == 0:
                continue
            extra = tensor.extra_tensor_info
            external = extra is not None and extra.location == TensorDataLocation.EXTERNAL
            sizes = tensor.sizes
            if external or (tensor.allocation_info is not None) != planned or sizes is None:
                continue
            if len(sizes) > report.limits.max_rank or any(size < 0 for size in sizes):
                continue
            where = f"execution_plan[{number}].values[{position}].val.data_buffer_idx"
            yield tensor.data_buffer_idx, math.prod(sizes) * tensor.scalar_type.itemsize, where


def check_named_data(report: Report) -> None:
    """Keys and segments of ``named_data``."""
    root = report.program.root
    if root.named_data is not None and root.segments is None:
        report.add("PT-VF-084", "named_data", "there is named_data, but no list of segments")
    seen: dict[str, int] = {}
    for index, entry in enumerate(root.named_data or ()):
        path = f"named_data[{index}]"
        if entry.key is None:
            report.add("PT-VF-083", f"{path}.key", f"entry {index} has no key")
        elif entry.key in seen:
            report.add("PT-VF-082", f"{path}.key", f"key {entry.key!r} is that of entry {seen[entry.key]} too")
        else:
            seen[entry.key] = index
        if root.segments is not None:
            check_segment_index(report, entry.segment_index, f"{path}.segment_index", "named data")
