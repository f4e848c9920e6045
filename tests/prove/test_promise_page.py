"""docs/promise-measured.md agrees with the record of what real runtimes did with the corpus."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from confusion import observed

PAGE = (Path(__file__).parents[2] / "docs" / "promise-measured.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_record() -> None:
    runtimes = observed()["runtimes"]
    counts: dict[tuple[str, str], Counter[str]] = {}
    for name, row in observed()["files"].items():
        producer, _, file = name.partition("/")
        if not file.startswith(("ops/", "other_backends/")):
            for runtime, cell in zip(runtimes, row.split(), strict=True):
                counts.setdefault((producer, runtime), Counter())[cell[0]] += 1
    section = PAGE.partition("## Producer × runtime")[2].partition("\n## ")[0]
    rows = {
        match[1]: match[2].split(" | ") for match in re.finditer(r"^\| ([\d.]+) \| (.*) \|$", section, re.MULTILINE)
    }
    assert list(rows) == runtimes
    for producer, cells in rows.items():
        for runtime, cell in zip(runtimes, cells, strict=True):
            count = counts[producer, runtime]
            assert cell.strip("*") == f"{count['o']}/{count.total() - count['n']}", f"{producer} on {runtime}"


def test_every_break_has_a_cause() -> None:
    assert "(no rule)" not in PAGE
    assert PAGE.count("| `PT-") > 50
