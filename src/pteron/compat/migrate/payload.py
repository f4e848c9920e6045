"""XNNPACK payloads as older runtimes read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from packaging.version import Version

from pteron.backends.xnnpack.payload import Payload, read_payload
from pteron.backends.xnnpack.write import self_contained
from pteron.compat.facts import minor_of
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import XNNPACK, Profile
from pteron.format import schema
from pteron.format.program import Program
from pteron.format.relocate import without_unused_segments
from pteron.format.schema import BackendDelegate, BackendDelegateInlineData, DataLocation

_NAMED_DATA = Version("0.6")
_SCALES_IN_CONSTANTS = Version("0.7")
_SCALES_IN_REGION = Version("1.0")
"""First releases whose runtimes look for constants there."""

Change = Callable[[Payload], bytes | None]


@step("xnnpack-self-contained", solves=("PT-BE-007", "PT-BE-008", "PT-BE-004"))
def weights_into_payloads(subject: Subject, profile: Profile) -> Rewritten | None:
    """Put weights and scales of XNNPACK payloads where the target's runtime looks for them: inside of the payload."""
    release = profile.release
    if release is None:
        return None
    minor = minor_of(release)
    blobs = named_data(subject)

    def change(payload: Payload) -> bytes | None:
        scales = any(path.endswith("scale_buffer_idx") for _, path in payload.constant_uses())
        misplaced = bool(payload.named_keys) and minor < _NAMED_DATA
        if payload.header is None or not (misplaced or (scales and minor < _SCALES_IN_CONSTANTS)):
            return None
        return self_contained(payload, blobs, inline_scales=minor < _SCALES_IN_REGION)

    changed, count = change_payloads(subject.program, change)
    if not count:
        return None
    changed = without_unused_data(changed)
    words = "weights and scales" if minor < _SCALES_IN_CONSTANTS else "weights"
    return dataclasses.replace(subject, program=changed), f"put the {words} of {count} XNNPACK payloads into them"


def named_data(subject: Subject) -> Mapping[str, memoryview]:
    """Blobs by key, of the program and of its .ptd files."""
    external = {key: entry.data for data in subject.data for key, entry in data.entries.items()}
    return external | dict(subject.program.named_data)


def change_payloads(program: Program, change: Change) -> tuple[Program, int]:
    """The program with other XNNPACK payloads, and how many were changed; one that delegates share is changed once."""
    segments = list(program.segment_data)
    inline = list(program.root.backend_delegate_data or ())
    seen: set[tuple[DataLocation, int]] = set()
    count = 0
    for p, plan in enumerate(program.root.execution_plan or ()):
        for d, delegate in enumerate(plan.delegates or ()):
            place = _place(delegate)
            if place is None or place in seen:
                continue
            seen.add(place)
            path = f"execution_plan[{p}].delegates[{d}]"
            new = change(read_payload(program.payload(delegate, path), file=program.file, path=path))
            if new is None:
                continue
            count += 1
            location, index = place
            if location is DataLocation.SEGMENT:
                segments[index] = memoryview(new)
            else:
                inline[index] = BackendDelegateInlineData(memoryview(new))
    if not count:
        return program, 0
    root = dataclasses.replace(
        program.root,
        segments=tuple(schema.DataSegment(0, len(segment)) for segment in segments),
        backend_delegate_data=tuple(inline) if program.root.backend_delegate_data is not None else None,
    )
    return program.replace(root=root, segment_data=tuple(segments)), count


def without_unused_data(program: Program) -> Program:
    """The program without named data that none of its payloads asks for, where all of them are XNNPACK's."""
    wanted: set[str] = set()
    for plan in program.root.execution_plan or ():
        for index, delegate in enumerate(plan.delegates or ()):
            if delegate.id != XNNPACK:
                return program
            payload = program.payload(delegate, f"delegates[{index}]")
            wanted.update(read_payload(payload, file=program.file).named_keys)
    entries = program.root.named_data
    if entries is None:
        return program
    kept = tuple(entry for entry in entries if (entry.key or "") in wanted)
    # Exporters up to 0.5 did not have the field.
    root = dataclasses.replace(program.root, named_data=kept or None)
    return without_unused_segments(program.replace(root=root))


def _place(delegate: BackendDelegate) -> tuple[DataLocation, int] | None:
    """Where the payload of an XNNPACK delegate is; None for any other delegate."""
    if delegate.id != XNNPACK or delegate.processed is None:
        return None
    return delegate.processed.location, delegate.processed.index
