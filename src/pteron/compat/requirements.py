"""What a file needs of a runtime: format features, operators, backends, external data, what the caller sets."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pteron.compat.backend_use import BackendUse, backend_uses
from pteron.compat.features import Feature, features_of
from pteron.compat.operator_use import OperatorUse, operator_uses
from pteron.format import schema
from pteron.format.flat_tensor import TensorData
from pteron.format.method import Method, ValueInfo
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType
from pteron.format.schema import TensorDataLocation

SCHEMA_ID = "pteron.requirements/1"


@dataclass(frozen=True, slots=True)
class ExternalKey:
    """Data that the file expects from a .ptd file.

    ``backend`` names the backend whose payload asks for it; then, dtype and sizes are not on record. ``planned`` says
    that the data initialises planned memory instead of being used in place.
    """

    key: str
    scalar_type: ScalarType | None
    sizes: tuple[int, ...]
    dim_order: tuple[int, ...]
    planned: bool
    backend: str
    place: str

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor; 0 where they are not on record."""
        return math.prod(self.sizes) * self.scalar_type.itemsize if self.scalar_type is not None else 0


@dataclass(frozen=True, slots=True)
class DataUse:
    """A .ptd file given with the program: its layout, which of the keys it has, and which it has in vain."""

    file: str
    layout: str
    keys: tuple[str, ...]
    unused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArgumentUse:
    """One input or output of a method, with what distributions of the runtime may have trouble with.

    ``kind`` is as in :class:`pteron.ValueInfo`. ``traits`` are out of ``zero_dim`` (a tensor without dimensions),
    ``channels_last``, ``dim_order`` (another one that is not contiguous), ``empty`` (a size of 0), ``dynamic``,
    ``constant`` and ``caller_memory`` (not memory planned, so the caller must give the memory).
    """

    method: str
    role: str
    index: int
    name: str
    kind: str
    scalar_type: ScalarType | None
    shape: tuple[int, ...]
    dim_order: tuple[int, ...]
    traits: tuple[str, ...]
    place: str


@dataclass(frozen=True, slots=True)
class MethodUse:
    """One method: number of instructions, planned memory in bytes by memory id from 1."""

    name: str
    instructions: int
    memory_plan: tuple[int, ...]
    place: str


