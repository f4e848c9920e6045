"""The official ``executorch.runtime`` API over Pteron: change the import, keep the program.

    from pteron.executorch import Runtime, Verification

    program = Runtime.get().load_program("model.pte", verification=Verification.Minimal)
    outputs = program.load_method("forward").execute([x])

Names and signatures are those of ``executorch/runtime/__init__.py`` at 1.5; no torch is needed. Where torch is
imported already, tensors go in and come out as torch tensors; else NumPy arrays come out. Errors are Pteron's, all of
which are also ``RuntimeError`` here, as callers of the official API expect.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pteron.backends.interface import BACKENDS
from pteron.errors import PteronError, UnsupportedError
from pteron.format import schema
from pteron.format.method import Method as MethodRecord
from pteron.format.method import ValueInfo, value_info
from pteron.format.source import FileSource
from pteron.ops import REGISTRY
from pteron.runtime.engines import RunnableMethod
from pteron.runtime.module import Module, load

__all__ = [
    "BackendRegistry",
    "Method",
    "MethodMeta",
    "OperatorRegistry",
    "Program",
    "Runtime",
    "TensorInfo",
    "Verification",
]


class Verification(Enum):
    """How much of a program is checked before use."""

    Minimal = 0
    InternalConsistency = 1


class ExecuTorchError(RuntimeError, PteronError):
    """A Pteron error as the official API raises it: a RuntimeError; ``__cause__`` is the error itself."""


def _official(function: Any) -> Any:
    """Let Pteron's errors out as RuntimeErrors."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except PteronError as error:
            code = f", error: 0x{error.et_error:x}" if error.et_error is not None else ""
            raised = ExecuTorchError(f"{error}{code}")
            raised.et_error = error.et_error
            raise raised from error

    return wrapped


class TensorInfo:
    """A tensor of a method's signature."""

    def __init__(self, info: ValueInfo) -> None:
        self._info = info

    def sizes(self) -> tuple[int, ...]:
        """Shape; the upper bound where it is dynamic."""
        return self._info.shape

    def dtype(self) -> int:
        """The element type by ExecuTorch's ScalarType number."""
        return int(self._info.scalar_type or 0)

    def is_memory_planned(self) -> bool:
        """Whether the program gives the tensor its memory."""
        return self._info.planned

    def nbytes(self) -> int:
        """Bytes at the upper bound."""
        return self._info.nbytes

    def __repr__(self) -> str:
        return (
            f"TensorInfo(sizes={list(self.sizes())}, dtype={self._info.dtype}, "
            f"is_memory_planned={self.is_memory_planned()}, nbytes={self.nbytes()})"
        )


class MethodMeta:
    """A method's signature."""

    def __init__(self, method: MethodRecord) -> None:
        self._method = method

    def name(self) -> str:
        return self._method.name

    def num_inputs(self) -> int:
        return len(self._method.inputs)

    def num_outputs(self) -> int:
        return len(self._method.outputs)

    def num_attributes(self) -> int:
        """Tensors that carry a name, such as mutable buffers exported by name."""
        return len(self._attributes)

    def input_tensor_meta(self, index: int) -> TensorInfo:
        """The input of that number; raises IndexError when there is none, RuntimeError when it is no tensor."""
        return _tensor_info(self._method.inputs, index, "input")

    def output_tensor_meta(self, index: int) -> TensorInfo:
        """The output of that number; raises IndexError when there is none, RuntimeError when it is no tensor."""
        return _tensor_info(self._method.outputs, index, "output")

    def attribute_tensor_meta(self, index: int) -> TensorInfo:
        """The named tensor of that number; raises IndexError when there is none."""
        return _tensor_info(self._attributes, index, "attribute")

    @functools.cached_property
    def _attributes(self) -> tuple[ValueInfo, ...]:
        plan = self._method.plan
        return tuple(
            value_info(plan, index, "")
            for index, evalue in enumerate(plan.values or ())
            if isinstance(evalue.val, schema.Tensor)
            and evalue.val.extra_tensor_info is not None
            and evalue.val.extra_tensor_info.fully_qualified_name
        )

    def __repr__(self) -> str:
        inputs = ", ".join(map(str, self._method.inputs))
        outputs = ", ".join(map(str, self._method.outputs))
        return f"MethodMeta(name='{self.name()}', inputs=[{inputs}], outputs=[{outputs}])"


