"""docs/rules/ is what the catalogue says."""

from __future__ import annotations

from pathlib import Path

from tools_as_modules import load_tool

ROOT = Path(__file__).parents[2]


def test_the_pages_are_up_to_date() -> None:
    made = load_tool("make_rule_pages").pages()
    written = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "rules").iterdir()}
    assert written == made, "run python tools/make_rule_pages.py"
