"""Kinds of file by content, on real files of every kind and on what only looks like one."""

import io
import zipfile

import pytest

import corpus_files
from pteron.errors import UnknownFileError
from pteron.format.identify import FileKind, expect, identify

# The first bytes of an ETDump that the official 1.5.1 runtime wrote: its size, the root offset, the identifier.
ETDUMP = bytes.fromhex("bc050000 08000000 45443030 f8ffffff 0c000000 08000800".replace(" ", ""))
# Entries of an ETRecord that generate_etrecord of 1.5.1 wrote; 0.1 wrote the same first one.
ETRECORD = (
    "ETRECORD_V0",
    "edge_dialect_exported_program/forward",
    "edge_dialect_exported_program/forward_state_dict",
    "debug_handle_map",
    "delegate_map",
)


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name in names:
            written.writestr(name, b"" if name == "ETRECORD_V0" else b"{}")
    return file.getvalue()


@pytest.mark.parametrize("release", corpus_files.releases())
def test_files_of_every_release(release: str) -> None:
    kinds = {".pte": FileKind.PTE, ".ptd": FileKind.PTD, ".bpte": FileKind.BUNDLED_PROGRAM, ".npz": FileKind.ZIP}
    for suffix, kind in kinds.items():
        for name in corpus_files.names(release, suffix):
            assert identify(memoryview(corpus_files.read(release, name))) is kind, name


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (bytes(4) + b"ET12", FileKind.PTE),
        (bytes(4) + b"FT01", FileKind.PTD),
        (bytes(4) + b"BP06", FileKind.BUNDLED_PROGRAM),
        (bytes(4) + b"BP08", FileKind.BUNDLED_PROGRAM),
        (bytes(4) + b"ED00", FileKind.ETDUMP),
        (ETDUMP, FileKind.ETDUMP),
        (archive(*ETRECORD), FileKind.ETRECORD),
        (archive(*ETRECORD[1:], "ETRECORD_V0"), FileKind.ETRECORD),
        (archive("archive/data.pkl", "archive/version"), FileKind.ZIP),
        (archive("edge_dialect_exported_program/forward"), FileKind.ZIP),
        (archive("notes_on_ETRECORD_V0.txt"), FileKind.ZIP),
        (archive(), FileKind.ZIP),
        (b"", FileKind.EMPTY),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", FileKind.TEXT),
        (b"<html>404</html>", FileKind.TEXT),
        (b"x", FileKind.TEXT),
        (bytes(64), FileKind.UNKNOWN),
        (b"\x89PNG\r\n\x1a\n", FileKind.UNKNOWN),
        (bytes(4) + b"ET13" + bytes(60), FileKind.UNKNOWN),
    ],
)
def test_kinds(data: bytes, kind: FileKind) -> None:
    assert identify(memoryview(data)) is kind


def test_every_kind_has_a_case() -> None:
    (mark,) = [mark for mark in test_kinds.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {kind for _, kind in mark.args[1]} == set(FileKind)


@pytest.mark.parametrize(
    ("data", "wanted", "problem"),
    [
        (b"", FileKind.PTE, "is an empty file, not an ExecuTorch program (.pte); the download or export"),
        (b"<html>", FileKind.PTE, "is text, not an ExecuTorch program"),
        (bytes(4) + b"FT01", FileKind.PTE, "give it as data (--data FILE.ptd) beside its .pte"),
        (bytes(4) + b"BP08", FileKind.PTE, "open it as a bundled program"),
        (ETDUMP, FileKind.PTE, "is an ETDump profile (.etdp), not an ExecuTorch program (.pte); it is a record"),
        (archive(*ETRECORD), FileKind.PTE, "use the .pte written beside it"),
        (archive("x"), FileKind.PTE, "export it with executorch's to_executorch()"),
        (bytes(4) + b"ET13", FileKind.PTE, "file identifier ET13 instead of ET12"),
        (bytes(4) + b"ET12", FileKind.PTD, "is an ExecuTorch program (.pte), not ExecuTorch tensor data (.ptd)"),
    ],
)
def test_another_kind_is_refused_with_what_to_do(data: bytes, wanted: FileKind, problem: str) -> None:
    with pytest.raises(UnknownFileError) as caught:
        expect(memoryview(data), wanted, "a")
    assert problem in str(caught.value)


def test_the_kind_wanted_is_accepted() -> None:
    for kind, data in ((FileKind.PTE, bytes(4) + b"ET12"), (FileKind.ETRECORD, archive(*ETRECORD))):
        expect(memoryview(data), kind, "a")
