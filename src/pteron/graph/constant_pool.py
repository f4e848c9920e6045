"""ConstantPool: constants that rewriting adds to a program."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.format import schema
from pteron.format.program import Program
from pteron.format.relocate import align_up

ALIGNMENT = 16


class ConstantPool:
    """Collects constants; :meth:`finish` appends them to the program's own, in the segment or inline as those are."""

    def __init__(self, program: Program) -> None:
        self._program = program
        place = program.root.constant_segment
        self._in_segment = place is not None and bool(place.offsets)
        count = len(place.offsets or ()) if place is not None and self._in_segment else 0
        if not self._in_segment:
            count = len(program.root.constant_buffer or ())
        # Index 0 stands for no constant.
        self._first = max(count, 1)
        self._data: list[memoryview] = []
        self._known: dict[bytes, int] = {}

    def add(self, array: NDArray[Any]) -> int:
        """The ``data_buffer_idx`` of a contiguous array's bytes; equal bytes are stored once."""
        return self.add_bytes(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)

    def add_bytes(self, data: memoryview) -> int:
        """The ``data_buffer_idx`` of bytes; equal bytes are stored once."""
        digest = hashlib.sha256(data).digest()
        if digest not in self._known:
            self._known[digest] = self._first + len(self._data)
            self._data.append(data)
        return self._known[digest]

    def finish(self, program: Program) -> Program:
        """``program`` (the original with other plans) with the constants that were added."""
        if not self._data:
            return program
        root = program.root
        place = root.constant_segment
        if place is not None and self._in_segment:
            segment = bytearray(program.segment(place.segment_index, "constant_segment.segment_index"))
            offsets = list(place.offsets or ())
            for data in self._data:
                segment += bytes(align_up(len(segment), ALIGNMENT) - len(segment))
                offsets.append(len(segment))
                segment += data
            segments = list(program.segment_data)
            segments[place.segment_index] = memoryview(bytes(segment))
            root = dataclasses.replace(
                root,
                constant_segment=dataclasses.replace(place, offsets=tuple(offsets)),
                segments=tuple(schema.DataSegment(0, len(item)) for item in segments),
            )
            return program.replace(root=root, segment_data=tuple(segments))
        buffers = list(root.constant_buffer or ())
        buffers += [schema.Buffer(memoryview(b""))] * (self._first - len(buffers))
        buffers += [schema.Buffer(data) for data in self._data]
        return program.replace(root=dataclasses.replace(root, constant_buffer=tuple(buffers)))
