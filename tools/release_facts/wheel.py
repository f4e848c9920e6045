"""What an installed executorch wheel is and registers, asked in a virtual environment of its own."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

# Runs inside of the environment; the libraries are loaded only after the runtime's own operators are listed.
_PROBE = """
import importlib, importlib.metadata, json, pathlib, sys
import torch
from executorch.extension.pybindings import portable_lib

def registered():
    return sorted(portable_lib._get_operator_names())

base = registered()
loaded = {}
for module in ("executorch.kernels.quantized", "executorch.extension.llm.custom_ops.custom_ops"):
    before = len(registered())
    try:
        importlib.import_module(module)
        loaded[module] = f"loaded, {before} -> {len(registered())} operators"
    except Exception as error:
        loaded[module] = f"{type(error).__name__}: {error}"
counts = {}
for name in registered():
    operator, _, overload = name.partition(".")
    try:
        counts[name] = len(torch._C._get_schema(operator, overload).arguments)
    except RuntimeError:
        counts[name] = None
distribution = importlib.metadata.distribution("executorch")
tags = [line[5:] for line in distribution.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
from executorch.version import __version__, git_version
backends = portable_lib._get_registered_backend_names()
json.dump(
    {
        "release": __version__.split("+")[0],
        "commit": git_version,
        "torch": torch.__version__,
        "wheel": f"executorch-{distribution.version}-{tags[0]}.whl",
        "folder": str(pathlib.Path(portable_lib.__file__).parents[2]),
        "operators_without_extra_libs": base,
        "operators": registered(),
        "extra_libs": loaded,
        "schema_arguments": counts,
        "backends": backends,
        "backend_available": {name: portable_lib._is_available(name) for name in backends},
    },
    sys.stdout,
)
"""


def make_environment(requirement: str, torch: str, folder: Path) -> Path:
    """A virtual environment with the wheel (a requirement or a file), what it requires, and torch; returns its Python.

    Wheels since 1.5 do not require torch, but their runtime imports it.
    """
    subprocess.run(["uv", "venv", "--quiet", "--python", "3.11", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), requirement, torch], check=True)
    return python


def registered(python: Path) -> dict[str, Any]:
    """Ask the wheel that is installed beside ``python``."""
    asked = subprocess.run([str(python), "-c", _PROBE], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise SystemExit(f"the wheel cannot be asked:\n{asked.stderr}")
    # Imports may print; the answer is the last line.
    found: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
    return found


def build_day(wheel: Path) -> str:
    """The day of a wheel file's newest member (ISO)."""
    with zipfile.ZipFile(wheel) as archive:
        year, month, day, *_ = max(info.date_time for info in archive.infolist())
    return f"{year:04}-{month:02}-{day:02}"
