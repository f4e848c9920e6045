from __future__ import annotations

from collections.abc import Callable

import pytest
from graph_equality import schema_of
from graph_text import read_graph

from pteron.format.scalar_type import ScalarType
from pteron.graph import Block, Graph, Jump, Node, Return, TensorType, Value
from pteron.graph.check import GraphError, check_graph

TEXT = """
    graph forward(%x: float32[2]) {
      state %s: float32[2]
    block0:
      %1: float32[2] = aten::neg(self=%x)
      jump block1(%1)
    block1(%a: float32[2]):
      %2: float32[2] = aten::add.Tensor(self=%a, other=%s)
      return %2 states %2
    }
"""


def value(graph: Graph) -> Value:
    return graph.value(TensorType(ScalarType.FLOAT, (2,)))


def no_blocks(graph: Graph) -> None:
    graph.blocks = []


def use_before_definition(graph: Graph) -> None:
    graph.blocks[1].nodes.insert(0, Node("aten::neg", {"self": graph.blocks[1].nodes[0].output}, [value(graph)]))


def use_across_blocks(graph: Graph) -> None:
    graph.blocks[1].nodes[0].operands["other"] = graph.blocks[0].nodes[0].output


def use_in_a_list(graph: Graph) -> None:
    graph.blocks[1].nodes.append(Node("aten::cat", {"tensors": [value(graph)]}, [value(graph)]))


def two_definitions(graph: Graph) -> None:
    graph.blocks[1].nodes.append(Node("aten::neg", {"self": graph.inputs[0]}, [Value("x", graph.inputs[0].type)]))


def another_producer(graph: Graph) -> None:
    graph.blocks[0].nodes[0].output.producer = None


def jump_away(graph: Graph) -> None:
    graph.blocks[0].terminator = Jump(Block("elsewhere"))


def arguments_missing(graph: Graph) -> None:
    graph.blocks[0].terminator = Jump(graph.blocks[1])


def states_missing(graph: Graph) -> None:
    graph.blocks[1].terminator = Return([])


def unknown_operator(graph: Graph) -> None:
    graph.blocks[0].nodes[0].op = "aten::nothing"


def unknown_argument(graph: Graph) -> None:
    graph.blocks[0].nodes[0].operands["extra"] = 1


def missing_argument(graph: Graph) -> None:
    graph.blocks[0].nodes[0].operands.clear()


def too_many_results(graph: Graph) -> None:
    node = graph.blocks[0].nodes[0]
    node.outputs.append(value(graph))
    node.outputs[1].producer = node


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_blocks, "graph forward has no block"),
        (use_before_definition, "is used where it is not defined"),
        (use_across_blocks, "%1 is used where it is not defined"),
        (use_in_a_list, "is used where it is not defined"),
        (two_definitions, "%x is defined twice"),
        (another_producer, "a result names another node as its producer"),
        (jump_away, "elsewhere is no block of the graph"),
        (arguments_missing, "0 arguments for the 1 parameters of block1"),
        (states_missing, "gives 0 states, the graph has 1"),
        (unknown_operator, "no operator aten::nothing"),
        (unknown_argument, "aten::neg has no argument 'extra'"),
        (missing_argument, "aten::neg lacks the argument 'self'"),
        (too_many_results, "aten::neg has 1 results"),
    ],
)
def test_a_broken_rule_is_named(damage: Callable[[Graph], None], message: str) -> None:
    graph = read_graph(TEXT)
    damage(graph)
    with pytest.raises(GraphError) as caught:
        check_graph(graph, schema_of)
    assert message in str(caught.value)
