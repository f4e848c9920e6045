"""What kind of file these bytes are, by content."""

from __future__ import annotations

import re
from enum import Enum

from pteron.errors import UnknownFileError


class FileKind(Enum):
    """A kind of file, with the words to call it by."""

    PTE = "an ExecuTorch program (.pte)"
    PTD = "ExecuTorch tensor data (.ptd)"
    BUNDLED_PROGRAM = "a bundled program (.bpte)"
    ETDUMP = "an ETDump profile (.etdp)"
    ETRECORD = "an ETRecord of the exporter (.etrecord)"
    ZIP = "a zip archive (a torch checkpoint, TorchScript or .pt2 file?)"
    EMPTY = "an empty file"
    TEXT = "text"
    UNKNOWN = "of no kind known here"


_IDENTIFIERS = {
    b"ET12": FileKind.PTE,
    b"FT01": FileKind.PTD,
    b"BP06": FileKind.BUNDLED_PROGRAM,
    b"BP08": FileKind.BUNDLED_PROGRAM,
    b"ED00": FileKind.ETDUMP,
}
# An ETRecord is a zip archive whose first entry is an empty file of this name (devtools/etrecord/_etrecord.py).
_ETRECORD = b"ETRECORD_V0"
_ETRECORD_LISTED = re.compile(rb"PK\x01\x02.{42}" + _ETRECORD, re.DOTALL)
_HINTS = {
    FileKind.PTD: "give it as data (--data FILE.ptd) beside its .pte",
    FileKind.BUNDLED_PROGRAM: "open it as a bundled program",
    FileKind.ETDUMP: "it is a record of a run, not a program",
    FileKind.ETRECORD: "it is the exporter's debug record; use the .pte written beside it",
    FileKind.EMPTY: "the download or export that made it failed",
    FileKind.ZIP: "export it with executorch's to_executorch() to get a .pte",
}


def identify(buffer: memoryview) -> FileKind:
    """The kind of file, from its first bytes (and an archive's directory)."""
    if len(buffer) == 0:
        return FileKind.EMPTY
    kind = _IDENTIFIERS.get(bytes(buffer[4:8]))
    if kind is not None:
        return kind
    if bytes(buffer[8:12]) == b"ED00":
        # The runtime writes an ETDump with its size before it, which moves the identifier.
        return FileKind.ETDUMP
    if bytes(buffer[:4]) in (b"PK\x03\x04", b"PK\x05\x06"):
        listed = bytes(buffer[30:41]) == _ETRECORD or _ETRECORD_LISTED.search(buffer[-65536:])
        return FileKind.ETRECORD if listed else FileKind.ZIP
    head = bytes(buffer[:512])
    printable = sum(32 <= byte < 127 or byte in b"\t\n\r" for byte in head)
    return FileKind.TEXT if printable == len(head) else FileKind.UNKNOWN


def expect(buffer: memoryview, wanted: FileKind, file: str) -> None:
    """Raise ``UnknownFileError`` where the bytes are of another kind than wanted, saying which and what to do."""
    kind = identify(buffer)
    if kind is wanted:
        return
    identifier, offset = bytes(buffer[4:8]), None
    if wanted is FileKind.PTE and identifier[:2] == b"ET" and identifier[2:].isdigit():
        name = identifier.decode()
        problem, offset = f"file identifier {name} instead of ET12: no ExecuTorch release known here writes it", 4
    else:
        hint = _HINTS.get(kind, "check that it is the file you mean and that it is whole")
        problem = f"is {kind.value}, not {wanted.value}; {hint}"
    raise UnknownFileError(problem, file=file, offset=offset)
