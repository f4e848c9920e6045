"""The tutorial says what the commands say; what needs a real release is held to it where there is one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tools_as_modules import load_tool


@pytest.fixture
def tool() -> ModuleType:
    return load_tool("tutorial_transcript")


def test_the_page_is_up_to_date(tool: ModuleType, pteron: Callable[..., Any], folder: Path) -> None:
    def run(arguments: list[str], _: Path) -> tuple[int, str]:
        ran = pteron(*arguments)
        return ran.code, ran.out + ran.err

    page = tool.PAGE.read_text(encoding="utf-8")
    pattern = ""
    for part in tool.parts(folder, run, real=False):
        pattern += r"(?:(?!```).*\n)+?" if part is None else re.escape(part)
        assert re.match(pattern, page), f"run python tools/tutorial_transcript.py\n{part}"
    assert re.fullmatch(pattern, page)


def test_every_story_goes_from_check_to_migrate_to_prove(tool: ModuleType) -> None:
    assert len(tool.STORIES) == 3
    for story in tool.STORIES:
        commands = [step.command.split()[0] for step in story.steps]
        assert commands[0] == "check"
        assert commands.index("migrate") < len(commands) - 1 - commands[::-1].index("prove")
        for step in story.steps:
            assert step.real or not step.command.startswith("prove")


def test_what_is_steady(tool: ModuleType) -> None:
    said = (
        "Ran on executorch 1.5.1, Linux x86_64, wheel 274c28c2fe2b76ac…, 2026-11-23: within 7.5e-08 of the reference."
    )
    elsewhere = said.replace("Linux x86_64", "Darwin arm64").replace("7.5e-08", "0").replace("11-23", "12-01")
    assert tool.steady(said) == tool.steady(elsewhere)
    assert tool.steady(said) != tool.steady(said.replace("Ran", "Failed"))


@pytest.mark.interop
def test_on_the_real_release(tool: ModuleType, folder: Path) -> None:
    """Needs the release in the folder of environments, and installs it where it is missing."""
    assert tool.run_command(["runtimes", "install", tool.RELEASE], folder)[0] == 0
    made = "".join(part for part in tool.parts(folder, tool.run_command))
    assert tool.steady(made) == tool.steady(tool.PAGE.read_text(encoding="utf-8"))
