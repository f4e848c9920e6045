"""Exit codes: 0 fine, 1 the answer is no, 2 the question was wrong.

The answer is no where the files were understood and what was asked is not so: a file breaks the rules, a method cannot
run, an output differs. The question was wrong where Pteron could not even begin: usage, a file that cannot be read,
inputs that do not fit, a .ptd that was not given.
"""

from __future__ import annotations

from pteron.errors import (
    ExecutionError,
    ExternalDataError,
    LoadError,
    PteronError,
    UnsupportedError,
    VerificationError,
)

FINE = 0
NO = 1
WRONG_QUESTION = 2
BUG = 3
"""Pteron failed in a way it does not know."""
COMPATIBLE = 4
"""`diff` found changes, and none of them breaks anything."""
INTERRUPTED = 130
TERMINATED = 143
"""Ended by SIGTERM. These two are 128 and the signal's number, as shells have it."""
BROKEN_PIPE = 141
"""Whoever read the output stopped reading (128 + SIGPIPE, as shells have it)."""


def exit_code(error: PteronError) -> int:
    """The exit code for an error that ends a command."""
    if isinstance(error, ExternalDataError):
        return WRONG_QUESTION
    if isinstance(error, LoadError | ExecutionError | UnsupportedError | VerificationError):
        return NO
    return WRONG_QUESTION
