"""``python -m pteron`` is the ``pteron`` command."""

from __future__ import annotations

import sys

from pteron.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
