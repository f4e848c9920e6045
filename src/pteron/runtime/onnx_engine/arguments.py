"""Arguments: what the caller gives a method, checked against its signature, as arrays that models take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.format.method import Method, ValueInfo
from pteron.runtime import signature

Array = NDArray[Any]


class Arguments:
    """The inputs of one method; ``where`` names it in messages, which all are ``InputError``."""

    def __init__(self, file: str, method: Method, where: str) -> None:
        self._file = file
        self._method = method
        self._where = where
        self.tensors = [info for info in method.inputs if info.kind == "tensor"]

    def arrays(self, inputs: Sequence[Any]) -> list[Array]:
        """The tensor inputs, dense in the order of their dimensions."""
        signature.check_count(self._file, self._method, inputs)
        arrays = []
        for position, (info, given) in enumerate(zip(self._method.inputs, inputs, strict=True)):
            if info.kind == "tensor":
                arrays.append(self._array(info, given, position))
            else:
                signature.check_scalar(info, given, self._place(info, position))
        return arrays

    def _place(self, info: ValueInfo, position: int) -> str:
        return f"{self._where}, input {position} ({info.name})"

    def _array(self, info: ValueInfo, given: Any, position: int) -> Array:
        if type(given) is np.ndarray and info.scalar_type is not None and given.dtype == info.scalar_type.dtype:
            array: Array = given
            if array.shape == info.shape and array.flags.c_contiguous:
                return array
        else:
            array = signature.tensor_input(info, given, self._place(info, position))
        signature.check_shape(info, array.shape, self._place(info, position))
        return array if array.flags.c_contiguous else np.ascontiguousarray(array)
