"""Reads the golden operator cases that ``tools/golden`` recorded from torch and the official wheel."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@dataclass(frozen=True)
class GoldenCase:
    """One call of an operator with the results recorded for it."""

    family: str
    index: int
    op: str
    args: dict[str, Any]
    results: list[Any]
    rtol: float
    atol: float
    out_dtype: np.dtype[Any] | None
    written: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.op}-{self.family}.{self.index}"


@functools.cache
def families() -> tuple[str, ...]:
    return tuple(sorted(p.stem for p in GOLDEN.glob("*.npz")))


@functools.cache
def cases(family: str) -> tuple[GoldenCase, ...]:
    with np.load(GOLDEN / f"{family}.npz") as archive:
        arrays = {key: archive[key] for key in archive.files}
    listed = json.loads(bytes(arrays.pop("cases_json")))
    return tuple(
        GoldenCase(
            family,
            index,
            case["op"],
            {name: _load(value, arrays) for name, value in case["args"].items()},
            [_load(value, arrays) for value in case["results"]],
            case["rtol"],
            case["atol"],
            None if case["out_dtype"] is None else _dtype(case["out_dtype"]),
            {name: _load(value, arrays) for name, value in case.get("written", {}).items()},
        )
        for index, case in enumerate(listed)
    )


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def _load(stored: Any, arrays: dict[str, Any]) -> Any:
    if "tensor" in stored:
        array = arrays[stored["tensor"]].copy()  # cases share equal arrays, and an operator may write into its own
        if stored["dtype"] == "bfloat16":
            array = array.view(ml_dtypes.bfloat16)
        if stored["channels_last"]:
            array = np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
        return array
    if "list" in stored:
        return [_load(value, arrays) for value in stored["list"]]
    return float(stored["value"]) if stored["float"] else stored["value"]
