"""The cache of optimised models: opening a file again skips ONNX Runtime's optimisers, which take most of the time.

An entry is a folder named by a digest of everything that it depends on: the model, its weights or the content of the
files that they lie in, the versions, and the processor (optimised layouts are made for one). It holds ``model.onnx``,
``weights.bin`` and ``seal.json`` with their sizes and checksums. Entries are written to a folder of their own and
renamed, so that a process that is killed, a full disk or a race leaves no half entry under a name that is looked up;
one that does not match its seal is thrown away. Nothing here may fail a run: without a usable folder there is no cache.

Beside the entries lie notes: small files that may be lost at any time. ``files`` has digests of files' contents by what
tells a file from others, and which entries were found whole; ``recipes`` (:mod:`.recipe`) has what leads from a
program's file to an entry.

``PTERON_CACHE=0`` turns it off, ``PTERON_CACHE=<folder>`` puts it elsewhere, ``PTERON_CACHE_SIZE`` bounds its bytes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pteron.format.source import FileIdentity, identity_of
from pteron.runtime.onnx_engine.processor import processor
from pteron.version import __version__

if TYPE_CHECKING:
    from pteron.runtime.onnx_engine.model import SegmentModel

FORMAT = "1"
DEFAULT_BYTES = 1 << 30

# Below so many nodes optimising costs less than looking up.
MIN_NODES = 16
# Folders of writers that never finished are removed when they are older, in seconds.
STALE = 3600.0
# How many notes of a kind are kept.
MAX_NOTES = 4096
# A file that changed so many seconds ago may change again without getting another time.
SETTLED = 2.0

_NOTES = ("files", "recipes")
_PARTS = ("model.onnx", "weights.bin")

_BLOCK = 8192


@dataclass(frozen=True)
class Cache:
    """A cache folder, and how many bytes its entries may take."""

    folder: Path
    limit: int = DEFAULT_BYTES

    def find(self, key: str) -> Path | None:
        """The model file of an entry that is whole, or None; a damaged entry is removed."""
        entry = self.folder / key
        try:
            seal = json.loads((entry / "seal.json").read_bytes())
            seen = self._seen(entry, seal)
            if seen is None or not seen.exists():
                for name in _PARTS:
                    if seal[name] != checksum(entry / name):
                        raise ValueError(name)
                if seen is not None:
                    self.write_note(seen, b"")
        except (OSError, ValueError, KeyError, TypeError):
            # Damaged, unless it was never written.
            _remove(entry)
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)
        return entry / "model.onnx"

    def has(self, key: str) -> bool:
        """Whether there is an entry of that name, whole or not."""
        return (self.folder / key).is_dir()

    def _seen(self, entry: Path, seal: object) -> Path | None:
        """The note that says of these very files that their content was compared with the seal.

        It counts until the machine starts again, as what was written may not have reached the disk before. None where
        that cannot be told, or where the files changed just now. Raises ``OSError``.
        """
        boot = _boot()
        files = [identity_of(str(entry / name), name) for name in _PARTS]
        if not boot or time.time() - max(max(file.mtime_ns, file.ctime_ns) for file in files) / 1e9 <= SETTLED:
            return None
        named = repr((boot, seal, [tuple(file) for file in files]))
        return self.folder / "files" / hashlib.sha256(named.encode()).hexdigest()[:40]

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[Path | None]:
        """A new folder to write ``model.onnx`` and ``weights.bin`` into, which then becomes the entry; or None.

        What goes wrong inside is raised after the folder is removed; what goes wrong in making an entry of it is not.
        """
        draft = self.folder / f"draft-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            draft.mkdir(parents=True, mode=0o700)
        except OSError:
            yield None
            return
        try:
            yield draft
            with contextlib.suppress(OSError, ValueError):
                self._seal(draft, key)
        finally:
            _remove(draft)

    def _seal(self, draft: Path, key: str) -> None:
        weights = draft / "weights.bin"
        if not weights.exists():
            weights.write_bytes(b"")
        size = sum(path.stat().st_size for path in draft.iterdir())
        if size > self.limit // 2:
            return
        seal = {name: checksum(draft / name) for name in _PARTS}
        (draft / "seal.json").write_text(json.dumps(seal))
        # Fails where another process was first; its entry is as good.
        draft.rename(self.folder / key)
        self._shrink()

    def _shrink(self) -> None:
        """Remove the entries that were not used for the longest time, and drafts of writers that are gone."""
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            try:
                used = path.stat().st_mtime
                if path.name.startswith("draft-"):
                    if time.time() - used > STALE:
                        _remove(path)
                elif path.name in _NOTES:
                    _thin(path)
                elif path.is_dir():
                    entries.append((used, sum(p.stat().st_size for p in path.iterdir()), path))
            except OSError:
                continue
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries, key=lambda entry: entry[0]):
            if total <= self.limit:
                break
            _remove(path)
            total -= size

    def key(self, model: SegmentModel, *options: object) -> str | None:
        """The entry's name for a model; None where nothing would be gained."""
        if len(model.labels) < MIN_NODES:
            return None
        digest = hashlib.sha256(model.bytes)
        for name, array in model.in_memory.items():
            # The model tells their types and shapes.
            content = hashlib.sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
            digest.update(name.encode() + content.digest())
        try:
            for path in model.files:
                digest.update((self.content(path) or "").encode())
        except OSError:
            return None
        digest.update(repr((surroundings(), options)).encode())
        return digest.hexdigest()[:40]

    def content(self, path: Path, identity: FileIdentity | None = None) -> str | None:
        """The digest of a file's content; None where the file is no longer the one of ``identity``.

        It is noted under what tells the file from others and from what it was. Raises ``OSError``.
        """
        with path.open("rb") as file:
            found = identity_of(file.fileno(), str(path))
            if identity is not None and found != identity:
                return None
            known = self.known_content(found)
            if known is not None:
                return known
            content = hashlib.file_digest(file, "sha256").hexdigest()
        if time.time() - max(found.mtime_ns, found.ctime_ns) / 1e9 > SETTLED:
            note, check = self._file_note(found, content)
            self.write_note(note, f"{content} {check}".encode())
        return content

    def known_content(self, identity: FileIdentity) -> str | None:
        """The digest of a file's content where it is noted."""
        with contextlib.suppress(OSError, ValueError):
            content, check = self._file_note(identity, "")[0].read_text(encoding="ascii").split()
            # A damaged note must not give two files one digest.
            if check == self._file_note(identity, content)[1]:
                return content
        return None

    def _file_note(self, identity: FileIdentity, content: str) -> tuple[Path, str]:
        """Where the note of a file is, and what it must say beside the content's digest."""
        named = repr(tuple(identity)).encode()
        check = hashlib.sha256(named + content.encode()).hexdigest()
        return self.folder / "files" / hashlib.sha256(named).hexdigest()[:40], check

    def write_note(self, note: Path, content: bytes) -> None:
        """Write a note whole or not at all; nothing is said where it cannot be."""
        draft = note.with_name(f"{note.name}-{os.getpid()}-{os.urandom(4).hex()}")
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                draft.write_bytes(content)
                draft.replace(note)
            except OSError:
                draft.unlink(missing_ok=True)
                raise


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _thin(folder: Path) -> None:
    """Remove the oldest notes of a kind where there are too many."""
    notes = sorted((path.stat().st_mtime, path) for path in folder.iterdir())
    for _, path in notes[: max(len(notes) - MAX_NOTES, 0)]:
        path.unlink(missing_ok=True)


