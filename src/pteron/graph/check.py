"""Whether a graph holds together: SSA, scopes, operators and types."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pteron.errors import PteronError
from pteron.graph.ir import Branch, Graph, Jump, Operand, Return, Value, terminator_operands, values_in
from pteron.graph.printer import print_node
from pteron.ops.schema import Schema

FindSchema = Callable[[str], Schema | None]


class GraphError(PteronError):
    """A graph breaks a rule of its own."""


def check_graph(graph: Graph, schema_of: FindSchema | None = None) -> None:
    """Raise ``GraphError`` naming the first node that breaks a rule.

    Checked: every value is defined once, before its use and in a block that dominates it only through parameters
    (values of one block are not used in another); arguments fit parameters in number; each Return gives every state;
    names are unique; with ``schema_of`` also that operators exist and their arguments are known to the schema.
    """
    shared = [*graph.inputs, *(c.value for c in graph.constants), *(s.value for s in graph.states)]
    names: set[str] = set()
    _define(shared, names, "the graph's boundary")
    if not graph.blocks:
        raise GraphError(f"graph {graph.name} has no block")
    for block in graph.blocks:
        visible = {id(v) for v in shared}
        _define(block.parameters, names, f"the parameters of {block.name}")
        visible.update(id(v) for v in block.parameters)
        for node in block.nodes:
            where = f"{block.name}: {print_node(node)}"
            _used(node.inputs(), visible, where)
            _define(node.outputs, names, where)
            visible.update(id(v) for v in node.outputs)
            if any(v.producer is not node for v in node.outputs):
                raise GraphError(f"{where}: a result names another node as its producer")
            if schema_of:
                _check_schema(node.op, node.operands, len(node.outputs), schema_of(node.op), where)
        where = f"the end of {block.name}"
        _used((v for o in terminator_operands(block.terminator) for v in values_in(o)), visible, where)
        match block.terminator:
            case Return(states=states) if len(states) != len(graph.states):
                raise GraphError(f"{where} gives {len(states)} states, the graph has {len(graph.states)}")
            case Jump() as jump:
                _check_jump(graph, jump, where)
            case Branch() as branch:
                _check_jump(graph, branch.if_true, where)
                _check_jump(graph, branch.if_false, where)
            case _:
                pass


def _define(values: Iterable[Value], names: set[str], where: str) -> None:
    for value in values:
        if value.name in names:
            raise GraphError(f"{where}: %{value.name} is defined twice")
        names.add(value.name)


def _used(values: Iterable[Value], visible: set[int], where: str) -> None:
    for value in values:
        if id(value) not in visible:
            raise GraphError(f"{where}: %{value.name} is used where it is not defined")


def _check_jump(graph: Graph, jump: Jump, where: str) -> None:
    if all(jump.target is not block for block in graph.blocks):
        raise GraphError(f"{where}: {jump.target.name} is no block of the graph")
    if len(jump.arguments) != len(jump.target.parameters):
        given, wanted = len(jump.arguments), len(jump.target.parameters)
        raise GraphError(f"{where}: {given} arguments for the {wanted} parameters of {jump.target.name}")


def _check_schema(op: str, operands: dict[str, Operand], outputs: int, schema: Schema | None, where: str) -> None:
    if schema is None:
        raise GraphError(f"{where}: no operator {op}")
    known = {a.name: a for a in schema.arguments}
    unknown = [name for name in operands if name not in known]
    if unknown:
        raise GraphError(f"{where}: {op} has no argument {unknown[0]!r}")
    missing = [a.name for a in schema.arguments if a.default is None and a.name not in operands]
    if missing:
        raise GraphError(f"{where}: {op} lacks the argument {missing[0]!r}")
    written = sum(a.writes for a in schema.arguments)
    results = sum(not r.writes for r in schema.returns)
    is_list = len(schema.returns) == 1 and schema.returns[0].type.startswith("Tensor[")
    if not is_list and outputs != results + written:
        raise GraphError(f"{where}: {op} has {results + written} results")
