"""Checks of a method's memory plan: buffers, the place of each planned tensor, and values that overwrite each other."""

from __future__ import annotations

import math

from pteron.format import schema
from pteron.format.schema import ExecutionPlan
from pteron.format.verify.finding import Report
from pteron.format.verify.liveness import overwrites


def check_buffers(report: Report, plan: ExecutionPlan, path: str) -> None:
    """Sizes of the planned buffers, and the devices named for them."""
    sizes = plan.non_const_buffer_sizes or ()
    if sizes and sizes[0] != 0:
        report.add("PT-VF-060", f"{path}.non_const_buffer_sizes[0]", f"the reserved entry is {sizes[0]}, not 0")
    for index, size in enumerate(sizes[1:], start=1):
        if size < 0:
            report.add("PT-VF-061", f"{path}.non_const_buffer_sizes[{index}]", f"the size is {size}")
    total = sum(size for size in sizes[1:] if size > 0)
    if total > report.limits.max_memory:
        problem = f"{total:,} bytes in all, Limits.max_memory is {report.limits.max_memory:,}"
        report.add("PT-VF-062", f"{path}.non_const_buffer_sizes", problem)
    for place, device in enumerate(plan.non_const_buffer_device or ()):
        if not 0 < device.buffer_idx < len(sizes):
            where = f"{path}.non_const_buffer_device[{place}].buffer_idx"
            report.add(
                "PT-VF-066", where, f"buffer {device.buffer_idx} does not exist (ids go from 1 to {len(sizes) - 1})"
            )


def check_allocations(report: Report, plan: ExecutionPlan, path: str) -> None:
    """The place of each planned tensor in its buffer."""
    sizes = plan.non_const_buffer_sizes
    if sizes is None:
        return
    for index, value in enumerate(plan.values or ()):
        tensor = value.val
        if not isinstance(tensor, schema.Tensor) or tensor.allocation_info is None:
            continue
        place = tensor.allocation_info
        where = f"{path}.values[{index}].val.allocation_info"
        if not 0 < place.memory_id < len(sizes):
            problem = f"buffer {place.memory_id} does not exist (ids go from 1 to {len(sizes) - 1})"
            report.add("PT-VF-063", f"{where}.memory_id", problem)
            continue
        if tensor.sizes is None or len(tensor.sizes) > report.limits.max_rank:
            continue
        end = place.memory_offset + math.prod(tensor.sizes) * tensor.scalar_type.itemsize
        if end > max(sizes[place.memory_id], 0):
            problem = (
                f"tensor {index} ends at byte {end:,} of buffer {place.memory_id}, which has {sizes[place.memory_id]:,}"
            )
            report.add("PT-VF-064", f"{where}.memory_offset_low", problem)


def check_liveness(report: Report, plan: ExecutionPlan, path: str) -> None:
    """Values that are overwritten before their last use. The plan must have passed every other check."""
    total = sum(len(chain.instructions or ()) for chain in plan.chains or ())
    for found in overwrites(plan):
        writer = "the inputs" if found.write < 0 else f"instruction {found.write}"
        reader = "after the last instruction" if found.read == total else f"by instruction {found.read}"
        problem = f"value {found.value} is used {reader}, but {writer} put value {found.by} over it in planned memory"
        report.add("PT-VF-065", f"{path}.values[{found.value}].val.allocation_info", problem)
