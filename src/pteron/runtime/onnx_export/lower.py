"""WholeMethod: a method's graph, blocks and all, as one graph of ONNX nodes.

Branches become ``If`` nodes: what lies between a branch and the block where its ways meet again is put into the two
branches, and the parameters of that block are the node's outputs. Loops have no such form here and are refused.
"""

from __future__ import annotations

from pteron.graph.ir import Block, Branch, Graph, Jump, Node, Operand, Return, Value, terminator_operands, values_in
from pteron.ops.lowering import Builder, Declined, Ref
from pteron.ops.lowering.builder import carrier, needed_nodes
from pteron.ops.lowering.elementwise import INT32
from pteron.ops.lowering.model_bytes import ELEMENT_TYPES, Attribute, GraphRecord, NodeRecord, ValueRecord
from pteron.ops.promotion import BFLOAT16, BOOL
from pteron.runtime.onnx_engine.model import Lowerer, spec_of

Refs = dict[Value, Ref]

MAX_BRANCHES = 64
"""Branches on one way through a method, each of which may be inside of the one before."""


class Unstructured(Exception):  # noqa: N818 - the caller says it in its own words
    """Control flow that ``If`` nodes cannot say; the message says what it is."""


class WholeMethod:
    """Lowers a graph; :meth:`run` gives what the method returns and leaves in its states.

    Raises :class:`Unstructured`.
    """

    def __init__(self, graph: Graph, lowerer: Lowerer) -> None:
        self.builder = Builder()
        self._graph = graph
        self._lowerer = lowerer
        self._made = {value for block in graph.blocks for node in block.nodes for value in node.outputs}
        self._made.update(value for block in graph.blocks for value in block.parameters)
        self._meetings = meetings(graph)
        self._nodes = 0
        self._branches = 0

    def run(self) -> tuple[list[Operand | Ref], list[Ref]]:
        """Values and states at the return; inputs and states are inputs ``v.<name>`` of the builder.

        Raises :class:`Declined` for a node or a type that has no lowering.
        """
        refs: Refs = {}
        for value in (*self._graph.inputs, *(state.value for state in self._graph.states)):
            ref = self._lowerer.leaf(self.builder, value, f"v.{value.name}")
            if value.is_tensor and value.tensor_type.dtype == BFLOAT16:
                # Given as float32, of which bfloat16 holds only some.
                ref = self.builder.round(ref, BFLOAT16)
            refs[value] = ref
        last, block = self._graph.entry, self._block(self._graph.entry, refs)
        while block is not None:
            last, block = block, self._block(block, refs)
        end = last.terminator
        assert isinstance(end, Return)
        states = zip(end.states, self._graph.states, strict=True)
        kept = [self._ref(operand, refs, state.value) for operand, state in states]
        return [self._ref(v, refs, v) if isinstance(v, Value) else v for v in end.values], kept

    def _block(self, block: Block, refs: Refs) -> Block | None:
        """Lower a block; the one that comes next, with its parameters in ``refs``, or None at the return."""
        for node in block.nodes:
            self._node(node, refs)
        match block.terminator:
            case Return():
                return None
            case Jump() as jump:
                return self._enter(jump, refs)
            case Branch(condition, if_true, if_false):
                if not isinstance(condition, Value):
                    return self._enter(if_true if condition else if_false, refs)
                return self._if(condition, if_true, if_false, refs, self._meetings[block])

    def _enter(self, jump: Jump, refs: Refs) -> Block:
        pairs = zip(jump.arguments, jump.target.parameters, strict=True)
        given = [self._ref(operand, refs, value) for operand, value in pairs]
        refs.update(zip(jump.target.parameters, given, strict=True))
        return jump.target

    def _node(self, node: Node, refs: Refs) -> None:
        for value in node.inputs():
            self._ref(value, refs, value)
        start = len(self.builder.nodes)
        self._lowerer.lower(self.builder, node, refs)
        for part, record in enumerate(self.builder.nodes[start:]):
            record.name = f"{self._nodes}/{node.op}" + (f"/{part}" if part else "")
        self._nodes += 1

    def _ref(self, operand: Operand, refs: Refs, wanted: Value) -> Ref:
        """An operand inside of the model, as the type of ``wanted``."""
        b, spec = self.builder, spec_of(wanted)
        if isinstance(operand, Value):
            if operand not in refs:
                if operand in self._made:
                    raise Declined(f"%{operand.name} is not there on every way")
                refs[operand] = self._lowerer.leaf(b, operand, f"v.{operand.name}")
            return b.cast(refs[operand], spec.dtype)
        if isinstance(operand, list) or operand is None or isinstance(operand, str):
            raise Declined(f"{operand!r} is handed from block to block")
        ref = b.const(operand, spec.dtype)
        ref.scalar = not wanted.is_tensor
        return ref

    # --- branches

    def _if(self, condition: Value, if_true: Jump, if_false: Jump, refs: Refs, meeting: Block) -> Block:
        asked = self._condition(self._ref(condition, refs, condition))
        number, self._branches = self._branches, self._branches + 1
        ways: dict[str, Attribute] = {
            "then_branch": self._way(if_true, meeting, dict(refs), f"then{number}"),
            "else_branch": self._way(if_false, meeting, dict(refs), f"else{number}"),
        }
        specs = [spec_of(value) for value in meeting.parameters]
        names = [f"if{number}.{i}" for i in range(len(specs))]
        node = NodeRecord("If", [asked.name], names, ways, name=f"if{number}")
        if names:
            self.builder.nodes.append(node)
        for value, spec, name in zip(meeting.parameters, specs, names, strict=True):
            refs[value] = Ref(name, spec.dtype, spec.shape, spec.dynamic, not value.is_tensor, producer=node)
        return meeting

    def _condition(self, ref: Ref) -> Ref:
        b = self.builder
        if ref.rank and (ref.shape != (1,) or ref.dynamic):
            return b.cast(b.op("ReduceMin", b.cast(ref, INT32), dtype=INT32, keepdims=0), BOOL)
        return b.reshape(ref, []) if ref.rank else ref

    def _way(self, jump: Jump, meeting: Block, refs: Refs, name: str) -> GraphRecord:
        """One side of a branch up to the meeting, as a graph that gives the arguments for its parameters."""
        b = self.builder
        outside, b.nodes = b.nodes, []
        try:
            block = self._enter(jump, refs)
            while block is not meeting:
                following = self._block(block, refs)
                assert following is not None
                block = following
            records = []
            for number, value in enumerate(meeting.parameters):
                ref, label = refs[value], f"{name}.{number}"
                b.nodes.append(NodeRecord("Identity", [ref.name], [label]))
                kind = ELEMENT_TYPES[carrier(ref.dtype)]
                records.append(ValueRecord(label, kind, None if ref.dynamic else ref.shape))
            nodes = needed_nodes(b.nodes, [record.name for record in records])
        finally:
            b.nodes = outside
        return GraphRecord(nodes, [], records, [], name)


