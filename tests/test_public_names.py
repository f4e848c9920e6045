"""The public face: every name resolves, importing is light, versions agree."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import pteron


@pytest.mark.parametrize("name", pteron.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(pteron, name) is not None
    assert name in dir(pteron)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = pteron.nonsense


def test_errors_have_one_root() -> None:
    errors = [getattr(pteron, n) for n in pteron.__all__ if n.endswith("Error")]
    assert len(errors) > 10
    assert all(issubclass(error, pteron.PteronError) for error in errors)


def test_version() -> None:
    assert pteron.__version__ == version("pteron")


def test_importing_is_light() -> None:
    code = "import sys, numpy; before = set(sys.modules); import pteron; print(*sorted(set(sys.modules) - before))"
    added = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(added) <= {"__future__", "pteron", "pteron.version"}
