"""Puts what migration did on the real releases into docs/migrate.md: `python tools/migration_page.py`."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from migration_record import CAUSES, Pair, at_home, read  # noqa: E402

PAGE = ROOT / "docs" / "migrate.md"
START, END = "<!-- measured: tools/prove_migrations.py -->", "<!-- end of measured -->"
HEADS = ("pairs that failed", "run right after migration", "share", "run otherwise", "not shown", "refused")
NOT_SHOWN = {
    "PT-DI-001": "the wheel's Python binding aborts on such inputs",
    "PT-DI-002": "the wheel's Python binding refuses such inputs",
    "PT-DI-003": "the wheel's Python binding cannot do what the file needs",
    "PT-OP-002": "an operator's library is not in the wheel",
    "PT-OP-003": "a custom operator is not in the wheel",
    "PT-BE-001": "a backend is not in the wheel",
}
"""Conditions that a wheel does not fulfil, whatever migration does."""


def write_page(page: Path = PAGE) -> None:
    """Replace what is between the markers of the page."""
    before, rest = page.read_text(encoding="utf-8").split(START)
    text = "\n".join(tables(read()))
    page.write_text(f"{before}{START}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def result_of(pair: Pair) -> str:
    """Which column of the tables a pair is counted in."""
    if pair.planned != "migrated":
        return "refused"
    if pair.ran in ("ok", "as the original"):
        return "right"
    if pair.ran == "wrong":
        return "otherwise"
    return "not shown"


def tables(pairs: Sequence[Pair]) -> Iterator[str]:
    """Markdown: by runtime, by cause, and what is left."""
    runtimes = list(dict.fromkeys(pair.runtime for pair in pairs))
    yield from _table("runtime", runtimes, pairs, lambda pair: pair.runtime)
    yield ""
    causes = [cause for cause in CAUSES if any(pair.cause == cause for pair in pairs)]
    yield from _table("cause", causes, pairs, lambda pair: pair.cause)
    yield ""
    yield from compared(pairs)
    yield ""
    yield from _listed(
        "| ran otherwise, or not shown to run | pairs | on | files |",
        [(left(pair), pair) for pair in pairs if result_of(pair) in ("otherwise", "not shown")],
    )
    yield ""
    yield from _listed(
        "| why refused | pairs | on | files |", [(refusal(p.reason), p) for p in pairs if result_of(p) == "refused"]
    )


def _table(name: str, keys: Sequence[str], pairs: Sequence[Pair], key: Callable[[Pair], str]) -> Iterator[str]:
    yield f"| {name} | {' | '.join(HEADS)} |"
    yield "|---|" + "---:|" * len(HEADS)
    for row in (*keys, ""):
        chosen = [pair for pair in pairs if row in ("", key(pair))]
        counts = Counter(map(result_of, chosen))
        share = f"{counts['right'] / len(chosen):.1%}"
        cells = (len(chosen), counts["right"], share, counts["otherwise"], counts["not shown"], counts["refused"])
        yield f"| {row or '**all**'} | {' | '.join(map(str, cells))} |"


def compared(pairs: Sequence[Pair]) -> Iterator[str]:
    """How the migrated files were compared before they ran."""
    migrated = [pair for pair in pairs if pair.planned == "migrated"]
    counts = Counter(pair.compared for pair in migrated)
    as_original = sum(pair.ran == "as the original" for pair in migrated)
    yield (
        f"Of the {len(migrated):,} migrated files, {counts['made']:,} were compared with the original on made inputs, "
        f"{counts['given']:,} on the corpus's own (as with `--input`), and {counts['']:,} not at all, as the reference "
        f"engine does not run the original; only their layout changed. {as_original} of those that run right do not "
        "give what eager PyTorch gives, but what the original gives on its own release."
    )


def left(pair: Pair) -> str:
    """Why a migrated file is not shown to run right."""
    reasons = [NOT_SHOWN[rule] for rule in pair.conditions if rule in NOT_SHOWN]
    if reasons:
        return reasons[0]
    home = "; the original fails on its own release too" if at_home(pair.file) not in "own" else ""
    return f"{pair.ran.replace('_', ' ')}: {_plain(pair.said)}{home}"


def refusal(reason: str) -> str:
    """What a refusal is about, without the place and the numbers."""
    text = reason.partition(" run it: ")[2] or reason
    text = re.sub(r" \(and \d+ more reasons\)$", "", text)
    head, _, rest = text.partition(": ")
    if head in ("PT-OP-001", "PT-OP-004"):
        return f"`{head}` `{rest.split(' ')[0]}` has no kernel there and no decomposition"
    if head.startswith("PT-"):
        return f"`{head}` {_plain(_named(rest))}"
    return _plain(_named(re.sub(r"^.*?execution_plan\[\d+\]: ", "", text)))


def _named(text: str) -> str:
    return re.sub(r"(\w+::[\w.]+)", r"`\1`", text)


def _plain(text: str) -> str:
    text = re.sub(r"\b\d+\.\d+\.\d+\b", "that release", text)
    return re.sub(r"\[\w+\.cpp:\d+\] ", "", text).replace("|", "\\|").rstrip(".")[:200]


def _listed(head: str, rows: Sequence[tuple[str, Pair]]) -> Iterator[str]:
    groups: dict[str, list[Pair]] = defaultdict(list)
    for text, pair in rows:
        groups[text].append(pair)
    yield head
    yield "|---|---:|---|---|"
    for text, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        runtimes = sorted({pair.runtime for pair in group}, key=lambda r: tuple(map(int, r.split("."))))
        span = runtimes[0] if len(runtimes) == 1 else f"{runtimes[0]} … {runtimes[-1]} ({len(runtimes)})"
        names = sorted({pair.file.partition("/")[2].removesuffix(".pte") for pair in group})
        yield f"| {text} | {len(group)} | {span} | {', '.join(f'`{name}`' for name in names)} |"


if __name__ == "__main__":
    write_page()
