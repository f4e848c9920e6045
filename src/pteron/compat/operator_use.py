"""Operators that a file calls: how many arguments, with which dtypes and dim orders.

A kernel key is what the runtime looks specialised kernels up by (runtime/kernel/operator_registry.h): ``v1/`` and for
each tensor argument ``dtype;dim,order``, joined by ``|``. Lists of tensors are not part of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pteron.format import schema
from pteron.format.program import Program
from pteron.format.scalar_type import ScalarType

PRIM_OPERATORS = frozenset({"aten::sym_size.int", "aten::sym_numel", "aten::_local_scalar_dense"})
"""Prim ops outside of the ``executorch_prim`` namespace (kernels/prim_ops/register_prim_ops.cpp)."""

_SCALARS: dict[type[object], ScalarType] = {
    schema.Int: ScalarType.LONG,
    schema.Double: ScalarType.DOUBLE,
    schema.Bool: ScalarType.BOOL,
}


@dataclass(frozen=True, slots=True)
class OperatorUse:
    """One operator as a file calls it with one number of arguments.

    ``argument_count`` counts every entry of a call, the one for the return included. ``dtypes`` and ``dim_orders`` are
    those of all tensors among the arguments, elements of lists included; ``kernel_keys`` are the calls' keys in order
    of first use; ``scalar_types`` are the types of arguments that are plain numbers. ``place`` is the first call's.
    """

    name: str
    argument_count: int
    dtypes: tuple[ScalarType, ...]
    dim_orders: tuple[tuple[int, ...], ...]
    kernel_keys: tuple[str, ...]
    scalar_types: tuple[ScalarType, ...]
    calls: int
    methods: tuple[str, ...]
    place: str

    @property
    def prim(self) -> bool:
        """Whether it is linked with every runtime, whatever operator libraries a build has."""
        return is_prim(self.name)


def is_prim(name: str) -> bool:
    """Whether an operator of that name is a prim op."""
    return name.startswith("executorch_prim::") or name in PRIM_OPERATORS


def operator_uses(program: Program) -> tuple[OperatorUse, ...]:
    """Every operator that the program calls, once per number of arguments, in order of first use."""
    found: dict[tuple[str, int], _Collected] = {}
    for plan_index, plan in enumerate(program.root.execution_plan or ()):
        names = [operator.qualified_name for operator in plan.operators or ()]
        for chain_index, chain in enumerate(plan.chains or ()):
            for index, instruction in enumerate(chain.instructions or ()):
                call = instruction.instr_args
                if not isinstance(call, schema.KernelCall):
                    continue
                name = names[call.op_index] if 0 <= call.op_index < len(names) else ""
                key = (name, len(call.args or ()))
                if key not in found:
                    place = f"execution_plan[{plan_index}].chains[{chain_index}].instructions[{index}].instr_args"
                    found[key] = _Collected(place)
                found[key].add(call, plan)
    return tuple(collected.use(name, count) for (name, count), collected in found.items())


class _Collected:
    """What the calls of one operator have in common; dicts keep the order of first use."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.calls = 0
        self.dtypes: set[ScalarType] = set()
        self.dim_orders: set[tuple[int, ...]] = set()
        self.keys: dict[str, None] = {}
        self.scalars: set[ScalarType] = set()
        self.methods: dict[str, None] = {}

    def add(self, call: schema.KernelCall, plan: schema.ExecutionPlan) -> None:
        self.calls += 1
        self.methods[plan.name or ""] = None
        values = plan.values or ()
        metas = []
        for argument in call.args or ():
            val = values[argument].val if 0 <= argument < len(values) else None
            if isinstance(val, schema.Tensor):
                metas.append(_meta(val))
            elif type(val) in _SCALARS:
                self.scalars.add(_SCALARS[type(val)])
            for tensor in _tensors(val, values):
                self.dtypes.add(tensor.scalar_type)
                self.dim_orders.add(tensor.dim_order or ())
        self.keys["v1/" + "|".join(metas)] = None

    def use(self, name: str, argument_count: int) -> OperatorUse:
        return OperatorUse(
            name,
            argument_count,
            tuple(sorted(self.dtypes)),
            tuple(sorted(self.dim_orders)),
            tuple(self.keys),
            tuple(sorted(self.scalars)),
            self.calls,
            tuple(self.methods),
            self.place,
        )


def _meta(tensor: schema.Tensor) -> str:
    return f"{int(tensor.scalar_type)};{','.join(map(str, tensor.dim_order or ()))}"


def _tensors(val: object, values: tuple[schema.EValue, ...]) -> Iterator[schema.Tensor]:
    if isinstance(val, schema.Tensor):
        yield val
    elif isinstance(val, schema.TensorList | schema.OptionalTensorList):
        for item in val.items or ():
            element = values[item].val if 0 <= item < len(values) else None
            if isinstance(element, schema.Tensor):
                yield element
