"""Every error Pteron raises on purpose.

    PteronError
     ├── FileAccessError           a file cannot be opened or written (also an OSError)
     ├── FormatError               the bytes are not what they must be
     │    ├── UnknownFileError     not a file of the kind asked for (text, empty, a .ptd given as .pte)
     │    ├── TruncatedError       the file ends before something it declares
     │    └── LimitError           the file asks for more than a named cap allows
     ├── VerificationError         the records break a rule of the format; carries the findings
     ├── UnsupportedError          well-formed, but Pteron has no way to do it
 │    └── MigrationError       no rewriting of the file makes the target run it; carries the reasons
     ├── LoadError                 a method cannot be prepared for running
     │    ├── MissingOperatorError no kernel is registered for an operator
     │    ├── BackendError         a delegate's backend is missing or refuses its payload
     │    └── ExternalDataError    weights expected from a .ptd are missing, extra or of another size
     ├── ProfileError              the description of a runtime build is not one (also a ValueError)
     ├── MethodNotFoundError       the program has no method of that name (also a KeyError)
     ├── InputError                the caller's inputs do not fit the method's signature (also a ValueError)
     └── ExecutionError            a step of a running method failed
          └── KernelError          an operator refused its arguments

Each error is one sentence. Where a file is at fault it names the file, the place in it (field path and byte
offset) and what to do; ``et_error`` is the code that ExecuTorch reports for the same fault, where it has one.
"""

from __future__ import annotations


class PteronError(Exception):
    """Base of every error that Pteron raises on purpose.

    ``et_error`` is ExecuTorch's ``Error`` code (runtime/core/error.h) for the same fault, or None.
    """

    et_error: int | None = None


class FileAccessError(PteronError, OSError):
    """A file cannot be opened or written."""

    et_error: int | None = 0x22  # AccessFailed


class FormatError(PteronError):
    """Bytes that break the file format.

    Attributes: ``file`` (name or "<bytes>"), ``offset`` (byte offset from the start of the file, or None),
    ``path`` (field path such as ``execution_plan[0].values[12].val.sizes``, or "").
    """

    et_error: int | None = 0x23  # InvalidProgram

    def __init__(self, problem: str, *, file: str = "<bytes>", offset: int | None = None, path: str = "") -> None:
        self.problem = problem
        self.file = file
        self.offset = offset
        self.path = path
        place = f", {path}" if path else ""
        if offset is not None:
            place += f" at byte {offset}" if path else f", byte {offset}"
        super().__init__(f"{file}{place}: {problem}")


class UnknownFileError(FormatError):
    """The bytes are not a file of the kind asked for."""


class TruncatedError(FormatError):
    """The file ends before something that it declares."""


class LimitError(FormatError):
    """The file asks for more than a named cap of ``pteron.Limits`` allows."""


class VerificationError(PteronError):
    """The records were read but break rules of the format; ``findings`` lists them, worst first."""

    et_error: int | None = 0x23

    def __init__(self, message: str, findings: tuple[object, ...] = ()) -> None:
        self.findings = findings
        super().__init__(message)


class UnsupportedError(PteronError):
    """Well-formed, but Pteron has no way to do it."""

    et_error: int | None = 0x10  # NotSupported


class MigrationError(UnsupportedError):
    """A file cannot be rewritten so that a release runs it and says the same; ``reasons`` are all that was found."""

    def __init__(self, message: str, reasons: tuple[str, ...] = ()) -> None:
        self.reasons = reasons
        super().__init__(message)


class LoadError(PteronError):
    """A method cannot be prepared for running."""

    et_error: int | None = 0x23


class MissingOperatorError(LoadError):
    """No kernel is registered for operators that the method calls; ``operators`` names them."""

    et_error: int | None = 0x14  # OperatorMissing

    def __init__(self, message: str, operators: tuple[str, ...] = ()) -> None:
        self.operators = operators
        super().__init__(message)


class BackendError(LoadError):
    """A delegate's backend is not available, or refuses the payload; ``backend`` is its id."""

    et_error: int | None = 0x20  # NotFound

    def __init__(self, message: str, backend: str = "") -> None:
        self.backend = backend
        super().__init__(message)


class ExternalDataError(LoadError):
    """Weights that the program expects from a .ptd file are missing, extra, or of another layout."""

    et_error: int | None = 0x24  # InvalidExternalData


class ProfileError(PteronError, ValueError):
    """A file that should describe a build of a runtime does not."""


class MethodNotFoundError(PteronError, KeyError):
    """The program has no method of that name."""

    et_error: int | None = 0x12  # InvalidArgument

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InputError(PteronError, ValueError):
    """The caller's inputs do not fit the method's signature."""

    et_error: int | None = 0x12


class ExecutionError(PteronError):
    """A step of a running method failed."""

    et_error: int | None = 0x01  # Internal


class KernelError(ExecutionError):
    """An operator refused its arguments (shape, dtype, range)."""

    et_error: int | None = 0x12
