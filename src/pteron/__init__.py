"""Pteron keeps every .pte file running: read, verify and run the programs of every ExecuTorch release, without torch.

    import pteron

    program = pteron.open("model.pte")           # read and verified, nothing executed
    program.methods["forward"].inputs            # names, dtypes, shapes, dynamism
    module = pteron.load("model.pte", data=["weights.ptd"])
    outputs = module.forward(x, y)               # a list of NumPy arrays
    result = pteron.check("model.pte", runtime=">=1.2")
    result.verdicts["1.3.1"].status              # guaranteed, expected, conditional, incompatible or broken

Everything is loaded where it is first used; importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pteron.version import __version__

# Public name -> (module, name there)
_PUBLIC: dict[str, tuple[str, str]] = {
    # opening and running
    "open": ("pteron.runtime.opening", "open_program"),
    "load": ("pteron.runtime.module", "load"),
    "verify": ("pteron.runtime.opening", "verify"),
    "to_onnx": ("pteron.runtime.onnx_export.convert", "to_onnx"),
    # rewriting
    "migrate": ("pteron.migration", "migrate"),
    # the guarantee
    "check": ("pteron.compat.check", "check"),
    "date": ("pteron.compat.opening", "date"),
    "load_profile": ("pteron.compat.profile", "load_profile"),
    "profile_for": ("pteron.compat.profile", "profile_for"),
    "requirements": ("pteron.compat.opening", "requirements"),
    # proving; the package itself can be called
    "prove": ("pteron.prove", ""),
    "Evidence": ("pteron.compat.evidence", "Evidence"),
    "Outcome": ("pteron.compat.evidence", "Outcome"),
    "read_evidence": ("pteron.compat.evidence", "read_evidence"),
    # records
    "BundledProgram": ("pteron.format.bundled_program", "BundledProgram"),
    "CheckResult": ("pteron.compat.check", "CheckResult"),
    "Finding": ("pteron.format.verify", "Finding"),
    "Limits": ("pteron.format.limits", "Limits"),
    "LoadedMethod": ("pteron.runtime.method", "LoadedMethod"),
    "Method": ("pteron.format.method", "Method"),
    "Module": ("pteron.runtime.module", "Module"),
    "OnnxModel": ("pteron.runtime.onnx_export.convert", "OnnxModel"),
    "ProducedBy": ("pteron.compat.dating", "ProducedBy"),
    "Profile": ("pteron.compat.profile", "Profile"),
    "Program": ("pteron.format.program", "Program"),
    "Reason": ("pteron.compat.verdict", "Reason"),
    "Requirements": ("pteron.compat.requirements", "Requirements"),
    "ScalarType": ("pteron.format.scalar_type", "ScalarType"),
    "Status": ("pteron.compat.verdict", "Status"),
    "TensorData": ("pteron.format.flat_tensor", "TensorData"),
    "Verdict": ("pteron.compat.verdict", "Verdict"),
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
            "ProfileError",
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
    loaded = import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from pteron.backends.interface import BACKENDS as backends
    from pteron.compat.check import CheckResult, check
    from pteron.compat.dating import ProducedBy
    from pteron.compat.evidence import Evidence, Outcome, read_evidence
    from pteron.compat.opening import date, requirements
    from pteron.compat.profile import Profile, load_profile, profile_for
    from pteron.compat.requirements import Requirements
    from pteron.compat.verdict import Reason, Status, Verdict
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
        ProfileError,
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
    from pteron.prove import prove
    from pteron.runtime.method import LoadedMethod
    from pteron.runtime.module import Module, load
    from pteron.runtime.onnx_export.convert import OnnxModel, to_onnx
    from pteron.runtime.opening import open_program as open
    from pteron.runtime.opening import verify
