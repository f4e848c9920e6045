"""Steps that move bytes and change nothing else: constants, payloads, header."""

from __future__ import annotations

import dataclasses

from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.format import schema
from pteron.format.program import Program
from pteron.format.relocate import (
    constants_to_buffers,
    constants_to_segment,
    payloads_to_inline,
    payloads_to_segments,
)
from pteron.format.write import HeaderForm


@step("constants-to-segment", solves=("PT-FM-001", "PT-FM-013"))
def to_segment(subject: Subject, profile: Profile) -> Rewritten | None:
    """Move constants from the flatbuffer to a segment; without constants, write the placeholder for none."""
    program = subject.program
    place = program.root.constant_segment
    if place is not None and place.offsets:
        return None
    buffers = program.root.constant_buffer or ()
    if not any(buffer.storage for buffer in buffers):
        return _to(subject, with_placeholder(program)), "wrote a constant segment that says: no constants"
    moved = constants_to_segment(program, subject.layout.constant_tensor_alignment)
    count = sum(bool(buffer.storage) for buffer in buffers)
    return _to(subject, moved), f"moved {count} constants from the flatbuffer to a segment"


def with_placeholder(program: Program) -> Program:
    """The program with the constant segment that exporters since 0.4 write where there are no constants.

    It is an empty segment with the one offset that stands for no constant.
    """
    number = len(program.segment_data)
    root = dataclasses.replace(
        program.root,
        constant_buffer=(),
        segments=(*(program.root.segments or ()), schema.DataSegment(0, 0)),
        constant_segment=schema.SubsegmentOffsets(number, (0,)),
    )
    return program.replace(root=root, segment_data=(*program.segment_data, memoryview(b"")))


@step("constants-inline")
def to_buffers(subject: Subject, profile: Profile) -> Rewritten | None:
    """Move constants from their segment into the flatbuffer, as exporters did up to 0.1."""
    place = subject.program.root.constant_segment
    if place is None or not place.offsets:
        return None
    moved = constants_to_buffers(subject.program)
    return _to(subject, moved), f"moved {len(place.offsets) - 1} constants from their segment into the flatbuffer"


@step("delegates-to-segments")
def to_payload_segments(subject: Subject, profile: Profile) -> Rewritten | None:
    """Move delegates' payloads from the flatbuffer to segments."""
    moved = payloads_to_segments(subject.program)
    if moved is subject.program:
        return None
    return _to(subject, moved), "moved the delegates' payloads from the flatbuffer to segments"


@step("delegates-inline")
def to_inline_payloads(subject: Subject, profile: Profile) -> Rewritten | None:
    """Move delegates' payloads from segments into the flatbuffer."""
    moved = payloads_to_inline(subject.program)
    if moved is subject.program:
        return None
    return _to(subject, moved), "moved the delegates' payloads from segments into the flatbuffer"


@step("header-24")
def short_header(subject: Subject, profile: Profile) -> Rewritten | None:
    """Write the 24-byte header of exporters up to 0.7."""
    return _header(subject, HeaderForm.BYTES_24)


@step("header-32")
def long_header(subject: Subject, profile: Profile) -> Rewritten | None:
    """Write the 32-byte header of exporters since 1.0, which says how long the segments are."""
    return _header(subject, HeaderForm.BYTES_32)


def _header(subject: Subject, form: HeaderForm) -> Rewritten | None:
    header = subject.program.header
    if header is not None and header.length == form.value:
        return None
    return dataclasses.replace(subject, layout=dataclasses.replace(subject.layout, header=form)), (
        f"wrote a header of {form.value} bytes"
    )


def _to(subject: Subject, program: Program) -> Subject:
    return dataclasses.replace(subject, program=program)
