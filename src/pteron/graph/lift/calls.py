"""Calls: one kernel call as one node (or none, where it only copies or renames)."""

from __future__ import annotations

from pteron.graph.ir import Operand, ScalarKind, TensorType, Value
from pteron.graph.lift.block import BlockLift
from pteron.graph.lift.plan import COPY, ET_VIEW, IntItems, KernelCall, PlanTensor, TensorItems
from pteron.ops.schema import Argument

INDEX_PUT = "aten::index_put_"

_FITTING: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool, int),
    "str": (str,),
    "Scalar": (bool, int, float),
}
_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool}
_PRIM_KINDS: dict[str, ScalarKind] = {
    "truediv": "float",
    "sym_float": "float",
    "sym_int": "int",
    "ceil": "int",
    "round": "int",
    "trunc": "int",
}


def lift_call(block: BlockLift, call: KernelCall) -> None:
    """Append what the call does; raises ``UnsupportedError`` for arguments that no kernel would take."""
    name = call.operator.name
    if name == ET_VIEW:
        source, out = (_tensor(block, call.args[i]) for i in (0, 2))
        block.view(source, read_numbers(block, call.args[1]), out)
    elif name == COPY:
        _copy(block, call)
    elif name == INDEX_PUT:
        operands = _operands(block, call)
        target = _tensor(block, call.args[0])
        block.write_tensor(target, block.builder.call("aten::index_put", operands, target.type))
        _rename_result(block, call)
    else:
        _kernel(block, call)


def _kernel(block: BlockLift, call: KernelCall) -> None:
    operands = _operands(block, call)
    outs = [tensor for slot in call.outs for tensor in _out_tensors(block, slot)]
    written = [_tensor(block, slot) for slot in call.written]
    types: list[TensorType | ScalarKind] = [tensor.type for tensor in outs]
    result = None if call.outs or call.result_is_argument else call.result
    result_tensor = None
    if result is not None:
        result_tensor = block.tensor(result)
        types.append(result_tensor.type if result_tensor else _scalar_kind(block, call, operands))
    values = block.builder.node(
        call.operator.functional.qualified_name, operands, [*types, *(tensor.type for tensor in written)]
    )
    # The kernel changes its arguments while it runs; its results are stored afterwards.
    for tensor, value in zip(written, values[len(types) :], strict=True):
        block.write_tensor(tensor, value)
    for tensor, value in zip(outs, values, strict=False):
        block.write_tensor(tensor, value)
    if result_tensor is not None:
        block.write_tensor(result_tensor, values[0])
    elif result is not None:
        block.write_scalar(result, values[0])
    _rename_result(block, call)
    _check_overlap(block, call, outs)


def _copy(block: BlockLift, call: KernelCall) -> None:
    """``copy_``: the target is another name for the source where they are of one type."""
    target = _tensor(block, call.args[0])
    source = _operand(block, call.operator.functional.arguments[1], call.args[1])
    assert isinstance(source, Value)
    type = source.tensor_type
    if target.type.dynamic or type.dynamic:
        operands: dict[str, Operand] = {"self": block.read_tensor(target), "src": source}
        source = block.builder.call("aten::copy", operands, target.type)
    elif type.shape != target.type.shape:
        if type.scalar_type != target.type.scalar_type:
            source = block.builder.call(
                "aten::_to_copy", {"self": source}, TensorType(target.type.scalar_type, type.shape)
            )
        operands = {"self": source, "size": list(target.type.shape)}
        source = block.builder.call("aten::expand_copy", operands, target.type)
    elif type != target.type:
        source = block.builder.call("aten::_to_copy", {"self": source}, target.type)
    block.write_tensor(target, source)
    _rename_result(block, call)


def _rename_result(block: BlockLift, call: KernelCall) -> None:
    if call.result_is_argument and call.result is not None and call.result != call.written[0]:
        block.move(call.written[0], call.result)


def _check_overlap(block: BlockLift, call: KernelCall, outs: list[PlanTensor]) -> None:
    """Several results are stored one after the other: an argument must not lie where the first ones go."""
    if len(outs) < 2:
        return
    places = [block.place(tensor) for tensor in outs[:-1]]
    for slot in call.args[: len(call.schema.arguments) - len(call.outs)]:
        if isinstance(block.plan.slots[slot], PlanTensor):
            argument = block.place(_tensor(block, slot))
            if any(argument.overlaps(place) for place in places):
                raise block.unsupported(f"a result is stored over the argument in value {slot}")


