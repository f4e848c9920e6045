"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pteron.errors import FileAccessError

if TYPE_CHECKING:
    from typing_extensions import Buffer


def save_parts(path: str | os.PathLike[str], parts: Iterable[Buffer]) -> None:
    """Write the parts one after the other to a temporary file beside ``path``, then rename it to ``path``.

    A reader sees the old file or the new one, never half of it, and a file that is mapped while it is replaced stays
    readable. Raises ``FileAccessError``.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                for part in parts:
                    file.write(part)
            temporary.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileAccessError(f"{target}: cannot be written ({reason}); check the folder") from error
