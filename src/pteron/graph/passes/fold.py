"""Constant folding: computes what depends on constants alone.

Weights are views into the file and stay so: a reshaped weight is another view, and only small results of small
operands become arrays in memory. Quantised weights stay integers with a ``dequantize`` behind them, of which engines
make integer kernels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.errors import PteronError
from pteron.graph.evaluate import run_node
from pteron.graph.ir import Branch, Constant, Graph, Jump, Node, Operand, TensorType, Value
from pteron.graph.passes.common import is_pure
from pteron.graph.passes.rewrite import moves_elements, substitute

MAX_FOLDED_BYTES = 1 << 16
"""Bytes of the outputs of a node that is folded."""

MAX_OPERAND_BYTES = 1 << 20
"""Bytes of its operands."""

MAX_TOTAL_BYTES = 1 << 24
"""Bytes of all folded constants of a graph."""

# Operators whose operands can ask for any amount of memory.
_GROWING = frozenset(
    (
        "aten::arange",
        "aten::arange.start_step",
        "aten::constant_pad_nd",
        "aten::empty.memory_format",
        "aten::expand_copy",
        "aten::full",
        "aten::ones",
        "aten::repeat",
        "aten::zeros",
    )
)
_DEQUANTIZE = "quantized_decomposed::dequantize_"


def run(graph: Graph) -> bool:
    """Replace nodes of constant operands by constants, and branches of a constant condition by jumps."""
    return _Folding(graph).run()


class _Folding:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants = {constant.value: constant for constant in graph.constants}
        self.new: dict[Value, Operand] = {}
        self.total = sum(constant.data.nbytes for constant in graph.constants if not constant.file)

    def run(self) -> bool:
        for block in self.graph.blocks:
            block.nodes = [node for node in block.nodes if not self._fold(node)]
        substitute(self.graph, self.new)
        return _fold_branches(self.graph, self.constants) or bool(self.new)

    def _fold(self, node: Node) -> bool:
        """Find what takes the place of the node's outputs; whether anything does."""
        size = self._static_size(node)
        if size is not None:
            self.new[node.output] = size
            return True
        if not is_pure(node) or node.op.startswith(_DEQUANTIZE):
            return False
        if any(isinstance(v.type, TensorType) and v.type.dynamic for v in node.outputs):
            return False
        used = [self._now(value) for value in node.inputs()]
        if any(isinstance(operand, Value) and operand not in self.constants for operand in used):
            return False
        held = sum(self.constants[operand].data.nbytes for operand in used if isinstance(operand, Value))
        made = sum(value.type.nbytes for value in node.outputs if isinstance(value.type, TensorType))
        if self._reshape(node):
            return True
        if held > MAX_OPERAND_BYTES or made > MAX_FOLDED_BYTES or (made and self.total + made > MAX_TOTAL_BYTES):
            return False
        if node.op in _GROWING and _count(node) > MAX_FOLDED_BYTES:
            return False
        operands = {name: self._content(operand) for name, operand in node.operands.items()}
        try:
            with np.errstate(all="ignore"):
                results = run_node(node, operands)
        except (PteronError, ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, MemoryError):
            # What the operator refuses is refused when the graph runs, not before.
            return False
        self.total += made
        for value, result in zip(node.outputs, results, strict=True):
            self.new[value] = self._made(value, result)
        return True

    def _static_size(self, node: Node) -> int | None:
        """A size of a tensor that is not dynamic."""
        source = self._now(node.operands.get("self"))
        if not isinstance(source, Value) or not isinstance(source.type, TensorType) or source.type.dynamic:
            return None
        if node.op == "aten::sym_numel":
            return math.prod(source.type.shape)
        dim = node.operands.get("dim")
        if node.op == "aten::sym_size.int" and isinstance(dim, int) and -source.type.rank <= dim < source.type.rank:
            return source.type.shape[dim]
        return None

    def _reshape(self, node: Node) -> bool:
        """Make of a reshaped constant another view into the file."""
        source = moves_elements(node) if node.op in ("aten::view_copy", "aten::unsqueeze_copy") else None
        value = self._now(source)
        if not isinstance(value, Value) or not node.output.tensor_type.contiguous:
            return False
        old, type = self.constants[value], node.output.tensor_type
        if not value.tensor_type.contiguous or math.prod(type.shape) != old.data.size:
            return False
        data = old.data.reshape(type.shape)
        data.flags.writeable = False
        self.new[node.output] = self._constant(data, type, value.name, file=old.file, offset=old.offset)
        return True

    def _made(self, value: Value, result: Any) -> Operand:
        if not isinstance(value.type, TensorType):
            scalar: int | float | bool = result
            return scalar
        result.flags.writeable = False
        return self._constant(result, value.type, "folded")

    def _constant(self, data: NDArray[Any], type: TensorType, name: str, **place: Any) -> Value:
        value = self.graph.constant(data, type, name, **place)
        self.constants[value] = self.graph.constants[-1]
        return value

    def _now(self, operand: Operand) -> Operand:
        """An operand, or what has taken its place."""
        return self.new.get(operand, operand) if isinstance(operand, Value) else operand

    def _content(self, operand: Operand) -> Any:
        if isinstance(operand, list):
            return [self._content(item) for item in operand]
        operand = self._now(operand)
        return self.constants[operand].data if isinstance(operand, Value) else operand


def _count(node: Node) -> float:
    """About how many elements an operator makes that takes sizes as numbers, whatever its output's type says."""
    count = 1.0
    for name in ("size", "repeats", "pad", "end"):
        operand = node.operands.get(name, 1)
        for number in operand if isinstance(operand, list) else [operand]:
            count *= max(abs(number), 1) if isinstance(number, int | float) else math.inf
    step, start = node.operands.get("step", 1), node.operands.get("start", 0)
    if isinstance(step, int | float) and isinstance(start, int | float) and step:
        return (count + abs(start)) / min(abs(step), 1)
    return math.inf


def _fold_branches(graph: Graph, constants: dict[Value, Constant]) -> bool:
    changed = False
    for block in graph.blocks:
        if isinstance(block.terminator, Branch):
            condition = block.terminator.condition
            if isinstance(condition, Value) and condition in constants:
                condition = bool(constants[condition].data.all())
            if isinstance(condition, bool):
                block.terminator = _taken(block.terminator, condition)
                changed = True
    return changed


def _taken(branch: Branch, condition: bool) -> Jump:
    return branch.if_true if condition else branch.if_false
