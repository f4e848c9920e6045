"""SIGINT and SIGTERM: whatever a command is doing, it puts its things away and says in one line that it was ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_IMPATIENT_SECONDS = 5.0
"""Signals that come sooner after the first are the same wish, and must not cut the clearing up short."""

Handler = Callable[[int, FrameType | None], None]


class Interrupted(BaseException):
    """A signal asks to end. No ``KeyboardInterrupt``, of which libraries make things of their own.

    ``note`` is what else there is to say, put behind the sentence.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.note = ""

    @property
    def code(self) -> int:
        """The exit code: 128 and the signal's number, as shells have it."""
        return 128 + self.number

    def __str__(self) -> str:
        return what(self.number) + self.note


def what(number: int) -> str:
    """``interrupted``, or which signal ended the command."""
    return "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"


def end_at_once() -> None:
    """From now on these signals end the process with a line and nothing else: while it starts there is nothing to put
    away."""

    def handler(number: int, frame: FrameType | None) -> None:
        os.write(2, f"pteron: {what(number)}\n".encode())
        os._exit(128 + number)

    _set(handler)


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """While this is entered, these signals raise ``Interrupted`` in the main thread."""
    last = [float("-inf")]

    def handler(number: int, frame: FrameType | None) -> None:
        before, last[0] = last[0], time.monotonic()
        if last[0] - before > _IMPATIENT_SECONDS:
            raise Interrupted(number)

    earlier = _set(handler)
    try:
        yield
    finally:
        for number, old in earlier.items():
            signal.signal(number, old)


def _set(handler: Handler) -> dict[int, Handler | int | None]:
    """Set the handler and give the earlier ones; signals that are ignored stay so, as ``nohup`` wants it."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    earlier: dict[int, Handler | int | None] = {}
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            earlier[number] = signal.signal(number, handler)
    return earlier


def run() -> None:
    """The ``pteron`` command: the signals are taken care of before anything that takes time is imported."""
    end_at_once()
    from pteron.cli.main import main

    code = main()
    # All is said and done. Python itself would give the signals their default meaning on its way out.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
