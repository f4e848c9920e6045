"""Method: one execution plan's signature, in words people use."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pteron.format import schema
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import TensorDataLocation, TensorShapeDynamism


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """An input, an output or a planned tensor of a method.

    ``kind`` is ``tensor``, ``int``, ``float``, ``bool``, ``str``, ``none`` or a list kind. For tensors ``shape`` is
    the upper bound of each dimension, ``dim_order`` lists dimensions from outermost to innermost, and ``nbytes`` is
    the size at the upper bound. ``planned`` says that the memory plan (or a constant) gives the memory. ``value`` is
    the traced value of a number, bool or string.
    """

    name: str
    kind: str
    value_index: int
    scalar_type: ScalarType | None = None
    shape: tuple[int, ...] = ()
    dim_order: tuple[int, ...] = ()
    dynamism: TensorShapeDynamism = TensorShapeDynamism.STATIC
    planned: bool = False
    value: int | float | bool | str | None = None

    @property
    def dtype(self) -> str:
        """``float32``, ``bfloat16``, ``bool`` …; empty for anything but tensors."""
        return self.scalar_type.torch_name if self.scalar_type is not None else ""

    @property
    def dynamic(self) -> bool:
        """Whether the shape may be smaller than ``shape`` at run time."""
        return self.dynamism != TensorShapeDynamism.STATIC

    @property
    def nbytes(self) -> int:
        """Bytes at the upper bound; 0 for anything but tensors."""
        if self.scalar_type is None:
            return 0
        return math.prod(self.shape) * self.scalar_type.itemsize

    def __str__(self) -> str:
        if self.kind != "tensor":
            return self.kind if self.value is None else f"{self.kind} = {self.value!r}"
        mark = "≤" if self.dynamic else ""
        return f"{self.dtype}[{', '.join(f'{mark}{size}' for size in self.shape)}]"


_KINDS: dict[type[Any], str] = {
    schema.Tensor: "tensor",
    schema.Int: "int",
    schema.Double: "float",
    schema.Bool: "bool",
    schema.String: "str",
    schema.Null: "none",
    schema.IntList: "int list",
    schema.DoubleList: "float list",
    schema.BoolList: "bool list",
    schema.TensorList: "tensor list",
    schema.OptionalTensorList: "optional tensor list",
}


def is_memory_planned(tensor: schema.Tensor) -> bool:
    """Whether the runtime gives the tensor its memory (plan or constant); else the caller or a kernel does."""
    external = tensor.extra_tensor_info and tensor.extra_tensor_info.location == TensorDataLocation.EXTERNAL
    return tensor.allocation_info is not None or tensor.data_buffer_idx != 0 or bool(external)


def value_info(plan: schema.ExecutionPlan, index: int, name: str) -> ValueInfo:
    """The description of one value of a plan; an index out of range is described as ``invalid``."""
    values = plan.values or ()
    val = values[index].val if 0 <= index < len(values) else None
    kind = _KINDS.get(type(val), "invalid")
    if isinstance(val, schema.Tensor):
        named = val.extra_tensor_info.fully_qualified_name if val.extra_tensor_info else None
        return ValueInfo(
            named or name,
            kind,
            index,
            val.scalar_type,
            val.sizes or (),
            val.dim_order or (),
            val.shape_dynamism,
            is_memory_planned(val),
        )
    value: int | float | bool | str | None = None
    if isinstance(val, schema.Int):
        value = val.int_val
    elif isinstance(val, schema.Double):
        value = val.double_val
    elif isinstance(val, schema.Bool):
        value = val.bool_val
    elif isinstance(val, schema.String):
        value = val.string_val
    return ValueInfo(name, kind, index, value=value)


@dataclass(frozen=True)
class Method:
    """One method: ``plan`` is the record as on disk, ``index`` its place in ``Program.execution_plan``."""

    plan: schema.ExecutionPlan
    index: int

    @property
    def name(self) -> str:
        return self.plan.name or ""

    @cached_property
    def inputs(self) -> tuple[ValueInfo, ...]:
        """What a call takes, in order. Names are ``in0`` … unless the file records keyword names."""
        names = _keyword_names(self.plan)
        indices = self.plan.inputs or ()
        return tuple(value_info(self.plan, v, names.get(i, f"in{i}")) for i, v in enumerate(indices))

    @cached_property
    def outputs(self) -> tuple[ValueInfo, ...]:
        """What a call gives back, in order."""
        return tuple(value_info(self.plan, v, f"out{i}") for i, v in enumerate(self.plan.outputs or ()))

    @property
    def memory_plan(self) -> tuple[int, ...]:
        """Bytes of each planned buffer (memory id 1, 2, …)."""
        return (self.plan.non_const_buffer_sizes or (0,))[1:]

    @cached_property
    def operators(self) -> dict[str, int]:
        """Operators by name, with the number of calls, in the order of first use."""
        counts: dict[str, int] = {}
        operators = self.plan.operators or ()
        for call in self.calls(schema.KernelCall):
            if 0 <= call.op_index < len(operators):
                name = operators[call.op_index].qualified_name
                counts[name] = counts.get(name, 0) + 1
        return counts

    @property
    def backends(self) -> tuple[str, ...]:
        """Ids of the backends that the method delegates to, each once."""
        return tuple(dict.fromkeys(delegate.id or "" for delegate in self.plan.delegates or ()))

    def calls(self, kind: type[Any]) -> list[Any]:
        """Every instruction of one kind, over all chains."""
        return [
            instruction.instr_args
            for chain in self.plan.chains or ()
            for instruction in chain.instructions or ()
            if isinstance(instruction.instr_args, kind)
        ]


def _keyword_names(plan: schema.ExecutionPlan) -> dict[int, str]:
    """Names of keyword inputs by position, from the pytree that the exporter recorded."""
    encoded = plan.container_meta_type.encoded_inp_str if plan.container_meta_type else None
    try:
        _, tree = json.loads(encoded or "")
        positional, keywords = tree["children_spec"]
        names = json.loads(keywords["context"])
        start = _leaves(positional)
        return {start + i: str(name) for i, name in enumerate(names)} if _leaves(keywords) == len(names) else {}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}


def _leaves(tree: dict[str, Any]) -> int:
    children = tree["children_spec"]
    return 1 if tree["type"] is None else sum(_leaves(child) for child in children)
