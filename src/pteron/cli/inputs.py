"""The inputs of a run: read from .npz and .npy files, or made from the method's signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pteron.errors import FileAccessError, InputError, LimitError
from pteron.format.limits import Limits
from pteron.format.method import Method, ValueInfo
from pteron.format.scalar_type import ScalarType

_NARROW = frozenset(
    {
        ScalarType.BFLOAT16,
        ScalarType.FLOAT8_E5M2,
        ScalarType.FLOAT8_E4M3FN,
        ScalarType.FLOAT8_E5M2FNUZ,
        ScalarType.FLOAT8_E4M3FNUZ,
    }
)
"""Types that .npy files cannot name: stored as float32, which holds each of their values exactly."""
_BYTE_LIKE = frozenset({ScalarType.BYTE, ScalarType.CHAR, ScalarType.QINT8, ScalarType.QUINT8})
TRACED = "the program"
"""Where a number, bool, string or None comes from that was fixed when the model was exported."""


@dataclass(frozen=True)
class GivenInput:
    """One input of the call: where it comes from, and its value."""

    info: ValueInfo
    value: Any
    source: str


def read_inputs(method: Method, given: Sequence[str], file: str) -> list[GivenInput]:
    """The method's inputs from what the command line gives: ``in.npz``, ``in0.npy``, ``name=in.npy``.

    Keys of an .npz and names are those of the signature or ``in0``, ``in1`` …; .npy files without a name, and the
    arrays of an .npz of which no key is one of these, are taken in order. Numbers, bools, strings and None may be left
    away, as a call can only give the traced value. Raises ``InputError``, ``FileAccessError``.
    """
    named: dict[str, tuple[Any, str]] = {}
    unnamed: list[tuple[Any, str]] = []
    known = _known_names(method)
    for item in given:
        name, mark, path = item.partition("=")
        if not mark or Path(item).is_file():
            name, path = "", item
        for key, array in _read(path):
            if name and key:
                raise InputError(f"{path}: an .npz names its arrays itself; give it without {name}=")
            wanted = name or key
            if wanted in named:
                raise InputError(f"input {wanted!r} is given twice")
            if wanted:
                named[wanted] = (array, path)
            else:
                unnamed.append((array, path))
    if named and not any(name in known for name in named) and all("=" not in item for item in given):
        unnamed = [*named.values(), *unnamed]
        named = {}
    return _match(method, known, named, unnamed, file)


def _known_names(method: Method) -> dict[str, int]:
    """Positions by ``in0``, ``in1`` … and by the signature's names; of two equal names the first counts."""
    names: dict[str, int] = {}
    for position, info in enumerate(method.inputs):
        names.setdefault(info.name, position)
    for position in range(len(method.inputs)):
        names.setdefault(f"in{position}", position)
    return names


def _match(
    method: Method,
    known: Mapping[str, int],
    named: Mapping[str, tuple[Any, str]],
    unnamed: Iterable[tuple[Any, str]],
    file: str,
) -> list[GivenInput]:
    place = f"{file}, method {method.name!r}"
    taken: dict[int, GivenInput] = {}
    for name, (array, path) in named.items():
        position = known.get(name)
        if position is None:
            listed = ", ".join(info.name for info in method.inputs) or "none"
            raise InputError(f"{place}: no input {name!r}; it takes {listed}")
        if position in taken:
            raise InputError(f"{place}: input {name!r} is given twice")
        info = method.inputs[position]
        taken[position] = GivenInput(info, _fit(info, array), path)
    free = [i for i, info in enumerate(method.inputs) if i not in taken and info.kind == "tensor"]
    rest = list(unnamed)
    if len(rest) > len(free):
        wanted = sum(info.kind == "tensor" for info in method.inputs)
        raise InputError(f"{place}: {len(rest)} arrays given, {wanted} needed ({_signature(method)})")
    for position, (array, path) in zip(free, rest, strict=False):
        info = method.inputs[position]
        taken[position] = GivenInput(info, _fit(info, array), path)
    missing = [info.name for i, info in enumerate(method.inputs) if i not in taken and info.kind == "tensor"]
    if missing:
        raise InputError(f"{place}: input {', '.join(missing)} is missing ({_signature(method)}); give it with --input")
    return [taken.get(position) or GivenInput(info, info.value, TRACED) for position, info in enumerate(method.inputs)]


def _signature(method: Method) -> str:
    return ", ".join(f"{info.name}: {info}" for info in method.inputs) or "it takes no inputs"


def _fit(info: ValueInfo, array: Any) -> Any:
    """The array as the input takes it: scalars for numbers, and the types that .npy files cannot name."""
    if info.kind != "tensor":
        return array.item() if array.ndim == 0 else array
    if info.scalar_type in _NARROW:
        if array.dtype == np.float32:
            return array.astype(info.scalar_type.dtype)
        if array.dtype == np.dtype(f"V{info.scalar_type.itemsize}"):  # how NumPy reads back an ml_dtypes array
            return array.view(info.scalar_type.dtype)
    return array


def _read(path: str) -> list[tuple[str, Any]]:
    """The arrays of a file with their keys; a .npy has no key."""
    try:
        # Mapping a .npy bounds what a damaged header can ask for by the file's size.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [("", np.asarray(loaded))]
        with loaded:
            return [(key, loaded[key]) for key in loaded.files]
    except MemoryError:
        raise
    except Exception as error:  # NumPy reads the header with Python's own parser and lets out whatever that raises
        reason = getattr(error, "strerror", None) or "is not a .npy or .npz file of plain arrays"
        raise FileAccessError(f"{path}: cannot be read ({reason}); save it with numpy.save or numpy.savez") from None


def made_inputs(method: Method, seed: int, limits: Limits, file: str) -> list[GivenInput]:
    """Inputs that fit the signature, the same for the same seed.

    Floats are from the standard normal distribution, bools are even odds, bytes (uint8, int8) take any value, wider
    integers are 0 or 1 (they are often indices); dynamic shapes are at their upper bound. Raises ``LimitError`` where
    that takes more than ``limits.max_memory``.
    """
    total = sum(info.nbytes for info in method.inputs)
    if total > limits.max_memory:
        raise LimitError(
            f"the inputs of {method.name!r} take {total:,} bytes at their upper bounds; give smaller ones with --input",
            file=file,
        )
    rng = np.random.default_rng(seed)
    return [
        GivenInput(info, info.value, TRACED)
        if info.scalar_type is None
        else GivenInput(info, _made(info.scalar_type, info.shape, rng), f"seed {seed}")
        for info in method.inputs
    ]


def _made(scalar_type: ScalarType, shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    dtype = scalar_type.dtype
    if scalar_type in _BYTE_LIKE:
        bounds = np.iinfo(dtype)
        array = rng.integers(bounds.min, bounds.max, shape, dtype=dtype, endpoint=True)
    elif dtype.kind in "biu":
        array = rng.integers(0, 2, shape).astype(dtype)
    elif dtype.kind == "c":
        array = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    else:
        array = rng.standard_normal(shape, dtype=np.float32).astype(dtype)
    return np.asarray(array)
