"""The catalogue of rules that ``verify`` checks, as data: what each means, where it comes from and what to do.

Importing this module costs next to nothing. Ids are stable: a number is never used again for another rule.
``source`` names the file of ExecuTorch that checks the fact, at the tag where it was read, and the first release
whose runtime checks it. Facts up to v1.4.1 were read at that tag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """How bad a finding is, worst first."""

    ERROR = "error"
    """ExecuTorch's runtime refuses the file or cannot run it, or Pteron's limits do."""
    WARNING = "warning"
    """It runs, but something is wrong or will surprise."""
    NOTE = "note"
    """It runs; worth knowing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``id`` and ``name`` are stable, the rest is text for people."""

    id: str
    name: str
    severity: Severity
    meaning: str
    cause: str
    remedy: str
    source: str


E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE

_DAMAGE = "The file was damaged, edited by hand, or written by a tool that does not follow the format."
_WRITER = "A tool other than ExecuTorch's exporter wrote the file, or an edit left the record half done."
_AGAIN = "Get the file again and compare checksums; if it is still so, export it again."
_EXPORT = "Export the program again; if the exporter wrote it so, report it there with the file."
_METHOD = "runtime/executor/method.cpp@v1.4.1"
_PROGRAM = "runtime/executor/program.cpp@v1.4.1"
_PORTABLE = "runtime/executor/tensor_parser_portable.cpp@v1.4.1"
_EXEC = "runtime/executor/tensor_parser_exec_aten.cpp@v1.4.1"
_VALIDATION = "runtime/executor/program_validation.cpp@v1.4.1"
_META = "runtime/executor/method_meta.cpp@v1.4.1"
_WRITTEN = "exir/_serialize/_program.py@v1.4.1"

_CATALOGUE: tuple[tuple[int, str, Severity, str, str, str, str], ...] = (
    # Structure: methods and their lists.
    (1, "no-methods", E, "The program has no method, so there is nothing to run.", _WRITER, _EXPORT,
     f"{_VALIDATION}, since 1.2 (InvalidProgram)"),
    (2, "method-without-name", E, "A method has no name, so it cannot be asked for.", _WRITER, _EXPORT,
     f"{_PROGRAM} get_method_name, since 1.3 (InvalidProgram), crash before"),
    (3, "duplicate-method", W, "Two methods have one name; only the first can be called.", _WRITER,
     "Give each method its own name when exporting.", f"{_PROGRAM} get_execution_plan, since 0.1 (first match)"),
    (4, "missing-field", E, "A list that every method or call must have is missing.", _WRITER, _EXPORT,
     f"{_METHOD} Method::init and {_PROGRAM} method_meta, since 0.2 (InvalidProgram)"),
    (5, "input-index", E, "An input names a value that does not exist.", _DAMAGE, _AGAIN,
     f"{_META} input_tag, since 0.6 (InvalidProgram)"),
    (6, "output-index", E, "An output names a value that does not exist.", _DAMAGE, _AGAIN,
     f"{_META} output_tag, since 0.6 (InvalidProgram)"),
    (7, "input-kind", E, "An input is a list; inputs are tensors, numbers, bools, strings or none.", _WRITER,
     "Pass the tensors of the list one by one.", f"{_METHOD} set_input and {_META} get_tag, since 0.1 (Internal)"),
    (8, "output-kind", E, "An output is a list; outputs are tensors, numbers, bools, strings or none.", _WRITER,
     "Return the tensors of the list one by one.", f"{_META} get_tag, since 0.1 (Internal)"),
    (9, "chain-value-index", W, "A chain's list of inputs or outputs names a value that does not exist.", _WRITER,
     "Nothing need be done to run the file: runtimes do not read the list.", f"{_METHOD}: never read"),
    (10, "unknown-field", N, "The file has fields that Pteron does not know; they are left out.",
     "A newer release of ExecuTorch wrote the file.", "Use a Pteron that knows the release.",
     "schema/program.fbs: fields are only ever appended"),
    (11, "short-file", E, "The file is shorter than the 64 bytes that a runtime reads first.", _WRITER, _EXPORT,
     f"schema/extended_header.cpp@v1.4.1 and {_PROGRAM} Program::load, since 0.1"),
    (12, "schema-version", E, "The file says that it is of a newer schema version than 0, the only one there is.",
     _DAMAGE, _AGAIN, "the official 1.5.1 wheel refuses it (InvalidProgram); runtimes up to 1.4 do not look"),
    # Values: what the instructions work on.
    (20, "value-without-content", E, "A value has no content, not even Null.", _DAMAGE, _AGAIN,
     f"{_METHOD} parse_values, since 0.2 (InvalidProgram)"),
    (21, "list-without-items", E, "A list has no items field, or a string no text.", _WRITER, _EXPORT,
     f"{_METHOD} parse_values, since 0.2 (InvalidProgram)"),
    (22, "list-item-index", E, "An item of a list names a value that does not exist.", _DAMAGE, _AGAIN,
     f"{_METHOD} parse_values and {_EXEC} parseTensorList, since 0.6 (InvalidProgram)"),
    (23, "int-list-item", E, "An item of an IntList is not the index of an Int value.",
     "The items were written as integers; they are indices of values that hold the integers.", _EXPORT,
     "runtime/core/evalue.h@v1.4.1 BoxedEvalueList<int64_t>::get, since 0.1 (abort)"),
    (24, "tensor-list-item", E, "An item of a tensor list is not a tensor (nor none in an optional list).", _DAMAGE,
     _AGAIN, f"{_EXEC} parseTensorList, since 1.3 (InvalidType), abort before; {_VALIDATION}, since 1.2"),
    (25, "tensor-list-order", E, "A tensor list stands before a tensor in it, which does not exist yet when the "
     "runtime builds the list.", _WRITER, "Put the tensors before the list.",
     f"{_METHOD} parse_values: in index order, since 0.1 (undefined)"),
    (26, "tensor-without-shape", E, "A tensor has no sizes or no dim_order.", _WRITER, _EXPORT,
     f"{_PORTABLE}, since 0.2 (InvalidProgram)"),
    (27, "dim-order-length", E, "dim_order and sizes of a tensor differ in length.", _DAMAGE, _AGAIN,
     f"{_PORTABLE}, since 0.2 (InvalidProgram)"),
    (28, "tensor-rank", E, "A tensor has more dimensions than allowed (16 in ExecuTorch).",
     "The model uses a tensor of very many dimensions.", "Merge dimensions before exporting.",
     f"{_PORTABLE} kTensorDimensionLimit, since 1.0 (InvalidProgram)"),
    (29, "negative-size", E, "A size of a tensor is negative.", _DAMAGE, _AGAIN,
     f"{_PORTABLE}, since 0.6 (InvalidProgram), abort before"),
    (30, "dim-order-permutation", E, "dim_order of a tensor does not list every dimension once.", _DAMAGE, _AGAIN,
     "runtime/core/exec_aten/util/dim_order_util.h@v1.4.1, range since 0.1, repeats since 1.2 (Internal)"),
    (31, "storage-offset", E, "A tensor has a storage offset.", _WRITER, _EXPORT,
     f"{_PORTABLE}, since 0.1 (NotSupported)"),
    (32, "unbounded-shape", E, "A tensor's shape has no upper bound (DYNAMIC_UNBOUND).",
     "The model was exported with a dynamic dimension without a maximum.",
     "Export with torch.export.Dim(..., max=N).", f"{_PORTABLE}, since 0.1 (NotSupported)"),
    (33, "tensor-overflow", E, "The bytes of a tensor do not fit in 64 bits.", _DAMAGE, _AGAIN,
     f"{_VALIDATION}, since 1.2 (InvalidProgram)"),
    (34, "tensor-limit", E, "A tensor is larger than Limits.max_tensor_bytes allows.",
     "A damaged size, or a dynamic dimension with an immense maximum.",
     "Raise Limits.max_tensor_bytes if the size is meant; else export with a smaller maximum.",
     "Pteron's own limit"),
    (35, "external-without-name", E, "A tensor's data is external, but it has no name to look it up by.", _WRITER,
     _EXPORT, f"{_METHOD} parse_external_constants, since 0.6 (InvalidExternalData)"),
    # Instructions.
    (40, "empty-instruction", E, "An instruction has no content.", _DAMAGE, _AGAIN,
     f"{_METHOD} Method::init, since 0.2 (InvalidProgram)"),
    (41, "operator-index", E, "A call names an operator that does not exist in the method's list.", _DAMAGE, _AGAIN,
     f"{_METHOD} resolve_operator, since 0.2 (InvalidProgram)"),
    (42, "argument-index", E, "An argument of a call names a value that does not exist.", _DAMAGE, _AGAIN,
     f"{_METHOD} gen_instruction_arguments, since 0.2 (InvalidProgram)"),
    (43, "argument-count", E, "A call has another number of arguments than the operator's schema.",
     "The operator's schema changed between the release that exported the file and the one that runs it.",
     "Export again with the release that runs it, or run it with the release that exported it.",
     "codegen/gen.py@v1.4.1 and kernels/prim_ops@v1.4.1, since 1.0 (InvalidProgram when it runs)"),
    (44, "delegate-index", E, "A call names a delegate that does not exist.", _DAMAGE, _AGAIN,
     f"{_METHOD} execute_instruction, since 0.1 (Internal when it runs)"),
    (45, "instruction-value-index", E, "A move, free or jump names a value that does not exist.", _DAMAGE, _AGAIN,
     f"{_METHOD} Method::init, since 1.3 (InvalidProgram), abort when it runs before"),
    (46, "jump-target", W, "A jump leads out of its chain; runtimes take that as the chain's end.", _DAMAGE, _AGAIN,
     f"{_METHOD} execute: never checked"),
    (47, "jump-condition", E, "A jump's condition is neither a Bool nor a tensor of bools.", _DAMAGE, _AGAIN,
     f"{_METHOD} parse_cond_value, since 0.2 (InvalidProgram when it runs)"),
    (48, "free-kind", E, "A FreeCall frees something that is no tensor.", _DAMAGE, _AGAIN,
     f"{_METHOD} execute_instruction, since 1.3 (error when it runs), abort before"),
    (49, "operator-name-length", E, "An operator's name with its overload takes 100 bytes or more.",
     "A custom operator with a very long name.", "Give the operator a shorter name and export again.",
     f"{_METHOD} populate_operator_name, since 0.1 (Internal)"),
    (50, "operator-without-name", E, "A call uses an operator that has no name.", _WRITER, _EXPORT,
     f"{_METHOD} populate_operator_name, since 0.2 (InvalidProgram)"),
    # Memory plan.
    (60, "reserved-buffer", W, "Entry 0 of non_const_buffer_sizes is not 0; it is reserved and no value can use it.",
     _WRITER, "Put sizes of planned buffers from entry 1 on.", f"{_META} num_memory_planned_buffers, since 0.1"),
    (61, "buffer-size", E, "A planned buffer has a negative size.", _DAMAGE, _AGAIN,
     f"{_META} memory_planned_buffer_size, since 1.3 (InvalidProgram)"),
    (62, "memory-limit", E, "The planned buffers take more than Limits.max_memory allows.",
     "A damaged size, or a dynamic dimension with an immense maximum.",
     "Raise Limits.max_memory if the size is meant; else export with smaller maxima.", "Pteron's own limit"),
    (63, "memory-id", E, "A tensor is planned into a buffer that does not exist (ids count from 1).", _DAMAGE, _AGAIN,
     "runtime/core/hierarchical_allocator.h@v1.4.1, since 0.1 (InvalidArgument)"),
    (64, "allocation-bounds", E, "A tensor's planned place ends behind its buffer.", _DAMAGE, _AGAIN,
     "runtime/core/hierarchical_allocator.h@v1.4.1, since 0.1 (MemoryAllocationFailed)"),
    (65, "live-values-overlap", W, "A value's planned memory is overwritten before its last use.",
     "A fault in memory planning: a custom memory planning pass, or an exporter that took a mutable buffer for an "
     "ordinary tensor.", "Export with another release or the default memory planning; compare results with eager.",
     "exir/memory_planning.py@v1.4.1 verify_storage_reuse: checked by the exporter only"),
    (66, "buffer-device", W, "non_const_buffer_device names a buffer that does not exist.", _WRITER, _EXPORT,
     f"{_META} memory_planned_buffer_device, since 1.3 (ignored)"),
    # Data: constants, state, named data, delegates, segments.
    (70, "constant-index", E, "A tensor names a constant that does not exist.", _DAMAGE, _AGAIN,
     f"{_PROGRAM} get_constant_buffer_data, since 0.2 (InvalidArgument)"),
    (71, "constant-bounds", E, "A constant ends behind the data that holds it.", _DAMAGE, _AGAIN,
     f"{_PROGRAM} get_constant_buffer_data, segment since 0.2, inline since 1.2 (InvalidArgument)"),
    (72, "constants-overlap", W, "Two constants share bytes without being the same.",
     "Offsets were damaged; the exporter shares a constant whole or not at all.", _AGAIN,
     f"{_WRITTEN}: constants follow each other"),
    (73, "constants-twice", E, "Constants are both in the flatbuffer and in a segment.", _WRITER,
     "Keep one of constant_buffer and constant_segment.", f"{_PROGRAM} Program::load, since 0.2 (InvalidProgram)"),
    (74, "segment-index", E, "Something refers to a segment that does not exist.", _DAMAGE, _AGAIN,
     f"{_PROGRAM} Program::load and LoadSegment, since 0.1 (InvalidProgram or NotFound)"),
    (75, "state-index", E, "A tensor's initial state is missing from mutable_data_segments.", _WRITER, _EXPORT,
     f"{_PROGRAM} load_mutable_subsegment_into, since 0.4 (NotFound)"),
    (76, "state-bounds", E, "A tensor's initial state ends behind its segment.", _DAMAGE, _AGAIN,
     f"{_PROGRAM} load_mutable_subsegment_into, since 0.4 (InvalidArgument)"),
    (77, "segment-bounds", E, "A segment ends behind the file.", "The file is cut off, or its sizes are damaged.",
     _AGAIN, f"{_PROGRAM} Program::load, since 1.0 (InvalidProgram); before when the segment is read"),
    (78, "segments-overlap", W, "Two segments share bytes.", _WRITER, _AGAIN, f"{_WRITTEN}: segments never share"),
    (79, "segment-alignment", N, "A segment does not start at a multiple of 16 bytes; kernels may need to copy it.",
     "An unusual segment_alignment was asked for when exporting.", "Export with segment_alignment=128, the default.",
     f"{_WRITTEN}: 128 by default since 0.4, 4096 before"),
    (80, "segment-data-size", W, "The header's segment_data_size is not the end of the last segment.", _DAMAGE, _AGAIN,
     f"{_WRITTEN}, written since 1.0; {_PROGRAM} only compares it with the file's size"),
    (81, "trailing-data", N, "The file goes on behind its last segment.",
     "Something was appended: a signature, padding of a container.", "Nothing need be done.", _PROGRAM),
    (82, "duplicate-key", W, "Two entries of named_data have one key; only the first can be found.", _WRITER, _EXPORT,
     "runtime/executor/pte_data_map.cpp@v1.4.1 get_data, since 0.6 (first match)"),
    (83, "named-data-without-key", E, "An entry of named_data has no key.", _WRITER, _EXPORT,
     "runtime/executor/pte_data_map.cpp@v1.4.1 get_data, since 0.6 (InvalidArgument)"),
    (84, "named-data-without-segments", E, "There is named_data, but the file has no list of segments.", _WRITER,
     _EXPORT, "runtime/executor/pte_data_map.cpp@v1.4.1 create, since 0.6 (InvalidArgument)"),
    (85, "delegate-without-id", E, "A delegate does not say which backend it is for.", _WRITER, _EXPORT,
     f"{_METHOD} BackendDelegate::Init, since 0.2 (InvalidProgram)"),
    (86, "delegate-without-payload", E, "A delegate does not say where its payload is.", _WRITER, _EXPORT,
     f"{_METHOD} GetProcessedData: not checked (crash)"),
    (87, "payload-index", E, "A delegate's inline payload does not exist.", _DAMAGE, _AGAIN,
     f"{_PROGRAM} get_backend_delegate_data, since 0.1 (NotFound)"),
    (88, "compile-spec", E, "A delegate's compile spec has no key or no value.", _WRITER, _EXPORT,
     f"{_METHOD} PopulateCompileSpecs: not checked (crash)"),
    (99, "more-findings", N, "There are more findings than are listed.", "A badly damaged file.",
     "Raise Limits.max_findings to see them all.", "Pteron's own limit"),
)  # fmt: skip

RULES: dict[str, Rule] = {f"PT-VF-{row[0]:03}": Rule(f"PT-VF-{row[0]:03}", *row[1:]) for row in _CATALOGUE}
"""Every rule by id."""


def rule(rule_id: str) -> Rule:
    """The rule of that id; raises KeyError where there is none."""
    return RULES[rule_id]
