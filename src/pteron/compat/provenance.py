"""Provenance: who made a file, in the file.

No exporter says so. :mod:`pteron.compat.stamp` writes a record into a copy of the file, as one more blob of its named
data, or beside the file; here it is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from packaging.version import InvalidVersion, Version

from pteron.errors import FormatError
from pteron.format.program import Program, read_program
from pteron.format.source import FileSource

KEY = "pteron.provenance"
"""Key of the record in a file's named data."""
SUFFIX = ".provenance.json"
"""What the name of a record beside a file adds to the file's name."""
SCHEMA_ID = "pteron.provenance/1"
MAX_BYTES = 1 << 20
"""Bytes that a record may have."""

Stability = Literal["stable", "experimental", "deprecated", "unknown"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """The record. ``producer`` is the release that exported the file, empty where nobody knows.

    ``exporter_api`` names the call (``torch.export, to_edge_transform_and_lower``) and ``api_stability`` its stability
    in that release, which decides whether the compatibility policy covers the file. ``source_sha256`` identifies what
    was exported. ``dated`` are the minor releases that the bytes showed before they were written again,
    ``file_sha256`` the file that a record beside it belongs to, ``stamped_by`` the tool that wrote the record.
    """

    producer: str = ""
    exporter_api: str = ""
    api_stability: Stability = "unknown"
    source_sha256: str = ""
    dated: tuple[str, ...] = ()
    file_sha256: str = ""
    stamped_by: str = ""

    def to_json(self) -> str:
        """One JSON object with ``schema`` first; fields that are empty are left out."""
        fields = {name: value for name, value in dataclasses.asdict(self).items() if value}
        return json.dumps({"schema": SCHEMA_ID, **fields}, indent=1)


def parse_provenance(data: bytes | memoryview, file: str, path: str = "") -> Provenance:
    """The record in these bytes; fields of newer versions are ignored. Raises ``FormatError`` for anything else."""

    def fault(problem: str) -> FormatError:
        return FormatError(f"{problem}; stamp the file again", file=file, path=path)

    if len(data) > MAX_BYTES:
        raise fault(f"the provenance record has {len(data):,} bytes, {MAX_BYTES:,} are the most")
    try:
        fields = json.loads(bytes(data))
    except (ValueError, RecursionError):
        raise fault("the provenance record is not JSON") from None
    if not isinstance(fields, dict) or not str(fields.get("schema", "")).startswith("pteron.provenance/"):
        raise fault("the provenance record does not say that it is one")
    texts = {name: fields.get(name, "") for name in ("producer", "exporter_api", "source_sha256", "file_sha256")}
    texts |= {"stamped_by": fields.get("stamped_by", ""), "api_stability": fields.get("api_stability", "unknown")}
    dated = fields.get("dated", [])
    if not all(isinstance(value, str) for value in texts.values()) or not (
        isinstance(dated, list) and all(isinstance(item, str) for item in dated)
    ):
        raise fault("a field of the provenance record has the wrong type")
    if texts["api_stability"] not in get_args(Stability):
        texts["api_stability"] = "unknown"
    if texts["producer"]:
        try:
            Version(texts["producer"])
        except InvalidVersion:
            raise fault(f"the producer {texts['producer']!r} is no release") from None
    return Provenance(**texts, dated=tuple(dated))


def read_provenance(source: FileSource | Program) -> Provenance | None:
    """The record inside of a program or else beside its file, or None where there is none.

    Raises ``FormatError`` for a damaged record, and for one beside the file that belongs to another file.
    """
    program = source if isinstance(source, Program) else read_program(source)
    if any(entry.key == KEY for entry in program.root.named_data or ()):
        return parse_provenance(program.named_data[KEY], program.file, "named_data")
    if program.file == "<bytes>":
        return None
    beside = Path(f"{program.file}{SUFFIX}")
    try:
        data = beside.read_bytes() if beside.stat().st_size <= MAX_BYTES else bytes(MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    record = parse_provenance(data, str(beside))
    if record.file_sha256 and record.file_sha256 != sha256(program.buffer):
        raise FormatError(f"the record belongs to other contents of {program.file}; stamp it again", file=str(beside))
    return record


def sha256(data: memoryview) -> str:
    """The hash of these bytes in lowercase hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
