"""The catalogue of rules: every reason that a verdict can have, with its words.

Ids and names are stable. ``docs/rules/`` has a page for each, made from here by ``tools/make_rule_pages.py``.
``PT-FM`` rules are about the file format, ``PT-OP`` about operators, ``PT-BE`` about backends, ``PT-DI`` about limits
of the caller's side, ``PT-PR`` about promises, ``PT-EV`` about evidence, ``PT-LK`` about lock files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pteron.compat.verdict import Reason, Status


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``gives`` is the status that it leads to (None: it only tells something); ``sentence`` is the template
    of its reasons' sentences; ``wrong_numbers`` marks runs that lie without an error."""

    id: str
    name: str
    gives: Status | None
    sentence: str
    meaning: str
    remedy: str
    source: str
    wrong_numbers: bool = False

    def reason(
        self,
        place: str = "",
        evidence: Iterable[str] = (),
        *,
        remedy: str = "",
        **fields: object,
    ) -> Reason:
        """A reason by this rule; ``fields`` fill the template."""
        return Reason(
            self.id,
            self.gives,
            self.sentence.format_map(fields),
            place,
            tuple(evidence) or (self.source,),
            remedy or self.remedy,
            self.wrong_numbers,
        )


_NO, _IF, _TELL = Status.INCOMPATIBLE, Status.CONDITIONAL, None
_REEXPORT = "Export the program again with the release that will run it."
_MIGRATE = "Export the program again with the release that will run it, or rewrite it with `pteron migrate`."
_OBSERVED = "observed on the real releases"

