"""A process that answers requests, under a watch: whatever it does, it ends, and so do its children."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from pteron.errors import UnsupportedError

MAX_LINE = 64 << 20
_LOG_BYTES = 64 << 10


class Answering:
    """``process.ask(request, seconds)`` gives the answer, or None where there was none in time.

    The process leads a session of its own and is killed with all that it started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None, memory: int | None = None):
        need_posix()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self.strays: list[str] = []
        self.ended = ""
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=dict(environment) if environment is not None else None,
                start_new_session=True,
                preexec_fn=_prepare(memory),
            )
        except BaseException:
            self._errors.close()
            raise
        self._buffer = b""

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any] | None, seconds: float) -> dict[str, Any] | None:
        """Send a request (None: only wait) and give the next JSON object with its id, or None.

        ``ended`` then says why there is none. Other lines are kept in ``strays``.
        """
        if request is not None:
            try:
                assert self._process.stdin is not None
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
            except OSError:
                pass  # it does not listen any more; what it said is still worth reading
        deadline = time.monotonic() + seconds
        while (line := self._line(deadline)) is not None:
            answer = _object(line)
            if answer is not None and (request is None or answer.get("id") == request.get("id")):
                return answer
            if len(self.strays) < 100:
                self.strays.append(line[:300].decode("utf-8", "replace"))
        return None

    def finish_input(self) -> None:
        """Let the process know that no more requests come."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()

    def _line(self, deadline: float) -> bytes | None:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self.ended = "timeout"
                    return None
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk or len(self._buffer) > MAX_LINE:
                    self.ended = "end"
                    rest, self._buffer = self._buffer, b""
                    return rest or None
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def death(self) -> tuple[str, int]:
        """How the process ended, in words, and the signal that ended it or 0; waits a moment for it."""
        try:
            code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return "is still there", 0
        return (f"signal {signal.Signals(-code).name}", -code) if code < 0 else (f"exit code {code}", 0)

    def log(self) -> list[str]:
        """What it wrote to stderr, the last lines, after what it wrote to stdout beside answers."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _LOG_BYTES))
        lines = self._errors.read().decode("utf-8", "replace").splitlines()
        return [*self.strays[-10:], *(line[:300] for line in lines[-20:] if line.strip())]

    def kill(self) -> None:
        """Kill it and everything in its process group; whoever waits for an answer gets none."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it and everything in its process group."""
        kill_group(self._process)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def kill_group(process: subprocess.Popen[Any]) -> None:
    """Kill the process group that the process leads, and wait for the process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def need_posix() -> None:
    """Raises ``UnsupportedError`` where processes cannot be grouped and limited."""
    if os.name != "posix":
        raise UnsupportedError("running real releases needs Linux or macOS; on Windows use WSL")


def _prepare(memory: int | None) -> Callable[[], None]:
    from pteron.prove.worker import die_with_parent, limit_memory

    def prepare() -> None:
        die_with_parent()
        if memory:
            limit_memory(memory)

    return prepare


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def clean_environment() -> dict[str, str]:
    """This process's environment without what would turn another Python away from its own packages."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def own_python() -> str:
    """The Python that runs Pteron."""
    return sys.executable
