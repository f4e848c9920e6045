"""Printer: lines and tables, on a terminal with colours and wrapped to its width, else plain and never cut.

Text is escaped and never taken for markup, so that names from a file are shown as they are.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import IO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pteron.report.words import escape

_PLAIN_WIDTH = 1_000_000
"""Columns where there is no terminal: more than any line takes."""

Cell = str | int | Text


class Printer:
    """Prints to ``file``; whether it is a terminal is found out."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._terminal = bool(getattr(file, "isatty", lambda: False)())
        target = file if self._terminal else io.StringIO()
        self._console = Console(
            file=target,
            width=None if self._terminal else _PLAIN_WIDTH,
            no_color=None if self._terminal else True,
            markup=False,
            emoji=False,
            highlight=False,
        )

    def heading(self, text: str, indent: int = 0) -> None:
        self.line(text, indent, style="bold")

    def line(self, text: str = "", indent: int = 0, style: str = "") -> None:
        """One line of text, escaped; an empty one where there is no text."""
        if not text:
            self._console.print()
            self._flush()
            return
        self._print(Padding(Text(escape(text), style=style), (0, 0, 0, indent), expand=False))

    def lines(self, text: str, indent: int = 0) -> None:
        """Text that may have several lines, each escaped."""
        for line in text.splitlines():
            self.line(line, indent)

    def table(
        self, rows: Iterable[Sequence[Cell]], *, headers: Sequence[str] = (), right: Sequence[int] = (), indent: int = 2
    ) -> None:
        """A table without lines; columns listed in ``right`` are aligned to the right. No rows: nothing."""
        rows = list(rows)
        if not rows:
            return
        table = Table(box=None, show_header=bool(headers), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in range(len(rows[0])):
            title = headers[column] if headers else ""
            table.add_column(title, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        self._print(Padding(table, (0, 0, 0, indent), expand=False))

    def _print(self, item: Padding) -> None:
        self._console.print(item)
        self._flush()

    def _flush(self) -> None:
        if self._terminal:
            return
        buffer = self._console.file
        assert isinstance(buffer, io.StringIO)
        # Without a terminal, padding at the ends of lines would only be noise.
        self._file.write("".join(line.rstrip() + "\n" for line in buffer.getvalue().split("\n")[:-1]))
        buffer.seek(0)
        buffer.truncate()


def _cell(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell
    return Text(f"{cell:,}" if isinstance(cell, int) else escape(cell))
