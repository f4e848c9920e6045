"""The cache of optimised models: opening a file again skips ONNX Runtime's optimisers, which take most of the time.

An entry is a folder named by a digest of everything that it depends on: the model, the content of the files that its
weights lie in, the versions, and the processor (optimised layouts are made for one). It holds ``model.onnx``,
``weights.bin`` and ``seal.json`` with their sizes and checksums. Entries are written to a folder of their own and
renamed, so that a process that is killed, a full disk or a race leaves no half entry under a name that is looked up;
one that does not match its seal is thrown away. Nothing here may fail a run: without a usable folder there is no cache.

``PTERON_CACHE=0`` turns it off, ``PTERON_CACHE=<folder>`` puts it elsewhere, ``PTERON_CACHE_SIZE`` bounds its bytes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pteron.runtime.onnx_engine.model import SegmentModel
from pteron.version import __version__

FORMAT = "1"
DEFAULT_BYTES = 1 << 30

# Below so many nodes, and for models whose weights are not in a file, optimising costs less than looking up.
MIN_NODES = 16
# Folders of writers that never finished are removed when they are older, in seconds.
STALE = 3600.0

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
            for name in ("model.onnx", "weights.bin"):
                if seal[name] != checksum(entry / name):
                    raise ValueError(name)
        except (OSError, ValueError, KeyError, TypeError):
            # Damaged, unless it was never written.
            shutil.rmtree(entry, ignore_errors=True)
            return None
        with contextlib.suppress(OSError):
            os.utime(entry)
        return entry / "model.onnx"

    @contextlib.contextmanager
    def writing(self, key: str) -> Iterator[Path | None]:
        """A new folder to write ``model.onnx`` and ``weights.bin`` into, which then becomes the entry; or None.

        What goes wrong inside is raised after the folder is removed; what goes wrong in making an entry of it is not.
        """
        draft = self.folder / f"draft-{os.getpid()}-{secrets.token_hex(4)}"
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
            shutil.rmtree(draft, ignore_errors=True)

    def _seal(self, draft: Path, key: str) -> None:
        weights = draft / "weights.bin"
        if not weights.exists():
            weights.write_bytes(b"")
        size = sum(path.stat().st_size for path in draft.iterdir())
        if size > self.limit // 2:
            return
        seal = {name: checksum(draft / name) for name in ("model.onnx", "weights.bin")}
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
                        shutil.rmtree(path, ignore_errors=True)
                elif path.is_dir() and path.name != "files":
                    entries.append((used, sum(p.stat().st_size for p in path.iterdir()), path))
            except OSError:
                continue
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries, key=lambda entry: entry[0]):
            if total <= self.limit:
                break
            shutil.rmtree(path, ignore_errors=True)
            total -= size

    def key(self, model: SegmentModel, *options: object) -> str | None:
        """The entry's name for a model; None where its weights are not in files, or nothing would be gained."""
        if model.in_memory or len(model.labels) < MIN_NODES:
            return None
        digest = hashlib.sha256(model.bytes)
        try:
            for path in model.files:
                digest.update(self._content(path).encode())
        except OSError:
            return None
        digest.update(repr((FORMAT, _versions(), _processor(), options)).encode())
        return digest.hexdigest()[:40]

    def _content(self, path: Path) -> str:
        """The digest of a file's content, remembered under what tells the file from others and from what it was."""
        stat = path.stat()
        identity = (str(path), stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        note = self.folder / "files" / hashlib.sha256(repr(identity).encode()).hexdigest()[:40]
        with contextlib.suppress(OSError, ValueError):
            known = note.read_text(encoding="ascii")
            if len(known) == 64:
                return known
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = note.with_name(f"{note.name}-{os.getpid()}-{secrets.token_hex(4)}")
            draft.write_text(content, encoding="ascii")
            draft.replace(note)
        return content


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
def _versions() -> tuple[str, str]:
    import onnxruntime

    return __version__, onnxruntime.__version__


@functools.cache
def _processor() -> str:
    """What tells processors apart whose instruction sets, and so whose layouts, differ."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        wanted = ("model name", "flags", "Features", "CPU part")
        return repr(sorted({line for line in lines if line.startswith(wanted)}))
    return f"{platform.machine()} {platform.processor()}"


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
