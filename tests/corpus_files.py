"""The corpus: real files of every release with inputs and expected outputs, read straight from the archives.

``tests/corpus/<release>.zip`` holds what that release's exporter wrote, the inputs and the outputs of eager PyTorch
(``.npz``) and ``manifest.json`` with what that release's own runtime did with each file.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

ARCHIVES = Path(__file__).parent / "corpus"


@functools.cache
def _archive(release: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(ARCHIVES / f"{release}.zip")


def releases() -> tuple[str, ...]:
    """Releases in order, oldest first."""
    return tuple(sorted((p.stem for p in ARCHIVES.glob("*.zip")), key=lambda r: tuple(map(int, r.split(".")))))


def names(release: str, suffix: str = ".pte") -> list[str]:
    """File names ending in ``suffix``, such as ``add.pte``, ``ops/abs.0.pte``, ``other_backends/coreml_add.pte``."""
    return sorted(n for n in _archive(release).namelist() if n.endswith(suffix))


def read(release: str, name: str) -> bytes:
    """The bytes of one file."""
    return _archive(release).read(name)


def npz(release: str, name: str) -> dict[str, Any]:
    """The arrays of one ``.npz`` file."""
    with np.load(io.BytesIO(read(release, name))) as arrays:
        return {key: arrays[key] for key in arrays.files}


@functools.cache
def manifest(release: str, folder: str = "") -> dict[str, Any]:
    """``manifest.json`` of the release or of its ``ops`` or ``other_backends`` folder; empty where there is none."""
    name = f"{folder}/manifest.json" if folder else "manifest.json"
    if name not in _archive(release).namelist():
        return {}
    loaded: dict[str, Any] = json.loads(read(release, name))
    return loaded


@dataclass(frozen=True)
class Call:
    """One recorded call: inputs, and the outputs of eager PyTorch."""

    method: str
    inputs: list[Any]
    outputs: list[Any]


@dataclass(frozen=True)
class Case:
    """One file of the corpus with its recorded calls, which run in order on one freshly loaded program."""

    release: str
    name: str
    entry: dict[str, Any]
    data: tuple[str, ...]

    @property
    def own_runtime(self) -> dict[str, Any]:
        """What the same release's real runtime did with the file."""
        found: dict[str, Any] = self.entry.get("own_runtime", {})
        return found

    @property
    def backends(self) -> list[str]:
        return list(self.entry.get("backends", []))

    @property
    def rtol(self) -> float:
        return float(self.entry.get("rtol", 1e-3))

    @property
    def atol(self) -> float:
        return float(self.entry.get("atol", 1e-4))

    @property
    def shape_only(self) -> bool:
        """Whether the outputs are random, so that only shape and dtype can be compared."""
        return self.entry.get("check") == "shape_only"

    def read(self) -> bytes:
        return read(self.release, self.name)

    def read_data(self) -> list[bytes]:
        """The .ptd files that belong to the program."""
        return [read(self.release, name) for name in self.data]

    @property
    def arrays(self) -> str:
        """The name of the ``.npz`` file with the recorded arrays."""
        if self.name.startswith("ops/"):
            return f"ops/{self.entry['op']}.npz"
        return f"{self.name.rsplit('.', 1)[0]}.npz"

    def calls(self) -> list[Call]:
        arrays = npz(self.release, self.arrays)
        return [
            Call(
                call["method"],
                [_value(item, arrays) for item in call["inputs"]],
                [_value(item, arrays) for item in call["outputs"]],
            )
            for call in self.entry["calls"]
        ]

    def __str__(self) -> str:
        return f"{self.release}/{self.name}"


def _value(item: dict[str, Any], arrays: dict[str, Any]) -> Any:
    kind = item["kind"]
    if kind == "none":
        return None
    if kind != "tensor":
        return {"int": int, "float": float, "bool": bool, "str": str}[kind](item["value"])
    array = arrays[item["key"]]
    if item["dtype"] == "bfloat16":
        array = array.view(ml_dtypes.bfloat16)
    if item.get("memory_format") == "channels_last":
        array = np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array


def models(release: str) -> Iterator[Case]:
    """The model files (``.pte`` and ``.bpte``) that the release exported."""
    for entry in manifest(release)["entries"]:
        if entry["status"] != "ok":
            continue
        files = [f["path"].split("/", 1)[1] for f in entry["files"]]
        data = tuple(f for f in files if f.endswith(".ptd"))
        for name in files:
            if name.endswith((".pte", ".bpte")):
                yield Case(release, name, entry, data)


def operators(release: str) -> Iterator[Case]:
    """The single-operator programs of the release; none where it has no such sweep."""
    for entry in manifest(release, "ops").get("entries", []):
        if entry["status"] == "ok":
            yield Case(release, f"ops/{entry['file']}", entry, ())


def cases(release: str) -> list[Case]:
    """Models and single-operator programs of the release."""
    return [*models(release), *operators(release)]