@dataclass(frozen=True)
class Requirements:
    """What one file needs; everything has the place in the file that asks for it.

    ``operators`` and ``prim_ops`` have one entry per name and number of arguments. ``max_rank`` is the largest number
    of dimensions of any tensor.
    """

    file: str
    features: tuple[Feature, ...]
    operators: tuple[OperatorUse, ...]
    prim_ops: tuple[OperatorUse, ...]
    backends: tuple[BackendUse, ...]
    external_keys: tuple[ExternalKey, ...]
    data: tuple[DataUse, ...]
    arguments: tuple[ArgumentUse, ...]
    methods: tuple[MethodUse, ...]
    max_rank: int

    @property
    def caller_sets(self) -> tuple[ArgumentUse, ...]:
        """Inputs and outputs whose memory the caller must give."""
        return tuple(argument for argument in self.arguments if "caller_memory" in argument.traits)

    @property
    def missing_keys(self) -> tuple[str, ...]:
        """External keys that none of the given data files has."""
        given = {key for use in self.data for key in use.keys}
        return tuple(key.key for key in self.external_keys if key.key not in given)

    def feature(self, identifier: str) -> Feature | None:
        """The feature of that id, or None where the file does not use it."""
        return next((feature for feature in self.features if feature.id == identifier), None)

    def to_dict(self) -> dict[str, Any]:
        """The ``pteron.requirements/1`` document: the fields by name, enums by their PyTorch names."""
        fields = {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {"schema": SCHEMA_ID, **fields}


def requirements(program: Program, data: Sequence[TensorData] = ()) -> Requirements:
    """What the program needs; ``data`` are the .ptd files that it is going to run with, if they are known.

    Looks at records and payload graphs only, never at weights. Never fails on a program that could be read: a payload
    that cannot be read is named in its :attr:`BackendUse.problem`.
    """
    operators = operator_uses(program)
    backends = backend_uses(program)
    keys = _external_keys(program, backends)
    methods = [Method(plan, index) for index, plan in enumerate(program.root.execution_plan or ())]
    return Requirements(
        program.file,
        features_of(program),
        tuple(use for use in operators if not use.prim),
        tuple(use for use in operators if use.prim),
        backends,
        keys,
        tuple(_data_use(entry, {key.key for key in keys}) for entry in data),
        tuple(argument for method in methods for argument in _arguments(method)),
        tuple(_method_use(method) for method in methods),
        max((len(t.sizes or ()) for method in methods for t in _tensors(method.plan)), default=0),
    )


def _tensors(plan: schema.ExecutionPlan) -> list[schema.Tensor]:
    return [value.val for value in plan.values or () if isinstance(value.val, schema.Tensor)]


def _external_keys(program: Program, backends: tuple[BackendUse, ...]) -> tuple[ExternalKey, ...]:
    found: dict[str, ExternalKey] = {}
    for plan_index, plan in enumerate(program.root.execution_plan or ()):
        for index, value in enumerate(plan.values or ()):
            val = value.val
            extra = val.extra_tensor_info if isinstance(val, schema.Tensor) else None
            if isinstance(val, schema.Tensor) and extra and extra.location == TensorDataLocation.EXTERNAL:
                key = extra.fully_qualified_name or ""
                place = f"execution_plan[{plan_index}].values[{index}].val"
                planned = val.allocation_info is not None
                sizes, dim_order = val.sizes or (), val.dim_order or ()
                found.setdefault(key, ExternalKey(key, val.scalar_type, sizes, dim_order, planned, "", place))
    stored = {entry.key for entry in program.root.named_data or ()}
    for use in backends:
        for key in use.named_keys:
            if key not in stored:
                found.setdefault(key, ExternalKey(key, None, (), (), False, use.id, use.places[0]))
    return tuple(found.values())


def _data_use(data: TensorData, wanted: set[str]) -> DataUse:
    keys = tuple(data.entries)
    return DataUse(data.file, data.layout, keys, tuple(key for key in keys if key not in wanted))


def _method_use(method: Method) -> MethodUse:
    count = sum(len(chain.instructions or ()) for chain in method.plan.chains or ())
    return MethodUse(method.name, count, method.memory_plan, f"execution_plan[{method.index}]")


def _arguments(method: Method) -> list[ArgumentUse]:
    path = f"execution_plan[{method.index}]"
    found = []
    for role, infos in (("input", method.inputs), ("output", method.outputs)):
        for index, info in enumerate(infos):
            found.append(
                ArgumentUse(
                    method.name,
                    role,
                    index,
                    info.name,
                    info.kind,
                    info.scalar_type,
                    info.shape,
                    info.dim_order,
                    _traits(info, method.plan),
                    f"{path}.{role}s[{index}]",
                )
            )
    return found


def _traits(info: ValueInfo, plan: schema.ExecutionPlan) -> tuple[str, ...]:
    if info.scalar_type is None:
        return ()
    traits = []
    if not info.shape:
        traits.append("zero_dim")
    if info.dim_order == (0, 2, 3, 1):
        traits.append("channels_last")
    elif info.dim_order != tuple(range(len(info.shape))):
        traits.append("dim_order")
    if 0 in info.shape:
        traits.append("empty")
    if info.dynamic:
        traits.append("dynamic")
    tensor = (plan.values or ())[info.value_index].val
    assert isinstance(tensor, schema.Tensor)
    if tensor.allocation_info is None and tensor.data_buffer_idx:
        traits.append("constant")
    if not info.planned:
        traits.append("caller_memory")
    return tuple(traits)


def _plain(value: Any) -> Any:
    if isinstance(value, ScalarType):
        return value.torch_name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