def _tensor(block: BlockLift, slot: int) -> PlanTensor:
    tensor = block.tensor(slot)
    if tensor is None:
        raise block.unsupported(f"value {slot} is no tensor, and one is needed")
    return tensor


def _out_tensors(block: BlockLift, slot: int) -> list[PlanTensor]:
    content = block.plan.slots[slot]
    if isinstance(content, TensorItems):
        block.method.count(len(content.items))
        return [_tensor(block, item) for item in content.items]
    return [_tensor(block, slot)]


def _operands(block: BlockLift, call: KernelCall) -> dict[str, Operand]:
    index_of = call.index_of
    arguments = call.operator.functional.arguments
    return {a.name: _operand(block, a, index_of[a.name]) for a in arguments if a.name in index_of}


def _operand(block: BlockLift, argument: Argument, slot: int) -> Operand:
    kind = argument.type
    if kind in ("Tensor", "Tensor?"):
        return _tensor_operand(block, slot, argument.name, optional=kind == "Tensor?")
    if kind.startswith("Tensor"):
        return _tensor_list(block, slot, argument.name, optional=kind.endswith("?"))
    if "[]" in kind:
        content = block.plan.slots[slot]
        if content is None and kind.endswith("?") and slot not in block.plan.written_slots:
            return None
        return read_numbers(block, slot)
    return _scalar(block, slot, argument.name, kind)


def _tensor_operand(block: BlockLift, slot: int, name: str, *, optional: bool) -> Operand:
    operand = block.read(slot)
    if isinstance(operand, Value):
        return operand if operand.is_tensor else block.builder.scalar_tensor(operand)
    if isinstance(operand, int | float):
        return block.builder.number(operand)
    if operand is None and optional:
        return None
    raise block.unsupported(f"argument {name!r} must be a tensor, not {operand!r}")


def _tensor_list(block: BlockLift, slot: int, name: str, *, optional: bool) -> Operand:
    content = block.plan.slots[slot]
    if content is None and optional:
        return None
    if not isinstance(content, TensorItems):
        raise block.unsupported(f"argument {name!r} must be a list of tensors")
    block.method.count(len(content.items))
    return [None if item < 0 else _tensor_operand(block, item, name, optional=True) for item in content.items]


def read_numbers(block: BlockLift, slot: int) -> list[Operand]:
    """A list of numbers; its items may be values that the program computes."""
    content = block.plan.slots[slot]
    if isinstance(content, IntItems):
        block.method.count(len(content.items))
        return [block.read(item) for item in content.items]
    if isinstance(content, list):
        block.method.count(len(content))
        return list(content)
    number = block.read(slot)
    if isinstance(number, int | float) or (isinstance(number, Value) and not number.is_tensor):
        return [number]
    raise block.unsupported(f"value {slot} is no list of numbers, and one is needed")


def _scalar(block: BlockLift, slot: int, name: str, kind: str) -> Operand:
    operand = block.read(slot)
    base = kind.removesuffix("?")
    if operand is None and kind.endswith("?"):
        return None
    fitting = _FITTING.get(base, (int,))
    if isinstance(operand, Value):
        fits = isinstance(operand.type, str) and issubclass(_KINDS[operand.type], fitting)
    else:
        fits = isinstance(operand, fitting)
    if not fits:
        raise block.unsupported(f"argument {name!r} must be {base}, not {operand!r}")
    return operand


def _scalar_kind(block: BlockLift, call: KernelCall, operands: dict[str, Operand]) -> ScalarKind:
    """The kind of a prim operator's result; ``Scalar`` follows from the operands."""
    declared = call.operator.functional.returns[0].type
    if declared in ("int", "float", "bool"):
        return declared  # type: ignore[return-value]
    name = call.operator.functional.name
    if name == "aten::_local_scalar_dense":
        (source,) = (o for o in operands.values() if isinstance(o, Value))
        kind = source.tensor_type.dtype.kind
        return "bool" if kind == "b" else "int" if kind in "iu" else "float"
    fixed = _PRIM_KINDS.get(name.partition("::")[2])
    if fixed:
        return fixed
    inputs = list(operands.values())
    if name == "executorch_prim::sym_ite":
        inputs = inputs[1:]
    kinds = {_kind_of(o) for o in inputs}
    if name == "executorch_prim::sym_ite" and len(kinds) > 1:
        raise block.unsupported("the result may be of one kind or another")
    return "float" if "float" in kinds else "bool" if kinds == {"bool"} else "int"


def _kind_of(operand: Operand) -> str:
    if isinstance(operand, Value):
        return str(operand.type)
    return type(operand).__name__
