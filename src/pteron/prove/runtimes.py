"""Runtimes that a case can be run on: a wheel in its environment, a command of the user's own, Pteron's reference."""

from __future__ import annotations

import shlex
import signal
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from pteron.compat.evidence import Package, RuntimeUsed
from pteron.errors import FileAccessError, ProfileError
from pteron.prove.exchange import AnswerError, Reply, Work, read_reply, write_request
from pteron.prove.process import Answering, clean_environment, own_python
from pteron.prove.scratch import scratch_folder
from pteron.prove.worker import NO_MEMORY

START_SECONDS = 300.0
"""Importing a release with a cold disk cache takes this long at most."""
GRACE_SECONDS = 20.0
"""How much later than its own limit a worker may answer before it is taken for dead."""


class Runtime(Protocol):
    """What runs a case and says what came of it; never raises for what the case or the runtime does."""

    used: RuntimeUsed

    def run(self, work: Work) -> Reply: ...

    def interrupt(self) -> None:
        """Kill what is under way, from another thread; ``run`` then comes back."""

    def close(self) -> None:
        """End everything that was started."""


class WorkerRuntime:
    """A long-lived worker: the runtime is imported once, each case runs in a child of it."""

    def __init__(self, command: Sequence[str], used: RuntimeUsed) -> None:
        self.used = used
        self._command = command
        self._process: Answering | None = None
        self._problem: Reply | None = None
        self._number = 0
        self._stopped = False

    def start(self) -> Reply | None:
        """Start the worker; the reply says why it does not start, None is fine."""
        if self._process is not None or self._problem is not None:
            return self._problem
        self._process = process = Answering(self._command, clean_environment())
        if self._stopped:  # while it was being started
            process.kill()
        ready = process.ask(None, START_SECONDS)
        if ready is not None and ready.get("ready") is True:
            self.used = replace(
                self.used,
                python=str(ready.get("python", "")),
                torch=str(ready.get("torch", "")),
                libraries={str(k): str(v) for k, v in (ready.get("libraries") or {}).items()},
            )
            return None
        if ready is not None and ready.get("ready") is False:
            why = f"the release does not start: {str(ready.get('text'))[:600]}"
        else:
            why = f"the release does not start ({process.death()[0]})"
        self._problem = Reply("not_installable", why, log=tuple(process.log()))
        self.close()
        return self._problem

    def run(self, work: Work) -> Reply:
        problem = self.start()
        if problem is not None or self._process is None:
            return problem or Reply("no_answer", "the worker is gone")
        self._number += 1
        with scratch_folder() as folder:
            request = write_request(work, folder, self._number)
            answer = self._process.ask(request, work.timeout + GRACE_SECONDS)
            if answer is not None:
                return _read(answer, folder, self._process)
            death, _ = self._process.death() if self._process.ended == "end" else ("no answer in time", 0)
            reply = Reply("no_answer", f"the worker broke off ({death})", log=tuple(self._process.log()))
        self.close()
        return reply

    def interrupt(self) -> None:
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None


def reference_runtime() -> WorkerRuntime:
    """Pteron's reference engine, in a process of its own as a file may hang or exhaust it too."""
    from pteron.version import __version__

    used = RuntimeUsed("reference", kind="reference", packages=(Package("pteron", __version__),))
    return WorkerRuntime([own_python(), "-m", "pteron.prove.reference_worker"], used)


def wheel_runtime(python: Path, used: RuntimeUsed) -> WorkerRuntime:
    """An official release: ``python`` is that of its environment."""
    return WorkerRuntime([str(python), str(Path(__file__).with_name("worker.py"))], used)


class CommandRuntime:
    """A command of the user's own: started for each case, one request on stdin, one answer on stdout."""

    def __init__(self, command: Sequence[str], used: RuntimeUsed) -> None:
        self.used = used
        self._command = tuple(command)
        self._process: Answering | None = None
        self._stopped = False

    def run(self, work: Work) -> Reply:
        with scratch_folder() as folder:
            request = write_request(work, folder, 1)
            try:
                process = Answering(self._command, memory=work.memory)
            except OSError as error:
                text = f"{shlex.join(self._command)} cannot be started ({error.strerror})"
                return Reply("not_installable", text)
            self._process = process
            if self._stopped:  # while it was being started
                process.kill()
            with process:
                answer = process.ask(request, work.timeout)
                if answer is not None:
                    return _read(answer, folder, process)
                return _without_answer(process, work)

    def interrupt(self) -> None:
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Nothing stays between two cases."""


def _without_answer(process: Answering, work: Work) -> Reply:
    if process.ended == "timeout":
        return Reply("timeout", f"no answer in {work.timeout:g} s", log=tuple(process.log()))
    death, number = process.death()
    log = tuple(process.log())
    if any(mark in line for line in log for mark in NO_MEMORY):
        return Reply("out_of_memory", f"the command ran out of memory ({death})", log=log)
    if number == signal.SIGKILL:
        return Reply("out_of_memory", "killed by the system, which does so when memory is short", log=log)
    if number:
        return Reply("crash", f"the command died: {death}", log=log)
    return Reply("no_answer", f"the command gave no answer that follows the contract ({death})", log=log)


def _read(answer: dict[str, Any], folder: Path, process: Answering) -> Reply:
    try:
        return read_reply(answer, folder)
    except AnswerError as error:
        return Reply("no_answer", f"the answer does not follow the contract: {error}", log=tuple(process.log()))


def command_of(path: Path) -> tuple[str, ...]:
    """The command of a profile's ``[prove]`` table, empty where it has none; relative to the profile's folder where
    its first word has a slash. Raises ``ProfileError``, ``FileAccessError``."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("prove", {})
    except OSError as error:
        raise FileAccessError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProfileError(f"{path} is not TOML: {error}") from None
    command = table.get("command", []) if isinstance(table, dict) else None
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise ProfileError(f"{path}: prove.command must be a list of words, such as ['./on_device.sh', 'pixel']")
    if command and "/" in command[0]:
        return (str((path.parent / command[0]).resolve()), *command[1:])
    return tuple(command)
