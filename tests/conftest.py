"""Prints what the corpus tests found: a table of release × engine × (files, passed), and every miss with its cause.

A test that records a property ``table: <title>`` gives one row of a further table, the release first.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from typing import Any

from hypothesis import settings

# Tests leave the user's cache alone; those of the cache have one of their own.
os.environ["PTERON_CACHE"] = "0"

# What a shell starts in the background ignores SIGINT, and would hand that on to the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Time limits of single examples would fail on a busy machine; nothing is asserted about speed in tests. Every run has
# the same examples, so that a change is not held up by what it did not touch; HYPOTHESIS_PROFILE=search for others.
settings.register_profile("pteron", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "pteron"))


def _in_order(releases: Any) -> list[str]:
    return sorted(releases, key=lambda release: [int(n) for n in str(release).split(".") if n.isdigit()])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    corpus: list[dict[str, Any]] = []
    counted: dict[str, list[dict[str, Any]]] = {}
    for status in ("passed", "failed"):
        for report in terminalreporter.stats.get(status, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "corpus":
                    corpus.append(value)
                elif name.startswith("table: "):
                    counted.setdefault(name.removeprefix("table: "), []).append(value)
    for title, lines in counted.items():
        terminalreporter.section(title)
        columns = list(lines[0])
        terminalreporter.write_line("".join(f"{column:>20}" for column in columns))
        by_release = defaultdict(list)
        for line in lines:
            by_release[line[columns[0]]].append(line)
        for release in _in_order(by_release):
            for line in by_release[release]:
                terminalreporter.write_line("".join(f"{line[column]!s:>20}" for column in columns))
    if corpus:
        _print_corpus(terminalreporter, corpus)


def _print_corpus(terminalreporter: Any, corpus: list[dict[str, Any]]) -> None:
    """Release × engine × (files, passed), then the files that miss, with their cause."""
    rows = {(row["release"], row["engine"]): row for row in corpus}
    engines = sorted({row["engine"] for row in corpus}, reverse=True)
    terminalreporter.section("corpus: files and how many passed, by release and engine")
    terminalreporter.write_line(f"{'release':<10}" + "".join(f"{engine:>22}" for engine in engines))
    terminalreporter.write_line(f"{'':<10}" + f"{'files':>12}{'passed':>10}" * len(engines))
    for release in _in_order({row["release"] for row in corpus}):
        cells = (rows.get((release, engine), {"files": "-", "passed": "-"}) for engine in engines)
        terminalreporter.write_line(f"{release:<10}" + "".join(f"{c['files']:>12}{c['passed']:>10}" for c in cells))
    causes: defaultdict[tuple[str, str], defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in corpus:
        for file, cause in row["misses"].items():
            causes[file, cause][row["release"]].add(row["engine"])
    for (file, cause), releases in sorted(causes.items()):
        on = ", ".join(sorted(set().union(*releases.values()), reverse=True))
        terminalreporter.write_line(f"missed: {file} of {', '.join(_in_order(releases))} on {on}: {cause}")
