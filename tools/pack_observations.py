"""Pack what the real runtimes did with the corpus into the small table that the confusion test reads.

    python tools/pack_observations.py OBSERVED/matrix.jsonl

One JSON document, compressed with xz: ``runtimes`` (columns), ``texts`` (what failed, each once) and ``files`` (name →
one cell per runtime, ``status`` or ``status:text index``). Status is one letter of ``STATUSES``.
"""

from __future__ import annotations

import json
import lzma
import re
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "tests" / "observed" / "matrix.json.xz"

STATUSES = {
    "ok": "o",
    "wrong": "w",
    "load_error": "l",
    "method_load_error": "m",
    "exec_error": "e",
    "crash": "c",
    "timeout": "t",
    "not_run": "n",
}

_NUMBERS = re.compile(r"\d{4,}|0x[0-9a-f]{5,}|#\d+|(?<=node )\d+|(?<=operator: )\[\d+\]")
_TELLING = re.compile(
    r"assert failed|[Mm]issing operator|not found|not registered|Check failed|Failed to create|no longer|disabled|"
    r"Attempted to resize|Malformed|Memory allocation failed|was expected to be|compileModel failed|"
    r"getTensorDataPtr|Expected shape|Unhandled dtype|DEPRECATED.*constant|not contiguous|is expected Tensor"
)


def pack(matrix: Path) -> bytes:
    rows = [json.loads(line) for line in matrix.read_text(encoding="utf-8").splitlines()]
    runtimes = sorted({row["runtime_release"] for row in rows}, key=lambda r: [int(n) for n in r.split(".")])
    texts: dict[str, int] = {"": 0}
    files: dict[str, list[str]] = {}
    for row in rows:
        cells = files.setdefault(row["file"], [""] * len(runtimes))
        text = "" if row["status"] == "ok" else _cause(row)
        number = texts.setdefault(text, len(texts))
        cells[runtimes.index(row["runtime_release"])] = STATUSES[row["status"]] + (f":{number}" if number else "")
    document = {
        "runtimes": runtimes,
        "texts": list(texts),
        "files": {name: " ".join(cells) for name, cells in sorted(files.items())},
    }
    return lzma.compress(json.dumps(document, indent=0).encode(), preset=9 | lzma.PRESET_EXTREME)


_RESIZED = re.compile(r"[Aa]ttempted to resize a static tensor|resize_tensor\(")


def _cause(row: dict[str, Any]) -> str:
    """The line of the log that says most, with the error code; numbers that differ from run to run left out.

    Releases word one failure in several ways: what cannot be resized is called the same in all.
    """
    log = row.get("log") or []
    line = next((line for line in log if _TELLING.search(line)), "")
    if _RESIZED.search(line):
        line = "a static tensor would have to be resized"
    parts = [row.get("error_code") or "", line or row.get("text", "")]
    return _NUMBERS.sub("#", " ".join(filter(None, parts)))[:160]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__)
        return 2
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    partial = TARGET.with_suffix(".partial")
    partial.write_bytes(pack(Path(arguments[0])))
    partial.replace(TARGET)
    print(f"{TARGET} {TARGET.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
