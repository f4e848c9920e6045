"""Views: one spelling for operators that only rename or reorder dimensions, and chains of them made short."""

from __future__ import annotations

from pteron.graph.ir import Graph, Node, Operand, TensorType
from pteron.graph.passes.rewrite import moves_elements, permutation, wrapped

_RESHAPES = frozenset(
    ("aten::squeeze_copy.dim", "aten::squeeze_copy.dims", "aten::unsqueeze_copy", "executorch_prim::et_view.default")
)


def run(graph: Graph) -> bool:
    """Turn transposes into ``permute_copy`` and static reshapes into ``view_copy``; join neighbours.

    ``view_copy`` of ``view_copy`` takes the first one's input, ``permute_copy`` of ``permute_copy`` is one, and a
    permutation that moves only dimensions of one element is a ``view_copy``.
    """
    changed = False
    for node in graph.nodes():
        changed |= _respell(node)
        changed |= _join(node)
    return changed


def _respell(node: Node) -> bool:
    source = moves_elements(node)
    if source is None:
        return False
    given, result = source.tensor_type, node.output.tensor_type
    if node.op in ("aten::transpose_copy.int", "aten::t_copy"):
        dims = _transposed(node, given.rank)
        if dims is None:
            return False
        _become(node, "aten::permute_copy", {"self": source, "dims": dims})
        return True
    static = not given.dynamic and not result.dynamic
    moved = permutation(node)
    if static and (node.op in _RESHAPES or (moved is not None and _moves_only_ones(moved, given))):
        _become(node, "aten::view_copy", {"self": source, "size": list(result.shape)})
        return True
    return False


def _join(node: Node) -> bool:
    source = moves_elements(node)
    before = source.producer if source is not None else None
    if before is None or before.op != node.op or node.op not in ("aten::view_copy", "aten::permute_copy"):
        return False
    first = moves_elements(before)
    if first is None:
        return False
    if node.op == "aten::view_copy":
        node.operands["self"] = first
        return True
    inner, outer = permutation(before), permutation(node)
    if inner is None or outer is None:
        return False
    node.operands.update(self=first, dims=[inner[dim] for dim in outer])
    return True


def _become(node: Node, op: str, operands: dict[str, Operand]) -> None:
    node.op, node.operands = op, operands


def _transposed(node: Node, rank: int) -> list[Operand] | None:
    dims: list[Operand] = list(range(rank))
    if node.op == "aten::t_copy":
        return dims[::-1]
    a, b = node.operands["dim0"], node.operands["dim1"]
    first, second = wrapped(a, rank), wrapped(b, rank)
    if first < 0 or second < 0:
        return None
    dims[first], dims[second] = second, first
    return dims


def _moves_only_ones(dims: tuple[int, ...], type: TensorType) -> bool:
    longer = [dim for dim in dims if type.shape[dim] != 1]
    return longer == sorted(longer) and dims != tuple(range(len(dims)))
