"""Stamping: a provenance record into a copy of a program, or beside it.

Inside means one more blob of named data, which runtimes since 0.6 know and earlier ones ignore. The record of a program
whose producer is not known says what dating found, because writing the program again wipes that evidence out.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pteron.compat.dating import date, minor
from pteron.compat.provenance import KEY, SUFFIX, Provenance, sha256
from pteron.compat.requirements import requirements
from pteron.errors import FileAccessError, UnsupportedError
from pteron.format import schema
from pteron.format.layout import segment_uses
from pteron.format.program import Program, read_program
from pteron.format.save import save_parts
from pteron.format.source import FileSource, read_source
from pteron.format.write import Layout, write_program

Place = Literal["auto", "inside", "beside"]
_PAGE = 4096


@dataclass(frozen=True, slots=True)
class Stamped:
    """What was written: ``path`` holds the record, ``inside`` says whether that is the program itself."""

    path: Path
    inside: bool
    record: Provenance


def stamp(
    source: FileSource,
    output: str | os.PathLike[str] | None = None,
    *,
    record: Provenance,
    model: str | os.PathLike[str] | None = None,
    targets: Iterable[str] = (),
    place: Place = "auto",
) -> Stamped:
    """Write a copy of the program to ``output`` with the record inside of it or beside it.

    ``model`` is a file whose hash becomes ``source_sha256``. ``targets`` are the runtime releases that the file must
    run on (none: all). With ``place="auto"`` the record goes inside, unless the program has fields of newer releases,
    or needs a .ptd file, has no named data yet and may run on 0.7, which refuses the two together. Beside means a file
    with ``.provenance.json`` added to the name of ``output``, which is then the program byte for byte; without
    ``output`` it is written beside the program that was read. That program is never overwritten. Raises
    ``UnsupportedError`` where the place asked for is not possible or a release is none, ``FileAccessError``, and
    ``FormatError`` where the program cannot be read.
    """
    buffer, name = read_source(source)
    program = read_program(buffer, file=name)
    if record.producer:
        minor(record.producer)
    record = dataclasses.replace(record, stamped_by=_tool())
    if model is not None:
        record = dataclasses.replace(record, source_sha256=sha256(read_source(model)[0]))
    if not record.dated:
        record = dataclasses.replace(record, dated=date(program).releases)
    obstacle = _obstacle(program, {minor(release) for release in targets})
    if output is None:
        if place == "inside" or name == "<bytes>":
            raise UnsupportedError(f"{name}: an output path is missing; give one")
        return _beside(program, Path(name), record)
    target = Path(output)
    if _same(target, source):
        raise FileAccessError(f"{target} is the program itself, which is never overwritten; give another output")
    if place == "inside" and obstacle:
        raise UnsupportedError(f"{name}: {obstacle}; stamp it beside the file")
    if place == "beside" or obstacle:
        save_parts(target, [buffer])
        return _beside(program, target, record)
    record = dataclasses.replace(record, file_sha256="")
    save_parts(target, [stamped_bytes(program, record)])
    return Stamped(target, True, record)


def stamped_bytes(program: Program, record: Provenance) -> bytes:
    """The bytes of the program with the record inside, laid out as the file that was read.

    Blobs of named data keep at least the alignment that their places in that file show.
    """
    starts = [segment.offset for segment in program.root.segments or ()]
    alignment = {
        entry.key or "": min(start & -start, _PAGE)
        for entry in program.root.named_data or ()
        if 0 <= entry.segment_index < len(starts) and (start := starts[entry.segment_index])
    }
    layout = dataclasses.replace(Layout.as_read(program), keep_segment_offsets=False, named_data_alignment=alignment)
    return write_program(stamped_program(program, record), layout)


def stamped_program(program: Program, record: Provenance) -> Program:
    """The program with the record in its named data, in the place of an earlier one; nothing else changes."""
    data = memoryview(record.to_json().encode())
    named = list(program.root.named_data or ())
    segments, contents = list(program.root.segments or ()), list(program.segment_data)
    known = next((entry.segment_index for entry in named if entry.key == KEY), None)
    named = [entry for entry in named if entry.key != KEY]
    if known is not None and len(segment_uses(program)[known]) == 1 and known < len(segments):
        index = known
        segments[index], contents[index] = schema.DataSegment(0, len(data)), data
    else:
        index = len(segments)
        segments.append(schema.DataSegment(0, len(data)))
        contents.append(data)
    named.append(schema.NamedData(KEY, index))
    root = dataclasses.replace(program.root, segments=tuple(segments), named_data=tuple(named))
    return program.replace(root=root, segment_data=tuple(contents))


def _obstacle(program: Program, targets: set[str]) -> str:
    """Why the record should not go inside, or an empty string."""
    if program.unknown_fields:
        return "the program has fields of a newer release that writing it would lose"
    refusing = not targets or "0.7" in targets
    if refusing and not program.root.named_data and requirements(program).external_keys:
        return "runtime 0.7 refuses named data together with a .ptd file"
    return ""


def _beside(program: Program, path: Path, record: Provenance) -> Stamped:
    target = path.with_name(f"{path.name}{SUFFIX}")
    record = dataclasses.replace(record, file_sha256=sha256(program.buffer))
    save_parts(target, [record.to_json().encode()])
    return Stamped(target, False, record)


def _tool() -> str:
    try:
        return f"pteron {version('pteron')}"
    except PackageNotFoundError:
        return "pteron"


def _same(target: Path, source: FileSource) -> bool:
    if not isinstance(source, str | os.PathLike):
        return False
    try:
        return target.samefile(source)
    except OSError:
        return False
