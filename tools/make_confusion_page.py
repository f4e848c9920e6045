"""Write ``docs/confusion.md``: every verdict on the corpus against what the real runtimes did.

python tools/make_confusion_page.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from confusion import page  # noqa: E402


def main() -> int:
    target = ROOT / "docs" / "confusion.md"
    target.write_text(page(), encoding="utf-8")
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
