from __future__ import annotations

import numpy as np
import pytest
from graph_text import read_graph

from pteron.errors import ExecutionError, InputError, KernelError
from pteron.format.scalar_type import ScalarType
from pteron.graph import TensorType
from pteron.graph.evaluate import evaluate, initial_state, store

LAST = TensorType(ScalarType.FLOAT, (1, 2, 2, 3), False, (0, 2, 3, 1))


def test_a_result_is_stored_into_the_type() -> None:
    stored = store(TensorType(ScalarType.FLOAT, (2,)), np.array([1, 2], np.int64))
    assert stored.dtype == np.float32
    assert store(TensorType(ScalarType.FLOAT, (4,), True), np.zeros(3, np.float32)).shape == (3,)
    assert store(LAST, np.zeros((1, 2, 2, 3), np.float32)).strides == (48, 4, 24, 8)


@pytest.mark.parametrize(
    ("type", "result", "message"),
    [
        (TensorType(ScalarType.FLOAT, (2,)), np.zeros(3, np.float32), r"shape \[3\] does not fit float32\[2\]"),
        (TensorType(ScalarType.FLOAT, (2,), True), np.zeros((1, 1)), r"shape \[1, 1\] does not fit float32\[≤2\]"),
        (TensorType(ScalarType.INT, (2,)), np.zeros(2, np.float32), "float32 cannot be stored as int32"),
    ],
)
def test_what_does_not_fit_the_type_is_refused(type: TensorType, result: np.ndarray, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(KernelError, match=message):
        store(type, result)


def test_arguments_that_a_node_writes_are_copies() -> None:
    graph = read_graph(
        """
        graph forward(%x: float32[1, 1, 1, 2]) {
          state %cache: float32[1, 3, 1, 2]
        block0:
          %1: float32[1], %2: float32[1, 3, 1, 2] = llama::update_cache(value=%x, cache=%cache, start_pos=1)
          return %2, %cache states %2
        }
        """
    )
    x, state = np.ones((1, 1, 1, 2), np.float32), initial_state(graph)
    (new, old), states = evaluate(graph, [x], state)
    assert new.ravel().tolist() == [0, 0, 1, 1, 0, 0]
    assert not old.any()
    assert not state[0].any()
    assert states[0] is new


def test_state_goes_from_call_to_call() -> None:
    graph = read_graph(
        """
        graph forward(%x: float32[2]) {
          state %total: float32[2]
          state %calls: int
        block0:
          %1: float32[2] = aten::add.Tensor(self=%total, other=%x)
          %2: int = executorch_prim::add.Scalar(a=%calls, b=1)
          return %1 states %1, %2
        }
        """
    )
    graph.states[0].initial = np.array([10, 20], np.float32)
    graph.states[1].initial = 5
    x = np.array([1, 2], np.float32)
    _, state = evaluate(graph, [x])
    (total,), state = evaluate(graph, [x], state)
    assert total.tolist() == [12, 24]
    assert state[1] == 7


def test_a_branch_on_a_tensor_asks_for_all_elements() -> None:
    graph = read_graph(
        """
        graph forward(%x: bool[2]) {
        block0:
          branch %x ? block1 : block2
        block1:
          return 1
        block2:
          return 2
        }
        """
    )
    assert evaluate(graph, [np.array([True, True])])[0] == [1]
    assert evaluate(graph, [np.array([True, False])])[0] == [2]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "0 inputs and 0 states given, 1 and 0 needed"),
        ([np.zeros(3, np.float32)], r"input %x must be float32\[2\], not float32\[3\]"),
        ([np.zeros(2, np.int64)], r"input %x must be float32\[2\], not int64\[2\]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: list[np.ndarray], message: str) -> None:  # type: ignore[type-arg]
    graph = read_graph("graph forward(%x: float32[2]) {\nblock0:\n  return %x\n}")
    with pytest.raises(InputError, match=message):
        evaluate(graph, inputs)


def test_a_failing_node_is_named() -> None:
    graph = read_graph(
        """
        graph forward(%x: float32[2]) {
        block0:
          %1: float32[3] = aten::view_copy(self=%x, size=[3])
          return %1
        }
        """
    )
    next(graph.nodes()).source = "instruction 4"
    with pytest.raises(ExecutionError, match=r"graph forward, instruction 4 \(aten::view_copy\): .*shape \[2\]"):
        evaluate(graph, [np.zeros(2, np.float32)])


@pytest.mark.parametrize(
    ("type", "index", "rows", "result"),
    [
        ("float32[3, 1]", 1, 3, [0, 7, 0]),
        ("float32[≤3, ≤1]", 1, 3, [0, 7]),
        ("float32[≤3, ≤1]", 2, 2, [0, 0, 7]),
    ],
)
def test_copy_index(type: str, index: int, rows: int, result: list[float]) -> None:
    graph = read_graph(
        f"""
        graph forward(%a: {type}, %b: float32[1]) {{
        block0:
          %1: {type} = executorch_prim::et_copy_index.tensor(copy_to=%a, copy_from=%b, index={index})
          return %1
        }}
        """
    )
    target = np.zeros((rows, 1), np.float32)
    (written,), _ = evaluate(graph, [target, np.array([7], np.float32)])
    assert written.ravel().tolist() == result
    assert not target.any()


@pytest.mark.parametrize(("type", "index"), [("float32[3, 1]", 3), ("float32[≤3, ≤1]", 4), ("float32[3, 1]", -1)])
def test_copy_index_out_of_reach(type: str, index: int) -> None:
    graph = read_graph(
        f"""
        graph forward(%a: {type}, %b: float32[1]) {{
        block0:
          %1: {type} = executorch_prim::et_copy_index.tensor(copy_to=%a, copy_from=%b, index={index})
          return %1
        }}
        """
    )
    with pytest.raises(ExecutionError, match="does not fit"):
        evaluate(graph, [np.zeros((3, 1), np.float32), np.zeros(1, np.float32)])
