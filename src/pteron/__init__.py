"""Pteron keeps every .pte file running: read, verify and run the programs of every ExecuTorch release, without torch.

    import pteron

    program = pteron.open("model.pte")           # read and verified, nothing executed
    program.methods["forward"].inputs            # names, dtypes, shapes, dynamism
    module = pteron.load("model.pte", data=["weights.ptd"])
    outputs = module.forward(x, y)               # a list of NumPy arrays

Everything is loaded where it is first used; importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Public name -> (module, name there)
_PUBLIC: dict[str, tuple[str, str]] = {
    # opening and running
    "open": ("pteron.runtime.opening", "open_program"),
    "load": ("pteron.runtime.module", "load"),
    "verify": ("pteron.runtime.opening", "verify"),
    # rewriting
    "migrate": ("pteron.migration", "migrate"),
    # records
    "BundledProgram": ("pteron.format.bundled_program", "BundledProgram"),
    "Finding": ("pteron.format.verify", "Finding"),
    "Limits": ("pteron.format.limits", "Limits"),
    "LoadedMethod": ("pteron.runtime.method", "LoadedMethod"),
    "Method": ("pteron.format.method", "Method"),
    "Module": ("pteron.runtime.module", "Module"),
    "Program": ("pteron.format.program", "Program"),
    "ScalarType": ("pteron.format.scalar_type", "ScalarType"),
    "TensorData": ("pteron.format.flat_tensor", "TensorData"),
    "ValueInfo": ("pteron.format.method", "ValueInfo"),
    "read_bundled_program": ("pteron.format.bundled_program", "read_bundled_program"),
    "read_tensor_data": ("pteron.format.flat_tensor", "read_tensor_data"),
    # extending
    "backends": ("pteron.backends.interface", "BACKENDS"),
    "operator": ("pteron.ops.registry", "operator"),
    "operators": ("pteron.ops.registry", "REGISTRY"),
    # errors
    **{
        name: ("pteron.errors", name)
        for name in (
            "BackendError",
            "ExecutionError",
            "ExternalDataError",
            "FileAccessError",
            "FormatError",
            "InputError",
            "KernelError",
            "LimitError",
            "LoadError",
            "MethodNotFoundError",
            "MigrationError",
            "MissingOperatorError",
            "PteronError",
            "TruncatedError",
            "UnknownFileError",
            "UnsupportedError",
            "VerificationError",
        )
    },
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _PUBLIC[name]
    except KeyError:
        raise AttributeError(f"module 'pteron' has no attribute {name!r}") from None
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from pteron.backends.interface import BACKENDS as backends
    from pteron.errors import (
        BackendError,
        ExecutionError,
        ExternalDataError,
        FileAccessError,
        FormatError,
        InputError,
        KernelError,
        LimitError,
        LoadError,
        MethodNotFoundError,
        MigrationError,
        MissingOperatorError,
        PteronError,
        TruncatedError,
        UnknownFileError,
        UnsupportedError,
        VerificationError,
    )
    from pteron.format.bundled_program import BundledProgram, read_bundled_program
    from pteron.format.flat_tensor import TensorData, read_tensor_data
    from pteron.format.limits import Limits
    from pteron.format.method import Method, ValueInfo
    from pteron.format.program import Program
    from pteron.format.scalar_type import ScalarType
    from pteron.format.verify import Finding
    from pteron.migration import migrate
    from pteron.ops.registry import REGISTRY as operators
    from pteron.ops.registry import operator
    from pteron.runtime.method import LoadedMethod
    from pteron.runtime.module import Module, load
    from pteron.runtime.opening import open_program as open
    from pteron.runtime.opening import verify
