"""ExecuTorch's error codes, explained.

Numbers, names and first releases are those of ``runtime/core/error.h`` (v0.1.0 … v1.5.1). The causes are what the
runtime's sources raise the code for, and what users ran into. Runtimes print a code as ``0x12``, ``0x:12`` or, in
mobile apps, as a decimal number (18).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One code: ``since`` is the first release that has it; ``causes`` and ``remedies`` are one sentence each."""

    code: int
    name: str
    since: str
    meaning: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]

    @property
    def hex(self) -> str:
        """The code as runtimes print it: ``0x12``."""
        return f"0x{self.code:02x}"


_VERIFY = "Run `pteron verify` on the file: it names the first field that is wrong and its byte offset."
_SHOW = "Run `pteron show` on the file and compare its operators and delegates with what the app links."

_TABLE = (
    ErrorCode(
        0x00,
        "Ok",
        "0.1.0",
        "The operation succeeded.",
        ("An error path printed the code although nothing failed.",),
        ("Nothing need be done.",),
    ),
    ErrorCode(
        0x01,
        "Internal",
        "0.1.0",
        "The runtime or a backend failed in a way it has no code for.",
        (
            "A backend failed inside its own library; for XNNPACK that is often a payload of another release.",
            "A call names a delegate that does not exist, or a tensor's dim order is no permutation.",
            "The operator's name takes 100 bytes or more.",
        ),
        (
            "Read the log lines before the code: they name the backend or the instruction.",
            _VERIFY,
            "For a delegated file, export it with the release that runs it.",
        ),
    ),
    ErrorCode(
        0x02,
        "InvalidState",
        "0.1.0",
        "The call came at a time when it is not possible.",
        (
            "The method was used before it was loaded, or while another call of it was running.",
            "A buffer was given for an output that the memory plan holds already.",
            "The program needs a .ptd file and none was given.",
            "A jump's condition tensor has no data.",
        ),
        (
            "Load the method once and let one thread at a time execute it.",
            "Read planned outputs with get_output in place of set_output_data_ptr.",
            "Give the .ptd files beside the .pte; `pteron show` lists the keys that the program expects.",
        ),
    ),
    ErrorCode(
        0x03,
        "EndOfMethod",
        "0.1.0",
        "There is no further instruction: the method has run to its end.",
        (
            "step() was called after the last instruction.",
            "The VGF backend stopped after writing its inputs to files, as an environment variable asked.",
        ),
        ("Stop stepping, or call reset_execution() to start again.",),
    ),
    ErrorCode(
        0x04,
        "AlreadyLoaded",
        "1.2.0",
        "The resource is loaded already.",
        ("An app or platform layer loaded one thing a second time; the runtime itself (up to 1.5) never raises it.",),
        ("Load it once and share it, or unload it before.",),
    ),
    ErrorCode(
        0x10,
        "NotSupported",
        "0.1.0",
        "Valid, but this runtime cannot do it.",
        (
            "A static tensor would have to change its shape, or a tensor its rank.",
            "A tensor's shape has no upper bound (DYNAMIC_UNBOUND), or the tensor has a storage offset.",
            "A 0.7 runtime got a program with named data together with a .ptd file.",
            "An XNNPACK delegate got an input of another shape than it was exported with.",
        ),
        (
            "Give inputs of the exported shape, or export the dimension as dynamic: torch.export.Dim(..., max=N).",
            "Run `pteron show` to see which inputs are dynamic and up to what size.",
        ),
    ),
    ErrorCode(
        0x11,
        "NotImplemented",
        "0.1.0",
        "The function exists, but has no implementation here.",
        (
            "An XNNPACK payload holds a node that the runtime's release does not know (log: Unhandled node type).",
            "The data loader or data map cannot do what a backend asked of it (load_into on a custom loader).",
        ),
        (
            "Run the file on the release that exported it or a newer one, or export it with the older release.",
            "Use one of the data loaders that ship with ExecuTorch.",
        ),
    ),
    ErrorCode(
        0x12,
        "InvalidArgument",
        "0.1.0",
        "A value given to the runtime or to an operator is not allowed.",
        (
            "The inputs do not match the method: another number, dtype or shape, or one was never set.",
            "An input that was a number or a bool at export got another value than the traced one.",
            "The file is cut off or was written wrongly, so that data would lie outside of its segment.",
            "A kernel refused its arguments (dtypes or shapes), also where another release defines the operator "
            "differently.",
            "No method of that name, or a planned buffer is missing.",
        ),
        (
            "Run `pteron show` to see the inputs that the method takes, and compare count, dtype and shape.",
            _VERIFY,
            "Run `pteron run` on the file: it names the input or the instruction at fault.",
        ),
    ),
    ErrorCode(
        0x13,
        "InvalidType",
        "0.1.0",
        "A value is of another kind than the operation needs.",
        (
            "A tensor list holds something that is no tensor (checked since 1.3; runtimes before abort).",
            "An output was read as a tensor although it is a number, or the reverse.",
        ),
        ("Check the kinds with `pteron show`.", _VERIFY),
    ),
    ErrorCode(
        0x14,
        "OperatorMissing",
        "0.1.0",
        "The program calls operators that this runtime has no kernel for.",
        (
            "The app links too few kernel libraries: portable_ops_lib, optimized, quantized or LLM custom operators.",
            "A selective build left out the operator, or the dtype it is called with.",
            "The runtime is older than the operator.",
            "Part of the model was not delegated and stayed as operators that no library has.",
            "A custom operator's library is not loaded.",
        ),
        (
            "Run `pteron check FILE --runtime RELEASE`: it names the operator, the release that has it, what to link.",
            "Or read the log: the line 'Missing operator' names those without kernel.",
            "Link the kernel library that has them, with --whole-archive or -force_load, so that it registers.",
            "In Python import the library first: executorch.kernels.quantized, "
            "executorch.extension.llm.custom_ops.custom_ops.",
        ),
    ),
    ErrorCode(
        0x15,
        "RegistrationExceedingMaxKernels",
        "1.0.0",
        "More kernels were registered than the registry has room for.",
        (
            "A selective build made the registry as large as its own kernels, and a further library was linked.",
            "Several large kernel libraries are linked at once.",
        ),
        ("Raise MAX_KERNEL_NUM and build again, or link fewer libraries.",),
    ),
    ErrorCode(
        0x16,
        "RegistrationAlreadyRegistered",
        "1.0.0",
        "A kernel of that name and signature is registered already; the process aborts.",
        (
            "Two linked libraries have the same operator: portable and optimized kernels, or one library twice.",
            "A shared library and the app each contain a copy of the kernels.",
        ),
        ("Link only one library per operator; the log line 'Re-registering' names the operator.",),
    ),
    ErrorCode(
        0x20,
        "NotFound",
        "0.1.0",
        "Something asked for by name does not exist.",
        (
            "A backend is not linked or not available on this device (log: Backend ... is not registered).",
            "A key is missing from the .ptd files or from the named data.",
            "A segment or payload that the program refers to is not in the file.",
            "get_attribute was asked for a name that no mutable buffer has.",
        ),
        (
            "Run `pteron check FILE --runtime RELEASE` for the backends that are missing, and link those with "
            "-force_load or --whole-archive.",
            "Give the .ptd that was exported with the program.",
            _VERIFY,
        ),
    ),
    ErrorCode(
        0x21,
        "MemoryAllocationFailed",
        "0.1.0",
        "Memory could not be had.",
        (
            "The method allocator, the planned buffers or the temporary allocator are too small.",
            "A kernel needs temporary memory and the runtime was given none (log: temp_mem_allocated).",
            "A planned tensor lies outside of its buffer: the file is damaged, or the wrong sizes were allocated.",
            "The device has too little memory for the model.",
        ),
        (
            "Run `pteron show` for the sizes of the planned buffers and allocate at least those, in order.",
            "Give the MemoryManager a temporary allocator.",
        ),
    ),
    ErrorCode(
        0x22,
        "AccessFailed",
        "0.1.0",
        "A file cannot be opened or read.",
        (
            "The path is wrong, or the app may not read there.",
            "The file is shorter than a read that was asked for.",
            "The file was not bundled into the app.",
        ),
        ("Check the path on the device, the permissions, and the file's size against the original.",),
    ),
    ErrorCode(
        0x23,
        "InvalidProgram",
        "0.1.0",
        "The program's contents are not what the runtime can use.",
        (
            "The file is cut off, is no .pte, or was changed on the way (git-lfs pointer, text mode, failed download).",
            "Weights are inside the flatbuffer (exported up to 0.3, or bundled), which runtimes built with CMake "
            "refuse since 1.3 (log: relies on the constant_buffer path).",
            "A tensor has a dtype that the runtime's release does not know (log: Invalid or unsupported ScalarType).",
            "A loop ran longer than 10,000,000 instructions (since 1.3).",
        ),
        (
            _VERIFY,
            "Compare the file's size and checksum with the original.",
            "For weights inside the flatbuffer export again with 0.4 or newer.",
        ),
    ),
    ErrorCode(
        0x24,
        "InvalidExternalData",
        "0.6.0",
        "The contents of a .ptd file are not what the program needs.",
        (
            "The .ptd belongs to another export: a tensor has another dtype, shape or dim order.",
            "The .ptd was written by 0.5 or 0.6, whose layout later runtimes misread.",
            "The .ptd is cut off, or a tensor that should come from it has no name.",
        ),
        (
            "Run `pteron show` on both files and compare the keys.",
            "Export program and data together, with 0.7 or newer.",
        ),
    ),
    ErrorCode(
        0x25,
        "OutOfResources",
        "0.6.0",
        "A resource of fixed size is used up.",
        ("The buffer for ETDump's debug data is full.",),
        ("Give a larger debug buffer (debug_buffer_size), or log less.",),
    ),
    ErrorCode(
        0x30,
        "DelegateInvalidCompatibility",
        "0.1.0",
        "A backend refuses its payload because it is of another version.",
        (
            "The payload was made by another release of the backend or its SDK than the app contains.",
            "A Qualcomm, Core ML or vendor SDK differs between the exporting machine and the device.",
            "The payload is damaged, so that its header is not recognised.",
        ),
        (
            "Run `pteron check FILE --runtime RELEASE`: it looks inside of XNNPACK payloads.",
            "Run `pteron show` for the payload's format and version.",
            "Export again with the version of the backend that the app contains, or update the app.",
        ),
    ),
    ErrorCode(
        0x31,
        "DelegateMemoryAllocationFailed",
        "0.1.0",
        "A backend could not get memory while it prepared its payload.",
        ("The accelerator or the device has too little free memory for the model.",),
        ("Free other models first, split the model, or use a smaller one.",),
    ),
    ErrorCode(
        0x32,
        "DelegateInvalidHandle",
        "0.1.0",
        "A backend was executed with a handle that is not its own.",
        (
            "The delegate was destroyed before, or its preparation failed and the result was used all the same.",
            "Memory that the backend took from the runtime's allocator was overwritten.",
        ),
        ("Keep the method alive while it runs, and check the result of loading it.", _SHOW),
    ),
)

ERROR_CODES: dict[int, ErrorCode] = {entry.code: entry for entry in _TABLE}
"""Every code by number."""

_BY_NAME = {entry.name.lower(): entry for entry in _TABLE}
_NUMBER = re.compile(r"0x:?([0-9a-f]{1,8})|([0-9]{1,10})", re.IGNORECASE)


def find(text: str) -> ErrorCode | None:
    """The code that people mean: ``0x12``, ``0x:12``, ``18``, ``InvalidArgument``, ``Error::InvalidArgument``; or None.

    A number without ``0x`` is decimal.
    """
    word = text.strip().removeprefix("Error::")
    match = _NUMBER.fullmatch(word)
    if match:
        return ERROR_CODES.get(int(match[1], 16) if match[1] else int(match[2]))
    return _BY_NAME.get(word.lower().replace("_", "").replace("-", "").replace(" ", ""))


def hexadecimal_reading(text: str) -> ErrorCode | None:
    """The code if a number without ``0x`` was hexadecimal (``20`` for ``0x20``), where that differs; or None."""
    word = text.strip()
    if not word.isascii() or not word.isdigit() or len(word) > 8 or int(word) == int(word, 16):
        return None
    return ERROR_CODES.get(int(word, 16))
