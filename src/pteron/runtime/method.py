"""LoadedMethod: one method, prepared and run instruction by instruction as the file has it.

The order of preparation and the semantics of instructions are those of runtime/executor/method.cpp.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from pteron.backends.identify import KNOWN, describe
from pteron.backends.interface import DelegateContext, DelegateHandle
from pteron.errors import (
    BackendError,
    ExecutionError,
    KernelError,
    LoadError,
    MissingOperatorError,
    PteronError,
)
from pteron.format import schema
from pteron.format.method import Method
from pteron.format.program import Program
from pteron.ops import REGISTRY
from pteron.ops.registry import call_length
from pteron.ops.result_size import results_within
from pteron.runtime import signature
from pteron.runtime.kernels import ET_COPY_INDEX, ET_VIEW, Step, bind
from pteron.runtime.memory import Arenas, SharedBuffers, allocate
from pteron.runtime.settings import Settings
from pteron.runtime.tensor import Bytes, Tensor
from pteron.runtime.values import ValueTable

Trace = Callable[[str, float], None]


class LoadedMethod:
    """A method ready to run; calls from several threads take turns.

    ``method`` is its description in the file. State (mutable buffers) lives until :meth:`reset`.
    """

    engine: ClassVar[str] = "reference"

    def __init__(
        self, program: Program, method: Method, settings: Settings, shared: SharedBuffers | None = None
    ) -> None:
        self.program = program
        self.method = method
        self._settings = settings
        self._path = f"execution_plan[{method.index}]"
        self._lock = threading.RLock()
        self._rng = np.random.default_rng(settings.seed)
        self._table = ValueTable(program, method, Arenas(program, method, shared), settings.external)
        self._values = self._table.values
        for name in ("inputs", "outputs"):
            for position, index in enumerate(getattr(method.plan, name) or ()):
                self._index(index, f"{self._path}.{name}[{position}]")
        self._delegates = [self._init_delegate(i, d) for i, d in enumerate(method.plan.delegates or ())]
        self._names: list[list[str]] = []
        self._chains = self._prepare_chains()
        self._written = _written_values(method.plan)

    def __call__(self, *inputs: Any) -> list[Any]:
        return self.execute(inputs)

    def execute(self, inputs: Sequence[Any], trace: Trace | None = None) -> list[Any]:
        """Run once. Inputs and outputs are as the method's signature lists them.

        Tensor inputs are anything with the array interface or DLPack; outputs are NumPy arrays of the caller's own.
        ``trace`` is called with each instruction's operator name and seconds. Raises ``InputError`` for inputs that
        do not fit, ``ExecutionError`` where an instruction fails.
        """
        with self._lock, np.errstate(all="ignore"), results_within(self.program.limits.max_memory):
            self._set_inputs(inputs)
            self._prepare_outputs()
            self._run(trace)
            return self._outputs()

    def reset(self) -> None:
        """Put mutable state back to what the file gives (zero where it gives none)."""
        with self._lock:
            self._table.reset()
            for handle in self._delegates:
                handle.reset()

    def _set_inputs(self, inputs: Sequence[Any]) -> None:
        infos = self.method.inputs
        signature.check_count(self.program.file, self.method, inputs)
        for position, (info, given) in enumerate(zip(infos, inputs, strict=True)):
            place = f"{self.program.file}, method {self.method.name!r}, input {position} ({info.name})"
            value = self._values[info.value_index]
            if not isinstance(value, Tensor):
                signature.check_scalar(info, given, place)
                continue
            array = signature.tensor_input(info, given, place)
            signature.check_shape(info, array.shape, place)
            if not info.planned:
                value.bind(None)  # the last call's memory may be too small for this one
            value.resize(array.shape)
            if info.planned:
                if value.array is None or not value.array.flags.writeable:
                    raise ExecutionError(f"{place}: the input is a constant of the file and cannot be set")
                np.copyto(value.array, array)
                continue
            if info.value_index in self._written or not _dense_in(array, value):
                value.bind(allocate(value.nbytes))
                np.copyto(value.array, array)  # type: ignore[arg-type]
            else:
                value.bind(_shared(array, value))

    def _prepare_outputs(self) -> None:
        for info in self.method.outputs:
            value = self._values[info.value_index]
            if isinstance(value, Tensor) and not info.planned and value.memory is None:
                value.bind(allocate(max(value.nbytes, 1)))

    def _outputs(self) -> list[Any]:
        results: list[Any] = []
        for position, info in enumerate(self.method.outputs):
            value = self._values[info.value_index]
            if not isinstance(value, Tensor):
                results.append(value)
            elif value.array is None:
                raise ExecutionError(f"{self.program.file}, method {self.method.name!r}: output {position} has no data")
            else:
                results.append(value.array.copy(order="K"))
        return results

    def _run(self, trace: Trace | None) -> None:
        left = self.program.limits.max_instructions
        for number in range(len(self._chains)):
            left = self._run_chain(number, left, trace)

    def _run_chain(self, number: int, left: int, trace: Trace | None) -> int:
        """Run one chain with ``left`` instructions allowed; gives back how many are left."""
        chain = self._chains[number]
        position = 0
        while position < len(chain):
            left -= 1
            if left < 0:
                raise ExecutionError(
                    f"{self.program.file}, method {self.method.name!r}: more than "
                    f"{self.program.limits.max_instructions:,} instructions; raise Limits.max_instructions to go on"
                )
            start = time.perf_counter() if trace else 0.0
            try:
                target = chain[position]()
            except PteronError as error:
                raise self._located(error, number, position) from error.__cause__
            if trace:
                trace(self._names[number][position], time.perf_counter() - start)
            position = position + 1 if target is None else target
        return left

    def _located(self, error: PteronError, chain: int, position: int) -> PteronError:
        name = self._names[chain][position]
        where = f"{self.program.file}, method {self.method.name!r}, instruction {position} ({name})"
        kind = type(error) if isinstance(error, ExecutionError) else ExecutionError
        located = kind(f"{where}: {error}")
        located.et_error = error.et_error
        return located

    def _init_delegate(self, index: int, delegate: schema.BackendDelegate) -> DelegateHandle:
        path = f"{self._path}.delegates[{index}]"
        backend_id = delegate.id or ""
        payload = self.program.payload(delegate, path)
        backend = self._settings.backends.get(backend_id)
        if backend is None or not backend.is_available():
            facts = KNOWN.get(backend_id)
            advice = f"it runs on {facts.runs_on}" if facts else "register its backend with pteron.backends"
            why = f"no backend here runs {backend_id!r}"
            if backend is not None:
                why = f"the backend {backend_id!r} is registered, but says that it is not available here"
                advice = f"it runs on {facts.runs_on}" if facts else "see what it needs"
            raise BackendError(
                f"{self.program.file}, {path}: {why} ({describe(backend_id, payload)}); {advice}", backend_id
            )
        specs = {spec.key or "": bytes(spec.value or b"") for spec in delegate.compile_specs or ()}
        named = dict(self.program.named_data)
        named.update((key, entry.data) for key, entry in self._settings.external.items())
        return backend.init(payload, DelegateContext(self.method.name, self.program.file, specs, named))

    def _prepare_chains(self) -> list[list[Step]]:
        chains = self.method.plan.chains
        if not chains:
            raise self.program.fault("the method has no chains", f"{self._path}.chains")
        self._check_operators()
        prepared = []
        for number, chain in enumerate(chains):
            path = f"{self._path}.chains[{number}].instructions"
            if chain.instructions is None:
                raise self.program.fault("the chain has no instructions", path)
            names: list[str] = []
            self._names.append(names)
            prepared.append(
                [self._prepare(i, f"{path}[{n}].instr_args", names) for n, i in enumerate(chain.instructions)]
            )
        return prepared

    def _check_operators(self) -> None:
        missing = [
            name
            for name in (operator.qualified_name for operator in self.method.plan.operators or ())
            if self._settings.operators.get(name) is None
        ]
        if missing:
            listed = ", ".join(missing[:8]) + (f" and {len(missing) - 8} more" if len(missing) > 8 else "")
            raise MissingOperatorError(
                f"{self.program.file}, method {self.method.name!r}: no kernel for {listed}; "
                "register one with pteron.operator, or check that the name is right",
                tuple(missing),
            )

    def _prepare(self, instruction: schema.Instruction, path: str, names: list[str]) -> Step:
        match instruction.instr_args:
            case schema.KernelCall() as call:
                return self._kernel_call(call, path, names)
            case schema.DelegateCall() as call:
                return self._delegate_call(call, path, names)
            case schema.MoveCall() as move:
                names.append("MoveCall")
                return self._move(self._index(move.move_from, path), self._index(move.move_to, path))
            case schema.JumpFalseCall() as jump:
                names.append("JumpFalseCall")
                return self._jump(self._index(jump.cond_value_index, path), jump.destination_instruction)
            case schema.FreeCall() as free:
                names.append("FreeCall")
                return self._free(self._index(free.value_index, path))
            case _:
                raise self.program.fault("the instruction is empty", path)

    def _index(self, value: int, path: str) -> int:
        if not 0 <= value < len(self._values):
            raise self.program.fault(f"value {value} does not exist (the method has {len(self._values)})", path)
        return value

    def _kernel_call(self, call: schema.KernelCall, path: str, names: list[str]) -> Step:
        operators = self.method.plan.operators or ()
        if not 0 <= call.op_index < len(operators):
            raise self.program.fault(
                f"operator {call.op_index} does not exist (the method has {len(operators)})", f"{path}.op_index"
            )
        if call.args is None:
            raise self.program.fault("the call has no arguments", f"{path}.args")
        args = tuple(self._index(value, f"{path}.args") for value in call.args)
        name = operators[call.op_index].qualified_name
        names.append(name)
        operator = self._settings.operators.get(name)
        assert operator is not None
        called = operator.schema_for(len(args))
        if called is None:
            known = [call_length(s) for s in (operator.schema, *operator.older)]
            raise LoadError(
                f"{self.program.file}, {path}.args: {name} is called with {len(args)} arguments, it takes "
                f"{' or '.join(map(str, known))}; the file was made against another operator of that name"
            )
        return bind(operator, called, args, self._values, self._rng)

    def _delegate_call(self, call: schema.DelegateCall, path: str, names: list[str]) -> Step:
        if not 0 <= call.delegate_index < len(self._delegates):
            raise self.program.fault(
                f"delegate {call.delegate_index} does not exist (the method has {len(self._delegates)})",
                f"{path}.delegate_index",
            )
        if call.args is None:
            raise self.program.fault("the call has no arguments", f"{path}.args")
        args = [self._index(value, f"{path}.args") for value in call.args]
        handle = self._delegates[call.delegate_index]
        backend_id = (self.method.plan.delegates or ())[call.delegate_index].id
        names.append(f"delegate {backend_id}")
        values = self._values

        def step() -> None:
            try:
                handle.execute([values[i] for i in args])
            except PteronError:
                raise
            except Exception as error:
                raise ExecutionError(f"the backend failed with {type(error).__name__}: {error}") from error

        return step

    def _move(self, source: int, target: int) -> Step:
        values = self._values

        def step() -> None:
            values[target] = values[source]

        return step

    def _jump(self, condition: int, destination: int) -> Step:
        values = self._values

        def step() -> int | None:
            value = values[condition]
            if isinstance(value, Tensor):
                if value.array is None or value.dtype != np.bool_:
                    raise KernelError("the condition of a jump must be bool, with data")
                value = bool(value.array.all())
            if not isinstance(value, bool):
                raise KernelError(f"the condition of a jump must be bool, not {type(value).__name__}")
            # A destination outside the chain ends it, as in the runtime (a negative one wraps there).
            return None if value else destination if destination >= 0 else 1 << 62

        return step

    def _free(self, index: int) -> Step:
        values = self._values

        def step() -> None:
            value = values[index]
            if not isinstance(value, Tensor):
                raise KernelError("only a tensor can be freed")
            value.bind(None)

        return step


def _dense_in(array: np.ndarray[Any, Any], tensor: Tensor) -> bool:
    """Whether the array lies in memory exactly as the tensor wants it."""
    return array.size > 0 and array.transpose(tensor.dim_order).flags.c_contiguous


def _shared(array: np.ndarray[Any, Any], tensor: Tensor) -> Bytes:
    """The caller's memory, read-only, as the bytes of a tensor in its dim order."""
    flat = array.transpose(tensor.dim_order).reshape(-1).view(np.uint8)
    flat.flags.writeable = False
    return flat


def _written_values(plan: schema.ExecutionPlan) -> frozenset[int]:
    """Values that some instruction may write through, so that the caller's memory must not be shared with them."""
    written: set[int] = set()
    operators = plan.operators or ()
    for chain in plan.chains or ():
        for instruction in chain.instructions or ():
            match instruction.instr_args:
                case schema.KernelCall() as call:
                    written.update(_written_arguments(operators[call.op_index].qualified_name, call.args or ()))
                case schema.DelegateCall() as call:
                    written.update(call.args or ())
                case schema.MoveCall() as move:
                    written.update((move.move_from, move.move_to))
    return frozenset(written)


def _written_arguments(name: str, args: tuple[int, ...]) -> Sequence[int]:
    if name == ET_VIEW:
        return (args[0], args[-1])
    if name == ET_COPY_INDEX:
        return args[:1]
    operator = REGISTRY.get(name)
    if operator is None:
        return args
    written = [args[i] for i, a in enumerate(operator.schema.arguments) if a.writes and i < len(args)]
    return [*written, args[-1]]
