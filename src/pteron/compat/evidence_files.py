"""Which evidence there is about a file: given files and folders, and what stands beside the file.

A record is about a file if it has the SHA-256 of its bytes. One that only has its name is said to be of other
contents, and is never used.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pteron.compat.evidence import Evidence, read_evidence
from pteron.compat.rules import RULES
from pteron.compat.verdict import Reason
from pteron.errors import FileAccessError, PteronError
from pteron.format.source import FileSource, read_source

SUFFIX = ".evidence.json"
"""What the name of evidence beside a file adds to the file's name."""
ENDING = "evidence.json"
"""How names of evidence files end that are looked for in folders."""

EvidenceSource = str | os.PathLike[str] | Evidence


@dataclass(frozen=True)
class Found:
    """The records about one file, and remarks about those that are not used."""

    records: tuple[Evidence, ...] = ()
    remarks: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class EvidenceFiles:
    """Records by where they come from; ``beside`` is whether a file's own evidence is looked for beside it.

    ``platform`` (``linux-x86_64``) leaves out records of other machines.
    """

    given: tuple[tuple[str, Evidence], ...] = ()
    beside: bool = True
    platform: str = ""

    def about(self, content: memoryview, path: str | None, data: Sequence[FileSource] | None = ()) -> Found:
        """What is known of the file with these bytes; ``path`` is None where it has none.

        ``data`` are the .ptd files that it is going to run with, None where their bytes are not known: a record with
        others is not used. Evidence beside the file that cannot be read is said to be so, and nothing is raised.
        """
        known = list(self.given)
        remarks = []
        if path is not None and self.beside and Path(f"{path}{SUFFIX}").is_file():
            beside = f"{path}{SUFFIX}"
            try:
                known += [(beside, record) for record in read_evidence(beside)]
            except PteronError as error:
                remarks.append(_unused(beside, f"it cannot be read ({error})"))
        if not known:
            return Found((), tuple(remarks))
        name = Path(path).name if path is not None else ""
        sizes, names = {record.size for _, record in known}, {_name(record.file) for _, record in known}
        if len(content) not in sizes and name not in names:
            return Found((), tuple(remarks))
        sha256 = hashlib.sha256(content).hexdigest()
        records = [(source, record) for source, record in known if record.sha256 == sha256]
        if not records:
            others = {source: record.sha256 for source, record in known if name and _name(record.file) == name}
            remarks += [
                RULES["PT-EV-007"].reason("", (source,), record=source, theirs=theirs[:12], ours=sha256[:12])
                for source, theirs in others.items()
            ]
        used = []
        wanted = _hashes(data) if any(record.data for _, record in records) or data else frozenset()
        for source, record in records:
            why = self._why_not(record, wanted)
            if why:
                remarks.append(_unused(source, f"on {record.runtime.name} {why}"))
            else:
                used.append(record)
        return Found(tuple(used), tuple(dict.fromkeys(remarks)))

    def _why_not(self, record: Evidence, data: frozenset[str] | None) -> str:
        """Why a record with the file's bytes is not used; empty where it is."""
        if data is None or {item.sha256 for item in record.data} != data:
            names = ", ".join(item.name for item in record.data)
            return f"it ran with other data files ({names or 'none'})"
        if self.platform and platform_of(record) != self.platform:
            return f"it ran on {platform_of(record) or 'a machine that it does not name'}, not on {self.platform}"
        return ""


NOTHING = EvidenceFiles(beside=False)
"""No evidence at all."""


def platform_of(record: Evidence) -> str:
    """``linux-x86_64``; empty where the record does not say."""
    return "-".join(filter(None, (record.platform.get("system", ""), record.platform.get("machine", "")))).lower()


def collect(sources: Iterable[EvidenceSource], *, beside: bool = True, platform: str = "") -> EvidenceFiles:
    """The records of these files and folders (all files in them whose names end with ``evidence.json``).

    Raises ``FileAccessError`` for what is not there and a folder without evidence, ``FormatError`` for a file that is
    no evidence.
    """
    given: list[tuple[str, Evidence]] = []
    for source in sources:
        if isinstance(source, Evidence):
            given.append(("the evidence", source))
            continue
        for file in _files(str(source)):
            given += [(file, record) for record in read_evidence(file)]
    return EvidenceFiles(tuple(given), beside, platform.lower())


def content_of(source: FileSource) -> tuple[memoryview, str | None]:
    """The bytes of a file, and its path where it has one."""
    buffer, name = read_source(source)
    return buffer, name if isinstance(source, str | os.PathLike) else None


def _files(path: str) -> list[str]:
    if not Path(path).is_dir():
        return [path]
    found = sorted(
        str(Path(folder, name)) for folder, _, names in os.walk(path) for name in names if name.lower().endswith(ENDING)
    )
    if not found:
        raise FileAccessError(f"the folder {path} holds no file whose name ends with {ENDING}")
    return found


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _hashes(data: Sequence[FileSource] | None) -> frozenset[str] | None:
    if data is None:
        return None
    return frozenset(hashlib.sha256(read_source(item)[0]).hexdigest() for item in data)


def _unused(source: str, why: str) -> Reason:
    return RULES["PT-EV-008"].reason("", (source,), record=source, why=why)
