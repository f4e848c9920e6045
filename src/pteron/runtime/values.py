"""Values: a plan's EValues turned into what kernels take, with memory bound as the file's memory plan says.

Sources: runtime/executor/method.cpp and tensor_parser_portable.cpp. Values are plain Python scalars, strings, None,
:class:`Tensor`, tuples of numbers, or a boxed list, whose items are looked up in the other values at each use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pteron.errors import ExternalDataError, LimitError, UnsupportedError
from pteron.format import schema
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.format.schema import TensorDataLocation
from pteron.runtime.memory import Arenas
from pteron.runtime.tensor import Bytes, Tensor

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry


class IntListBox:
    """A list of integers whose items live in other values (symbolic sizes flow through it)."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[int, ...]) -> None:
        self.items = items


class TensorListBox:
    """A list of tensors that live in other values; -1 is a null entry."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[int, ...]) -> None:
        self.items = items


class ValueTable:
    """The values of one loaded method; ``values[i]`` is value ``i`` of the plan, as it is now."""

    def __init__(self, program: Program, method: Method, arenas: Arenas, external: Mapping[str, TensorEntry]) -> None:
        self.program = program
        self.method = method
        self.arenas = arenas
        self.external = external
        self.base = f"execution_plan[{method.index}]"
        self.initial: list[tuple[Tensor, memoryview, int]] = []
        self._external_memory: dict[str, Bytes] = {}
        evalues = method.plan.values
        if evalues is None:
            raise program.fault("the method has no values", f"{self.base}.values")
        self.values: list[Any] = []
        for index, evalue in enumerate(evalues):
            self.values.append(self._parse(index, evalue.val))
        self._first = list(self.values)
        self._bindings = [(v, v.memory) for v in self.values if isinstance(v, Tensor)]
        self.load_initial_state()

    def load_initial_state(self) -> None:
        """Copy the initial state of mutable buffers from the file into planned memory.

        State in a buffer that methods share was put there by the first of them and is left alone.
        """
        for tensor, data, memory_id in self.initial:
            if memory_id not in self.arenas.in_use:
                assert tensor.memory is not None
                tensor.memory[: len(data)] = np.frombuffer(data, np.uint8)

    def reset(self) -> None:
        """Go back to how the method was loaded: values, bindings, zeroed memory, initial state."""
        self.values[:] = self._first
        for tensor, memory in self._bindings:
            tensor.sizes = tensor.bound
            tensor.bind(memory)
        self.arenas.clear()
        self.arenas.in_use = frozenset()
        self.load_initial_state()

    def _parse(self, index: int, val: schema.KernelTypes | None) -> Any:
        path = f"{self.base}.values[{index}].val"
        match val:
            case schema.Null():
                return None
            case schema.Int():
                return val.int_val
            case schema.Bool():
                return val.bool_val
            case schema.Double():
                return val.double_val
            case schema.String():
                return val.string_val or ""
            case schema.DoubleList() | schema.BoolList():
                return list(val.items or ())
            case schema.IntList():
                return IntListBox(self._indices(val.items, path, optional=False))
            case schema.TensorList():
                return TensorListBox(self._indices(val.items, path, optional=False))
            case schema.OptionalTensorList():
                return TensorListBox(self._indices(val.items, path, optional=True))
            case schema.Tensor():
                return self._tensor(val, path)
            case _:
                raise self.program.fault("the value is empty", path)

    def _indices(self, items: tuple[int, ...] | None, path: str, *, optional: bool) -> tuple[int, ...]:
        count = len(self.method.plan.values or ())
        for place, item in enumerate(items or ()):
            if not (0 <= item < count or (optional and item == -1)):
                raise self.program.fault(f"item {place} is value {item}, there are {count}", f"{path}.items")
        return items or ()

    def _tensor(self, record: schema.Tensor, path: str) -> Tensor:
        sizes, dim_order = record.sizes, record.dim_order
        if sizes is None or dim_order is None:
            raise self.program.fault("the tensor has no sizes or no dim order", path)
        if len(sizes) != len(dim_order) or sorted(dim_order) != list(range(len(sizes))):
            raise self.program.fault(
                f"dim order {list(dim_order)} is no permutation for sizes {list(sizes)}", f"{path}.dim_order"
            )
        limits = self.program.limits
        if any(size < 0 for size in sizes) or len(sizes) > limits.max_rank:
            raise self.program.fault(f"sizes {list(sizes)} are not possible", f"{path}.sizes")
        if record.storage_offset:
            raise self.program.fault("a storage offset is not supported by any runtime", f"{path}.storage_offset")
        # An empty dimension does not make the others harmless: a kernel that reduces it gives a result of their size.
        if math.prod(max(size, 1) for size in sizes) * record.scalar_type.itemsize > limits.max_tensor_bytes:
            raise LimitError(
                f"a tensor of sizes {list(sizes)} is larger than {limits.max_tensor_bytes:,} bytes; "
                "raise Limits.max_tensor_bytes to load it",
                file=self.program.file,
                path=f"{path}.sizes",
            )
        if record.scalar_type.dtype.names is not None:
            raise UnsupportedError(
                f"{self.program.file}, {path}: {record.scalar_type.torch_name} tensors cannot be run"
            )
        tensor = Tensor(record.scalar_type, sizes, dim_order, record.shape_dynamism)
        self._bind(tensor, record, path)
        return tensor

    def _bind(self, tensor: Tensor, record: schema.Tensor, path: str) -> None:
        """Give the tensor its data: constant, external, planned memory, or none yet."""
        info = record.extra_tensor_info
        external = info is not None and info.location == TensorDataLocation.EXTERNAL
        planned = self._planned(tensor, record.allocation_info, path) if record.allocation_info else None
        if external:
            assert info is not None
            data = self._external(tensor, info.fully_qualified_name, path)
            if planned is None or record.allocation_info is None:
                tensor.bind(data)
                return
            self.initial.append((tensor, memoryview(data.data)[: tensor.nbytes], record.allocation_info.memory_id))
        elif record.data_buffer_idx and planned is None:
            view = self.program.constant(record.data_buffer_idx, tensor.nbytes, f"{path}.data_buffer_idx")
            tensor.bind(np.frombuffer(view, np.uint8))
            return
        elif record.data_buffer_idx:
            group = info.mutable_data_segments_idx if info else 0
            view = self.program.mutable_data(group, record.data_buffer_idx, tensor.nbytes, f"{path}.data_buffer_idx")
            assert record.allocation_info is not None
            self.initial.append((tensor, view, record.allocation_info.memory_id))
        tensor.bind(planned)

    def _planned(self, tensor: Tensor, place: schema.AllocationDetails, path: str) -> Bytes:
        buffers = self.arenas.buffers
        if not 1 <= place.memory_id <= len(buffers):
            raise self.program.fault(
                f"planned buffer {place.memory_id} does not exist (the method has {len(buffers)})",
                f"{path}.allocation_info.memory_id",
            )
        buffer = buffers[place.memory_id - 1]
        start = place.memory_offset
        if start + tensor.nbytes > len(buffer):
            raise self.program.fault(
                f"{tensor.nbytes} bytes at offset {start} do not fit in planned buffer {place.memory_id} "
                f"of {len(buffer)} bytes",
                f"{path}.allocation_info",
            )
        return buffer[start : start + tensor.nbytes]

    def _external(self, tensor: Tensor, key: str | None, path: str) -> Bytes:
        if not key:
            raise self.program.fault("an external tensor has no name", f"{path}.extra_tensor_info")
        entry = self.external.get(key)
        if entry is None:
            raise ExternalDataError(f"{self.program.file}, {path}: no .ptd file given holds {key!r}; pass it as data=")
        return np.frombuffer(entry.data, np.uint8)