_ROWS: tuple[tuple[str, str, Status | None, str, str, str, str], ...] = (
    # ---- the file format
    ("PT-FM-001", "inline-constants", _NO, "{fact}",
     "Constants may be stored inside the flatbuffer, as 0.1 did by default and 0.2 and 0.3 for programs without "
     "constants. CMake builds since 1.3, and so the wheels, are built without the code that reads them.",
     "Export again with 0.4 or later, rewrite the file with `pteron migrate`, or build the runtime with "
     "ET_ENABLE_DEPRECATED_CONSTANT_BUFFER=1.",
     "v1.3.0:CMakeLists.txt"),
    ("PT-FM-002", "format-refused", _NO, "{fact}",
     "The file uses a feature of the format that this release refuses with an error.", _REEXPORT,
     "schema/program.fbs and runtime/executor at each tag"),
    ("PT-FM-003", "format-misread", _NO, "{fact}",
     "The file uses a feature of the format that this release takes for something else. Nothing in the file says so, "
     "so the runtime does not refuse it: it may return wrong numbers, fail elsewhere or end the process.", _REEXPORT,
     "schema/program.fbs and runtime/executor at each tag"),
    ("PT-FM-004", "format-unknown-to-release", _NO,
     "{what} That is known since {since}; {release} does not know it.",
     "The format has grown: runtimes ignore tables and fields that came later, and what they stand for is lost.",
     _REEXPORT, "schema/program.fbs at each tag"),
    ("PT-FM-005", "format-ignored", _TELL, "{fact}",
     "The release ignores this part of the file, and the program does not depend on it.", "Nothing need be done.",
     "schema/program.fbs at each tag"),
    ("PT-FM-006", "newer-field", _IF, "{what} What it means is not known, so neither is whether {release} needs it.",
     "The file has a field or a form that came after this version of Pteron. Nothing is guessed about it.",
     "Use a Pteron that knows the release that made the file.", "schema/program.fbs: fields are only ever appended"),
    ("PT-FM-007", "data-layout-misread", _NO, "{fact}",
     "The layout of .ptd files changed between 0.6 and 0.7 without a new identifier, so each side takes the other's "
     "files for its own and finds other fields in them.",
     "Write the .ptd again in the layout of the release that will read it.",
     "extension/flat_tensor/serialize/flat_tensor.fbs at v0.6.0 and v0.7.0"),
    ("PT-FM-008", "external-data-missing", _IF, "{keys} must come from a .ptd file, and none was given that has {it}.",
     "The program leaves some tensors to a .ptd file that is loaded beside it.",
     "Give the .ptd file written beside the program, with --data.", "runtime/executor/method.cpp"),
    ("PT-FM-009", "external-data-unsupported", _NO, "{fact}",
     "Reading .ptd files came with 0.6.", _REEXPORT, "extension/flat_tensor at each tag"),
    ("PT-FM-010", "loop-limit", _TELL,
     "The program loops, and {release} stops any run after {limit:,} instructions.",
     "Since 1.3 a run may execute ten million instructions, loops counted each time round. How often a loop goes round "
     "is not always in the file.", "Build the runtime with a larger ET_MAX_INSTRUCTIONS if loops run that long.",
     "v1.3.0:runtime/executor/method.cpp"),
    ("PT-FM-011", "program-damaged", _NO, "{finding}",
     "The program breaks a rule of the format (see `pteron verify`): runtimes refuse it or fail on it.",
     "Get the file again; `pteron verify` lists everything that is wrong.", "pteron verify"),
    ("PT-FM-012", "memory-overwritten", _IF, "{finding}",
     "The memory plan lets one value be overwritten while it is still needed. Results are right only if "
     "the overwritten bytes no longer matter.",
     "Export again with another release, and compare results with eager PyTorch.",
     "pteron verify, PT-VF-065"),
    ("PT-FM-013", "oversized-inline-constant", _NO,
     "A constant inside the flatbuffer has more bytes than its tensor, which {release} refuses.",
     "Since 0.2, and up to 1.2, runtimes compare the bytes of a constant inside of the flatbuffer with those of the "
     "tensor and refuse a difference.", _MIGRATE, "v0.2.0 to v1.2.0:runtime/executor/program.cpp"),
    ("PT-FM-014", "release-unknown", _IF,
     "The release of {build} is not known: its operators were compared, the format and the backends were not.",
     "A bare selected_operators.yaml does not say which release it builds.",
     "Name the release in a TOML profile (docs/profiles.md).", "docs/profiles.md"),
    ("PT-FM-015", "device-ignored", _IF, "{fact}",
     "The file places tensors on a device, and this release does not know of devices. It runs if the backend copies "
     "the data itself.", _REEXPORT, "v1.3.0:schema/program.fbs"),
    ("PT-FM-016", "constants-out-of-order", _NO,
     "Constants are said to be in another dim order, and {producer} wrote them in the order of their dimensions.",
     "Up to 1.1 the exporter wrote the elements of a channels-last constant in contiguous order and noted the "
     "channels-last dim order beside them, so every runtime takes one element for another.",
     "Export again with 1.2 or later, or keep constants contiguous.",
     "v1.1.0:exir/emit/_emitter.py; changed in v1.2.0 (dim order and memory made to match)"),
    ("PT-FM-017", "constants-order-unsure", _IF,
     "Constants are in another dim order; if {producer} made the file, they were written in the wrong order.",
     "Up to 1.1 the exporter wrote the elements of a channels-last constant in contiguous order and noted the "
     "channels-last dim order beside them. Which release made this file is not known.",
     "Say which release made the file with --produced-by, and compare results with eager PyTorch.",
     "v1.1.0:exir/emit/_emitter.py; changed in v1.2.0 (dim order and memory made to match)"),
    # ---- operators
    ("PT-OP-001", "operator-not-in-release", _NO, "{operator} has no kernel in {release}, in no library of it.",
     "The operator came to ExecuTorch's kernel libraries in a later release, or was taken out.",
     "Run the file on a release that has the operator, or export so that it is decomposed or delegated.",
     "kernels/*/*.yaml at each tag; what the wheels register"),
    ("PT-OP-002", "operator-not-linked", _IF,
     "{operator} is in the library {library} of {release}, which {build} does not link.",
     "The release has the kernel, but this build does not register it.", "Link the library.",
     "kernels/*/*.yaml at each tag; what the wheels register"),
    ("PT-OP-003", "custom-operator", _IF,
     "{operator} is a custom operator, which no release of ExecuTorch brings along.",
     "The program calls an operator of somebody else. It runs if the build links its owner's library.",
     "Link the library of the operator's owner, or describe the build in a profile that lists the operator.",
     "kernels/*/*.yaml at each tag"),
    ("PT-OP-004", "operator-nowhere", _NO, "{operator} has no kernel in any release that Pteron knows.",
     "The exporter let an operator through for which ExecuTorch has no kernel: the file cannot be loaded anywhere.",
     "Export so that the operator is decomposed or delegated, or write a kernel and list it in a profile.",
     "kernels/*/*.yaml at each tag; what the wheels register"),
    ("PT-OP-005", "argument-count-refused", _NO,
     "{operator} is called with {given} entries, {release} takes {accepted}, and refuses the call with 0x23.",
     "The operator's arguments changed between the release that made the file and this one. Kernels since 1.0, and "
     "prim ops since 0.7, compare the number.", _REEXPORT, "v1.0.0:codegen/gen.py"),
    ("PT-OP-006", "argument-count-misread", _NO,
     "{operator} is called with {given} entries, {release} takes {accepted} and does not compare: it reads what is "
     "there.",
     "The operator's arguments changed between the release that made the file and this one. Kernels up to 0.7 do not "
     "compare the number and take one argument for another.", _REEXPORT, "v0.7.0:codegen/gen.py"),
    ("PT-OP-007", "kernel-dtype-missing", _IF,
     "{operator} is called with {key}, for which {build} has no kernel.",
     "A selective build with dtype selection has kernels for the listed dtypes and dim orders only.",
     "Build with the selection that `pteron requires --yaml` writes for the file.",
     "codegen/tools/gen_oplist.py, runtime/kernel/operator_registry.h"),
    ("PT-OP-008", "kernel-wrong", _NO, "{operator}: {fact}",
     "A kernel of this release gives wrong results for such a call, without an error.",
     "Run the file on a release without the fault, or build with another library's kernel.", _OBSERVED),
    ("PT-OP-009", "kernel-fails", _NO, "{operator}: {fact}",
     "A kernel of this release refuses such a call or ends the process.",
     "Run the file on a release without the fault, or build with another library's kernel.", _OBSERVED),
    ("PT-OP-010", "kernel-may-fail", _IF, "{operator}: {fact}",
     "A kernel of this release is known to go wrong for some numbers, and the file does not say which it will see.",
     "Check that inputs keep clear of it, or run the file on a release without the fault.", _OBSERVED),
    ("PT-OP-011", "argument-count-unknown", _TELL,
     "How many arguments {operator} takes in {build} is not known; the call was not compared.",
     "A selective build lists names only, and the build's release is not known.",
     "Name the release in the profile.", "codegen/tools/gen_oplist.py"),
    ("PT-OP-012", "numerics-changed", _TELL, "{operator} with {dtype}: {fact}",
     "A kernel computes with another accuracy than in the release that made the file; the policies allow that.",
     "Compare results with a tolerance, not bit for bit.", "kernels/portable/cpu at each tag"),
    ("PT-OP-013", "prim-op-missing", _NO, "{operator} is no prim op of {release}.",
     "Prim ops are part of the runtime; this one came in another release.", "Run the file on a release that has it.",
     "kernels/prim_ops/register_prim_ops.cpp at each tag"),
    ("PT-OP-014", "dtype-refused", _NO, "{operator}: the kernel of {release} does not take {dtypes}.",
     "The kernel was written for fewer element types. Up to 0.7 such a call ends the process, since 1.0 it fails with "
     "0x12.", "Run the file on a release whose kernel takes the type, or export with another type.",
     "kernels/portable/cpu and kernels/optimized/cpu at each tag"),
    ("PT-OP-015", "differs-from-eager", _TELL, "{operator}: {fact}",
     "Every release's kernel gives other results than eager PyTorch for some numbers; it is not a matter of "
     "compatibility.", "Compare with the runtime's own results.", _OBSERVED),
    # ---- backends
    ("PT-BE-001", "backend-not-linked", _IF, "{backend} is not in {build}.",
     "The file delegates to a backend that this build does not register.", "Link the backend.",
     "runtime/backend/interface.h"),
    ("PT-BE-002", "backend-not-available", _IF, "{backend} is registered in {build}, but cannot run there.",
     "The backend needs a device or a vendor's library that is not there.",
     "Run on a machine that has what the backend needs.", "BackendInterface::is_available"),
    ("PT-BE-003", "backend-renamed", _NO, "{backend} is called {other} in {release}, and looks for that name.",
     "The Arm Ethos-U backend was renamed from ArmBackend to EthosUBackend between 0.5 and 0.6; each side knows its "
     "own name only.", _REEXPORT, "backends/arm/runtime at v0.5.0 and v0.6.0"),
    ("PT-BE-004", "payload-refused", _NO, "The payload is {payload}; {release} takes {accepted} only.",
     "The backend of this release does not read payloads of this identifier.", _MIGRATE,
     "backends/xnnpack/runtime/XNNCompiler.cpp at each tag"),
    ("PT-BE-005", "node-unknown", _NO, "The payload has {node}, which XNNPACK of {release} does not implement.",
     "The payload has a node or an element type that came later, or that this release took out: the delegate refuses "
     "the payload with 0x11.", "Run the file on a release that has it, or lower without it.",
     "backends/xnnpack/runtime/XNNCompiler.cpp at each tag"),
    ("PT-BE-006", "node-removed", _NO, "The payload has {node}, which XNNPACK implements up to {until} only.",
     "ScaledDotProductAttention was written by 0.2 to 0.5 and is implemented by runtimes 0.2 to 0.6: the delegate "
     "refuses the payload with 0x11.", _REEXPORT, "v0.7.0:backends/xnnpack/runtime/XNNCompiler.cpp"),
    ("PT-BE-007", "payload-misread", _NO, "{fact}",
     "The XNNPACK runtime of this release does not know where the payload keeps its weights or scales, and does not "
     "notice: it takes other memory for them.", "Do not ship this pair. Run the file on 0.6 or later, export it again "
     "with the release that will run it, or rewrite it with `pteron migrate`.",
     "backends/xnnpack/serialization/runtime_schema.fbs at each tag"),
    ("PT-BE-008", "payload-form-unknown", _NO, "The payload uses {what}, known {range}; {release} does not know it.",
     "The payload uses a field or table that this release's XNNPACK runtime does not have.", _MIGRATE,
     "backends/xnnpack/serialization/runtime_schema.fbs at each tag"),
    ("PT-BE-009", "payload-unreadable", _IF, "The payload cannot be read: {problem}.",
     "The payload is damaged or of a form that Pteron does not know; what its backend does with it is not known.",
     "Get the file again, or export it again.", "pteron"),
    ("PT-BE-010", "payload-not-judged", _TELL,
     "What {release} does with a payload of {backend} ({form}) is not known; only the backend's own tools can tell.",
     "Pteron looks inside of XNNPACK payloads only. Other backends have their own versions, often of a vendor's SDK.",
     "Use the same release of the backend and of its SDK for exporting and running.", "backends/ at each tag"),
    ("PT-BE-011", "payload-layout-changed", _NO, "{fact}",
     "The backend changed the layout of its payloads without changing their identifier: one side's payload is misread "
     "by the other.", _REEXPORT, "backends/*/serialization/schema.fbs at each tag"),
    ("PT-BE-012", "payload-layout-unsure", _IF, "{fact} Which side made the file is not known.",
     "The backend changed the layout of its payloads without changing their identifier, and the file could come from "
     "either side.", "Say which release made the file with --produced-by.",
     "backends/*/serialization/schema.fbs at each tag"),
    ("PT-BE-013", "backend-keys-changed", _NO, "{fact}",
     "Since 1.4 payloads of AOTInductor backends name their blobs by hash; earlier runtimes look for them by method "
     "name.", _REEXPORT, "backends/aoti at v1.3.0 and v1.4.0"),
    # ---- the caller's side
    ("PT-DI-001", "input-aborts", _IF, "{argument}: {fact}",
     "The way the runtime is driven cannot take this input or output: the process ends. The runtime itself can.",
     "Drive the runtime from C++, or change the input.", "extension/pybindings at each tag"),
    ("PT-DI-002", "input-refused", _IF, "{argument}: {fact}",
     "The way the runtime is driven cannot take this input or output, and says so. The runtime itself can.",
     "Drive the runtime from C++, or change the input.", "extension/pybindings at each tag"),
    ("PT-DI-003", "feature-needs-other-driver", _IF, "{fact}",
     "The Python binding has no way to do what the file needs; C++ programs have.", "Drive the runtime from C++.",
     "extension/pybindings at each tag"),
    # ---- promises
    ("PT-PR-001", "promised", _TELL, "Made by {producer}, promised to run on {runtime}: {promise}",
     "The compatibility policy covers the pair, and so does a promise for every operator and backend in the file. It "
     "covers stable interfaces of the exporter only, and the file does not say which were used unless it was stamped.",
     "", "v1.4.1:runtime/COMPATIBILITY.md"),
    ("PT-PR-002", "before-policy", _TELL, "Made by {producer}, before the policy, which begins with 0.4.0.",
     "The compatibility policy is in force since 0.4.0.", "Export again to be covered by the policy.",
     "v0.4.0:runtime/COMPATIBILITY.md"),
    ("PT-PR-003", "beyond-promise", _TELL,
     "Made by {producer}; {runtime} is {steps} non-patch releases later, and the promise ends after {next}.{time}",
     "A file is promised to run on the next non-patch release after its own; patch releases do not count. The policy "
     "also speaks of about six months: where that reaches further, the reason says so.",
     "Export again with a newer release to be covered.", "v1.4.1:runtime/COMPATIBILITY.md"),
    ("PT-PR-004", "producer-unsure", _TELL,
     "Whether it is promised depends on who made it: {covered} would be covered, {others} would not.",
     "The file does not say which release made it, and the promise does not hold for all that may have.",
     "Say it with --produced-by, or stamp the file (`pteron stamp`).", "pteron dating"),
    ("PT-PR-005", "newer-file", _TELL, "Made by {producer}, newer than {runtime}: never promised.",
     "There is no promise for a newer file on an older runtime; it may work.",
     "Run a release at least as new as the one that made the file.", "v1.4.1:runtime/COMPATIBILITY.md"),
    ("PT-PR-006", "operator-not-promised", _TELL, "Nobody promises anything about {operators}.",
     "The policy speaks of Core ATen operators only; for others it names no guarantee, and no owner's promise is "
     "installed.", "Ask the operator's owner for a promise (docs/promises.md).", "v1.4.1:runtime/COMPATIBILITY.md"),
    ("PT-PR-007", "backend-not-promised", _TELL, "{backend}: {promise}",
     "The backend is promised nothing, or not this far.", "Export again when the backend or the runtime changes.",
     "v1.4.1:runtime/COMPATIBILITY.md"),
    ("PT-PR-008", "unstable-interface", _TELL, "{what}, and the policy covers stable interfaces only.",
     "The file was made with an interface of the exporter that is experimental or deprecated.",
     "Export with a stable interface.", "v1.4.1:docs/source/api-life-cycle.md"),
    ("PT-PR-009", "data-not-promised", _TELL, "The program needs a .ptd file: {promise}",
     "The policy's text names .pte files only.", "Write the .ptd with the release that reads it.",
     "v1.4.1:runtime/COMPATIBILITY.md"),
    ("PT-PR-010", "operator-beyond-promise", _TELL, "{operators}: the owner's promise does not reach {runtime}.",
     "The owner of the operators promises something, but not for this pair of releases.",
     "Export again, or ask the owner.", "docs/promises.md"),
    ("PT-PR-011", "time-rule-differs", _TELL,
     "By releases the promise holds on {runtime}; by months it ended on {until}, before {runtime} came.",
     "The policy counts in releases and explains that as about six months; at the actual pace the two differ.",
     "Nothing need be done: the count of releases decides.", "v1.4.1:runtime/COMPATIBILITY.md"),
    # ---- evidence
    ("PT-EV-001", "proven-to-run", _TELL, "Ran on {where}: {said}.",
     "The file, with these bytes, ran on the real runtime and its outputs were as they should be. That ranks above "
     "what was predicted: the verdict is `expected`, or `guaranteed` where it is promised as well.", "",
     "pteron prove"),
    ("PT-EV-002", "proven-to-fail", _NO, "Failed on {where}: {said}.",
     "The file, with these bytes, was refused by the real runtime, ended it, or gave other outputs than it should. "
     "That ranks above what was predicted.", _MIGRATE, "pteron prove"),
    ("PT-EV-003", "limit-reached", _IF, "Did not end within its limits on {where}: {said}.",
     "The file was run on the real runtime and took longer, or more memory, than `pteron prove` had been told to give.",
     "Give more with `pteron prove --timeout` or `--memory`, if the device has it.", "pteron prove"),
    ("PT-EV-004", "prediction-refuted", _TELL, "Evidence ranks above the prediction; without it {said}.",
     "What the real runtime did is not what the facts had predicted. The verdict follows the evidence, and both are "
     "shown: a fact may be wrong, or the run may not have reached what it is about.",
     "Look whether the inputs of the run reach what the rule is about; if they do, please report it.", "pteron prove"),
    ("PT-EV-005", "failed-on-condition", _TELL, "Failed on {where}, as it may where the condition is not met: {said}.",
     "The verdict is conditional, and in this run the condition was not met: what is to be supplied was not there, or "
     "the numbers were those that the kernel is known to fail on.", "", "pteron prove"),
    ("PT-EV-006", "run-proves-nothing", _TELL, "Was tried on {where}, which proves nothing: {said}.",
     "The file was given to the real runtime, but what came of it does not decide: nothing to compare outputs with, "
     "inputs that the reference engine refuses as well, only some of the methods, or no runtime at all.",
     "Give inputs that fit with `pteron prove --input`, or run all methods.", "pteron prove"),
    ("PT-EV-007", "evidence-of-other-contents", _TELL,
     "{record} is of a file of this name with other contents (SHA-256 {theirs}…, this one has {ours}…): not used.",
     "Evidence holds for the very bytes that ran. The file was exported or rewritten since.",
     "Run `pteron prove` again.", "pteron prove"),
    ("PT-EV-008", "evidence-not-used", _TELL, "{record} is not used: {why}.",
     "There is evidence that does not fit the question: other data files, another platform, or it cannot be read.",
     "Run `pteron prove` with what the file is going to run with.", "pteron prove"),
    # ---- the lock file
    ("PT-LK-001", "model-not-locked", _NO, "The model is not in the lock file.",
     "A model was added since the lock file was written, so nobody has looked at what it needs.",
     "Look at `pteron requires`, and write the lock again with `pteron lock`.", "pteron.lock"),
    ("PT-LK-002", "needs-more", _NO, "The model now needs the {kind} {item!r}.",
     "The model was exported again and needs something that it did not need when the lock was written; a runtime that "
     "is in the field may lack it.", "If that is meant, write the lock again with `pteron lock`.", "pteron.lock"),
    ("PT-LK-003", "verdict-worse", _NO, "On {runtime} the verdict was {before} and is {now}.",
     "The verdict got worse since the lock was written.", "Look at `pteron check`; if that is meant, lock again.",
     "pteron.lock"),
    ("PT-LK-004", "locked-model-gone", _TELL, "The lock file has the model, which is not among the files checked.",
     "The model was removed or renamed, or only some of the models were checked.", "Write the lock again.",
     "pteron.lock"),
    ("PT-LK-005", "needs-less", _TELL, "The model no longer needs the {kind} {item!r}.",
     "The model needs less than when the lock was written.", "Write the lock again, so that it says so.",
     "pteron.lock"),
)  # fmt: skip

_WRONG_NUMBERS = frozenset({"PT-FM-003", "PT-FM-007", "PT-FM-016", "PT-OP-006", "PT-OP-008", "PT-BE-007", "PT-BE-011"})

RULES: dict[str, Rule] = {row[0]: Rule(*row, row[0] in _WRONG_NUMBERS) for row in _ROWS}
"""Every rule by id."""
