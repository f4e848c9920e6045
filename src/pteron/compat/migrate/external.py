"""Data of .ptd files: written anew in the target's layout, or taken into the program."""

from __future__ import annotations

import dataclasses

from packaging.version import Version

from pteron.compat.facts import minor_of
from pteron.compat.migrate.step import Rewritten, Subject, step
from pteron.compat.profile import Profile
from pteron.format import schema
from pteron.format.flat_tensor import PtdLayout, TensorEntry, read_tensor_data, write_tensor_data
from pteron.format.program import Program
from pteron.format.schema import ExecutionPlan, TensorDataLocation
from pteron.graph.constant_pool import ConstantPool

_CURRENT = Version("0.7")
_FIRST_READ = Version("0.6")


@step("ptd-layout", solves=("PT-FM-007",))
def relaid(subject: Subject, profile: Profile) -> Rewritten | None:
    """Write the .ptd data in the layout that the target reads."""
    if profile.release is None or minor_of(profile.release) < _FIRST_READ:
        return None
    layout: PtdLayout = "0.7+" if minor_of(profile.release) >= _CURRENT else "0.6"
    if all(data.layout == layout for data in subject.data):
        return None
    data = tuple(
        read_tensor_data(write_tensor_data(item.entries.values(), layout=layout), file=item.file)
        for item in subject.data
    )
    changed = dataclasses.replace(subject, data=data, ptd_layout=layout)
    return changed, f"wrote {len(data)} .ptd files in the layout of {layout}"


@step("embed-external-data", solves=("PT-DI-003", "PT-FM-004", "PT-FM-009"))
def embedded(subject: Subject, profile: Profile) -> Rewritten | None:
    """Take constants from .ptd files into the program, where the target cannot be given such files."""
    entries = {key: entry for data in subject.data for key, entry in data.entries.items()}
    pool = ConstantPool(subject.program)
    taken: set[str] = set()
    plans = tuple(_embedded(plan, entries, pool, taken) for plan in subject.program.root.execution_plan or ())
    if not taken:
        return None
    root = dataclasses.replace(subject.program.root, execution_plan=plans)
    program = pool.finish(subject.program.replace(root=root))
    # What nothing asks for any more would still be judged as data that is given.
    data = () if not _external(program) else subject.data
    return dataclasses.replace(subject, program=program, data=data), f"took {len(taken)} tensors into the program"


def _embedded(
    plan: ExecutionPlan, entries: dict[str, TensorEntry], pool: ConstantPool, taken: set[str]
) -> ExecutionPlan:
    values = []
    for value in plan.values or ():
        tensor = value.val
        extra = tensor.extra_tensor_info if isinstance(tensor, schema.Tensor) else None
        entry = entries.get((extra.fully_qualified_name if extra else None) or "")
        fixed = isinstance(tensor, schema.Tensor) and tensor.allocation_info is None
        if extra is not None and extra.location is TensorDataLocation.EXTERNAL and entry is not None and fixed:
            assert isinstance(tensor, schema.Tensor)
            taken.add(entry.key)
            inside = dataclasses.replace(extra, location=TensorDataLocation.SEGMENT)
            number = pool.add_bytes(entry.data)
            value = schema.EValue(dataclasses.replace(tensor, data_buffer_idx=number, extra_tensor_info=inside))
        values.append(value)
    return dataclasses.replace(plan, values=tuple(values))


def _external(program: Program) -> bool:
    """Whether the program still expects data from a .ptd file."""
    return any(
        isinstance(value.val, schema.Tensor)
        and value.val.extra_tensor_info is not None
        and value.val.extra_tensor_info.location is TensorDataLocation.EXTERNAL
        for plan in program.root.execution_plan or ()
        for value in plan.values or ()
    ) or any(plan.delegates for plan in program.root.execution_plan or ())