def checksum(path: Path) -> list[Any]:
    """Size and a digest that finds damage fast: 64-bit sums of blocks of 64 KiB, hashed. No defence against forgery."""
    data = np.fromfile(path, np.uint8) if path.stat().st_size < 1 << 16 else np.memmap(path, np.uint8, "r")
    words = data[: len(data) // 8 * 8].view(np.uint64)
    whole = len(words) // _BLOCK * _BLOCK
    digest = hashlib.sha256(np.add.reduce(words[:whole].reshape(-1, _BLOCK), axis=1).tobytes())
    digest.update(words[whole:].tobytes())
    digest.update(data[len(words) * 8 :].tobytes())
    return [len(data), digest.hexdigest()]


@functools.cache
def surroundings() -> tuple[str, ...]:
    """What beside a program decides an entry: this format, the versions, the processor."""
    import onnxruntime

    return FORMAT, __version__, onnxruntime.__version__, processor()


@functools.cache
def _boot() -> str:
    """What tells this start of the machine from others; empty where that cannot be known."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def default_cache() -> Cache | None:
    """The user's cache as the environment has it; None where it is turned off."""
    place = os.environ.get("PTERON_CACHE", "")
    if place == "0":
        return None
    try:
        limit = int(os.environ.get("PTERON_CACHE_SIZE", DEFAULT_BYTES))
    except ValueError:
        limit = DEFAULT_BYTES
    if place:
        return Cache(Path(place) / "onnx", limit)
    import platformdirs

    return Cache(Path(platformdirs.user_cache_dir("pteron", appauthor=False)) / "onnx", limit)
