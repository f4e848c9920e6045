"""Builder: appends nodes to a block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pteron.format.scalar_type import ScalarType, from_dtype
from pteron.graph.ir import Block, Graph, Node, Operand, ScalarKind, TensorType, Value


class Builder:
    """Appends nodes to ``block``; ``source`` is noted in every node (``instruction 12``)."""

    def __init__(self, graph: Graph, block: Block, source: str = "") -> None:
        self.graph = graph
        self.block = block
        self.source = source

    def node(self, op: str, operands: dict[str, Operand], types: Sequence[TensorType | ScalarKind]) -> list[Value]:
        """Call ``op`` and give back its outputs, one of each type."""
        outputs = [self.graph.value(type) for type in types]
        self.block.nodes.append(Node(op, operands, outputs, self.source))
        return outputs

    def call(self, op: str, operands: dict[str, Operand], type: TensorType | ScalarKind) -> Value:
        """Call an operator with one output."""
        return self.node(op, operands, (type,))[0]

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The contiguous, static tensor ``value`` under another shape; itself where it has that shape."""
        type = value.tensor_type
        if type.shape == shape and not type.dynamic:
            return value
        return self.call("aten::view_copy", {"self": value, "size": list(shape)}, TensorType(type.scalar_type, shape))

    def number(self, value: int | float | bool) -> Value:
        """A Python number as a constant tensor without dimensions: float32, int64 or bool."""
        data = np.asarray(value, np.float32 if isinstance(value, float) else None)
        data.flags.writeable = False
        return self.graph.constant(data, TensorType(from_dtype(data.dtype), ()), "number")

    def scalar_tensor(self, value: Value) -> Value:
        """A scalar value as a tensor without dimensions."""
        kinds = {"int": ScalarType.LONG, "float": ScalarType.FLOAT, "bool": ScalarType.BOOL}
        assert isinstance(value.type, str)
        return self.call("aten::scalar_tensor", {"s": value}, TensorType(kinds[value.type], ()))
