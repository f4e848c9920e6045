"""evaluate: a graph's meaning, computed with the reference kernels.

It does what the instructions that a graph was lifted from do: the same kernels in the same order, each result stored
into its output's type, so that lifting can be held to the reference engine bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pteron.errors import ExecutionError, InputError, KernelError, PteronError
from pteron.format.limits import DEFAULT_LIMITS
from pteron.graph.ir import Block, Branch, Graph, Jump, Node, Operand, Return, State, TensorType, Value
from pteron.ops.invoke import default_value
from pteron.ops.promotion import check_cast
from pteron.ops.registry import REGISTRY, Operator, Registry

COPY_INDEX = "executorch_prim::et_copy_index.tensor"
DELEGATE = "delegate::"

RunDelegate = Callable[[Node, list[Any], list[TensorType]], Sequence[NDArray[Any]]]
"""Runs a delegate node: the node, the contents of ``args`` (None where it writes) and the types of its outputs."""


def initial_state(graph: Graph) -> list[Any]:
    """What each state holds when the method is loaded."""
    return [_initial(state) for state in graph.states]


def evaluate(
    graph: Graph,
    inputs: Sequence[Any],
    state: Sequence[Any] | None = None,
    *,
    operators: Registry = REGISTRY,
    rng: np.random.Generator | None = None,
    delegate: RunDelegate | None = None,
    max_steps: int = DEFAULT_LIMITS.max_instructions,
) -> tuple[list[Any], list[Any]]:
    """Outputs and new state of one call.

    ``inputs`` are arrays for ``graph.inputs``, ``state`` what the call before left (None: :func:`initial_state`).
    ``rng`` is what random operators draw from, ``delegate`` runs ``delegate::`` nodes, ``max_steps`` bounds the nodes
    and jumps that are run. Raises ``InputError`` for inputs that do not fit, ``ExecutionError`` where a node fails.
    """
    return _Evaluation(graph, operators, rng, delegate, max_steps).run(inputs, state)


def store(type: TensorType, result: Any) -> NDArray[Any]:
    """A result as an array of ``type``: its sizes where they may differ, its elements converted, laid out densely.

    Raises ``KernelError`` for sizes or elements that the type cannot take. This is what storing into an out tensor
    does, but for the upper bound, which an array of its own need not keep.
    """
    array = np.asarray(result)
    if array.ndim != type.rank or (array.shape != type.shape and not type.dynamic):
        raise KernelError(f"a result of shape {list(array.shape)} does not fit {type}")
    if array.dtype != type.dtype:
        check_cast(array.dtype, type.dtype)
    stored = _empty(type, array.shape)
    np.copyto(stored, array, casting="unsafe")
    return stored


def run_node(
    node: Node, operands: dict[str, Any], operators: Registry = REGISTRY, rng: np.random.Generator | None = None
) -> list[Any]:
    """The contents of a node's outputs, for contents of its operands; delegates excepted.

    Raises ``KernelError`` where the operator refuses them, and whatever NumPy raises.
    """
    if node.op == COPY_INDEX:
        return [_copy_index(node.output.tensor_type, **operands)]
    operator = operators.by_functional(node.op)
    if operator is None:
        raise KernelError("there is no such operator")
    return _call(operator, node, operands, rng)


class _Evaluation:
    def __init__(
        self,
        graph: Graph,
        operators: Registry,
        rng: np.random.Generator | None,
        delegate: RunDelegate | None,
        max_steps: int,
    ) -> None:
        self.graph = graph
        self.operators = operators
        self.rng = rng if rng is not None else np.random.default_rng()
        self.delegate = delegate
        self.left = max_steps
        self.shared: dict[Value, Any] = {}

    def run(self, inputs: Sequence[Any], state: Sequence[Any] | None) -> tuple[list[Any], list[Any]]:
        graph = self.graph
        state = initial_state(graph) if state is None else state
        if len(inputs) != len(graph.inputs) or len(state) != len(graph.states):
            raise InputError(
                f"graph {graph.name}: {len(inputs)} inputs and {len(state)} states given, "
                f"{len(graph.inputs)} and {len(graph.states)} needed"
            )
        for value, given in zip(graph.inputs, inputs, strict=True):
            self.shared[value] = _input(value, given)
        self.shared.update((constant.value, constant.data) for constant in graph.constants)
        self.shared.update(zip((s.value for s in graph.states), state, strict=True))
        with np.errstate(all="ignore"):
            return self._run_blocks()

    def _run_blocks(self) -> tuple[list[Any], list[Any]]:
        block, arguments = self.graph.entry, list[Any]()
        while True:
            self._step()
            values = {**self.shared, **dict(zip(block.parameters, arguments, strict=True))}
            self._run_nodes(block, values)
            match block.terminator:
                case Return(results, states):
                    return [_read(o, values) for o in results], [_read(o, values) for o in states]
                case Jump() as jump:
                    pass
                case Branch(condition, if_true, if_false):
                    jump = if_true if np.asarray(_read(condition, values)).all() else if_false
            block, arguments = jump.target, [_read(o, values) for o in jump.arguments]

    def _run_nodes(self, block: Block, values: dict[Value, Any]) -> None:
        for node in block.nodes:
            self._step()
            try:
                values.update(zip(node.outputs, self._results(node, values), strict=True))
            except PteronError as error:
                raise self._located(node, str(error)) from error
            except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, MemoryError) as error:
                raise self._located(node, str(error) or type(error).__name__) from error
            except Exception as error:
                raise self._located(node, f"the kernel failed with {type(error).__name__}: {error}") from error

    def _results(self, node: Node, values: dict[Value, Any]) -> list[Any]:
        operands = {name: _read(operand, values) for name, operand in node.operands.items()}
        if not node.op.startswith(DELEGATE):
            return run_node(node, operands, self.operators, self.rng)
        if self.delegate is None:
            raise KernelError("nothing to run delegates with was given")
        types = [value.tensor_type for value in node.outputs]
        results = self.delegate(node, operands["args"], types)
        return [store(type, result) for type, result in zip(types, results, strict=True)]

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ExecutionError(f"graph {self.graph.name}: more steps than max_steps allows")

    def _located(self, node: Node, problem: str) -> ExecutionError:
        return ExecutionError(f"graph {self.graph.name}, {node.source or 'a node'} ({node.op}): {problem}")


def _call(operator: Operator, node: Node, operands: dict[str, Any], rng: np.random.Generator | None) -> list[Any]:
    first = node.outputs[0].type if node.outputs else None
    arguments: dict[str, Any] = {"rng": rng, "out_dtype": first.dtype if isinstance(first, TensorType) else None}
    written: list[NDArray[Any]] = []
    results = len(node.outputs) - sum(argument.writes for argument in operator.functional.arguments)
    for argument in operator.functional.arguments:
        if argument.name in operands:
            content = operands[argument.name]
            if argument.writes:
                # The kernel changes this array; the value that it comes from stays as it is.
                type = node.outputs[results + len(written)].tensor_type
                written.append(store(type, content))
                content = written[-1]
            arguments[argument.name] = content
        else:
            arguments[argument.name] = None if argument.default is None else default_value(argument.default)
    returned = operator.kernel(**{name: arguments[name] for name in operator.parameters})
    if len(operator.functional.returns) == 1 and not operator.functional.returns[0].type.startswith("Tensor["):
        returned = (returned,)
    stored = []
    if results:
        for value, result in zip(node.outputs[:results], returned, strict=True):
            stored.append(store(value.type, result) if isinstance(value.type, TensorType) else _scalar(result))
    return [*stored, *written]


def _copy_index(type: TensorType, copy_to: NDArray[Any], copy_from: NDArray[Any], index: int) -> NDArray[Any]:
    """``et_copy_index``: a dynamic target has ``index + 1`` rows afterwards, a static one keeps its rows."""
    if index < 0 or copy_to.ndim != copy_from.ndim + 1 or copy_to.shape[1:] != copy_from.shape:
        raise KernelError(f"row {index} of shape {list(copy_from.shape)} does not fit {list(copy_to.shape)}")
    if copy_to.dtype != copy_from.dtype or index > len(copy_to) or (not type.dynamic and index == len(copy_to)):
        raise KernelError(f"row {index} of {copy_from.dtype.name} does not fit {copy_to.dtype.name}{copy_to.shape}")
    rows = store(type, np.concatenate([copy_to[:index], copy_from[np.newaxis]]) if type.dynamic else copy_to)
    rows[index] = copy_from
    return rows


def _read(operand: Operand, values: dict[Value, Any]) -> Any:
    if isinstance(operand, Value):
        return values[operand]
    if isinstance(operand, list):
        return [_read(item, values) for item in operand]
    return operand


def _scalar(result: Any) -> Any:
    return result.item() if isinstance(result, np.generic | np.ndarray) else result


def _input(value: Value, given: Any) -> NDArray[Any]:
    type = value.tensor_type
    array = np.asarray(given)
    fits = array.ndim == type.rank and array.dtype == type.dtype
    if fits and type.dynamic:
        fits = all(n <= bound for n, bound in zip(array.shape, type.shape, strict=True))
    if not fits or (array.shape != type.shape and not type.dynamic):
        raise InputError(f"input %{value.name} must be {type}, not {array.dtype.name}{list(array.shape)}")
    stored = _empty(type, array.shape)
    np.copyto(stored, array)
    return stored


def _initial(state: State) -> Any:
    if not isinstance(state.value.type, TensorType):
        return state.initial
    type = state.value.type
    if state.initial is None:
        stored = _empty(type, type.shape)
        stored.fill(0)
        return stored
    return store(type, state.initial)


def _empty(type: TensorType, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array of that shape, laid out in the type's dim order."""
    if type.contiguous:
        return np.empty(shape, type.dtype)
    stored = np.empty([shape[dim] for dim in type.dim_order], type.dtype)
    return stored.transpose(np.argsort(type.dim_order))
