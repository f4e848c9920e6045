"""Questions about a file by path: open it, and ask what it requires or who made it."""

from __future__ import annotations

from collections.abc import Sequence

from pteron.compat import dating
from pteron.compat import requirements as required
from pteron.compat.dating import ProducedBy
from pteron.compat.requirements import Requirements
from pteron.errors import UnknownFileError
from pteron.format.bundled_program import read_bundled_program
from pteron.format.flat_tensor import TensorData, read_tensor_data
from pteron.format.identify import FileKind, identify
from pteron.format.limits import DEFAULT_LIMITS, Limits
from pteron.format.program import Program, read_program
from pteron.format.source import FileSource, read_source


def open_program(source: FileSource | Program, limits: Limits = DEFAULT_LIMITS) -> Program:
    """The program in a .pte or .bpte file, read and not verified. Raises ``FormatError``."""
    if isinstance(source, Program):
        return source
    buffer, name = read_source(source)
    kind = identify(buffer)
    if kind is FileKind.BUNDLED_PROGRAM:
        return read_bundled_program(buffer, limits=limits, file=name).program
    if kind is FileKind.PTD:
        raise UnknownFileError("this is tensor data, not a program; give it with --data beside its program", file=name)
    return read_program(buffer, limits=limits, file=name)


def requirements(
    source: FileSource | Program, *, data: Sequence[FileSource | TensorData] = (), limits: Limits = DEFAULT_LIMITS
) -> Requirements:
    """What a file needs of a runtime; ``data`` are the .ptd files that it is going to run with.

    Raises ``FormatError`` for a file that cannot be read.
    """
    given = [item if isinstance(item, TensorData) else read_tensor_data(item, limits=limits) for item in data]
    return required.requirements(open_program(source, limits), given)


def date(
    source: FileSource | Program, *, produced_by: str | None = None, limits: Limits = DEFAULT_LIMITS
) -> ProducedBy:
    """Which releases can have made a file, as in :func:`pteron.compat.dating.date`.

    Raises ``FormatError`` for a file that cannot be read and ``UnsupportedError`` for a ``produced_by`` that is no
    release.
    """
    return dating.date(open_program(source, limits), produced_by=produced_by)
