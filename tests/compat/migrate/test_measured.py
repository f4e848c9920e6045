"""What docs/migrate.md says of migration on the real releases is what was recorded, and what migration still does."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

import corpus_files
from pteron.errors import MigrationError
from pteron.migration import plan

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT / "tools"))

from migration_page import END, START, result_of, tables  # noqa: E402
from migration_record import Pair, cause_of, failed_pairs, read  # noqa: E402

PAIRS = read()
STEP = 97
"""Every so many pairs are planned again."""


def test_the_page_is_made_from_the_record() -> None:
    page = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
    assert page.partition(START)[2].partition(END)[0].strip() == "\n".join(tables(PAIRS)).strip()


def test_most_run_right_on_the_real_releases_and_none_otherwise() -> None:
    counts = Counter(map(result_of, PAIRS))
    assert counts["right"] >= 0.85 * len(PAIRS)
    assert counts["otherwise"] == 0
    assert not any(pair.planned == "failed" for pair in PAIRS)
    assert all(pair.reason for pair in PAIRS if pair.planned == "refused")


def test_every_pair_failed_when_the_corpus_was_made() -> None:
    failed = failed_pairs()
    for pair in PAIRS:
        assert pair.file in failed[pair.runtime]


@pytest.mark.parametrize("pair", PAIRS[::STEP], ids=lambda pair: f"{pair.file}-{pair.runtime}")
def test_migration_still_does_what_was_recorded(pair: Pair) -> None:
    release, _, name = pair.file.partition("/")
    case = next(case for case in corpus_files.cases(release) if case.name == name)
    assert cause_of(case.read(), case.read_data(), pair.runtime) == pair.cause
    migrated = plan(case.read(), pair.runtime, data=case.read_data())
    if pair.planned == "refused":
        with pytest.raises(MigrationError):
            migrated.require()
        return
    migrated.require()
    assert tuple(applied.step for applied in migrated.plan.applied) == pair.steps
