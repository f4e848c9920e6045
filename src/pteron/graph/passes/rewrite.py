"""What passes share: who uses a value, and putting one value in another's place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from pteron.graph.ir import (
    Branch,
    Graph,
    Jump,
    Node,
    Operand,
    Return,
    TensorType,
    Terminator,
    Value,
    terminator_operands,
    values_in,
)


class Uses:
    """The nodes that use each value, and the values that ends of blocks use, as they were when this was made."""

    def __init__(self, graph: Graph) -> None:
        self._nodes: dict[Value, list[Node]] = defaultdict(list)
        for node in graph.nodes():
            for value in dict.fromkeys(node.inputs()):
                self._nodes[value].append(node)
        ends = (operand for block in graph.blocks for operand in terminator_operands(block.terminator))
        self.at_ends = {value for operand in ends for value in values_in(operand)}

    def nodes(self, value: Value) -> list[Node]:
        """The nodes that use a value, each once."""
        return self._nodes.get(value, [])

    def only(self, value: Value, node: Node) -> bool:
        """Whether nothing but ``node`` uses the value."""
        return value not in self.at_ends and self.nodes(value) == [node]


def substitute(graph: Graph, new: Mapping[Value, Operand], *, ends: bool = True) -> None:
    """Put ``new[value]`` wherever ``value`` is used; ``ends`` says whether also where blocks end."""
    if not new:
        return
    for node in graph.nodes():
        for name, operand in node.operands.items():
            if isinstance(operand, Value | list):
                node.operands[name] = _put(operand, new)
    if ends:
        for block in graph.blocks:
            _put_at_end(block.terminator, new)


def _put(operand: Operand, new: Mapping[Value, Operand]) -> Operand:
    if isinstance(operand, list):
        return [_put(item, new) for item in operand]
    # What takes a value's place may have been replaced itself.
    while isinstance(operand, Value) and operand in new:
        operand = new[operand]
    return operand


def _put_at_end(end: Terminator, new: Mapping[Value, Operand]) -> None:
    match end:
        case Return():
            end.values = [_put(operand, new) for operand in end.values]
            end.states = [_put(operand, new) for operand in end.states]
        case Jump():
            end.arguments = [_put(operand, new) for operand in end.arguments]
        case Branch():
            end.condition = _put(end.condition, new)
            _put_at_end(end.if_true, new)
            _put_at_end(end.if_false, new)


def moves_elements(node: Node, operand: str = "self") -> Value | None:
    """The tensor operand of a node whose only output has the same element type, so that nothing is converted."""
    source = node.operands.get(operand)
    if len(node.outputs) != 1 or not isinstance(source, Value):
        return None
    given, result = source.type, node.outputs[0].type
    if isinstance(given, TensorType) and isinstance(result, TensorType) and given.scalar_type == result.scalar_type:
        return source
    return None


def same_order(a: TensorType, b: TensorType) -> bool:
    """Whether two types of one static shape, or of one rank, lie in memory in the same order."""
    if a.shape == b.shape and not a.dynamic and not b.dynamic:
        return _real_order(a) == _real_order(b)
    return (a.dim_order or tuple(range(a.rank))) == (b.dim_order or tuple(range(b.rank)))


def _real_order(type: TensorType) -> list[int]:
    order = type.dim_order or tuple(range(type.rank))
    return [dim for dim in order if type.shape[dim] != 1]


def integers(operand: Operand) -> list[int] | None:
    """A list of constant integers, or None where the operand is anything else."""
    if isinstance(operand, list):
        found = [item for item in operand if isinstance(item, int)]
        return found if len(found) == len(operand) else None
    return None


def permutation(node: Node | None) -> tuple[int, ...] | None:
    """The dims of a ``permute_copy`` that converts nothing, none of them negative; None for any other node."""
    if node is None or node.op != "aten::permute_copy" or moves_elements(node) is None:
        return None
    given, source = integers(node.operands["dims"]), node.operands["self"]
    if given is None or not isinstance(source, Value):
        return None
    rank = len(given)
    dims = tuple(wrapped(dim, rank) for dim in given)
    ranks = {source.tensor_type.rank, node.outputs[0].tensor_type.rank}
    fits = ranks == {rank} and sorted(dims) == list(range(rank))
    return dims if fits else None


def wrapped(dim: Operand, rank: int) -> int:
    """A dim counted from the front; -1 for one that a tensor of this rank does not have."""
    if not isinstance(dim, int) or not -rank <= dim < rank:
        return -1
    return dim % rank
