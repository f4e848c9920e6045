"""Every verdict on the corpus against what the real runtimes did with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import confusion
from confusion import CAUSES, DISTURBED, OBSERVED, disagreements, observed, page, pairs
from pteron.compat.verdict import Status

PAGE = Path(__file__).parents[2] / "docs" / "confusion.md"
KINDS = ("told", "dated")


def test_the_observations_are_all_there_and_small() -> None:
    assert len(observed()["files"]) == 5108
    assert len(pairs()["dated"]) == len(pairs()["told"]) == 61_296 - 240  # what the bindings had no way to run
    assert OBSERVED.stat().st_size < 400_000


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_that_is_said_to_run_failed(kind: str) -> None:
    failed = [
        f"{pair.file} on {pair.runtime}: {pair.verdict.status}, but {confusion.cause(pair.cell)}"
        for pair in pairs()[kind]
        if pair.happened == "failed" and pair.verdict.runs
    ]
    assert failed == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_ran_is_not_called_incompatible(kind: str) -> None:
    ran = [pair for pair in pairs()[kind] if pair.happened == "ran"]
    wrong = [pair for pair in ran if pair.verdict.status in (Status.INCOMPATIBLE, Status.BROKEN)]
    assert len(ran) > 50_000
    assert len(wrong) <= 0.02 * len(ran), [f"{pair.file} on {pair.runtime}: {pair.verdict.rules}" for pair in wrong]


@pytest.mark.parametrize("kind", KINDS)
def test_every_disagreement_has_a_cause(kind: str) -> None:
    for pair, _ in disagreements(kind):
        known = (pair.file, pair.runtime) in DISTURBED or (pair.file.partition("/")[2], pair.cell[0]) in CAUSES
        assert known, f"{pair.file} on {pair.runtime}: {confusion.cause(pair.cell)}"


def test_disturbed_observations_disagree_with_all_others_of_the_same_program() -> None:
    for file, runtime in DISTURBED:
        name = file.partition("/")[2]
        others = {
            pair.cell
            for pair in pairs()["told"]
            if pair.file.partition("/")[2] == name and pair.runtime == runtime and pair.file != file
        }
        assert others == {"o"}


def test_silent_wrong_numbers_are_said_to_be_that_and_said_first() -> None:
    """Wherever a file of which the own release is right gave wrong numbers, the verdict says that it would."""
    lied = [pair for pair in pairs()["told"] if pair.cell.startswith("w") and pair.own == "o"]
    assert len(lied) > 100
    for pair in lied:
        assert pair.verdict.reasons[0].wrong_numbers, f"{pair.file} on {pair.runtime}: {pair.verdict.rules}"


def test_broken_promises_are_found() -> None:
    """The three kernels that broke a promise from one release to the next (docs/confusion.md)."""
    broken = {(pair.file, pair.runtime) for pair in pairs()["told"] if pair.verdict.status is Status.BROKEN}
    assert broken == {
        ("0.4.0/gru.pte", "0.5.0"),
        ("0.4.0/ops/le_tensor.1.pte", "0.5.0"),
        ("0.4.0/ops/logsumexp.0.pte", "0.5.0"),
        ("0.6.0/ops/copy.2.pte", "0.7.0"),
    }


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tools/make_confusion_page.py"
