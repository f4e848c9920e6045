"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pteron.errors import FileAccessError

if TYPE_CHECKING:
    from typing_extensions import Buffer

STALE_SECONDS = 600.0
"""A temporary file that was not written to for so long is of a process that was killed."""


def save_parts(path: str | os.PathLike[str], parts: Iterable[Buffer]) -> None:
    """Write the parts one after the other to a temporary file beside ``path``, then rename it to ``path``.

    A reader sees the old file or the new one, never half of it, and a file that is mapped while it is replaced stays
    readable. Raises ``FileAccessError``.
    """
    save_files({Path(path): parts})


def save_files(files: Mapping[Path, Iterable[Buffer]]) -> None:
    """Write several files that belong together, each as :func:`save_parts` does, and rename them in the end.

    What ends this before it is done leaves none of those that were not there before. Raises ``FileAccessError``.
    """
    temporaries: dict[Path, Path] = {}
    new: list[Path] = []
    try:
        for target, parts in files.items():
            with _naming(target):
                _sweep(target)
                temporaries[target] = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
                with temporaries[target].open("xb") as file:
                    for part in parts:
                        file.write(part)
        for target, temporary in temporaries.items():
            with _naming(target):
                if not target.exists():
                    new.append(target)
                temporary.replace(target)
    except BaseException:
        for left in (*temporaries.values(), *(new if len(files) > 1 else ())):
            with contextlib.suppress(OSError, ValueError):
                left.unlink()
        raise


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Let errors of the system out as ``FileAccessError``."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"{target}: cannot be written ({reason}); check the folder") from error


def _sweep(target: Path) -> None:
    """Remove what writing the same file left when its process was killed."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(target.parent):
            if entry.name.startswith(f".{target.name}.") and entry.name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    if len(entry.name) == len(target.name) + 14 and time.time() - entry.stat().st_mtime > STALE_SECONDS:
                        os.unlink(entry.path)
