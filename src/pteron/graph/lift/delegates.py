"""Delegate calls: expanded into nodes by whoever knows the payload, or kept as one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from pteron.graph.build import Builder
from pteron.graph.ir import Operand, TensorType, Value
from pteron.graph.lift.block import BlockLift
from pteron.graph.lift.plan import DelegateCall, IntItems, KernelCall, Move, Plan, PlanTensor, TensorItems

PREFIX = "delegate::"


class DelegateSite:
    """One delegate call as its backend sees it while the graph is built.

    ``index`` is the delegate's number in the method and ``backend_id`` its backend; ``args`` are the value indices of
    the call's arguments: inputs, then outputs, as the payload numbers them. ``builder`` appends nodes. Which
    arguments are inputs only the payload says, so each is read when it is asked for.
    """

    def __init__(self, block: BlockLift, call: DelegateCall) -> None:
        self._block = block
        self.index = call.index
        self.args = call.args
        self.backend_id = backend_id(block.plan, call.index)
        self.payload = block.plan.payload(call.index)

    @property
    def builder(self) -> Builder:
        return self._block.builder

    def type(self, position: int) -> TensorType | None:
        """The type of the tensor at that position; None for an argument that is no tensor."""
        tensor = self._block.tensor(self.args[position])
        return None if tensor is None else tensor.type

    def read(self, position: int) -> Operand:
        """The argument's content before the call: a value, or a Python constant."""
        return self._block.read(self.args[position])

    def unsupported(self, reason: str) -> Exception:
        """The error to raise for a payload that cannot be expanded here; it names the file and the place."""
        return self._block.unsupported(f"delegate {self.index} ({self.backend_id}): {reason}")


Expand: TypeAlias = Callable[[DelegateSite], Mapping[int, Value] | None]
"""Appends what a delegate does and gives back the values of the arguments that it writes, by position.

None leaves the call one node. A value's type must have the dtype of the argument.
"""


def lift_delegate(block: BlockLift, call: DelegateCall, expand: Expand | None) -> None:
    """Append what the delegate does; a value goes into the argument that it is for as a result into its out tensor."""
    site = DelegateSite(block, call)
    results = expand(site) if expand else None
    if results is None:
        results = _opaque(block, site)
    for position in sorted(results):
        value, tensor = results[position], block.tensor(call.args[position])
        if tensor is None:
            raise block.unsupported(f"argument {position} is no tensor, and delegate {call.index} writes it")
        if value.type != tensor.type:
            value = block.builder.call("aten::_to_copy", {"self": value}, tensor.type)
        block.write_tensor(tensor, value)


def backend_id(plan: Plan, index: int) -> str:
    """The id of a delegate's backend."""
    return (plan.method.plan.delegates or ())[index].id or ""


def _opaque(block: BlockLift, site: DelegateSite) -> dict[int, Value]:
    written = _outputs(block, site.args)
    args = [
        None if position in written and not _holds(block, site.args[position]) else site.read(position)
        for position in range(len(site.args))
    ]
    types = [type for position in written if (type := site.type(position)) is not None]
    operands: dict[str, Operand] = {"delegate": site.index, "args": args, "written": list(written)}
    values = block.builder.node(PREFIX + site.backend_id, operands, types)
    return dict(zip(written, values, strict=True))


def _outputs(block: BlockLift, args: tuple[int, ...]) -> list[int]:
    """Positions of the arguments that a delegate writes, as far as the program shows: it names no direction.

    Exporters list inputs, then outputs, and give each output a value of its own: the last arguments which nothing
    else defines (no kernel, no input, no data of the file, no earlier delegate).
    """
    defined, number = block.method.first_definitions, block.number
    assert number is not None
    first = len(args)
    while (
        first
        and isinstance(block.plan.slots[args[first - 1]], PlanTensor)
        and defined.get(args[first - 1], number) >= number
    ):
        first -= 1
    return list(range(first, len(args)))


def _holds(block: BlockLift, slot: int) -> bool:
    """Whether an argument that may be an output has memory that holds a tensor, so that it may be an input as well.

    Exporters leave views out: what one delegate writes may be another value where the next one reads it, with as many
    elements of the same type in the same place.
    """
    tensor = block.tensor(slot)
    if tensor is None or tensor.type.dynamic:
        return False
    place = block.place(tensor)
    elsewhere = block.method.written_in_several_blocks.get((place, tensor.type.scalar_type), set())
    return block.holds(place, tensor.type) or bool(elsewhere - {tensor.index})


def first_definitions(plan: Plan) -> dict[int, int]:
    """For each value the number of the delegate call in which it is named first; -1 where something else defines it."""
    defined = {info.value_index: -1 for info in plan.method.inputs}
    defined.update((slot.index, -1) for slot in plan.slots if isinstance(slot, PlanTensor) and slot.data is not None)
    for number, instruction in enumerate(plan.instructions):
        match instruction:
            case KernelCall():
                for slot in [*instruction.outs, *instruction.written, instruction.result]:
                    defined.update(dict.fromkeys(_tensors(plan, slot), -1))
            case Move(source, target):
                defined.update({source: -1, target: -1})
            case DelegateCall():
                for slot in instruction.args:
                    defined.setdefault(slot, number)
            case _:
                pass
    return defined


def _tensors(plan: Plan, slot: int | None) -> tuple[int, ...]:
    if slot is None:
        return ()
    content = plan.slots[slot]
    return content.items if isinstance(content, TensorItems | IntItems) else (slot,)
