"""Write ``docs/rules/``: a page for every rule of `pteron check`, and their list.

python tools/make_rule_pages.py
"""

from __future__ import annotations

import sys
from pathlib import Path

from pteron.compat.rules import RULES, Rule

TARGET = Path(__file__).resolve().parents[1] / "docs" / "rules"

KINDS = {
    "FM": "The file format",
    "OP": "Operators",
    "BE": "Backends",
    "DI": "The caller's side",
    "PR": "Promises",
    "EV": "Evidence",
    "LK": "The lock file",
}


def pages() -> dict[str, str]:
    """File name → text."""
    return {"README.md": _list(), **{f"{rule.id}.md": _page(rule) for rule in RULES.values()}}


def _gives(rule: Rule) -> str:
    if rule.id.startswith("PT-LK-"):
        return "fails `check --lock`" if rule.gives else "a remark"
    return f"makes the verdict `{rule.gives.value}`" if rule.gives else "a remark"


def _list() -> str:
    made = "Made by `python tools/make_rule_pages.py` from the catalogue in `src/pteron/compat/rules.py`."
    lines = ["# Rules of `pteron check`", "", made, ""]
    for key, title in KINDS.items():
        lines += [f"## {title}", "", "| rule | name | |", "|---|---|---|"]
        for rule in RULES.values():
            if rule.id.startswith(f"PT-{key}-"):
                lies = ", wrong numbers" if rule.wrong_numbers else ""
                lines.append(f"| [{rule.id}]({rule.id}.md) | {rule.name} | {_gives(rule)}{lies} |")
        lines.append("")
    return "\n".join(lines)


def _page(rule: Rule) -> str:
    lines = [f"# {rule.id} {rule.name}", "", f"It {_gives(rule)}." if rule.gives else f"It is {_gives(rule)}.", ""]
    if rule.wrong_numbers:
        lies = "The file would run and return wrong numbers, or end the process, without an error that says so."
        lines += [f"**{lies}**", ""]
    lines += [rule.meaning, ""]
    if rule.remedy:
        lines += [f"What to do: {rule.remedy}", ""]
    lines += [f"Sentence: {rule.sentence.replace('{', '‹').replace('}', '›').replace(':,›', '›')}", ""]
    lines += [f"Where the facts come from: {rule.source}.", ""]
    return "\n".join(lines)


def main() -> int:
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (TARGET / name).write_text(text, encoding="utf-8")
    print(f"{TARGET}: {len(RULES)} rules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
