"""Transposes: moves ``permute_copy`` towards the outputs until it meets its inverse and both go.

Backends that compute in NHWC are expanded into convolutions between a permutation and its inverse. What lies between
two convolutions (additions, activations, quantisation, concatenation) does not mind the order of the dimensions, so
the permutation behind the first one moves through it to the one before the second. Joining two neighbours and
dropping those that do nothing is the work of ``views`` and ``no_ops``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pteron.graph.ir import Block, Graph, Node, Operand, TensorType, Value
from pteron.graph.passes.elementwise import broadcast_operands
from pteron.graph.passes.rewrite import Uses, integers, permutation, wrapped

REDUCTIONS = frozenset(("aten::mean.dim", "aten::sum.dim_IntList", "aten::amax", "aten::amin"))
"""Reductions over listed dims, which keep their rank with ``keepdim``."""

Dims = tuple[int, ...]


def run(graph: Graph) -> bool:
    """Swap permutations with the nodes behind them, where that leaves no more permutations than before."""
    changed = False
    for block in graph.blocks:
        changed |= _Sinking(graph, block).run()
    return changed


class _Sinking:
    def __init__(self, graph: Graph, block: Block) -> None:
        self.graph = graph
        self.block = block
        self.uses = Uses(graph)
        self.constants = {constant.value for constant in graph.constants}
        self.done: list[Node] = []

    def run(self) -> bool:
        changed = False
        for node in self.block.nodes:
            turned = self._turn(node)
            changed |= turned
            if not turned:
                self.done.append(node)
        self.block.nodes = self.done
        return changed

    def _turn(self, node: Node) -> bool:
        """Append the node on unpermuted operands and a permutation of its result, if that is worth it."""
        if len(node.outputs) != 1 or not isinstance(node.outputs[0].type, TensorType):
            return False
        operands = broadcast_operands(node)
        if operands is not None:
            return self._turn_elementwise(node, operands)
        if node.op == "aten::cat":
            return self._turn_cat(node)
        source = node.operands.get("self")
        dims = self._dims_before(source)
        if dims is None or not isinstance(source, Value) or not self._worth(node, [source]):
            return False
        if len(dims) != node.output.tensor_type.rank:
            return False
        changes = _turned_arguments(node, dims)
        if changes is None:
            return False
        self._swap(node, dims, {"self": _input_of(source), **changes})
        return True

    def _turn_elementwise(self, node: Node, operands: dict[str, Value]) -> bool:
        permuted = {name: value for name, value in operands.items() if self._dims_before(value) is not None}
        dims = next((self._dims_before(value) for value in permuted.values()), None)
        if dims is None or len(dims) != node.output.tensor_type.rank:
            return False
        if any(self._dims_before(value) != dims for value in permuted.values()):
            return False
        others = {name: value for name, value in operands.items() if name not in permuted}
        if any(not self._movable(value) for value in others.values()) or not self._worth(node, permuted.values()):
            return False
        changes: dict[str, Operand] = {name: _input_of(value) for name, value in permuted.items()}
        changes.update((name, self._unpermuted(value, dims, node.source)) for name, value in others.items())
        self._swap(node, dims, changes)
        return True

    def _turn_cat(self, node: Node) -> bool:
        tensors, dim = node.operands["tensors"], node.operands.get("dim", 0)
        if not isinstance(tensors, list):
            return False
        values = [tensor for tensor in tensors if isinstance(tensor, Value)]
        dims = self._dims_before(values[0]) if values else None
        if dims is None or len(values) < len(tensors) or any(self._dims_before(value) != dims for value in values):
            return False
        axis = wrapped(dim, len(dims))
        if axis < 0 or len(dims) != node.output.tensor_type.rank or not self._worth(node, values):
            return False
        self._swap(node, dims, {"tensors": [_input_of(value) for value in values], "dim": dims[axis]})
        return True

    def _worth(self, node: Node, permuted: Iterable[Value]) -> bool:
        """Whether a permutation goes away: one that only this node uses, or the ones that use its result."""
        if any(self.uses.only(value, node) for value in permuted):
            return True
        users = self.uses.nodes(node.output)
        return bool(users) and node.output not in self.uses.at_ends and all(permutation(user) for user in users)

    def _dims_before(self, operand: Operand) -> Dims | None:
        """The dims of the permutation that makes an operand; None for a permuted constant, which stays as it is."""
        if not isinstance(operand, Value) or self._is_constant(operand):
            return None
        return permutation(operand.producer)

    def _is_constant(self, value: Value) -> bool:
        if permutation(value.producer) is not None:
            value = _input_of(value)
        return value in self.constants

    def _movable(self, value: Value) -> bool:
        """Whether permuting the operand costs nothing: a constant, permuted or not, or one element."""
        return self._is_constant(value) or _is_single(value.tensor_type)

    def _unpermuted(self, value: Value, dims: Dims, source: str) -> Value:
        """What broadcasts to the permuted shape, as what broadcasts to the shape before."""
        type = value.tensor_type
        if _is_single(type) and type.rank <= len(dims):
            return value
        shape = (1,) * (len(dims) - type.rank) + type.shape
        if shape != type.shape:
            widened = TensorType(type.scalar_type, shape)
            value = self._node("aten::view_copy", {"self": value, "size": list(shape)}, widened, source)
        back = _inverse(dims)
        turned = TensorType(type.scalar_type, tuple(shape[dim] for dim in back))
        return self._node("aten::permute_copy", {"self": value, "dims": list(back)}, turned, source)

    def _swap(self, node: Node, dims: Dims, changes: dict[str, Operand]) -> None:
        result = node.output
        type = result.tensor_type
        before = replace(type, shape=tuple(type.shape[dim] for dim in _inverse(dims)), dim_order=())
        inner = self._node(node.op, {**node.operands, **changes}, before, node.source)
        self.done.append(Node("aten::permute_copy", {"self": inner, "dims": list(dims)}, [result], node.source))

    def _node(self, op: str, operands: dict[str, Operand], type: TensorType, source: str) -> Value:
        value = self.graph.value(type)
        self.done.append(Node(op, operands, [value], source))
        return value


def _turned_arguments(node: Node, dims: Dims) -> dict[str, Operand] | None:
    """What changes in a node besides its tensor when that comes unpermuted; None where it cannot."""
    if node.op in REDUCTIONS:
        reduced = [wrapped(dim, len(dims)) for dim in integers(node.operands.get("dim")) or ()]
        if min(reduced, default=-1) < 0 or not node.operands.get("keepdim"):
            return None
        return {"dim": [dims[dim] for dim in reduced]}
    if node.op == "aten::slice_copy.Tensor":
        dim = wrapped(node.operands.get("dim", 0), len(dims))
        return {"dim": dims[dim]} if dim >= 0 else None
    if node.op == "aten::constant_pad_nd":
        return _turned_pads(integers(node.operands["pad"]), dims)
    return None


def _turned_pads(pads: list[int] | None, dims: Dims) -> dict[str, Operand] | None:
    """Pads come in pairs from the last dim on."""
    if pads is None or len(pads) % 2 or len(pads) > 2 * len(dims):
        return None
    before = [(0, 0)] * len(dims)
    for place in range(len(pads) // 2):
        before[dims[len(dims) - 1 - place]] = (pads[2 * place], pads[2 * place + 1])
    return {"pad": [side for pair in reversed(before) for side in pair]}


def _input_of(value: Value) -> Value:
    """The input of the permutation that makes a value."""
    assert value.producer is not None
    source = value.producer.operands["self"]
    assert isinstance(source, Value)
    return source


def _inverse(dims: Dims) -> Dims:
    return tuple(sorted(range(len(dims)), key=lambda dim: dims[dim]))


def _is_single(type: TensorType) -> bool:
    return not type.dynamic and all(size == 1 for size in type.shape)
