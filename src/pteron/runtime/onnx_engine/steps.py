"""The steps of a prepared block: one ONNX Runtime session, or one reference kernel.

A step reads and writes ``env``, the values of the running block by slot. Tensors are NumPy arrays, scalars Python
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pteron.errors import ExecutionError, KernelError, PteronError
from pteron.graph.evaluate import COPY_INDEX, store
from pteron.graph.ir import Node, Operand, TensorType, Value
from pteron.ops.invoke import default_value
from pteron.ops.promotion import BFLOAT16, FLOAT32, Array
from pteron.ops.registry import Operator
from pteron.runtime.onnx_engine.errors import run_error
from pteron.runtime.onnx_engine.model import SegmentModel

Env = list[Any]
Step = Callable[[Env], None]


def to_model(value: Value) -> Callable[[Any], Any] | None:
    """What turns a value into what a model takes; None where it is that already."""
    if not isinstance(value.type, TensorType):
        dtype = {"int": np.int64, "float": np.float64, "bool": np.bool_}[value.type]
        return lambda number: np.asarray(number, dtype)
    if value.type.dtype == BFLOAT16:
        return lambda array: array.astype(FLOAT32)
    return None


def from_model(value: Value) -> Callable[[Any], Any] | None:
    """What turns a model's result into the value; None where it is that already."""
    if not isinstance(value.type, TensorType):
        kind = {"int": int, "float": float, "bool": bool}[value.type]
        return lambda array: kind(array.item())
    if value.type.dtype == BFLOAT16:
        return lambda array: array.astype(BFLOAT16)
    return None


class SessionStep:
    """One segment, run by ``session``; values lie in the slots that ``slot_of`` gives."""

    def __init__(self, session: Any, model: SegmentModel, slot_of: Callable[[Value], int], where: str) -> None:
        self.model = model
        self.session = session
        self._where = where
        # The method of the C++ object: the Python class around it costs as much as a small model.
        self._run = session._sess.run
        self._inputs = [(name, slot_of(value), to_model(value)) for name, value in model.inputs]
        self._outputs = [(slot_of(value), from_model(value)) for _, value in model.outputs]
        self._names = [name for name, _ in model.outputs]

    def __call__(self, env: Env) -> None:
        feeds = {name: env[slot] if turn is None else turn(env[slot]) for name, slot, turn in self._inputs}
        try:
            results = self._run(self._names, feeds, None)
        except Exception as error:
            raise run_error(error, self.model.labels, self._where) from error
        for (slot, turn), result in zip(self._outputs, results, strict=True):
            env[slot] = result if turn is None else turn(result)


@dataclass(frozen=True)
class Kept:
    """A state whose memory a session writes into: names in the model, and the slots of the old and new value."""

    input: str
    output: str
    old: int
    new: int


class BoundStep(SessionStep):
    """A segment that updates states in place: old and new value are bound to the same memory."""

    def __init__(
        self,
        session: Any,
        model: SegmentModel,
        slot_of: Callable[[Value], int],
        where: str,
        kept: Sequence[Kept],
    ) -> None:
        super().__init__(session, model, slot_of, where)
        self._kept = kept
        names = {state.input for state in kept}
        self._inputs = [item for item in self._inputs if item[0] not in names]
        updated = {state.output for state in kept}
        self._fresh = [
            (name, *place) for name, place in zip(self._names, self._outputs, strict=True) if name not in updated
        ]
        self._device: Any = None
        self._bound: list[Array | None] = [None] * len(kept)
        self._binding: Any = None

    def _bind(self, states: list[Array]) -> None:
        from onnxruntime import OrtDevice, OrtValue

        self._device = OrtDevice.make("cpu", 0)._get_c_device()
        self._binding = self.session.io_binding()
        for name, *_ in self._fresh:
            self._binding._iobinding.bind_output(name, self._device)
        for state, array in zip(self._kept, states, strict=True):
            value = OrtValue.ortvalue_from_numpy(array)
            if value.data_ptr() != array.ctypes.data:
                raise ExecutionError(f"{self._where}: ONNX Runtime copied a state instead of sharing it")
            self._binding.bind_ortvalue_input(state.input, value)
            self._binding.bind_ortvalue_output(state.output, value)
        self._bound = list(states)

    def __call__(self, env: Env) -> None:
        states = [env[state.old] for state in self._kept]
        if any(a is not b for a, b in zip(states, self._bound, strict=True)):
            self._bind(states)
        inner = self._binding._iobinding
        alive = []  # a binding borrows the memory
        for name, slot, turn in self._inputs:
            given = env[slot] if turn is None else turn(env[slot])
            alive.append(given if given.flags.c_contiguous else np.ascontiguousarray(given))
            inner.bind_input(name, alive[-1])
        for name, *_ in self._fresh:
            # Bound anew, an output gets memory of its own; else it would overwrite what the last call gave.
            inner.bind_output(name, self._device)
        try:
            self.session._sess.run_with_iobinding(inner, None)
        except Exception as error:
            raise run_error(error, self.model.labels, self._where) from error
        # Outputs come in the order in which they were first bound.
        for (_, slot, turn), value in zip(self._fresh, inner.get_outputs(), strict=False):
            result = value.numpy()
            env[slot] = result if turn is None else turn(result)
        for state, array in zip(self._kept, states, strict=True):
            env[state.new] = array


