"""Conditions under which a known fault shows: predicates on one kernel call or on one XNNPACK node.

Each predicate restates what the sources named in the fault's evidence do; shapes are the serialized ones, which are
upper bounds where a tensor is dynamic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pteron.backends.xnnpack.nodes import XNNFullyConnected, XNNGlobalAvgPooling2d, XNNNode
from pteron.backends.xnnpack.values import XNNTensorValue
from pteron.compat.features import is_contiguous, memory_order
from pteron.format import schema
from pteron.format.scalar_type import ScalarType

Sizes = tuple[int, ...]

KEEP_DIMS = 64
"""XNNPACK's flag for reductions: in the version that 0.2 pins, it means that dimensions are dropped, later, kept."""


_INTEGRAL = frozenset(
    {ScalarType.BOOL, ScalarType.BYTE, ScalarType.CHAR, ScalarType.SHORT, ScalarType.INT, ScalarType.LONG}
)


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel call: ``arguments`` are the values in the order of the schema."""

    operator: str
    arguments: tuple[Any, ...]
    values: tuple[Any, ...]

    def tensor(self, index: int) -> schema.Tensor | None:
        """The argument if it is a tensor."""
        value = self.arguments[index] if 0 <= index < len(self.arguments) else None
        return value if isinstance(value, schema.Tensor) else None

    def ints(self, index: int) -> tuple[int, ...]:
        """The argument's numbers if it is a list of them; members that are only known at run time are left out."""
        value = self.arguments[index] if 0 <= index < len(self.arguments) else None
        if not isinstance(value, schema.IntList):
            return ()
        members = (self.values[i].val for i in value.items or () if 0 <= i < len(self.values))
        return tuple(member.int_val for member in members if isinstance(member, schema.Int))


@dataclass(frozen=True, slots=True)
class NodeUse:
    """One node of an XNNPACK graph with the graph's values by id."""

    node: XNNNode
    tensors: Mapping[int, XNNTensorValue]


CallCondition = Callable[[Call, Mapping[str, Any]], bool]
NodeCondition = Callable[[NodeUse, Mapping[str, Any]], bool]


def always(call: Call, parameters: Mapping[str, Any]) -> bool:
    """Every call."""
    return True


