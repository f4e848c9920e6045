"""ExecuTorch's selective-build YAML (``selected_operators.yaml``) for one file or many.

The keys are those of codegen/tools/gen_oplist.py, so the file serves wherever upstream's does, also for dtype-selective
builds (codegen/tools/gen_selected_op_variants.py). Upstream's tool lists the dtypes of tensor arguments. A kernel built
for these alone can refuse the call that they were taken from, because it also switches on the type of plain numbers
(``ET_SWITCH_SCALAR_OBJ_TYPES``), on the type that it computes in (kernels/portable/cpu/util/elementwise_util.h) and on
every element of a list. All of these are listed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import combinations

from pteron.compat.operator_use import OperatorUse
from pteron.compat.requirements import Requirements
from pteron.errors import KernelError
from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.ops import REGISTRY
from pteron.ops.promotion import promote

DEFAULT_KEY = "default"
"""The kernel key for every dtype, of operators that are not called with tensors or numbers."""

_REDUCED = frozenset({ScalarType.HALF, ScalarType.BFLOAT16})
_COMPLEX = frozenset({ScalarType.COMPLEX_HALF, ScalarType.COMPLEX_FLOAT, ScalarType.COMPLEX_DOUBLE})
_FLOATING = frozenset({ScalarType.FLOAT, ScalarType.DOUBLE}) | _REDUCED
_INTEGRAL = frozenset(
    {ScalarType.BYTE, ScalarType.CHAR, ScalarType.SHORT, ScalarType.INT, ScalarType.LONG, ScalarType.BOOL}
)
_PROMOTED = _INTEGRAL | _FLOATING | _COMPLEX - {ScalarType.COMPLEX_HALF}


def to_selective_build_yaml(requirements: Iterable[Requirements]) -> str:
    """The YAML text for a build that runs all the files: operators, with the dtypes and dim orders of their calls.

    Prim operators are listed as well, as upstream's tool does. Operators stand in the order of their names.
    """
    uses: dict[str, list[OperatorUse]] = {}
    files: dict[str, dict[str, None]] = {}
    for needed in requirements:
        for use in (*needed.operators, *needed.prim_ops):
            uses.setdefault(use.name, []).append(use)
            files.setdefault(use.name, {})[needed.file] = None
    return "\n".join([*_lines(uses, files), ""])


def kernel_keys(uses: Iterable[OperatorUse]) -> tuple[str, ...]:
    """The kernel keys of one operator's calls, then ``v1/N;`` for each further dtype that its kernel needs."""
    keys: dict[str, None] = {}
    further: dict[ScalarType, None] = {}
    listed: set[ScalarType] = set()
    for use in uses:
        for key in use.kernel_keys:
            if key != "v1/":
                keys[key] = None
                listed.update(ScalarType(int(meta.partition(";")[0])) for meta in key.removeprefix("v1/").split("|"))
        further.update(dict.fromkeys(sorted(kernel_dtypes(use))))
    keys.update(dict.fromkeys(f"v1/{int(dtype)};" for dtype in further if dtype not in listed))
    return tuple(keys) or (DEFAULT_KEY,)


def kernel_dtypes(use: OperatorUse) -> frozenset[ScalarType]:
    """The dtypes that a kernel needs for these calls: of tensors, of plain numbers, and those it computes in."""
    tensors = frozenset(use.dtypes)
    numbers = frozenset(use.scalar_types) if _takes_numbers(use) else frozenset()
    dtypes = tensors | numbers
    computed = set(_computed(dtypes))
    if tensors & _INTEGRAL and tensors & _FLOATING:
        # Integers go through float32 where the result is floating, whatever the result's own type.
        computed.add(ScalarType.FLOAT)
    return dtypes | computed


def _takes_numbers(use: OperatorUse) -> bool:
    """Whether the kernel gets numbers of any type (``Scalar``); an operator nobody told Pteron about may."""
    operator = REGISTRY.get(use.name)
    schema = operator.schema_for(use.argument_count) if operator else None
    return schema is None or any(argument.type.rstrip("?[]") == "Scalar" for argument in schema.arguments)


def _computed(dtypes: frozenset[ScalarType]) -> Iterator[ScalarType]:
    if dtypes & _REDUCED:
        yield ScalarType.FLOAT
    for a, b in combinations(sorted(dtypes & _PROMOTED), 2):
        try:
            yield from_dtype(promote(a.dtype, b.dtype))
        except KernelError:
            continue


def _lines(uses: dict[str, list[OperatorUse]], files: dict[str, dict[str, None]]) -> Iterator[str]:
    yield "build_features: []"
    yield "custom_classes: []"
    yield "et_kernel_metadata:" if uses else "et_kernel_metadata: {}"
    for name in sorted(uses):
        yield f"  {json.dumps(name)}:"
        for key in kernel_keys(uses[name]):
            yield f"  - {json.dumps(key)}"
    yield "include_all_non_op_selectives: false"
    yield "include_all_operators: false"
    yield "kernel_metadata: {}"
    yield "operators:" if uses else "operators: {}"
    for name in sorted(uses):
        yield f"  {json.dumps(name)}:"
        yield "    debug_info:"
        for file in files[name]:
            yield f"    - {json.dumps(file)}"
        yield "    include_all_overloads: false"
        yield "    is_root_operator: true"
        yield "    is_used_for_training: true"
