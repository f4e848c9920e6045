"""Quantisation: brings ``dequantize`` and ``quantize`` next to the operators that compute.

An engine makes an integer kernel of ``dequantize → operator → quantize`` where nothing stands between. So what only
moves elements (reshapes, permutations, slices, concatenation) is made to move the integers: ``dequantize`` goes behind
it and ``quantize`` before it, which is exact. A ``quantize`` that undoes the ``dequantize`` before it goes away, and a
clamp before ``quantize`` becomes its range.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pteron.graph.ir import Block, Graph, Node, Operand, TensorType, Value
from pteron.graph.passes.rewrite import Uses, moves_elements, permutation, substitute, wrapped
from pteron.ops.quantized import quantize_per_tensor

_LIBRARY = "quantized_decomposed::"
QUANTIZE = frozenset((f"{_LIBRARY}quantize_per_tensor", f"{_LIBRARY}quantize_per_tensor.tensor"))
PER_TENSOR = f"{_LIBRARY}quantize_per_tensor"
PER_CHANNEL = f"{_LIBRARY}dequantize_per_channel"
DEQUANTIZE = frozenset((f"{_LIBRARY}dequantize_per_tensor", f"{_LIBRARY}dequantize_per_tensor.tensor", PER_CHANNEL))

CLAMPS = frozenset(("aten::clamp", "aten::hardtanh", "aten::relu"))
"""Operators that cut at constants; ``_quantized_bounds`` knows their arguments."""

KEEPS_COUNT = frozenset(
    (
        "aten::alias_copy",
        "aten::clone",
        "aten::flip",
        "aten::permute_copy",
        "aten::squeeze_copy.dim",
        "aten::squeeze_copy.dims",
        "aten::transpose_copy.int",
        "aten::unsqueeze_copy",
        "aten::view_copy",
        "dim_order_ops::_clone_dim_order",
    )
)
"""Operators whose result holds the elements of ``self``, each once."""

MOVES = KEEPS_COUNT | {"aten::select_copy.int", "aten::slice_copy.Tensor"}
"""Operators whose result holds elements of ``self`` and nothing else."""


def run(graph: Graph) -> bool:
    """Move integers instead of floats, and drop pairs that undo each other."""
    changed = _drop_pairs(graph)
    changed |= _absorb_clamps(graph)
    for block in graph.blocks:
        changed |= _move_dequantize_down(graph, block)
        changed |= _move_quantize_up(graph, block)
    return changed


def _drop_pairs(graph: Graph) -> bool:
    """Integers stay as they are, or are cut to the range of ``quantize``: where they were quantized, if possible."""
    changed = False
    new: dict[Value, Operand] = {}
    uses = Uses(graph)
    for node in graph.nodes():
        before = _dequantize(node.operands.get("input"))
        if node.op not in QUANTIZE or before is None or not _undone(before, node):
            continue
        source = before.operands["input"]
        if not isinstance(source, Value) or source.type != node.output.type:
            continue
        bounds, stored = _range(node), np.iinfo(source.tensor_type.dtype)
        if bounds == (stored.min, stored.max):
            new[node.output] = source
            continue
        if source in new:
            continue  # where its integers really come from is known in the next round
        first = source.producer
        if first is not None and uses.only(source, before) and uses.only(before.output, node):
            given = _range(first) if first.op == PER_TENSOR else None
            if given is not None and bounds is not None and max(given[0], bounds[0]) <= min(given[1], bounds[1]):
                first.operands.update(quant_min=max(given[0], bounds[0]), quant_max=min(given[1], bounds[1]))
                new[node.output] = source
                continue
        if bounds is not None:
            node.op = "aten::clamp"
            node.operands = {"self": source, "min": bounds[0], "max": bounds[1]}
            changed = True
    used = {value for node in graph.nodes() for value in node.inputs()} | Uses(graph).at_ends
    substitute(graph, new)
    return changed or not used.isdisjoint(new)


def _range(quantize: Node) -> tuple[int, int] | None:
    parameters = _parameters(quantize)
    return None if parameters is None else parameters[2:4]


def _absorb_clamps(graph: Graph) -> bool:
    """``quantize`` never decreases, so that cutting before it is cutting after it, at the quantized bounds."""
    changed = False
    uses = Uses(graph)
    for node in graph.nodes():
        moved = node.operands.get("input") if node.op == PER_TENSOR else None
        clamp = moved.producer if isinstance(moved, Value) else None
        if clamp is None or clamp.op not in CLAMPS or not uses.only(clamp.output, node):
            continue
        source, bounds = moves_elements(clamp), _quantized_bounds(clamp, node)
        if source is not None and bounds is not None:
            node.operands.update(input=source, quant_min=bounds[0], quant_max=bounds[1])
            changed = True
    return changed


def _quantized_bounds(clamp: Node, quantize: Node) -> tuple[int, int] | None:
    """The range of ``quantize`` that does the work of the clamp before it; None where that is not sure."""
    given, parameters = clamp.operands, _parameters(quantize)
    bounds: list[Operand] = [0.0, None]
    if clamp.op != "aten::relu":
        ends = ("min", "max") if clamp.op == "aten::clamp" else ("min_val", "max_val")
        bounds = [given.get(ends[0]), given.get(ends[1])]
    if clamp.output.tensor_type.dtype != np.float32 or parameters is None:
        return None
    found = []
    for bound, ending in zip(bounds, parameters[2:4], strict=True):
        if bound is None:
            found.append(ending)
        elif isinstance(bound, int | float) and math.isfinite(bound):
            found.append(int(quantize_per_tensor(np.asarray(bound, np.float32), *parameters).item()))
        else:
            return None
    low, high = found
    return (low, high) if low <= high else None


def _parameters(quantize: Node) -> tuple[float, int, int, int, int] | None:
    """Scale, zero point, range and dtype, where they are constants that quantize at all."""
    scale = quantize.operands.get("scale")
    names = ("zero_point", "quant_min", "quant_max", "dtype")
    zero, low, high, dtype = [quantize.operands.get(name) for name in names]
    if not isinstance(scale, float) or not scale > 0:
        return None
    if not (isinstance(zero, int) and isinstance(low, int) and isinstance(high, int) and isinstance(dtype, int)):
        return None
    stored = quantize.output.tensor_type.dtype
    if stored.kind not in "iu" or stored.itemsize > 2 or not low <= high:
        return None
    bounds = np.iinfo(stored)
    return (scale, zero, low, high, dtype) if bounds.min <= low and high <= bounds.max else None


def _move_dequantize_down(graph: Graph, block: Block) -> bool:
    changed = False
    nodes: list[Node] = []
    for node in block.nodes:
        turned = _turned(graph, node)
        nodes += turned or [node]
        changed |= bool(turned)
    block.nodes = nodes
    return changed


def _turned(graph: Graph, node: Node) -> list[Node] | None:
    """The node on integers, then ``dequantize``; None where it does not move dequantized elements."""
    sources = _moved(node, MOVES)
    before = [found for source in sources if (found := _dequantize(source)) is not None]
    if not before or len(before) < len(sources) or not all(_same_parameters(b, before[0]) for b in before):
        return None
    integers = [source for b in before if isinstance(source := b.operands["input"], Value)]
    stored = {source.tensor_type.scalar_type for source in integers}
    first, parameters = before[0], dict(before[0].operands)
    if first.op == PER_CHANNEL:
        dims = permutation(node)
        axis = wrapped(parameters["axis"], len(dims)) if dims else -1
        if dims is None or axis < 0:
            return None
        parameters["axis"] = dims.index(axis)
    if len(stored) != 1:
        return None
    moved = graph.value(replace(node.output.tensor_type, scalar_type=stored.pop()))
    return [
        Node(node.op, _with_sources(node, [*integers]), [moved], node.source),
        Node(first.op, {**parameters, "input": moved}, list(node.outputs), first.source),
    ]


def _move_quantize_up(graph: Graph, block: Block) -> bool:
    uses = Uses(graph)
    here = set(map(id, block.nodes))
    dropped: set[int] = set()
    nodes: list[Node] = []
    for node in block.nodes:
        moved = node.operands.get("input") if node.op in QUANTIZE else None
        move = moved.producer if isinstance(moved, Value) else None
        sources = _moved(move, KEEPS_COUNT) if move is not None and id(move) in here else []
        if move is None or len(sources) != 1 or not uses.only(move.output, node):
            nodes.append(node)
            continue
        kind = node.output.tensor_type.scalar_type
        quantized = graph.value(replace(sources[0].tensor_type, scalar_type=kind))
        dropped.add(id(move))
        nodes.append(Node(node.op, {**node.operands, "input": sources[0]}, [quantized], node.source))
        nodes.append(Node(move.op, _with_sources(move, [quantized]), list(node.outputs), move.source))
    block.nodes = [node for node in nodes if id(node) not in dropped]
    return bool(dropped)


def _moved(node: Node, operators: frozenset[str]) -> list[Value]:
    """The tensors whose elements a node only moves; empty for a node that does more."""
    if node.op in operators:
        source = moves_elements(node)
        return [] if source is None else [source]
    tensors = node.operands.get("tensors")
    if node.op != "aten::cat" or not isinstance(tensors, list) or operators is not MOVES:
        return []
    values = [t for t in tensors if isinstance(t, Value)]
    kind = node.output.tensor_type.scalar_type
    same = len(values) == len(tensors) and all(v.tensor_type.scalar_type == kind for v in values)
    return values if same else []


def _with_sources(node: Node, sources: list[Operand]) -> dict[str, Operand]:
    changed: dict[str, Operand] = {"tensors": sources} if node.op == "aten::cat" else {"self": sources[0]}
    return {**node.operands, **changed}


def _dequantize(operand: Operand) -> Node | None:
    """The node that dequantizes an operand."""
    producer = operand.producer if isinstance(operand, Value) else None
    return producer if producer is not None and producer.op in DEQUANTIZE else None


def _same_parameters(a: Node, b: Node) -> bool:
    names = (a.operands.keys() | b.operands.keys()) - {"input"}
    same = a.op == b.op and a.output.tensor_type.scalar_type == b.output.tensor_type.scalar_type
    return same and all(_equal(a.operands.get(name), b.operands.get(name)) for name in names)


def _equal(a: Operand, b: Operand) -> bool:
    return a is b or (not isinstance(a, Value | list) and type(a) is type(b) and a == b)


def _undone(dequantize: Node, quantize: Node) -> bool:
    """Whether every stored integer in the range comes back from its float: the scale keeps them apart."""
    names = ("scale", "zero_point", "dtype")
    if not all(_equal(dequantize.operands.get(name), quantize.operands.get(name)) for name in names):
        return False
    scale, floats = quantize.operands["scale"], dequantize.output.type
    if not isinstance(scale, float) or not isinstance(floats, TensorType) or floats.dtype != np.float32:
        return False
    if not (math.isfinite(scale) and 1e-30 < scale < 1e30):
        return False
    return _parameters(quantize) is not None
