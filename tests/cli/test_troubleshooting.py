"""The troubleshooting page says what the commands say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tools_as_modules import load_tool

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool() -> ModuleType:
    return load_tool("troubleshooting_transcript")


def test_the_page_is_up_to_date(tool: ModuleType, pteron: Callable[..., Any], folder: Path) -> None:
    def run(arguments: list[str], _: Path) -> tuple[int, str]:
        ran = pteron(*arguments)
        return ran.code, ran.out + ran.err

    written = tool.page(folder, run)
    assert written == (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")


def test_every_call_of_the_page_says_no_or_what_is_wrong(
    tool: ModuleType, pteron: Callable[..., Any], folder: Path
) -> None:
    tool.prepare(folder)
    for section, cases in tool.CASES.items():
        for case in cases:
            ran = pteron(*case.command.split())
            assert (ran.code == 0) == (case.command == "explain 18"), (section, case.title)
            assert "Traceback" not in ran.err
            assert "internal error" not in ran.err
