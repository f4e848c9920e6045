"""Where bytes come from: a path (mapped, read-only), bytes, or any buffer."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

import numpy as np

from pteron.errors import FileAccessError

if TYPE_CHECKING:
    from typing_extensions import Buffer

FileSource: TypeAlias = Union[str, "os.PathLike[str]", "Buffer"]


def read_source(source: FileSource) -> tuple[memoryview, str]:
    """A read-only view of the bytes and the name to call them by in messages.

    Files are mapped, not read, so opening costs the same whatever their size; the mapping lives as long as a view
    of it. Raises ``FileAccessError`` where the file cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        return _map(Path(source)), str(source)
    try:
        view = memoryview(source)
    except TypeError:
        raise FileAccessError(
            f"<{type(source).__name__}>: give a path, bytes or an object with the buffer protocol"
        ) from None
    if not view.c_contiguous:
        raise FileAccessError("<bytes>: the buffer is not contiguous; give a contiguous copy")
    return view.toreadonly().cast("B"), "<bytes>"


class FileIdentity(NamedTuple):
    """What tells a file from others, and from what it was before it changed."""

    path: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


def identity_of(file: int | str, path: str) -> FileIdentity:
    """The identity of a file by its descriptor or path, called ``path``; raises ``OSError``."""
    stat = os.stat(file)
    return FileIdentity(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def source_identity(source: object) -> FileIdentity | None:
    """The identity of the file that a source is the path of; None for bytes, buffers and what cannot be seen."""
    if not isinstance(source, str | os.PathLike):
        return None
    try:
        path = os.path.abspath(os.fspath(source))
        return identity_of(path, path)
    except (OSError, ValueError, TypeError):
        return None


def memory_address(view: memoryview) -> int:
    """Where the view's bytes are in memory; two views with one address and length are the same bytes."""
    address: int = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    return address


def _map(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return memoryview(file.read()).toreadonly()
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"{path}: cannot be opened ({reason}); check the path") from error
