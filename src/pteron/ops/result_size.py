"""How large a result may get: a file can ask for any range, padding, scale or shape in a few bytes.

Kernels ask before they allocate what their arguments, not their inputs, give the size of. Each family has a cap of its
own; whoever runs a method may set a lower one for as long as it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WIDEST = 8
_allowed: ContextVar[int] = ContextVar("elements allowed", default=1 << 31)


def elements_allowed(own: int) -> int:
    """Elements that one result may have: the kernel's own cap, or the lower one of the method that runs."""
    return min(own, _allowed.get())


@contextmanager
def results_within(nbytes: int) -> Iterator[None]:
    """Allow results of so many bytes, counting 8 for each element."""
    token = _allowed.set(nbytes // _WIDEST)
    try:
        yield
    finally:
        _allowed.reset(token)
