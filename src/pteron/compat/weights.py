"""The weights of a file by name and by content, wherever they are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pteron.backends.xnnpack.payload import read_payload
from pteron.compat.backend_use import XNNPACK
from pteron.errors import FormatError
from pteron.format import schema
from pteron.format.flat_tensor import TensorData
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.format.schema import ExecutionPlan, TensorDataLocation


@dataclass(frozen=True, slots=True)
class Weight:
    """``sha256`` is over its bytes; ``kind`` is dtype and sizes, or ``blob`` where they are not on record."""

    name: str
    kind: str
    nbytes: int
    sha256: str


def weights(program: Program, data: Sequence[TensorData] = ()) -> dict[str, Weight]:
    """Constants, initial state, blobs, payloads' own constants, and the entries of the .ptd files, by name.

    A tensor without a name is called by where its bytes are (``constant 3``). Payloads of other backends than XNNPACK
    are not looked into.
    """
    found: dict[str, Weight] = {}
    for plan in program.root.execution_plan or ():
        for name, kind, view in (*_tensors(program, plan), *_payloads(program, plan)):
            found.setdefault(name, _weight(name, kind, view))
    for key, view in program.named_data.items():
        found.setdefault(key, _weight(key, "blob", view))
    for source in data:
        for key, entry in source.entries.items():
            sizes = "blob" if entry.scalar_type is None else f"{entry.scalar_type.torch_name}{list(entry.sizes or ())}"
            found.setdefault(key, _weight(key, sizes, entry.data))
    return found


def _tensors(program: Program, plan: ExecutionPlan) -> Iterator[tuple[str, str, memoryview]]:
    for value in plan.values or ():
        tensor = value.val
        if not isinstance(tensor, schema.Tensor) or not tensor.data_buffer_idx:
            continue
        extra = tensor.extra_tensor_info
        if extra is not None and extra.location == TensorDataLocation.EXTERNAL:
            continue
        nbytes = tensor.scalar_type.itemsize
        for size in tensor.sizes or ():
            nbytes *= size
        index = tensor.data_buffer_idx
        kind = f"{tensor.scalar_type.torch_name}{list(tensor.sizes or ())}"
        name = extra.fully_qualified_name if extra is not None else None
        if tensor.allocation_info is None:
            yield name or f"constant {index}", kind, program.constant(index, nbytes)
        else:
            group = extra.mutable_data_segments_idx if extra is not None else 0
            yield name or f"initial state {index}", kind, program.mutable_data(group, index, nbytes)


def _payloads(program: Program, plan: ExecutionPlan) -> Iterator[tuple[str, str, memoryview]]:
    for number, delegate in enumerate(plan.delegates or ()):
        if delegate.id != XNNPACK:
            continue
        try:
            payload = read_payload(program.payload(delegate, f"delegates[{number}]"), file=program.file)
        except FormatError:
            continue
        for index, _ in payload.constant_uses():
            if not payload.is_named(index):
                name = f"{Method(plan, 0).name} delegate {number} constant {index}"
                yield name, "blob", payload.constant(index)


def _weight(name: str, kind: str, view: memoryview) -> Weight:
    return Weight(name, kind, len(view), hashlib.sha256(view).hexdigest())
