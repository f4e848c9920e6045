"""Write the tables of docs/dating.md: the rules, and how wide the ranges are for the corpus.

python tools/dating_tables.py          # rewrites docs/dating.md in place
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "dating.md"
sys.path.insert(0, str(ROOT / "tests"))

import corpus_files  # noqa: E402
from pteron.compat.dating import ProducedBy, date  # noqa: E402
from pteron.compat.dating_rules import MINORS, RULES  # noqa: E402
from pteron.format.bundled_program import read_bundled_program  # noqa: E402
from pteron.format.program import read_program  # noqa: E402

Dated = tuple[str, ProducedBy]


def dated(release: str) -> list[Dated]:
    """Every program of the corpus that the release made, those inside of bundles included."""
    files = [(name, read_program(corpus_files.read(release, name))) for name in corpus_files.names(release)]
    for name in corpus_files.names(release, ".bpte"):
        files.append((name, read_bundled_program(corpus_files.read(release, name)).program))
    return [(name, date(program)) for name, program in files]


def spans(releases: frozenset[str]) -> str:
    """``0.6 to 1.0, 1.3 or later``."""
    parts: list[list[str]] = []
    for index, name in enumerate(MINORS):
        if name in releases:
            if parts and parts[-1][-1] == MINORS[index - 1]:
                parts[-1].append(name)
            else:
                parts.append([name])
    words = []
    for part in parts:
        if part[0] == MINORS[0]:
            words.append(part[0] if len(part) == 1 else f"up to {part[-1]}")
        elif part[-1] == MINORS[-1]:
            words.append(f"{part[0]} or later")
        else:
            words.append(part[0] if len(part) == 1 else f"{part[0]} to {part[-1]}")
    return ", ".join(words)


def rules_table() -> str:
    lines = ["| rule | what the file shows | written by | certainty |", "|---|---|---|---|"]
    for rule in RULES:
        certainty = "hard" if rule.hard else "default configuration"
        if rule.layout:
            certainty += ", layout"
        lines.append(f"| `{rule.id}` | {rule.sentence} | {spans(rule.releases)} | {certainty} |")
    return "\n".join(lines)


def widths_table(found: dict[str, list[Dated]]) -> str:
    """Files by the number of minor releases in their range, per true release."""
    most = max(len(range_.releases) for files in found.values() for _, range_ in files)
    lines = [
        "| made by | files | " + " | ".join(map(str, range(1, most + 1))) + " | median | true release inside |",
        "|---" * (most + 4) + "|",
    ]
    everything: list[tuple[str, Dated]] = []
    for release, files in found.items():
        everything += [(release, item) for item in files]
        lines.append(_row(release, [(release, item) for item in files], most))
    lines.append(_row("all", everything, most))
    models = [(release, item) for release, item in everything if not item[0].startswith("ops/")]
    lines.append(_row("all but single-operator programs", models, most))
    return "\n".join(lines)


def _row(title: str, items: Iterable[tuple[str, Dated]], most: int) -> str:
    items = list(items)
    widths = sorted(len(range_.releases) for _, (_, range_) in items)
    counts = Counter(widths)
    inside = sum(range_.contains(release) for release, (_, range_) in items)
    cells = " | ".join(str(counts[width] or "") for width in range(1, most + 1))
    share = f"{100 * inside / len(items):.6g} %"
    return f"| {title} | {len(items)} | {cells} | {widths[len(widths) // 2]} | {share} |"


def written(text: str, tables: dict[str, str]) -> str:
    """The document with each ``<!-- NAME -->`` … ``<!-- end -->`` filled."""
    for name, table in tables.items():
        start = f"<!-- {name} -->\n"
        before, _, rest = text.partition(start)
        _, end, after = rest.partition("<!-- end -->")
        text = f"{before}{start}{table}\n{end}{after}"
    return text


def main() -> int:
    found = {release: dated(release) for release in corpus_files.releases()}
    tables = {"rules": rules_table(), "widths": widths_table(found)}
    DOCUMENT.write_text(written(DOCUMENT.read_text(), tables))
    print(tables["widths"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
