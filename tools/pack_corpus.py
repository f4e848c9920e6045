"""Pack a corpus folder into the archives that the tests read: one zip per release, files under their own names.

    python tools/pack_corpus.py CORPUS_FOLDER [RELEASE ...]

The folder has one sub-folder per release as ``export_corpus`` writes it (``add.pte``, ``add.npz``, ``manifest.json``,
``ops/…``). Archives are the same bytes whenever the files are the same.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ARCHIVES = Path(__file__).resolve().parents[1] / "tests" / "corpus"


def pack(folder: Path) -> Path:
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    target = ARCHIVES / f"{folder.name}.zip"
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    partial.replace(target)
    return target


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__)
        return 2
    root = Path(arguments[0])
    releases = arguments[1:] or sorted(p.name for p in root.iterdir() if (p / "manifest.json").exists())
    for release in releases:
        target = pack(root / release)
        print(f"{target} {target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