class KernelStep:
    """One node, run by its reference kernel.

    ``owned`` are the arguments whose array may be written into, as nobody reads the value any more.
    """

    def __init__(
        self,
        node: Node,
        operator: Operator | None,
        slot_of: Callable[[Value], int],
        rng: np.random.Generator,
        owned: frozenset[str],
        where: str,
    ) -> None:
        self.node = node
        self._operator = operator
        self._slots = [slot_of(value) for value in node.outputs]
        self._read = {name: _reader(operand, slot_of) for name, operand in node.operands.items()}
        self._rng = rng
        self._owned = owned
        self._where = f"{where}, {node.source or 'a node'} ({operator.name if operator else node.op})"

    def __call__(self, env: Env) -> None:
        try:
            arguments = {name: read(env) for name, read in self._read.items()}
            results = self._call(arguments)
        except PteronError as error:
            raise ExecutionError(f"{self._where}: {error}") from error
        except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError, MemoryError) as error:
            raise ExecutionError(f"{self._where}: {error or type(error).__name__}") from error
        except Exception as error:
            raise ExecutionError(f"{self._where}: the kernel failed with {type(error).__name__}: {error}") from error
        for slot, result in zip(self._slots, results, strict=True):
            env[slot] = result

    def _call(self, given: dict[str, Any]) -> list[Any]:
        if self.node.op == COPY_INDEX:
            return [self._copy_index(**given)]
        if self._operator is None:
            raise KernelError("there is no such operator")
        functional = self._operator.functional
        outputs = self.node.outputs
        first = outputs[0].type if outputs else None
        arguments: dict[str, Any] = {"rng": self._rng}
        arguments["out_dtype"] = first.dtype if isinstance(first, TensorType) else None
        count = len(outputs) - sum(argument.writes for argument in functional.arguments)
        written: list[Array] = []
        for argument in functional.arguments:
            name = argument.name
            if name not in given:
                arguments[name] = None if argument.default is None else default_value(argument.default)
            elif argument.writes:
                type = outputs[count + len(written)].tensor_type
                own = name in self._owned and given[name].flags.writeable and given[name].dtype == type.dtype
                written.append(given[name] if own else store(type, given[name]))
                arguments[name] = written[-1]
            else:
                arguments[name] = given[name]
        with np.errstate(all="ignore"):
            returned = self._operator.kernel(**{name: arguments[name] for name in self._operator.parameters})
        if len(functional.returns) == 1 and not functional.returns[0].type.startswith("Tensor["):
            returned = (returned,)
        stored: list[Any] = []
        if count:
            for value, result in zip(outputs[:count], returned, strict=True):
                stored.append(store(value.type, result) if isinstance(value.type, TensorType) else _number(result))
        return [*stored, *written]

    def _copy_index(self, copy_to: Array, copy_from: Array, index: int) -> Array:
        """``et_copy_index``: a dynamic target has ``index + 1`` rows afterwards, a static one keeps its rows."""
        type = self.node.outputs[0].tensor_type
        if index < 0 or copy_to.ndim != copy_from.ndim + 1 or copy_to.shape[1:] != copy_from.shape:
            raise KernelError(f"row {index} of shape {list(copy_from.shape)} does not fit {list(copy_to.shape)}")
        if copy_to.dtype != copy_from.dtype or index > len(copy_to) or (not type.dynamic and index == len(copy_to)):
            raise KernelError(f"row {index} of {copy_from.dtype.name} does not fit {copy_to.dtype.name}{copy_to.shape}")
        rows = store(type, np.concatenate([copy_to[:index], copy_from[np.newaxis]]) if type.dynamic else copy_to)
        rows[index] = copy_from
        return rows


def _reader(operand: Operand, slot_of: Callable[[Value], int]) -> Callable[[Env], Any]:
    if isinstance(operand, Value):
        slot = slot_of(operand)
        return lambda env: env[slot]
    if isinstance(operand, list):
        readers = [_reader(item, slot_of) for item in operand]
        return lambda env: [read(env) for read in readers]
    return lambda env: operand


def _number(result: Any) -> Any:
    return result.item() if isinstance(result, np.generic | np.ndarray) else result
