"""External data: what a program expects from .ptd files, and whether what was given fits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pteron.errors import ExternalDataError
from pteron.format import schema
from pteron.format.program import Program
from pteron.format.schema import TensorDataLocation

if TYPE_CHECKING:
    from pteron.format.flat_tensor import TensorEntry


def external_tensors(program: Program) -> dict[str, schema.Tensor]:
    """The tensors whose data the program expects from outside, by key."""
    wanted: dict[str, schema.Tensor] = {}
    for method in program.methods.values():
        for evalue in method.plan.values or ():
            val = evalue.val
            info = val.extra_tensor_info if isinstance(val, schema.Tensor) else None
            if info is not None and info.location == TensorDataLocation.EXTERNAL and info.fully_qualified_name:
                assert isinstance(val, schema.Tensor)
                wanted[info.fully_qualified_name] = val
    return wanted


def external_faults(program: Program, external: Mapping[str, TensorEntry]) -> list[str]:
    """What is wrong with the external data for this program, one phrase per key; empty where all fits."""
    faults = []
    for key, tensor in external_tensors(program).items():
        entry = external.get(key)
        fault = "is missing" if entry is None else _layout_fault(tensor, entry)
        if fault:
            faults.append(f"{key!r} {fault}")
    return faults


def _layout_fault(wanted: schema.Tensor, entry: TensorEntry) -> str | None:
    needed = math.prod(wanted.sizes or ()) * wanted.scalar_type.itemsize
    if (
        entry.scalar_type is not None
        and entry.sizes is not None
        and (entry.scalar_type != wanted.scalar_type or tuple(entry.sizes) != wanted.sizes)
    ):
        return (
            f"is {entry.scalar_type.torch_name}{list(entry.sizes)} where "
            f"{wanted.scalar_type.torch_name}{list(wanted.sizes or ())} is needed"
        )
    if entry.dim_order is not None and tuple(entry.dim_order) != wanted.dim_order:
        return f"has dim order {list(entry.dim_order)} where {list(wanted.dim_order or ())} is needed"
    if len(entry.data) < needed:
        return f"has {len(entry.data):,} bytes where {needed:,} are needed"
    return None


def fault_free(program: Program, external: Mapping[str, TensorEntry]) -> None:
    """Raise ``ExternalDataError`` naming every key that is missing or does not fit, before anything runs."""
    faults = external_faults(program, external)
    if faults:
        listed = "; ".join(faults[:10]) + (f"; and {len(faults) - 10} more" if len(faults) > 10 else "")
        advice = (
            "pass the .ptd files written beside it as data=" if not external else "check that the .ptd belongs to it"
        )
        raise ExternalDataError(f"{program.file}: external data does not fit: {listed}; {advice}")