def _tensor_info(infos: Sequence[ValueInfo], index: int, kind: str) -> TensorInfo:
    if not 0 <= index < len(infos):
        raise IndexError(f"{kind} {index} does not exist, there are {len(infos)}")
    if infos[index].kind != "tensor":
        raise ExecuTorchError(f"{kind} {index} is {infos[index].kind}, not a tensor, error: 0x12")
    return TensorInfo(infos[index])


class Method:
    """A method loaded from a program."""

    def __init__(self, method: RunnableMethod) -> None:
        self._method = method

    @_official
    def execute(self, inputs: Sequence[Any]) -> Sequence[Any]:
        """Run with the inputs given in order; the outputs as a list."""
        return [_to_torch(output) for output in self._method.execute(tuple(inputs))]

    @property
    def metadata(self) -> MethodMeta:
        return MethodMeta(self._method.method)


class Program:
    """A program loaded from a PTE file."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._methods: dict[str, Method] = {}

    @property
    def method_names(self) -> set[str]:
        return set(self._module.methods)

    @_official
    def load_method(self, name: str) -> Method | None:
        """The method of that name; raises KeyError when there is none."""
        if name not in self._module.methods:
            raise KeyError(name)
        if name not in self._methods:
            self._methods[name] = Method(self._module[name])
        return self._methods[name]

    def metadata(self, method_name: str) -> MethodMeta:
        """The signature of a method, without loading it; raises KeyError when there is none of that name."""
        return MethodMeta(self._module.methods[method_name])

    def write_etdump_result_to_file(self, etdump_path: str, debug_buffer_path: str) -> None:
        """Not available: Pteron records no ETDump. Raises RuntimeError."""
        raise ExecuTorchError(str(UnsupportedError("ETDump is not recorded by Pteron; use `pteron run --profile`")))


class BackendRegistry:
    """The backends that can run delegates here."""

    @property
    def registered_backend_names(self) -> list[str]:
        return [backend.id for backend in BACKENDS]

    def is_available(self, backend_name: str) -> bool:
        backend = BACKENDS.get(backend_name)
        return backend is not None and backend.is_available()


class OperatorRegistry:
    """The operators that have a kernel here."""

    @property
    def operator_names(self) -> set[str]:
        return {operator.name for operator in REGISTRY}


class Runtime:
    """The runtime; :meth:`get` gives the one instance."""

    @staticmethod
    @functools.lru_cache(maxsize=1)
    def get() -> Runtime:
        return Runtime()

    def __init__(self) -> None:
        self.backend_registry = BackendRegistry()
        self.operator_registry = OperatorRegistry()

    @_official
    def load_program(
        self,
        data: bytes | bytearray | BinaryIO | Path | str,
        *,
        verification: Verification = Verification.InternalConsistency,
        enable_etdump: bool = False,
        debug_buffer_size: int = 0,
        data_path: Path | str | None = None,
    ) -> Program:
        """Load a program from a path, bytes or a binary file; ``data_path`` is a .ptd file with external data.

        ``enable_etdump`` and ``debug_buffer_size`` are taken and have no effect. Raises TypeError for another kind of
        ``data`` and RuntimeError for a program that cannot be loaded.
        """
        source: FileSource
        if isinstance(data, str | os.PathLike | bytes | bytearray):
            source = data
        elif hasattr(data, "read"):
            source = data.read()
        else:
            raise TypeError(f"data must be a path, bytes, bytearray or a binary file object, not {type(data).__name__}")
        module = load(
            source,
            data=[data_path] if data_path is not None else [],
            verify=verification is Verification.InternalConsistency,
        )
        return Program(module)


def _to_torch(value: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, np.ndarray):
        return value
    if value.dtype.name == "bfloat16":
        return torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(value)
