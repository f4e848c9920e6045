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
    args = [None if position in written else site.read(position) for position in range(len(site.args))]
    types = [type for position in written if (type := site.type(position)) is not None]
    operands: dict[str, Operand] = {"delegate": site.index, "args": args, "written": list(written)}
    values = block.builder.node(PREFIX + site.backend_id, operands, types)
    return dict(zip(written, values, strict=True))


def _outputs(block: BlockLift, args: tuple[int, ...]) -> list[int]:
    """Positions of the arguments that a delegate writes, as far as the program shows: it names no direction.

    Exporters list inputs, then outputs, and give each output a value of its own: the last arguments which nothing
    else defines (no other instruction, no input, no data of the file).
    """
    defined = block.method.defined_elsewhere
    first = len(args)
    while first and isinstance(block.plan.slots[args[first - 1]], PlanTensor) and args[first - 1] not in defined:
        first -= 1
    return list(range(first, len(args)))


def defined_values(plan: Plan) -> frozenset[int]:
    """Values that an input, data of the file, a kernel or a move defines."""
    defined = {info.value_index for info in plan.method.inputs}
    defined.update(slot.index for slot in plan.slots if isinstance(slot, PlanTensor) and slot.data is not None)
    for instruction in plan.instructions:
        match instruction:
            case KernelCall():
                for slot in [*instruction.outs, *instruction.written, instruction.result]:
                    defined.update(_tensors(plan, slot))
            case Move(source, target):
                defined.update((source, target))
            case _:
                pass
    return frozenset(defined)


def _tensors(plan: Plan, slot: int | None) -> tuple[int, ...]:
    if slot is None:
        return ()
    content = plan.slots[slot]
    return content.items if isinstance(content, TensorItems | IntItems) else (slot,)
