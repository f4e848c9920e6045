"""Reads a graph in the notation that the printer writes, so that tests of passes can say before and after."""

from __future__ import annotations

import math
import re
from textwrap import dedent
from typing import Any

import numpy as np
from graph_equality import same, schema_of

from pteron.format.scalar_type import ScalarType
from pteron.graph import Block, Branch, Constant, Graph, Jump, Node, Return, State, TensorType, Value
from pteron.graph.check import check_graph
from pteron.graph.evaluate import evaluate

_KINDS = {kind.torch_name: kind for kind in ScalarType}
_TENSOR = re.compile(r"(\w+)\[([≤\d, ]*)\](?: order \[([\d, ]*)\])?$")
_VALUE = re.compile(r"%([\w.]+): ((?:\w+\[[^\]]*\](?: order \[[^\]]*\])?)|int|float|bool)")


class Reader:
    """``data`` are contents of constants by name; others hold 1, 2, 3 …"""

    def __init__(self, text: str, data: dict[str, Any]) -> None:
        self.graph = Graph("forward")
        self.values: dict[str, Value] = {}
        self.data = data
        lines = [line for line in dedent(text).strip().splitlines() if line.strip()]
        self.graph.blocks = [Block(line.partition(":")[0].partition("(")[0]) for line in lines if line[0] not in " g}"]
        self.blocks = {block.name: block for block in self.graph.blocks}
        current = self.graph.blocks[0]
        for line in lines:
            if line.startswith("graph "):
                self.graph.inputs = self.define(line)
            elif line.startswith("block"):
                current = self.blocks[line.partition(":")[0].partition("(")[0]]
                current.parameters = self.define(line)
            elif line.startswith("  constant "):
                self.constant(*self.define(line))
            elif line.startswith("  state "):
                self.graph.states.append(State(*self.define(line)))
            elif line.startswith("  "):
                self.instruction(current, line.strip())

    def define(self, text: str) -> list[Value]:
        found = []
        for name, type in _VALUE.findall(text):
            value = self.graph.value(_type(type), name)
            assert value.name == name, f"%{name} is defined twice"
            self.values[name] = value
            found.append(value)
        return found

    def constant(self, value: Value) -> None:
        type = value.tensor_type
        data = self.data.get(value.name, np.arange(1, math.prod(type.shape) + 1).reshape(type.shape))
        self.graph.constants.append(Constant(value, np.asarray(data, type.dtype)))

    def instruction(self, block: Block, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "return":
            values, _, states = rest.partition("states ")
            block.terminator = Return(self.operands(values), self.operands(states))
        elif word == "jump":
            block.terminator = self.jump(rest)
        elif word == "branch":
            condition, _, targets = rest.partition(" ? ")
            yes, _, no = targets.partition(" : ")
            block.terminator = Branch(self.operands(condition)[0], self.jump(yes), self.jump(no))
        else:
            results, _, call = line.rpartition(" = ") if " = " in line.partition("(")[0] else ("", "", line)
            op, _, arguments = call.partition("(")
            operands = eval(f"dict({_quoted(arguments)}", {"inf": math.inf, "nan": math.nan, "dict": dict})
            node = Node(op, {k: self.operand(v) for k, v in operands.items()}, [])
            node.outputs = self.define(results)
            for value in node.outputs:
                value.producer = node
            block.nodes.append(node)

    def jump(self, text: str) -> Jump:
        name, _, arguments = text.strip().partition("(")
        return Jump(self.blocks[name], self.operands(arguments.rstrip(")")))

    def operands(self, text: str) -> list[Any]:
        return [self.operand(item) for item in eval(f"[{_quoted(text)}]", {"inf": math.inf, "nan": math.nan})]

    def operand(self, item: Any) -> Any:
        if isinstance(item, list):
            return [self.operand(each) for each in item]
        return self.values[item[1:]] if isinstance(item, str) and item.startswith("%") else item


def _quoted(text: str) -> str:
    return re.sub(r"%[\w.]+", r"'\g<0>'", text)


def _type(text: str) -> Any:
    found = _TENSOR.match(text)
    if not found:
        return text
    shape = tuple(int(n) for n in re.findall(r"\d+", found[2]))
    order = tuple(int(n) for n in re.findall(r"\d+", found[3] or ""))
    return TensorType(_KINDS[found[1]], shape, "≤" in found[2], order)


def read_graph(text: str, **data: Any) -> Graph:
    """The graph that a text describes, checked."""
    graph = Reader(text, data).graph
    check_graph(graph, schema_of)
    return graph


def expect_pass(run: Any, before: str, after: str, **data: Any) -> None:
    """The pass makes ``after`` of ``before``, says so, and both graphs give the same outputs and states.

    ``before`` and ``after`` are without the closing brace; values get new names in the order of the text.
    """
    graph, twin = read_graph(before, **data), read_graph(before, **data)
    expected = read_graph(after, **data)
    assert run(graph) is (renamed(expected) != renamed(twin)), graph
    check_graph(graph, schema_of)
    assert renamed(graph) == renamed(expected)
    inputs = [example(value.tensor_type, n) for n, value in enumerate(graph.inputs)]
    results, states = evaluate(graph, inputs)
    old_results, old_states = evaluate(twin, inputs)
    assert len(results) == len(old_results)
    assert all(map(same, old_results, results))
    assert all(map(same, [s for s in old_states if any(same(s, t) for t in states)], states))


def example(type: TensorType, seed: int) -> np.ndarray[Any, Any]:
    """Some array of that type, at its upper bound."""
    numbers = np.random.default_rng(seed).integers(0, 2 if type.scalar_type is ScalarType.BOOL else 9, type.shape)
    return numbers.astype(type.dtype)


def renamed(graph: Graph) -> str:
    """The printed graph with values numbered in the order in which they appear."""
    names: dict[str, str] = {}
    return re.sub(r"%[\w.]+", lambda found: names.setdefault(found[0], f"%{len(names)}"), str(graph))
