"""Printer: lines and tables, on a terminal with colours and wrapped to its width, else plain and never cut.

Text is escaped and never taken for markup, so that names from a file are shown as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, NamedTuple

from pteron.report.words import escape

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Styled(NamedTuple):
    """Text with a style of rich (``bold red``), which shows on a terminal only."""

    text: str
    style: str


Cell = str | int | Styled

_GAP = "  "


class Printer:
    """Prints to ``file``; whether it is a terminal is found out."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._console = _terminal(file) if file.isatty() else None

    def heading(self, text: str, indent: int = 0) -> None:
        self.line(text, indent, style="bold")

    def line(self, text: str = "", indent: int = 0, style: str = "") -> None:
        """One line of text, escaped; an empty one where there is no text."""
        if self._console is None or not text:
            self._file.write((" " * indent + escape(text)).rstrip() + "\n")
            return
        from rich.text import Text

        self._rich(Text(escape(text), style=style), indent)

    def lines(self, text: str, indent: int = 0) -> None:
        """Text that may have several lines, each escaped."""
        for line in text.splitlines():
            self.line(line, indent)

    def table(
        self, rows: Iterable[Sequence[Cell]], *, headers: Sequence[str] = (), right: Sequence[int] = (), indent: int = 2
    ) -> None:
        """A table without lines; columns listed in ``right`` are aligned to the right. No rows: nothing."""
        cells = [[_cell(cell) for cell in row] for row in rows]
        if not cells:
            return
        if self._console is None:
            self._plain_table(
                [*([headers] if headers else []), *([c.text for c in row] for row in cells)], right, indent
            )
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=bool(headers), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in range(len(cells[0])):
            title = headers[column] if headers else ""
            table.add_column(title, justify="right" if column in right else "left", overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell.text, cell.style) for cell in row))
        self._rich(table, indent)

    def _plain_table(self, rows: Sequence[Sequence[str]], right: Sequence[int], indent: int) -> None:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            aligned = (
                text.rjust(width) if column in right else text.ljust(width)
                for column, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            self._file.write((" " * indent + _GAP.join(aligned)).rstrip() + "\n")

    def _rich(self, item: RenderableType, indent: int) -> None:
        from rich.padding import Padding

        assert self._console is not None
        self._console.print(Padding(item, (0, 0, 0, indent), expand=False))


def _terminal(file: IO[str]) -> Console:
    from rich.console import Console

    return Console(file=file, markup=False, emoji=False, highlight=False)


def _cell(cell: Cell) -> Styled:
    if isinstance(cell, Styled):
        return Styled(escape(cell.text), cell.style)
    return Styled(f"{cell:,}" if isinstance(cell, int) else escape(cell), "")
