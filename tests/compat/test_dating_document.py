"""docs/dating.md says what the rules are and how narrow the ranges turn out."""

import corpus_files
from tools_as_modules import load_tool

DOCUMENT = corpus_files.ARCHIVES.parents[1] / "docs" / "dating.md"


def test_the_tables_are_those_of_the_rules_and_the_corpus() -> None:
    made = load_tool("dating_tables")
    found = {release: made.dated(release) for release in corpus_files.releases()}
    text = DOCUMENT.read_text()
    assert text == made.written(text, {"rules": made.rules_table(), "widths": made.widths_table(found)})
    # The last two columns of every row: a median of at most four releases, so three steps, and nothing outside.
    rows = [line.split(" | ")[-2:] for line in made.widths_table(found).splitlines()[2:]]
    assert len(rows) == len(corpus_files.releases()) + 2
    assert all(int(median) <= 4 and inside == "100 % |" for median, inside in rows)