def argument_is_true(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The Bool argument ``index`` is true."""
    value = call.arguments[parameters["index"]] if parameters["index"] < len(call.arguments) else None
    return isinstance(value, schema.Bool) and value.bool_val


def argument_dtype(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The tensor argument ``index`` has one of ``dtypes`` (with ``not``: none of them)."""
    tensor = call.tensor(parameters["index"])
    if tensor is None:
        return False
    listed = tensor.scalar_type.name in parameters["dtypes"]
    return not listed if parameters.get("not") else listed


def any_dtype(call: Call, parameters: Mapping[str, Any]) -> bool:
    """Some tensor argument has one of ``dtypes``."""
    return any(
        isinstance(value, schema.Tensor) and value.scalar_type.name in parameters["dtypes"] for value in call.arguments
    )


def copies_other_dtype(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The source (argument 1) and the result (argument 3) have equal sizes, leading ones aside, and other dtypes."""
    source, out = call.tensor(1), call.tensor(3)
    if source is None or out is None or source.scalar_type == out.scalar_type:
        return False
    return math.prod(source.sizes or ()) > 0 and _without_leading_ones(source) == _without_leading_ones(out)


def scalar_changes_dtype(call: Call, parameters: Mapping[str, Any]) -> bool:
    """Argument 1 is a number of a higher kind than the tensor in argument 0: float to integers, any to bools."""
    tensor, scalar = call.tensor(0), call.arguments[1] if len(call.arguments) > 1 else None
    if tensor is None:
        return False
    if isinstance(scalar, schema.Double):
        return tensor.scalar_type in _INTEGRAL
    return isinstance(scalar, schema.Int) and tensor.scalar_type == ScalarType.BOOL


def shapes_differ(call: Call, parameters: Mapping[str, Any]) -> bool:
    """Arguments 0 and 1 have different shapes (with ``scalars``: and neither has a single element)."""
    a, b = call.tensor(0), call.tensor(1)
    if a is None or b is None or a.sizes == b.sizes:
        return False
    return not (parameters.get("scalars", False) and 1 in (math.prod(a.sizes or ()), math.prod(b.sizes or ())))


def negative_member(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The list argument ``index`` has a negative number."""
    return any(number < 0 for number in call.ints(parameters["index"]))


def argument_is_given(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The optional argument ``index`` is there."""
    value = call.arguments[parameters["index"]] if parameters["index"] < len(call.arguments) else None
    return value is not None and not isinstance(value, schema.Null)


def rank_zero(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The tensor argument ``index`` has no dimensions."""
    tensor = call.tensor(parameters["index"])
    return tensor is not None and not tensor.sizes


def dim_orders_differ(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The two tensor arguments ``indices`` lie in memory in different orders."""
    a, b = (call.tensor(index) for index in parameters["indices"])
    return a is not None and b is not None and memory_order(a) != memory_order(b)


def written_row_by_row(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The tensor argument ``index`` does not lie in memory in the order of its dimensions."""
    tensor = call.tensor(parameters["index"])
    return tensor is not None and not is_contiguous(tensor)


def static_result(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The tensor argument ``index``, whose size depends on the data, is static."""
    tensor = call.tensor(parameters["index"])
    return tensor is not None and tensor.shape_dynamism == schema.TensorShapeDynamism.STATIC


def grows_static(call: Call, parameters: Mapping[str, Any]) -> bool:
    """Argument 0, which is resized along its first dimension, is static and has more than one row there."""
    tensor = call.tensor(0)
    if tensor is None or tensor.shape_dynamism != schema.TensorShapeDynamism.STATIC:
        return False
    return bool(tensor.sizes) and (tensor.sizes or (0,))[0] > 1


def resizes_to_operand(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The optimized elementwise kernel takes one of ``paths`` and gives its result the rank of one operand, though the
    other has more dimensions."""
    operands = _optimized_operands(call)
    if operands is None:
        return False
    a, b, out = operands
    path, leading = optimized_path(a, b, out)
    return path in parameters["paths"] and len(leading) != len(out)


def takes_path(call: Call, parameters: Mapping[str, Any]) -> bool:
    """The optimized elementwise kernel takes one of ``paths``."""
    operands = _optimized_operands(call)
    return operands is not None and optimized_path(*operands)[0] in parameters["paths"]


def optimized_path(a: Sizes, b: Sizes, out: Sizes) -> tuple[str, Sizes]:
    """Which fast path ``select_optimized_path`` takes for these sizes, and the operand whose sizes it goes by.

    Paths: ``1d``, ``2d_by_1d``, ``nd_by_nd``, ``last_dim`` or none (empty).
    """
    short_a, short_b = _strip(a), _strip(b)
    same_count = math.prod(a) == math.prod(b)
    if a == b or (same_count and (math.prod(a) == math.prod(out) or short_a == short_b)):
        return "1d", a
    if len(short_a) == 2 and len(short_b) == 1 and short_a[1] == short_b[0]:
        return "2d_by_1d", a
    if len(short_a) == 1 and len(short_b) == 2 and short_b[1] == short_a[0]:
        return "2d_by_1d", b
    dim = _broadcast_dim(short_a, short_b)
    if dim < -1:
        return "nd_by_nd", a if short_b.count(1) == 1 else b
    if dim == -1:
        return "last_dim", b if short_a.count(1) == 1 else a
    return "", out


def _broadcast_dim(a: Sizes, b: Sizes) -> int:
    """The one dimension, from -1 down, where either has size 1; 0 where there is none or more. The first is not
    looked at."""
    if len(a) != len(b):
        return 0
    found = 0
    for index in range(-1, -len(a), -1):
        if a[index] == 1 or b[index] == 1:
            if found:
                return 0
            found = index
        elif a[index] != b[index]:
            return 0
    return found


def _optimized_operands(call: Call) -> tuple[Sizes, Sizes, Sizes] | None:
    """Sizes of the operands and the result, where the kernel looks for a fast path at all."""
    a, b = call.tensor(0), call.tensor(1)
    # The return repeats the out argument, so the last entry is the result.
    out = call.tensor(len(call.arguments) - 1)
    if a is None or b is None or out is None:
        return None
    if not a.scalar_type == b.scalar_type == out.scalar_type:
        return None
    if a.scalar_type in (ScalarType.HALF, ScalarType.BFLOAT16):
        return None
    sizes = (a.sizes or (), b.sizes or (), out.sizes or ())
    # A single element is handled before the paths are looked at.
    return None if 1 in (math.prod(sizes[0]), math.prod(sizes[1])) else sizes


def _strip(sizes: Sizes) -> Sizes:
    first = next((index for index, size in enumerate(sizes) if size != 1), len(sizes))
    return sizes[first:]


def _without_leading_ones(tensor: schema.Tensor) -> Sizes:
    return _strip(tensor.sizes or ())


def pooling_rank(use: NodeUse, parameters: Mapping[str, Any]) -> bool:
    """A global pooling whose flag, read as ``keeps`` says, gives another rank than its output value has."""
    node = use.node
    if not isinstance(node, XNNGlobalAvgPooling2d):
        return False
    source, result = use.tensors.get(node.input_id), use.tensors.get(node.output_id)
    if source is None or result is None:
        return False
    flagged = bool(node.flags & KEEP_DIMS)
    kept = flagged if parameters["keeps"] else not flagged
    return kept != (source.num_dims == result.num_dims)


def linear_dtypes(use: NodeUse, parameters: Mapping[str, Any]) -> bool:
    """A fully connected node whose input, filter and bias have these ``dtypes``."""
    node = use.node
    if not isinstance(node, XNNFullyConnected):
        return False
    values = [use.tensors.get(identifier) for identifier in (node.input1_id, node.filter_id, node.bias_id)]
    return [value.datatype.short if value is not None else "" for value in values] == list(parameters["dtypes"])


def linear_filter_dtype(use: NodeUse, parameters: Mapping[str, Any]) -> bool:
    """A fully connected node whose filter has the ``dtype``."""
    node = use.node
    filter = use.tensors.get(node.filter_id) if isinstance(node, XNNFullyConnected) else None
    return filter is not None and filter.datatype.short == parameters["dtype"]


CALL_CONDITIONS: Mapping[str, CallCondition] = {
    predicate.__name__: predicate
    for predicate in (
        always,
        any_dtype,
        argument_dtype,
        argument_is_given,
        argument_is_true,
        copies_other_dtype,
        dim_orders_differ,
        grows_static,
        negative_member,
        rank_zero,
        resizes_to_operand,
        scalar_changes_dtype,
        shapes_differ,
        static_result,
        takes_path,
        written_row_by_row,
    )
}
NODE_CONDITIONS: Mapping[str, NodeCondition] = {
    predicate.__name__: predicate for predicate in (linear_dtypes, linear_filter_dtype, pooling_rank)
}
