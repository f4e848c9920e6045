"""JSON documents: one versioned schema per command (``pteron.show/1``), described in docs/cli.md.

Within a version fields are only ever added. Numbers that JSON lacks are the strings ``"NaN"``, ``"Infinity"`` and
``"-Infinity"``.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, TypeAlias

from pteron.version import __version__

# Line breaks are never inside of a JSON string, so what follows "[" and a break is the list's own text.
_FLAT_LIST = re.compile(r"\[\n\s+([^\[\]{}]*?)\n\s+\]")
_LINE_BREAK = re.compile(r"\n\s+")

Document: TypeAlias = dict[str, Any]


def document(schema: str, **fields: Any) -> Document:
    """A document that says which schema it follows and which Pteron made it."""
    return {"schema": schema, "pteron": __version__, **fields}


def to_json(document: Document) -> str:
    """The document as JSON text, ASCII only (so it survives any terminal and holds no control characters).

    Lists of numbers and strings stand on one line.
    """
    text = json.dumps(_plain(document), indent=2, allow_nan=False)
    return _FLAT_LIST.sub(lambda match: "[" + _LINE_BREAK.sub(" ", match[1]) + "]", text)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
