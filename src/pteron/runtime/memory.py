"""Planned memory: the buffers that a file's memory plan lays tensors out in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pteron.errors import LimitError
from pteron.format import schema
from pteron.format.method import Method
from pteron.format.program import Program

if TYPE_CHECKING:
    from pteron.runtime.tensor import Bytes

ALIGNMENT = 64


def allocate(nbytes: int) -> Bytes:
    """Zeroed bytes that start at a multiple of 64, as kernels like them."""
    raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]


class SharedBuffers:
    """Planned buffers that several methods of a program use together.

    ``buffers`` maps a memory id to its bytes; ``in_use`` holds the ids that a loaded method has put its state in.
    """

    def __init__(self, program: Program, memory_ids: frozenset[int]) -> None:
        sizes: dict[int, int] = dict.fromkeys(memory_ids, 0)
        for method in program.methods.values():
            for memory_id, size in enumerate(method.memory_plan, 1):
                if memory_id in sizes:
                    sizes[memory_id] = max(sizes[memory_id], size)
        check_size(program, sum(sizes.values()), "the program", "execution_plan")
        self.buffers = {memory_id: allocate(size) for memory_id, size in sizes.items()}
        self.in_use: set[int] = set()


class Arenas:
    """The planned buffers of one method: ``buffers[i]`` belongs to memory id ``i + 1``.

    ``in_use`` are the memory ids whose content another method has set up already.
    """

    def __init__(self, program: Program, method: Method, shared: SharedBuffers | None = None) -> None:
        path = f"execution_plan[{method.index}].non_const_buffer_sizes"
        sizes = method.memory_plan
        if any(size < 0 for size in sizes):
            raise program.fault("a planned buffer has a negative size", path)
        check_size(program, sum(sizes), f"method {method.name!r}", path)
        given: Mapping[int, Bytes] = shared.buffers if shared else {}
        self.in_use = frozenset(shared.in_use) if shared else frozenset()
        try:
            self.buffers = [given[i] if i in given else allocate(size) for i, size in enumerate(sizes, 1)]
        except (MemoryError, ValueError):
            raise LimitError(
                f"the {sum(sizes):,} bytes of memory that method {method.name!r} plans cannot be had",
                file=program.file,
                path=path,
            ) from None
        if shared:
            shared.in_use.update(given)

    def clear(self) -> None:
        """Zero everything."""
        for buffer in self.buffers:
            buffer.fill(0)


def check_size(program: Program, total: int, who: str, path: str) -> None:
    """Raise ``LimitError`` for more planned memory than ``Limits.max_memory``."""
    if total > program.limits.max_memory:
        raise LimitError(
            f"{who} plans {total:,} bytes of memory, more than {program.limits.max_memory:,}; "
            "raise Limits.max_memory to load it",
            file=program.file,
            path=path,
        )


def every_memory_id(program: Program) -> frozenset[int]:
    """All memory ids that the program's methods plan into."""
    largest = max((len(method.memory_plan) for method in program.methods.values()), default=0)
    return frozenset(range(1, largest + 1))


def shared_state_ids(program: Program) -> frozenset[int]:
    """Memory ids that hold the same named state in several methods and nothing else.

    That is how an export with ``share_mutable_buffers`` and named buffers looks: each shared buffer has one name and
    one place in every method that uses it.
    """
    holders: defaultdict[int, set[int]] = defaultdict(set)
    places: dict[tuple[int, int], str] = {}
    spoilt: set[int] = set()
    for method in program.methods.values():
        for evalue in method.plan.values or ():
            tensor = evalue.val
            if not isinstance(tensor, schema.Tensor) or tensor.allocation_info is None:
                continue
            place = tensor.allocation_info
            name = tensor.extra_tensor_info.fully_qualified_name if tensor.extra_tensor_info else None
            if not name or places.setdefault((place.memory_id, place.memory_offset), name) != name:
                spoilt.add(place.memory_id)
            holders[place.memory_id].add(method.index)
    return frozenset(i for i, methods in holders.items() if len(methods) > 1 and i not in spoilt)
