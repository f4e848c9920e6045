"""``python -m pteron`` is the ``pteron`` command."""

from __future__ import annotations

from pteron.cli.interruption import run

if __name__ == "__main__":
    run()
