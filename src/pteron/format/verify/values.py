"""Checks of a method's values: lists refer to what they may, tensors have a possible layout."""

from __future__ import annotations

import math

from pteron.format import schema
from pteron.format.schema import ExecutionPlan, TensorDataLocation, TensorShapeDynamism
from pteron.format.verify.finding import Report

_MAX_BYTES = (1 << 64) - 1


def check_values(report: Report, plan: ExecutionPlan, path: str) -> None:
    """Every value of a method by its kind."""
    inputs = frozenset(plan.inputs or ())
    for index, value in enumerate(plan.values or ()):
        val = value.val
        where = f"{path}.values[{index}]"
        if val is None:
            report.add("PT-VF-020", f"{where}.val", f"value {index} has no content")
        elif isinstance(val, schema.Tensor):
            check_tensor(report, val, f"{where}.val", is_input=index in inputs)
        elif isinstance(val, schema.String):
            if val.string_val is None:
                report.add("PT-VF-021", f"{where}.val.string_val", "the string has no text")
        elif isinstance(val, schema.IntList | schema.TensorList | schema.OptionalTensorList):
            _check_indices(report, plan, val, index, f"{where}.val.items")
        elif isinstance(val, schema.DoubleList | schema.BoolList) and val.items is None:
            report.add("PT-VF-021", f"{where}.val.items", "the list has no items field")


def _check_indices(
    report: Report,
    plan: ExecutionPlan,
    val: schema.IntList | schema.TensorList | schema.OptionalTensorList,
    own: int,
    path: str,
) -> None:
    """Items that are indices of values."""
    values = plan.values or ()
    if val.items is None:
        report.add("PT-VF-021", path, "the list has no items field")
        return
    optional = isinstance(val, schema.OptionalTensorList)
    allowed: tuple[type, ...] = (schema.Tensor, schema.Null) if optional else (schema.Tensor,)
    for place, item in enumerate(val.items):
        if optional and item == -1:
            continue
        if not 0 <= item < len(values):
            report.add("PT-VF-022", f"{path}[{place}]", f"value {item} does not exist (there are {len(values)})")
            continue
        content = values[item].val
        kind = type(content).__name__
        if isinstance(val, schema.IntList):
            if not isinstance(content, schema.Int):
                report.add("PT-VF-023", f"{path}[{place}]", f"value {item} is of kind {kind}, not Int")
        elif not isinstance(content, allowed):
            report.add("PT-VF-024", f"{path}[{place}]", f"value {item} is of kind {kind}, not Tensor")
        elif item >= own:
            report.add("PT-VF-025", f"{path}[{place}]", f"tensor {item} comes after the list, which is value {own}")


def check_tensor(report: Report, tensor: schema.Tensor, path: str, *, is_input: bool) -> None:
    """Layout and size of one tensor."""
    if tensor.storage_offset != 0:
        report.add("PT-VF-031", f"{path}.storage_offset", f"the storage offset is {tensor.storage_offset}, not 0")
    if tensor.shape_dynamism == TensorShapeDynamism.DYNAMIC_UNBOUND:
        report.add("PT-VF-032", f"{path}.shape_dynamism", "the shape is DYNAMIC_UNBOUND")
    extra = tensor.extra_tensor_info
    if extra is not None and extra.location == TensorDataLocation.EXTERNAL and extra.fully_qualified_name is None:
        report.add("PT-VF-035", f"{path}.extra_tensor_info.fully_qualified_name", "an external tensor has no name")
    sizes, dim_order = tensor.sizes, tensor.dim_order
    if dim_order is None:
        report.add("PT-VF-026", f"{path}.dim_order", "the tensor has no dim_order")
    if sizes is None:
        report.add("PT-VF-026", f"{path}.sizes", "the tensor has no sizes")
        return
    rank = len(sizes)
    if rank > report.limits.max_rank:
        problem = f"the tensor has {rank} dimensions, Limits.max_rank is {report.limits.max_rank}"
        report.add("PT-VF-028", f"{path}.sizes", problem)
        return  # the products of absurdly long lists take long
    if dim_order is not None and len(dim_order) != rank:
        report.add("PT-VF-027", f"{path}.dim_order", f"{len(dim_order)} entries for {rank} dimensions")
    elif dim_order is not None and sorted(dim_order) != list(range(rank)):
        report.add("PT-VF-030", f"{path}.dim_order", f"{list(dim_order)} is no permutation of {rank} dimensions")
    for dim, size in enumerate(sizes):
        if size < 0:
            report.add("PT-VF-029", f"{path}.sizes[{dim}]", f"the size is {size}")
            return
    # Runtimes let a dynamic input's bound overflow: its real sizes come with the call (program_validation.cpp).
    dynamic_input = is_input and tensor.shape_dynamism != TensorShapeDynamism.STATIC
    nbytes = math.prod(sizes) * tensor.scalar_type.itemsize
    if nbytes > _MAX_BYTES:
        if not dynamic_input or tensor.allocation_info is not None:
            report.add("PT-VF-033", f"{path}.sizes", f"{list(sizes)} take {nbytes:,} bytes")
        return
    # An empty dimension does not make the others harmless: an operator that reduces it gives a result of their size.
    reach = math.prod(max(size, 1) for size in sizes) * tensor.scalar_type.itemsize
    allowed = report.limits.max_tensor_bytes
    if reach > allowed and not (dynamic_input and tensor.allocation_info is None):
        what = "bytes" if nbytes else "bytes, were it not for an empty dimension"
        report.add("PT-VF-034", f"{path}.sizes", f"{reach:,} {what}; Limits.max_tensor_bytes is {allowed:,}")
