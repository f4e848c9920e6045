"""Checks of the program as a whole and of each method's lists, inputs, outputs and delegates."""

from __future__ import annotations

from pteron.format import schema
from pteron.format.header import HEAD_BYTES
from pteron.format.schema import ExecutionPlan
from pteron.format.verify.finding import Report

_REQUIRED = ("values", "inputs", "outputs", "chains", "delegates", "non_const_buffer_sizes")
_LISTS = schema.IntList | schema.DoubleList | schema.BoolList | schema.TensorList | schema.OptionalTensorList


def check_program(report: Report) -> None:
    """The list of methods, their names, the file's size and unknown fields."""
    program = report.program
    plans = program.root.execution_plan
    if not plans:
        report.add("PT-VF-001", "execution_plan", "the program has no methods")
    seen: dict[str, int] = {}
    for index, plan in enumerate(plans or ()):
        path = f"execution_plan[{index}].name"
        if plan.name is None:
            report.add("PT-VF-002", path, f"method {index} has no name")
        elif plan.name in seen:
            report.add("PT-VF-003", path, f"method {index} is called {plan.name!r} as method {seen[plan.name]} is")
        else:
            seen[plan.name] = index
    if program.root.version != 0:
        report.add("PT-VF-012", "version", f"the schema version is {program.root.version}")
    for table, slot in sorted(program.unknown_fields):
        report.add("PT-VF-010", "", f"table {table} has a field in slot {slot} that Pteron does not know")
    if 0 < len(program.buffer) < HEAD_BYTES:
        report.add("PT-VF-011", "", f"the file has {len(program.buffer)} bytes, a runtime reads {HEAD_BYTES} first")


def check_lists(report: Report, plan: ExecutionPlan, path: str) -> None:
    """Lists that a method must have, its inputs and outputs, and what its chains list."""
    for name in _REQUIRED:
        if getattr(plan, name) is None:
            report.add("PT-VF-004", f"{path}.{name}", f"the method has no {name}")
    if plan.chains == ():
        report.add("PT-VF-004", f"{path}.chains", "the method has no chain of instructions")
    values = plan.values or ()
    for name, index_rule, kind_rule in (("inputs", "PT-VF-005", "PT-VF-007"), ("outputs", "PT-VF-006", "PT-VF-008")):
        for place, index in enumerate(getattr(plan, name) or ()):
            where = f"{path}.{name}[{place}]"
            if not 0 <= index < len(values):
                report.add(index_rule, where, f"value {index} does not exist (there are {len(values)})")
            elif isinstance(val := values[index].val, _LISTS):
                report.add(kind_rule, where, f"value {index} is of kind {type(val).__name__}")
    for number, chain in enumerate(plan.chains or ()):
        if chain.instructions is None:
            report.add("PT-VF-004", f"{path}.chains[{number}].instructions", "the chain has no instructions")
        for name in ("inputs", "outputs"):
            for place, index in enumerate(getattr(chain, name) or ()):
                if not 0 <= index < len(values):
                    where = f"{path}.chains[{number}].{name}[{place}]"
                    report.add("PT-VF-009", where, f"value {index} does not exist (there are {len(values)})")


def check_delegates(report: Report, plan: ExecutionPlan, path: str) -> None:
    """Each delegate's backend, payload and compile specs. The runtime prepares them all, whether called or not."""
    inline = report.program.root.backend_delegate_data or ()
    for index, delegate in enumerate(plan.delegates or ()):
        where = f"{path}.delegates[{index}]"
        if delegate.id is None:
            report.add("PT-VF-085", f"{where}.id", f"delegate {index} names no backend")
        if delegate.processed is None:
            report.add("PT-VF-086", f"{where}.processed", f"delegate {index} has no reference to its payload")
        elif delegate.processed.location == schema.DataLocation.SEGMENT:
            check_segment_index(report, delegate.processed.index, f"{where}.processed.index", "the payload")
        elif delegate.processed.index >= len(inline) or inline[delegate.processed.index].data is None:
            problem = f"inline payload {delegate.processed.index} does not exist (there are {len(inline)})"
            report.add("PT-VF-087", f"{where}.processed.index", problem)
        for number, spec in enumerate(delegate.compile_specs or ()):
            for field in ("key", "value"):
                if getattr(spec, field) is None:
                    report.add("PT-VF-088", f"{where}.compile_specs[{number}].{field}", f"there is no {field}")


def check_segment_index(report: Report, index: int, path: str, what: str) -> bool:
    """Whether a segment of that index exists; reports where not."""
    count = len(report.program.root.segments or ())
    if index < count:
        return True
    report.add("PT-VF-074", path, f"segment {index} for {what} does not exist (there are {count})")
    return False
