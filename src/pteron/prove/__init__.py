"""Proof on the real releases: install them, run files there in isolation, keep the evidence.

The package is the public function too: ``pteron.prove("model.pte", runtimes=["1.3.1"])``. A submodule always becomes
an attribute of its package, so a function of the same name beside it would be replaced on the first import; a module
that can be called is both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from pteron.compat.evidence import Evidence


def prove(
    file: str | os.PathLike[str],
    runtimes: str | Iterable[str],
    *,
    inputs: Sequence[Any] | None = None,
    data: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
    method: str | None = None,
    seed: int = 0,
    repeat: int = 1,
    timeout: float = 60.0,
    memory: int = 4096,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    jobs: int = 1,
    install: bool = True,
) -> dict[str, Evidence]:
    """Run a file on real releases and give the evidence of each, by the runtime's name.

    ``runtimes`` are releases (``1.3.1``), ranges (``>=1.2``) or profiles whose ``[prove]`` table names a command;
    what is missing is installed unless ``install`` is False. ``inputs`` are those of one call of ``method``;
    without them a bundled program runs its own cases, and any other file runs on inputs made from the signature by
    ``seed``. ``timeout`` is in seconds for each case, ``memory`` in MB beyond what the runtime itself takes.

    What a runtime does (crash, hang, wrong numbers …) is an outcome. Raises what reading the file raises, and
    ``UnsupportedError`` for a runtime that is not known.
    """
    from pteron.prove import api
    from pteron.prove.subject import Options

    return api.prove(
        file,
        [runtimes] if isinstance(runtimes, str) else list(runtimes),
        inputs=inputs,
        data=data,
        options=Options(method, seed, repeat, timeout, memory, rtol, atol),
        jobs=jobs,
        install=install,
    )


class _CallableModule(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> dict[str, Evidence]:
        return prove(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