def meetings(graph: Graph) -> dict[Block, Block]:
    """For each block with a branch, the first block that every way from it leads through.

    Raises :class:`Unstructured` for loops, for branches whose ways end apart, and for too many inside of each other.
    """
    order = _callees_first(graph)
    place = {block: number for number, block in enumerate(order)}
    # The next block that every way leads through; the return's is none.
    after: dict[Block, Block | None] = {}
    depth: dict[Block, int] = {}
    found: dict[Block, Block] = {}
    for block in order:
        following = _following(block)
        depth[block] = max((depth[other] for other in following), default=0)
        if len(following) < 2:
            after[block] = following[0] if following else None
            continue
        left, right = following
        while left is not right:
            later, earlier = (left, right) if place[left] > place[right] else (right, left)
            onward = after[later]
            if onward is None:
                raise Unstructured("a branch whose ways do not meet again")
            left, right = onward, earlier
        after[block] = found[block] = left
        depth[block] += 1
    if any(number > MAX_BRANCHES for number in depth.values()):
        raise Unstructured(f"more than {MAX_BRANCHES} branches on one way")
    return found


def _following(block: Block) -> list[Block]:
    match block.terminator:
        case Jump(target):
            return [target]
        case Branch(_, if_true, if_false):
            return [if_true.target, if_false.target]
    return []


def _callees_first(graph: Graph) -> list[Block]:
    """The blocks that can be reached, each after all that follow it; raises :class:`Unstructured` for loops."""
    order: list[Block] = []
    # How many of a block's followers were visited; one more when it is done.
    state = {graph.entry: 0}
    stack = [graph.entry]
    while stack:
        block = stack[-1]
        following = _following(block)
        if state[block] == len(following):
            state[block] += 1
            order.append(stack.pop())
            continue
        target = following[state[block]]
        state[block] += 1
        if target not in state:
            state[target] = 0
            stack.append(target)
        elif state[target] <= len(_following(target)):
            raise Unstructured("a loop")
    return order


def used_values(graph: Graph) -> set[Value]:
    """Every value that a node or a terminator reads."""
    used = {value for node in graph.nodes() for value in node.inputs()}
    for block in graph.blocks:
        used.update(value for operand in terminator_operands(block.terminator) for value in values_in(operand))
    return used
