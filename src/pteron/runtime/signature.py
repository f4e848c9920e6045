"""Checks the caller's inputs against a method's signature, and turns them into arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.errors import InputError
from pteron.format.method import Method, ValueInfo
from pteron.format.scalar_type import ScalarType

Array = NDArray[Any]


def check_count(file: str, method: Method, inputs: Sequence[Any]) -> None:
    """Raise ``InputError`` unless there are as many inputs as the method takes."""
    wanted = method.inputs
    if len(inputs) != len(wanted):
        listed = ", ".join(f"{info.name}: {info}" for info in wanted) or "none"
        raise InputError(f"{file}, method {method.name!r}: {len(inputs)} inputs given, {len(wanted)} needed ({listed})")


def check_scalar(info: ValueInfo, given: Any, place: str) -> None:
    """Numbers, bools and strings were fixed when the model was exported: only the same value can be given."""
    if isinstance(given, np.generic):
        given = given.item()
    match info.kind:
        case "none":
            if given is not None:
                raise InputError(f"{place}: the model was exported with None here; give None")
            return
        case "int":
            fits = isinstance(given, int) and not isinstance(given, bool) and given == info.value
        case "bool":
            fits = isinstance(given, bool) and given == info.value
        case "str":
            fits = given == info.value
        case "float":
            fits = (
                isinstance(given, float | int)
                and not isinstance(given, bool)
                and _close(given, float(info.value or 0.0))
            )
        case _:
            raise InputError(f"{place}: an input of kind {info.kind} cannot be given by any runtime")
    if not fits:
        raise InputError(
            f"{place}: the model was exported with {info.kind} {info.value!r} and takes nothing else, got {given!r}"
        )


def _close(given: float, traced: float) -> bool:
    """The runtime's tolerance for floats given again (runtime/executor/method.cpp)."""
    if math.isnan(given) or math.isnan(traced):
        return math.isnan(given) and math.isnan(traced)
    return given == traced or abs(given - traced) <= 1e-4 + 1e-5 * abs(traced)


def tensor_input(info: ValueInfo, given: Any, place: str) -> Array:
    """The array for a tensor input; raises ``InputError`` for another dtype or for what is no array."""
    if info.scalar_type is None:
        raise InputError(f"{place}: the method put a tensor in place of an input of kind {info.kind}; reset() it first")
    if given is None or isinstance(given, str | bytes):
        raise InputError(f"{place}: {info} needed, got {type(given).__name__}")
    if isinstance(given, bool | int | float) and info.shape == ():
        return _python_scalar(info.scalar_type, given, place)
    array = as_array(given, place)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype != info.scalar_type.dtype:
        raise InputError(
            f"{place}: {info} needed, got dtype {array.dtype.name}; convert it, e.g. with .astype({info.dtype!r})"
        )
    return array


def _python_scalar(scalar_type: ScalarType, given: bool | int | float, place: str) -> Array:
    dtype = scalar_type.dtype
    if dtype.kind in "iu" and isinstance(given, float) and not given.is_integer():
        raise InputError(f"{place}: {given!r} is no {scalar_type.torch_name}")
    try:
        array: Array = np.asarray(given).astype(dtype) if dtype.kind not in "iu" else np.asarray(int(given), dtype)
    except OverflowError:
        raise InputError(f"{place}: {given!r} does not fit in {scalar_type.torch_name}") from None
    return array


def as_array(given: Any, place: str) -> Array:
    """Any array-like as a NumPy array: NumPy, the array interface, DLPack, torch (bfloat16 too), nested lists."""
    if isinstance(given, np.ndarray):
        return given
    if hasattr(given, "detach") and hasattr(given, "cpu"):
        return _from_torch(given, place)
    try:
        if hasattr(given, "__dlpack__"):
            return np.from_dlpack(given)
        array = np.asarray(given)
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        raise InputError(f"{place}: {type(given).__name__} is not usable as an array ({error})") from None
    if array.dtype == object:
        raise InputError(f"{place}: {type(given).__name__} is not usable as an array")
    return array


def _from_torch(given: Any, place: str) -> Array:
    tensor = given.detach().cpu()
    try:
        if str(tensor.dtype) == "torch.bfloat16":
            import ml_dtypes
            import torch

            bits: Array = tensor.view(torch.int16).numpy()
            return bits.view(ml_dtypes.bfloat16)
        array: Array = tensor.resolve_conj().resolve_neg().numpy()
        return array
    except (TypeError, RuntimeError) as error:
        raise InputError(f"{place}: {tensor.dtype} tensor is not usable as an array ({error})") from None


def check_shape(info: ValueInfo, shape: tuple[int, ...], place: str) -> None:
    """Raise ``InputError`` unless the shape is the exported one, or within its bounds where it is dynamic."""
    if len(shape) != len(info.shape):
        raise InputError(f"{place}: {info} needed, got shape {list(shape)} of another rank")
    if not info.dynamic:
        if shape != info.shape:
            raise InputError(
                f"{place}: {info} needed, got shape {list(shape)}; the model was exported with fixed sizes"
            )
        return
    for dim, (size, bound) in enumerate(zip(shape, info.shape, strict=True)):
        if size > bound:
            raise InputError(
                f"{place}: {info} needed, got shape {list(shape)}; dimension {dim} may be at most {bound}, is {size}"
            )
