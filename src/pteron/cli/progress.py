"""A sign of life on the terminal for anything that takes over a second; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

_DELAY_SECONDS = 1.0


class Waiting:
    """``with Waiting("running forward", total=10) as waiting: ... waiting.advance()``; ``total`` may be unknown."""

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._progress: Progress | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(_DELAY_SECONDS, self._show) if sys.stderr.isatty() else None

    def __enter__(self) -> Waiting:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._progress is not None:
                self._progress.stop()

    def advance(self) -> None:
        """One more of ``total`` is done."""
        with self._lock:
            self._done += 1
            if self._progress is not None:
                self._progress.update(self._progress.task_ids[0], completed=self._done)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        from pteron.report.words import escape

        counted = () if self._total is None else (BarColumn(), MofNCompleteColumn())
        words = TextColumn("{task.description}", markup=False)
        with self._lock:
            if self._timer is None:
                return
            console = Console(stderr=True)
            self._progress = Progress(
                SpinnerColumn(), words, *counted, TimeElapsedColumn(), console=console, transient=True
            )
            self._progress.add_task(escape(self._what), total=self._total, completed=self._done)
            self._progress.start()
