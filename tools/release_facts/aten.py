"""Argument counts of ATen's out variants in one release of PyTorch, from its native_functions.yaml.

``op:`` entries of ExecuTorch's functions.yaml carry no schema: their arguments are those of the PyTorch that the build
pins. The yaml does not spell the out variants that torchgen generates, so each release's own torchgen, which its wheel
contains beside the yaml, is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Only torchgen is wanted: the wheels for macOS are a tenth of the CUDA builds' size.
PLATFORMS = ("macosx_11_0_arm64", "macosx_14_0_arm64", "manylinux_2_28_x86_64", "manylinux1_x86_64")

_COUNT = """
import json, pathlib, torchgen
from torchgen.gen import parse_native_yaml
native = pathlib.Path(torchgen.__file__).parent / "packaged/ATen/native"
parsed = parse_native_yaml(str(native / "native_functions.yaml"), str(native / "tags.yaml"))
print(json.dumps({f"aten::{f.func.name}": len(f.func.arguments.flat_all) for f in parsed.native_functions}))
"""


def torchgen_of(torch: str, cache: Path) -> Path:
    """Folder that holds the torchgen package of a torch release, downloading its wheel once."""
    folder = cache / f"torchgen-{torch}"
    if folder.exists():
        return folder
    said = ""
    for platform in PLATFORMS:
        with tempfile.TemporaryDirectory() as download:
            fetched = subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
                + ["--python-version", "3.11", "--platform", platform, "--dest", download, f"torch=={torch}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if fetched.returncode:
                said = fetched.stderr
                continue
            (wheel,) = Path(download).glob("torch-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                members = [name for name in archive.namelist() if name.startswith("torchgen/")]
                archive.extractall(folder, members)
            return folder
    raise SystemExit(f"no wheel of torch {torch} can be downloaded; the last answer was:\n{said}")


def aten_argument_counts(torchgen: Path) -> dict[str, int]:
    """``aten::add.out`` → number of schema arguments, out arguments included, generated variants too."""
    counted = subprocess.run(
        [sys.executable, "-c", _COUNT],
        env={**os.environ, "PYTHONPATH": str(torchgen)},
        capture_output=True,
        text=True,
        check=True,
    )
    counts: dict[str, int] = json.loads(counted.stdout)
    return counts
