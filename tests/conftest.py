"""Prints what the corpus tests found: one table of release × (files, passed), and every miss with its cause.

A test that records a property ``table: <title>`` gives one row of a further table, the release first.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import settings

# Tests leave the user's cache alone; those of the cache have one of their own.
os.environ["PTERON_CACHE"] = "0"

# Time limits of single examples would fail on a busy machine; nothing is asserted about speed in tests.
settings.register_profile("pteron", deadline=None)
settings.load_profile("pteron")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows: dict[str, tuple[int, int]] = {}
    misses: list[str] = []
    counted: dict[str, list[dict[str, Any]]] = {}
    for status in ("passed", "failed"):
        for report in terminalreporter.stats.get(status, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "corpus":
                    rows[value["release"]] = (value["files"], value["passed"])
                    misses += value["misses"]
                elif name.startswith("table: "):
                    counted.setdefault(name.removeprefix("table: "), []).append(value)
    for title, lines in counted.items():
        terminalreporter.section(title)
        columns = list(lines[0])
        terminalreporter.write_line("".join(f"{column:>20}" for column in columns))
        for line in sorted(lines, key=lambda row: [int(n) for n in str(row[columns[0]]).split(".") if n.isdigit()]):
            terminalreporter.write_line("".join(f"{line[column]!s:>20}" for column in columns))
    if not rows:
        return
    terminalreporter.section("corpus on the reference engine")
    terminalreporter.write_line(f"{'release':<10}{'files':>7}{'passed':>8}")
    for release in sorted(rows, key=lambda r: [int(n) for n in r.split(".")]):
        files, passed = rows[release]
        terminalreporter.write_line(f"{release:<10}{files:>7}{passed:>8}")
    for miss in misses:
        terminalreporter.write_line(f"  {miss}")
