"""The journal of a job: one record per line, each appended whole, so that an interrupted job goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pteron.compat.evidence import SCHEMA, Evidence, from_document
from pteron.errors import FileAccessError, FormatError
from pteron.format.save import save_parts


def key_of(file: str, sha256: str, runtime: str, options: dict[str, Any]) -> str:
    """What tells one cell of a job from another."""
    return json.dumps([file, sha256, runtime, options], sort_keys=True, default=str)


class Journal:
    """``with Journal(path) as journal``: ``journal.records`` are those of an earlier, interrupted run.

    Only one process has it at a time. Raises ``FileAccessError``; ``FormatError`` where the file is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Evidence] = []
        self._descriptor = -1

    def __enter__(self) -> Journal:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise FileAccessError(f"{self.path}: cannot be written ({error.strerror}); check the folder") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise FileAccessError(f"{self.path}: another job writes it; give this one another --output") from None
        try:
            self._read()
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                raw = json.loads(line)
            except (ValueError, RecursionError):
                raw = None
            if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
                raise FormatError("is no journal of a job; give another --output", file=str(self.path))
            self.records.append(from_document(raw, f"{self.path} line {number}"))
        # What was cut off by the interruption is run again.
        os.ftruncate(self._descriptor, whole)

    def append(self, record: Evidence) -> None:
        """Add a record; it is on the disk when this returns."""
        line = json.dumps({"schema": SCHEMA, **record.to_document()}, default=str).encode() + b"\n"
        written = 0
        while written < len(line):
            written += os.write(self._descriptor, line[written:])
        os.fsync(self._descriptor)
        self.records.append(record)

    def on_disk(self) -> int:
        """How many records the file has whole, which is what the next run finds."""
        return self.path.read_bytes().count(b"\n")

    def discard(self) -> None:
        """Remove it: what it had is written elsewhere."""
        self.path.unlink(missing_ok=True)


def journal_of(output: Path) -> Path:
    """Where the journal of a job with this output is."""
    return output.with_name(output.name + ".journal")


def write_evidence(path: Path, records: Iterable[Evidence]) -> None:
    """Write records as one document, whole or not at all; raises ``FileAccessError``."""
    from pteron import __version__

    document = {"schema": SCHEMA, "pteron": __version__, "records": [record.to_document() for record in records]}
    save_parts(path, [json.dumps(document, indent=1, default=str).encode()])
